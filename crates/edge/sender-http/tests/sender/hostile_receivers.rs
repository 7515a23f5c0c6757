//! Receivers that hang, drip, flood, lie, or vanish.

use crate::receiver::{
    AMPLE, OK, Receiver, SHORT, assert_unreachable, closed_port, config, local_sender, post,
    read_request, request, sender_with, status,
};
use ringback_delivery::port::Sender;
use ringback_domain::{UnreachableCause, limits::EXCERPT_BYTES_MAX};
use ringback_sender_http::HttpConfig;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::sleep,
};

/// Posts to a receiver that says `opening` and then repeats `drip` for ever.
async fn dripping(
    opening: &'static [u8],
    drip: &'static [u8],
) -> ringback_delivery::port::Exchange {
    let receiver = Receiver::start(move |mut stream| async move {
        read_request(&mut stream).await?;
        stream.write_all(opening).await?;
        loop {
            stream.write_all(drip).await?;
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    local_sender().send(request(&receiver.url(), SHORT)).await
}

#[tokio::test]
async fn a_receiver_that_never_answers_costs_the_time_limit_and_no_more() {
    let receiver = Receiver::start(|mut stream| async move {
        read_request(&mut stream).await?;
        std::future::pending().await
    })
    .await;
    let exchange = local_sender().send(request(&receiver.url(), SHORT)).await;
    assert_unreachable(&exchange, UnreachableCause::TimeLimit);
    assert!(
        exchange.phases.total >= SHORT && exchange.phases.total < AMPLE,
        "{:?}",
        exchange.phases
    );
    assert_eq!(exchange.address.unwrap().port(), receiver.port);
}

#[tokio::test]
async fn one_byte_at_a_time_does_not_stretch_the_limit() {
    let body = b"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (opening, drip, cut_off) in [
        (
            b"HTTP/1.1 200 OK\r\nX-Slow: ".as_slice(),
            b"x".as_slice(),
            None,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", Some(200)),
        (body, b"1\r\nx\r\n", Some(202)),
    ] {
        let exchange = dripping(opening, drip).await;
        assert_unreachable(&exchange, UnreachableCause::TimeLimit);
        assert_eq!(exchange.cut_off, cut_off);
    }
}

#[tokio::test]
async fn interim_answers_without_end_do_not_stretch_the_limit() {
    assert_unreachable(
        &dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n").await,
        UnreachableCause::TimeLimit,
    );
    assert_unreachable(
        &dripping(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await,
        UnreachableCause::TimeLimit,
    );
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_does_is_lost() {
    for (part, cut_off) in [
        ("", None),
        ("HTTP/1.1 200", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n", None),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            Some(200),
        ),
        (
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\n",
            Some(503),
        ),
    ] {
        let receiver = Receiver::start(move |mut stream| async move {
            read_request(&mut stream).await?;
            stream.write_all(part.as_bytes()).await
        })
        .await;
        let exchange = post(&local_sender(), &receiver.url()).await;
        assert_unreachable(&exchange, UnreachableCause::ConnectionLost);
        assert_eq!(exchange.cut_off, cut_off, "{part}");
        assert_eq!(receiver.connections(), 1, "no hidden repeat");
    }
}

#[tokio::test]
async fn a_reset_connection_is_lost() {
    // Closing with something unread resets.
    let receiver = Receiver::start(|mut stream| async move {
        stream.read_u8().await?;
        Ok(())
    })
    .await;
    assert_unreachable(
        &post(&local_sender(), &receiver.url()).await,
        UnreachableCause::ConnectionLost,
    );
    assert_eq!(receiver.connections(), 1, "no hidden repeat");
}

#[tokio::test]
async fn a_pooled_connection_that_died_is_lost_and_the_next_attempt_gets_a_new_one() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let receiver = Receiver::start(move |mut stream| {
        let counted = Arc::clone(&counted);
        async move {
            // Answers once a connection, reads the next request, and hangs up on it.
            while read_request(&mut stream).await?.is_some() {
                if counted.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
                    break;
                }
                stream.write_all(OK).await?;
            }
            Ok(())
        }
    })
    .await;
    let sender = local_sender();
    let mut lost = 0;
    for made in 1..=10 {
        let exchange = post(&sender, &receiver.url()).await;
        if exchange.result.is_err() {
            assert_unreachable(&exchange, UnreachableCause::ConnectionLost);
            lost += 1;
        }
        assert_eq!(
            requests.load(Ordering::SeqCst),
            made,
            "every attempt is one request"
        );
    }
    assert_eq!(lost, 5);
}

#[tokio::test]
async fn redirects_are_answers_and_lead_nowhere() {
    let trap = Receiver::answering(OK).await;
    for code in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {code} Moved\r\nLocation: http://127.0.0.1:{}/trap\r\nContent-Length: 0\r\n\r\n",
            trap.port
        );
        let receiver = Receiver::answering(answer).await;
        assert_eq!(status(&post(&local_sender(), &receiver.url()).await), code);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn an_endless_body_is_cut_off_and_the_answer_counts() {
    let (hung_up, mut gone) = mpsc::channel(1);
    let receiver = Receiver::start(move |mut stream| {
        let hung_up = hung_up.clone();
        async move {
            read_request(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            hung_up.send(()).await.unwrap();
            Ok(())
        }
    })
    .await;
    let answer = post(&local_sender(), &receiver.url()).await.result.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.excerpt.bytes(), [b'x'; EXCERPT_BYTES_MAX]);
    assert!(answer.excerpt.is_cut());
    gone.recv()
        .await
        .expect("the connection was dropped, not drained");
}

#[tokio::test]
async fn the_limit_of_the_body_is_the_configured_one() {
    let receiver = Receiver::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n{}",
        "y".repeat(3000)
    ))
    .await;
    for response_body_max in [0, 1024, 3000, 100_000] {
        let config = HttpConfig {
            response_body_max,
            ..config(&["127.0.0.1/32"])
        };
        let answer = post(&sender_with(&config, &[]), &receiver.url())
            .await
            .result
            .unwrap();
        assert!(answer.excerpt.is_cut());
        assert_eq!(answer.excerpt.bytes(), [b'y'; EXCERPT_BYTES_MAX]);
    }
}

#[tokio::test]
async fn a_compressed_body_stays_compressed() {
    // The head of a gzip stream; an unpacker would fail on it or hand out something else.
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x01\x0d\x00\x00\x00\xc2\xa0";
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            packed.len()
        );
        let receiver = Receiver::answering([head.as_bytes(), packed].concat()).await;
        let answer = post(&local_sender(), &receiver.url()).await.result.unwrap();
        assert_eq!(answer.excerpt.bytes(), packed);
    }
}

#[tokio::test]
async fn more_headers_than_the_limit_are_not_http_to_us() {
    for (count, accepted) in [(60, true), (65, false), (150, false)] {
        let headers = "X-Flood: 1\r\n".repeat(count - 1);
        let receiver = Receiver::answering(format!(
            "HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n"
        ))
        .await;
        let exchange = post(&local_sender(), &receiver.url()).await;
        if accepted {
            assert_eq!(status(&exchange), 200, "{count}");
        } else {
            assert_unreachable(&exchange, UnreachableCause::NotHttp);
        }
    }
}

#[tokio::test]
async fn a_head_that_is_longer_than_any_is_not_http_to_us() {
    for (each, accepted) in [(500, true), (2_000, false), (6_000, false)] {
        let headers = format!("X-Flood: {}\r\n", "x".repeat(each)).repeat(50);
        let receiver = Receiver::answering(format!(
            "HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n"
        ))
        .await;
        let exchange = post(&local_sender(), &receiver.url()).await;
        if accepted {
            assert_eq!(status(&exchange), 200, "{each}");
        } else {
            assert_unreachable(&exchange, UnreachableCause::NotHttp);
        }
    }
}

#[tokio::test]
async fn a_header_without_end_is_cut_off() {
    let receiver = Receiver::start(|mut stream| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ").await?;
        loop {
            stream.write_all(&[b'x'; 4096]).await?;
        }
    })
    .await;
    assert_unreachable(
        &post(&local_sender(), &receiver.url()).await,
        UnreachableCause::NotHttp,
    );
}

#[tokio::test]
async fn what_is_not_http_is_named_as_such() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ] {
        let receiver = Receiver::answering(garbage).await;
        let exchange = post(&local_sender(), &receiver.url()).await;
        assert!(exchange.result.is_err(), "{garbage:?}: {exchange:?}");
        assert_unreachable(&exchange, UnreachableCause::NotHttp);
    }
}

#[tokio::test]
async fn where_nothing_listens_the_connection_is_refused() {
    let url = format!("http://127.0.0.1:{}/", closed_port().await);
    let exchange = post(&local_sender(), &url).await;
    assert_unreachable(&exchange, UnreachableCause::ConnectionRefused);
    assert_eq!(exchange.address, None);
}
