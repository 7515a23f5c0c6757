//! What Redis and its client say, in the store's words.

use redis::{ErrorKind, RedisError};
use ringback_delivery::port::StoreError;
use ringback_wire::WireError;

pub(crate) const STORE: &str = "Redis";

/// A server that answers, but is not ready to: it comes back by itself.
const NOT_READY: [&str; 5] = ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"];

/// Whether the server has answered and will answer the same the next time.
pub(crate) fn is_refusal(failure: &RedisError) -> bool {
    let is_answer = matches!(
        failure.kind(),
        ErrorKind::Server(_)
            | ErrorKind::Extension
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::AuthenticationFailed
    );
    let is_ready = failure.code().is_none_or(|code| !NOT_READY.contains(&code));
    is_answer && is_ready
}

pub(crate) fn of_redis(address: &str, step: &'static str, failure: RedisError) -> StoreError {
    if is_refusal(&failure) {
        return StoreError::Refused {
            store: STORE,
            step,
            why: explain(&failure),
        };
    }
    StoreError::Unreachable {
        store: STORE,
        address: address.to_owned(),
        source: Box::new(failure),
    }
}

fn explain(failure: &RedisError) -> String {
    let known = match failure.code() {
        Some("OOM") => "out of memory (hint: raise `maxmemory`; the policy must be `noeviction`)",
        Some("READONLY") => "the server became a replica",
        Some("NOAUTH" | "WRONGPASS") => "the password is wrong or missing",
        Some("NOPERM") => "the user may not run a command or touch a key that is needed",
        Some("MISCONF") => "it cannot write to its disk",
        _ if failure.kind() == ErrorKind::AuthenticationFailed => {
            "the password is wrong or missing"
        }
        _ => return failure.to_string(),
    };
    known.to_owned()
}

pub(crate) fn corrupt(what: &'static str, id: &impl ToString, why: &WireError) -> StoreError {
    unreadable(what, id, why.to_string())
}

pub(crate) fn unreadable(what: &'static str, id: &impl ToString, why: String) -> StoreError {
    StoreError::Corrupt {
        what,
        id: id.to_string(),
        why,
    }
}
