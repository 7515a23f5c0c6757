//! The gate for names: every address, on every attempt.

use crate::receiver::{
    AMPLE, Receiver, assert_unreachable, config, post, request, sender_with, status,
};
use async_trait::async_trait;
use ringback_delivery::port::{SendFailure, Sender};
use ringback_domain::{NotSentReason, UnreachableCause};
use ringback_sender_http::{HttpConfig, HttpSender, Lookup};
use std::{io, net::IpAddr, sync::Arc, time::Duration};

const CLOSING: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const FORBIDDEN: SendFailure = SendFailure::NotSent(NotSentReason::AddressForbidden);

#[tokio::test]
async fn a_name_that_leads_inwards_is_not_sent_to() {
    let trap = Receiver::answering(CLOSING).await;
    for answer in [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ] {
        let sender = sender_with(&config(&[]), &[&[answer]]);
        let exchange = post(&sender, &format!("http://hooks.example.com:{}/", trap.port)).await;
        assert_eq!(exchange.result.unwrap_err(), FORBIDDEN, "{answer}");
        assert_eq!(exchange.address, None);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn one_inner_address_among_others_refuses_them_all() {
    let trap = Receiver::answering(CLOSING).await;
    let url = format!("http://hooks.example.com:{}/", trap.port);
    for answer in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]] {
        let sender = sender_with(&config(&["127.0.0.2/32"]), &[&answer]);
        assert_eq!(post(&sender, &url).await.result.unwrap_err(), FORBIDDEN);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_name_that_turns_inwards_later_is_sent_to_no_longer() {
    let trap = Receiver::answering(CLOSING).await;
    let url = format!("http://hooks.example.com:{}/", trap.port);
    // Open at first, closed from the second answer on: the check is made on every attempt, and there is no cache.
    let sender = sender_with(
        &config(&["127.0.0.2/32"]),
        &[&["127.0.0.2"], &["127.0.0.1"]],
    );
    let first = post(&sender, &url).await;
    assert_eq!(status(&first), 200);
    assert_eq!(first.address.unwrap().ip().to_string(), "127.0.0.2");
    for _ in 0..3 {
        assert_eq!(post(&sender, &url).await.result.unwrap_err(), FORBIDDEN);
    }
    assert_eq!(trap.connections(), 1);
}

#[tokio::test]
async fn an_opened_network_opens_names_and_ports_within_it_only() {
    let trap = Receiver::answering(CLOSING).await;
    let allowed = format!("127.0.0.2/32:{}", trap.port);
    let sender = sender_with(&config(&[&allowed]), &[&["127.0.0.2"]]);
    for host in ["receiver", "localhost", "db.internal"] {
        let exchange = post(&sender, &format!("http://{host}:{}/", trap.port)).await;
        assert_eq!(status(&exchange), 200, "{host}");
    }
    let other_port = trap.port.checked_sub(1).unwrap();
    let exchange = post(&sender, &format!("http://receiver:{other_port}/")).await;
    assert_eq!(exchange.result.unwrap_err(), FORBIDDEN);
}

struct Failing;

#[async_trait]
impl Lookup for Failing {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match name {
            name if name.starts_with("hangs") => std::future::pending().await,
            "good.example.com" => Ok(vec![IpAddr::from([127, 0, 0, 2])]),
            "empty.example.com" => Ok(Vec::new()),
            _ => Err(io::Error::other("failed to look up the name")),
        }
    }
}

#[tokio::test]
async fn a_lookup_that_fails_in_any_way_is_named_as_such() {
    let config = HttpConfig {
        lookup_timeout: Duration::from_millis(200),
        ..config(&[])
    };
    let sender = HttpSender::with_lookup(&config, Arc::new(Failing)).unwrap();
    for name in ["hangs", "empty", "missing"] {
        let exchange = post(&sender, &format!("https://{name}.example.com/")).await;
        assert_unreachable(&exchange, UnreachableCause::NameLookup);
        assert!(exchange.phases.connect.is_none() && exchange.phases.first_byte.is_none());
    }
    // Also when the attempt's own limit is the shorter one.
    let hurried = sender
        .send(request(
            "https://hangs.example.com/",
            Duration::from_millis(50),
        ))
        .await;
    assert_unreachable(&hurried, UnreachableCause::NameLookup);
}

#[tokio::test]
async fn a_hundred_destinations_whose_names_hang_fail_alone() {
    let receiver = Receiver::answering(CLOSING).await;
    let sender = HttpSender::with_lookup(&config(&["127.0.0.2/32"]), Arc::new(Failing)).unwrap();
    let hanging = (0..100).map(async |number| {
        let exchange = post(&sender, &format!("https://hangs-{number}.example.com/")).await;
        assert_unreachable(&exchange, UnreachableCause::NameLookup);
    });
    let good = async {
        let url = format!("http://good.example.com:{}/", receiver.port);
        let exchange = post(&sender, &url).await;
        assert_eq!(status(&exchange), 200);
        // The lookups before it have gone on for a moment by then, but not to their end.
        assert!(exchange.phases.total < Duration::from_secs(2));
    };
    // In this order: the good name comes last.
    tokio::join!(futures_util::future::join_all(hanging), good);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn the_systems_resolver_is_asked_and_its_answer_judged() {
    let trap = Receiver::answering(CLOSING).await;
    let url = format!("http://localhost:{}/", trap.port);
    let open = HttpSender::try_new(&config(&["127.0.0.1/32", "::1/128"])).unwrap();
    assert_eq!(status(&open.send(request(&url, AMPLE)).await), 200);
    // Opened for something else, so that the name passes and its address has to be judged.
    let closed = HttpSender::try_new(&config(&["127.0.0.2/32"])).unwrap();
    assert_eq!(
        closed.send(request(&url, AMPLE)).await.result.unwrap_err(),
        FORBIDDEN
    );
    assert_eq!(trap.connections(), 1);
}

#[tokio::test]
async fn a_lookup_without_a_place_is_no_attempt() {
    let sender = HttpSender::with_lookup(&config(&[]), Arc::new(Failing)).unwrap();
    // More than may be looked up at once, of names nobody knows.
    let hanging = (0..400).map(async |number| {
        let url = format!("https://hangs-{number}.example.com/");
        post(&sender, &url).await.result.unwrap_err()
    });
    let failures = futures_util::future::join_all(hanging).await;
    assert!(failures.contains(&SendFailure::NoRoom));
}
