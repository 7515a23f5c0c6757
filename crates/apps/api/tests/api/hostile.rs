//! Clients that do not mean well, or cannot do better.

use crate::installation::{Ground, Installation};
use http::Request;
use ringback_api::Limits;
use ringback_domain::limits::{BODY_BYTES_MAX, JSON_DEPTH_MAX};
use ringback_testkit::receiver::{Answer, Receiver};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_mins(1);

async fn quiet() -> Installation {
    let limits = Limits {
        head_time_limit: Duration::from_millis(300),
        body_time_limit: Duration::from_millis(300),
        ..Limits::default()
    };
    Installation::start_with(Ground::Embedded, limits, []).await
}

/// Writes this and reads until the server closes.
async fn raw(installation: &Installation, text: &str) -> String {
    let mut stream = TcpStream::connect(installation.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = timeout(PATIENCE, reading).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_is_no_event_is_refused_with_the_place_and_the_limit() {
    let installation = quiet().await;
    let key = installation.project_key("acme").await;
    let deep = format!(
        "{{\"data\":{}{}}}",
        "[".repeat(JSON_DEPTH_MAX + 1),
        "]".repeat(JSON_DEPTH_MAX + 1)
    );
    let bodies: [(&[u8], &str, &str); 8] = [
        (b"{", "", "byte 1"),
        (b"[]", "", "object"),
        (b"\"x\"", "", "object"),
        (b"{} {}", "", "byte 3"),
        (b"{\"id\":\"\xff\"}", "", "UTF-8"),
        (b"\xef\xbb\xbf{}", "", "byte order mark"),
        (b"{\"job\":{\"id\":1,\"id\":2}}", "job.id", "twice"),
        (deep.as_bytes(), "data", "64"),
    ];
    for path in ["/api/v1/events", "/api/v1/webhooks", "/api/v1/keys"] {
        for (body, member, word) in bodies {
            let request = Request::builder()
                .method("POST")
                .header("x-api-key", &key)
                .header("content-type", "application/json");
            let answer = installation.send(path, request, body.to_vec().into()).await;
            let faults = answer.problem(400, "malformed_body");
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].0.starts_with(member), "{faults:?}");
            assert!(faults[0].1.contains(word), "{path} {faults:?}");
        }
    }
    installation.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_or_of_another_kind_is_refused() {
    let installation = quiet().await;
    let key = installation.project_key("acme").await;
    let long = format!("{{\"url\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let refused = installation.post("/api/v1/webhooks", &key, &long).await;
    refused.problem(413, "body_too_large");
    let detail = refused.json(413)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("262144"), "{detail}");

    for media_type in ["text/plain", "application/x-www-form-urlencoded", "json"] {
        let request = Request::builder()
            .method("POST")
            .header("x-api-key", &key)
            .header("content-type", media_type);
        installation
            .send("/api/v1/webhooks", request, "{}".into())
            .await
            .problem(415, "unsupported_media_type");
    }
    for (path, media_type) in [
        ("/api/v1/webhooks", "application/json"),
        ("/api/v1/events/batch", "application/x-ndjson"),
    ] {
        for (charset, encoding, accepted) in [
            ("; charset=\"UTF-8\"", "identity", true),
            ("; charset=iso-8859-1", "identity", false),
            ("", "gzip", false),
        ] {
            let request = Request::builder()
                .method("POST")
                .header("x-api-key", &key)
                .header("content-type", format!("{media_type}{charset}"))
                .header("content-encoding", encoding);
            let answer = installation.send(path, request, "{}".into()).await;
            if accepted {
                assert_ne!(answer.status, 415, "{path}");
            } else {
                answer.problem(415, "unsupported_media_type");
            }
        }
    }
    installation.stop().await;
}

#[tokio::test]
async fn a_head_or_body_that_never_ends_is_not_waited_for() {
    let installation = quiet().await;
    let key = installation.project_key("acme").await;
    let answer = raw(
        &installation,
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ",
    )
    .await;
    assert!(!answer.contains("200 OK"), "{answer}");

    let head = format!(
        "POST /api/v1/webhooks HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
    );
    let slow = raw(
        &installation,
        &format!("{head}content-length: 10\r\n\r\n{{"),
    )
    .await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    assert!(slow.contains("body_timeout"), "{slow}");

    for (bytes, status) in [(32_000, 200), (40_000, 431), (100_000, 431)] {
        let big = format!(
            "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-big: {}\r\n\r\n",
            "x".repeat(bytes)
        );
        let answer = raw(&installation, &big).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{bytes}: {answer}"
        );
    }
    let many = "x: y\r\n".repeat(200);
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    let answer = raw(&installation, &many).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    installation.stop().await;
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_not_waited_for() {
    // More than a kernel keeps for a connection, by far.
    const TO_WRITE: usize = 24 * 1024 * 1024;
    const A_LITTLE: usize = 96 * 1024;
    const MUCH: usize = 12 * 1024 * 1024;
    let limits = Limits {
        stall_time_limit: Duration::from_secs(1),
        ..Limits::default()
    };
    let installation = Installation::start_with(Ground::Embedded, limits, []).await;
    let ask = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n";
    let one = raw(&installation, &format!("{ask}connection: close\r\n\r\n")).await;
    assert!(one.starts_with("HTTP/1.1 200"), "{one}");

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(installation.address()).await.unwrap();
    let calls = format!("{ask}\r\n").repeat(TO_WRITE / one.len());
    stream.write_all(calls.as_bytes()).await.unwrap();
    // Slow is not still: what comes then is more than kernels would still have of a connection that was closed.
    let mut part = vec![0; A_LITTLE];
    for _ in 0..12 {
        tokio::time::sleep(limits.stall_time_limit / 4).await;
        stream.read_exact(&mut part).await.unwrap();
    }
    let mut much = vec![0; MUCH];
    stream.read_exact(&mut much).await.unwrap();
    tokio::time::sleep(2 * limits.stall_time_limit).await;
    let mut count = 12 * A_LITTLE + MUCH;
    let reading = async {
        while let Ok(read @ 1..) = stream.read(&mut part).await {
            count += read;
        }
    };
    timeout(PATIENCE, reading).await.expect("the server closes");
    assert!(count < TO_WRITE - MUCH / 2, "{count}");
    installation.stop().await;
}

async fn with_connections(connections_max: usize) -> Installation {
    let limits = Limits {
        connections_max,
        ..Limits::default()
    };
    Installation::start_with(Ground::Embedded, limits, []).await
}

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// Asks on a connection that stays, and reads the answer.
async fn ask_health(stream: &mut TcpStream) {
    stream.write_all(ASK).await.unwrap();
    let mut answer = [0; 4096];
    let reading = timeout(PATIENCE, stream.read(&mut answer)).await;
    let count = reading.expect("an answer").unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 200"), "{count}");
}

/// A connection from an address of loopback.
async fn connect_from(installation: &Installation, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let address = SocketAddr::new(address.parse().unwrap(), 0);
    socket.bind(address).unwrap();
    socket.connect(installation.address()).await.unwrap()
}

#[tokio::test]
async fn connections_that_wait_for_their_client_make_room() {
    let installation = with_connections(32).await;
    let mut flood = Vec::new();
    for _ in 0..8 {
        for number in 0..64 {
            let mut stream = TcpStream::connect(installation.address()).await.unwrap();
            // Idle, half a head, and one that has had its answer.
            match number % 3 {
                0 => {}
                1 => stream.write_all(&ASK[..20]).await.unwrap(),
                _ => ask_health(&mut stream).await,
            }
            flood.push(stream);
        }
        let mut stream = TcpStream::connect(installation.address()).await.unwrap();
        ask_health(&mut stream).await;
    }
    assert_eq!(flood.len(), 8 * 64, "none was closed by us");
    drop(flood);
    installation.stop().await;
}

#[tokio::test]
async fn the_network_with_most_connections_makes_room_first() {
    let installation = with_connections(8).await;
    // The longest idle of all, and no part of the flood.
    let mut patient = connect_from(&installation, "127.0.0.2").await;
    ask_health(&mut patient).await;
    let mut flood = Vec::new();
    for _ in 0..40 {
        let mut stream = connect_from(&installation, "127.0.0.3").await;
        stream.write_all(&ASK[..20]).await.unwrap();
        flood.push(stream);
    }
    ask_health(&mut patient).await;
    let mut closed = 0;
    for stream in &mut flood {
        let mut answer = [0; 1];
        let reading = timeout(Duration::from_millis(20), stream.read(&mut answer)).await;
        closed += usize::from(reading.is_ok());
    }
    assert_eq!(closed, 33, "of 8 connections seven are theirs");
    drop(flood);
    installation.stop().await;
}

/// The head of a call that has a body of 64 bytes.
fn head_of_a_call(key: &str) -> String {
    format!(
        "POST /api/v1/webhooks HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_takes_long_makes_room_where_no_connection_is_quiet() {
    let limits = Limits {
        connections_max: 8,
        body_yields_after: Duration::from_millis(300),
        ..Limits::default()
    };
    let installation = Installation::start_with(Ground::Embedded, limits, []).await;
    let key = installation.project_key("acme").await;
    // As long as there is room, it may take its time.
    let mut patient = TcpStream::connect(installation.address()).await.unwrap();
    let head = head_of_a_call(&key);
    patient.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(2 * limits.body_yields_after).await;
    patient.write_all(&[b' '; 64]).await.unwrap();
    let mut begin = [0; 12];
    patient.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 400");
    drop(patient);

    let started_at = Instant::now();
    let mut flood = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(installation.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        flood.push(stream);
    }
    let mut stream = TcpStream::connect(installation.address()).await.unwrap();
    ask_health(&mut stream).await;
    let took = started_at.elapsed();
    assert!(took < limits.body_time_limit / 2, "{took:?}");
    assert!(took >= limits.body_yields_after, "{took:?}");
    drop(flood);
    installation.stop().await;
}

#[tokio::test]
async fn where_every_connection_has_a_request_under_way_others_wait() {
    let installation = with_connections(1).await;
    let (mut holding, _receiver) = ask_for_a_slow_test(&installation).await;
    let mut waiting = TcpStream::connect(installation.address()).await.unwrap();
    waiting.write_all(ASK).await.unwrap();
    let mut begin = [0; 12];
    let early = timeout(Duration::from_millis(200), waiting.read(&mut begin)).await;
    assert!(early.is_err(), "the one connection is in use");
    let mut answer = String::new();
    // Once it has its answer it waits for its client, and makes room.
    holding.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    waiting.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    installation.stop().await;
}

#[tokio::test]
async fn paths_methods_and_ids_that_nobody_knows_are_problems() {
    let installation = quiet().await;
    let key = installation.project_key("acme").await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v2/webhooks",
        "/api/v1/webhooks/",
        "/docs/x",
    ] {
        installation
            .get(path, &key)
            .await
            .problem(404, "no_such_route");
    }
    let other = installation
        .call("PUT", "/api/v1/webhooks", &key, "{}")
        .await;
    other.problem(405, "method_not_allowed");
    let allowed = other.header("allow");
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
    for id in ["whk_", "%00", "..%2f..", "%ff", "a%20b", &"x".repeat(5000)] {
        for list in ["webhooks", "deliveries", "dead-letters"] {
            let path = format!("/api/v1/{list}/{id}");
            installation
                .get(&path, &key)
                .await
                .problem(404, "not_found");
        }
    }
    installation.stop().await;
}

/// Has a webhook tested whose receiver takes a moment, and comes back when that has the request.
async fn ask_for_a_slow_test(installation: &Installation) -> (TcpStream, Receiver) {
    let key = installation.project_key("acme").await;
    let receiver = Receiver::start().await;
    let slow = Answer::status(200).after(Duration::from_millis(500));
    receiver.script("/slow", [slow]);
    let webhook = format!(r#"{{"url":"{}"}}"#, receiver.url("/slow"));
    let added = installation.post("/api/v1/webhooks", &key, &webhook).await;
    let id = added.json(201)["id"].as_str().unwrap().to_owned();
    let mut stream = TcpStream::connect(installation.address()).await.unwrap();
    let ask = format!(
        "POST /api/v1/webhooks/{id}/test HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    receiver.wait_for("/slow", 1).await;
    (stream, receiver)
}

#[tokio::test]
async fn an_answer_under_way_ends_before_the_server_does() {
    let installation = Installation::start_with(Ground::Embedded, Limits::default(), []).await;
    let (mut stream, _receiver) = ask_for_a_slow_test(&installation).await;
    installation.stop().await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"accepted\":true"), "{answer}");
}
