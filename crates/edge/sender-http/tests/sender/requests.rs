//! What a receiver gets to see, and what is reported back.

use crate::receiver::{
    AMPLE, OK, Receiver, local_sender, post, read_request, request, sender_with, status, through,
};
use ringback_delivery::port::{SendFailure, Sender};
use ringback_domain::NotSentReason;
use std::{net::SocketAddr, process::Command, sync::Arc};
use tokio::{io::AsyncWriteExt, sync::mpsc};

async fn recording(answer: &'static [u8]) -> (Receiver, mpsc::Receiver<String>) {
    let (seen, requests) = mpsc::channel(16);
    let receiver = Receiver::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await? {
                seen.send(request).await.unwrap();
                stream.write_all(answer).await?;
            }
            Ok(())
        }
    })
    .await;
    (receiver, requests)
}

#[tokio::test]
async fn a_request_carries_exactly_what_it_should() {
    let (receiver, mut requests) = recording(OK).await;
    let mut sent = request(&format!("{}?token=a%20b", receiver.url()), AMPLE);
    sent.headers
        .push(("content-type".into(), "text/plain".into()));
    sent.headers.push(("Host".into(), "elsewhere".into()));
    sent.headers
        .push(("Transfer-Encoding".into(), "chunked".into()));
    sent.headers.push(("User-Agent".into(), "curl".into()));
    let exchange = local_sender().send(sent).await;
    assert_eq!(status(&exchange), 200);

    let seen = requests.try_recv().unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /hook?token=a%20b HTTP/1.1");
    lines.sort_unstable();
    let host = format!("Host: 127.0.0.1:{}", receiver.port);
    let agent = concat!("User-Agent: Ringback/", env!("CARGO_PKG_VERSION"));
    let mut expected = [
        "Accept: */*",
        "Content-Length: 7",
        "Content-Type: application/json",
        &host,
        agent,
        "Webhook-Signature: v1,abc=",
        "X-Webhook-Id: evt_1",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(body, "{\"a\":1}");
}

#[tokio::test]
async fn an_exchange_reports_its_phases_and_whom_it_reached() {
    let receiver = Receiver::answering(OK).await;
    let sender = local_sender();
    let named = format!("http://hooks.example.com:{}/", receiver.port);
    let first = post(&sender, &named).await;
    assert_eq!(
        first.address,
        Some(SocketAddr::from(([127, 0, 0, 1], receiver.port)))
    );
    let phases = first.phases;
    assert!(
        phases.dns.is_some() && phases.connect.is_some() && phases.tls.is_none(),
        "{phases:?}"
    );
    let first_byte = phases.first_byte.unwrap();
    assert!(
        phases.dns.unwrap() + phases.connect.unwrap() <= first_byte && first_byte <= phases.total,
        "{phases:?}"
    );

    let literal = post(&sender, &receiver.url()).await.phases;
    assert!(
        literal.dns.is_none() && literal.connect.is_some(),
        "{literal:?}"
    );
}

#[tokio::test]
async fn a_pooled_connection_has_no_connecting_phases() {
    let receiver = Receiver::answering(OK).await;
    let sender = local_sender();
    let mut pooled = None;
    // The connection is back in the pool soon after the answer, not necessarily before the next request.
    for _ in 0..50 {
        let exchange = post(&sender, &receiver.url()).await;
        assert_eq!(status(&exchange), 200);
        assert!(exchange.address.is_some());
        if exchange.phases.connect.is_none() {
            pooled = Some(exchange.phases);
            break;
        }
    }
    let phases = pooled.expect("one of fifty requests in a row over a pooled connection");
    assert!(
        phases.dns.is_none() && phases.tls.is_none() && phases.first_byte.is_some(),
        "{phases:?}"
    );
}

#[tokio::test]
async fn an_answer_is_reported_as_it_came() {
    let receiver = Receiver::answering(
        &b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nbusy"[..],
    )
    .await;
    let answer = post(&local_sender(), &receiver.url()).await.result.unwrap();
    assert_eq!(
        (answer.status, answer.retry_after.as_deref()),
        (503, Some("120"))
    );
    assert_eq!(answer.excerpt.bytes(), b"busy");
    assert!(!answer.excerpt.is_cut());
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_stops_the_request() {
    let receiver = Receiver::answering(OK).await;
    for (name, value) in [("X-A", "a\r\nX-B: c"), ("X A", "a"), ("", "a")] {
        let mut sent = request(&receiver.url(), AMPLE);
        sent.headers.push((name.into(), value.into()));
        let exchange = local_sender().send(sent).await;
        assert_eq!(
            exchange.result.unwrap_err(),
            SendFailure::NotSent(NotSentReason::ProfileUnknown)
        );
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn two_requests_at_once_use_two_connections_and_one_each() {
    let receiver = Receiver::answering(OK).await;
    let sender = Arc::new(local_sender());
    let url = receiver.url();
    let (a, b) = futures_util::future::join(post(&sender, &url), post(&sender, &url)).await;
    assert_eq!((status(&a), status(&b)), (200, 200));
}

#[tokio::test]
async fn proxy_variables_are_ignored() {
    let trap = Receiver::answering(OK).await;
    let proxy = format!("http://127.0.0.1:{}", trap.port);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "requests::a_request_carries_exactly_what_it_should",
    ]);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env(name, &proxy);
    }
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_configured_proxy_is_the_only_way_out() {
    let (proxy, mut requests) = recording(OK).await;
    let receiver = Receiver::answering(OK).await;
    // The destination's name is the proxy's to look up.
    let sender = sender_with(&through(&proxy), &[&["127.0.0.1"]]);
    let exchange = post(
        &sender,
        &format!("http://hooks.example.com:{}/x", receiver.port),
    )
    .await;
    assert_eq!(status(&exchange), 200);
    let seen = requests.try_recv().unwrap();
    assert!(
        seen.starts_with(&format!(
            "POST http://hooks.example.com:{}/x HTTP/1.1\r\n",
            receiver.port
        )),
        "{seen}"
    );
    assert!(seen.contains("Proxy-Authorization: Basic "), "{seen}");
    assert_eq!(receiver.connections(), 0);

    let literal = post(&sender, &receiver.url()).await;
    assert_eq!(
        literal.result.unwrap_err(),
        SendFailure::NotSent(NotSentReason::AddressForbidden)
    );
}

/// A worker may hold a thousand requests that wait for their answers. What is not wanted any more must not wait with them.
#[tokio::test]
async fn a_request_that_waits_holds_no_second_copy_of_itself() {
    let sender = local_sender();
    let asked = request("http://127.0.0.1:9/", AMPLE);
    let request_bytes = size_of_val(&asked);
    let waiting_bytes = size_of_val(&sender.observe(asked));
    assert!(
        waiting_bytes < 3 * request_bytes,
        "{waiting_bytes} bytes for a request of {request_bytes}"
    );
}
