//! Why no answer came, read from the error's chain of causes and from how far the attempt had come.

use crate::{
    address::AddressFault, destination_url::UrlFault, fair_lookup::LookupFault, watch::Step,
};
use hyper_util::client::legacy;
use ringback_delivery::port::SendFailure;
use ringback_domain::{NotSentReason, UnreachableCause};
use std::{error::Error, io};

/// The client gave up before there was an answer.
pub(crate) fn of_request(error: &legacy::Error, step: Step) -> SendFailure {
    if let Some(fault) = find::<AddressFault>(error) {
        return SendFailure::NotSent(of_address(*fault));
    }
    if let Some(LookupFault::NoPlace) = find(error) {
        return SendFailure::NoRoom;
    }
    SendFailure::Unreachable(if error.is_connect() {
        while_connecting(error, step)
    } else {
        while_waiting(error)
    })
}

/// The client gave up within an answer's body.
pub(crate) fn of_body(error: &hyper::Error) -> SendFailure {
    SendFailure::Unreachable(while_waiting(error))
}

/// The time limit passed.
pub(crate) fn of_time_limit(step: Step) -> SendFailure {
    SendFailure::Unreachable(match step {
        Step::LookingUp => UnreachableCause::NameLookup,
        Step::Connecting => UnreachableCause::ConnectTimeout,
        Step::Handshaking => UnreachableCause::Tls,
        Step::Begun | Step::Connected => UnreachableCause::TimeLimit,
    })
}

pub(crate) fn of_url(fault: &UrlFault) -> SendFailure {
    SendFailure::NotSent(match fault {
        UrlFault::Address(fault) => of_address(*fault),
        _ => NotSentReason::UrlForbidden,
    })
}

fn of_address(fault: AddressFault) -> NotSentReason {
    match fault {
        AddressFault::Port(_) => NotSentReason::UrlForbidden,
        AddressFault::Special { .. } | AddressFault::Denied(_) => NotSentReason::AddressForbidden,
    }
}

fn while_connecting(error: &legacy::Error, step: Step) -> UnreachableCause {
    match (step, find::<io::Error>(error).map(io::Error::kind)) {
        (Step::LookingUp, _) => UnreachableCause::NameLookup,
        (Step::Handshaking, _) => UnreachableCause::Tls,
        (_, Some(io::ErrorKind::ConnectionRefused)) => UnreachableCause::ConnectionRefused,
        (_, Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted)) => {
            UnreachableCause::ConnectionLost
        }
        _ => UnreachableCause::ConnectTimeout,
    }
}

fn while_waiting(error: &(dyn Error + 'static)) -> UnreachableCause {
    let broken_http = find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse);
    // A chunk's length that is no number, or a body that is longer than a number can say.
    let broken_body = find::<io::Error>(error).is_some_and(|fault| {
        matches!(
            fault.kind(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
        )
    });
    if broken_http || broken_body {
        UnreachableCause::NotHttp
    } else {
        UnreachableCause::ConnectionLost
    }
}

/// The first cause of a type, looking into I/O errors too: their `source` skips what they hold.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = match cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(held) => Some(held),
            None => cause.source(),
        };
    }
    None
}
