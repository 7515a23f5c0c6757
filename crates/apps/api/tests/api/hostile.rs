//! Clients that do not mean well, or cannot do better.

use crate::installation::{Ground, Installation};
use http::Request;
use ringback_api::Limits;
use ringback_domain::limits::{BODY_BYTES_MAX, JSON_DEPTH_MAX};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
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
async fn connections_beyond_the_limit_wait_for_a_free_one() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let installation = Installation::start_with(Ground::Embedded, limits, []).await;
    let holding = TcpStream::connect(installation.address()).await.unwrap();
    let mut waiting = TcpStream::connect(installation.address()).await.unwrap();
    let ask = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    waiting.write_all(ask).await.unwrap();
    let mut begin = [0; 1];
    let early = timeout(Duration::from_millis(200), waiting.read(&mut begin)).await;
    assert!(early.is_err(), "the one connection is in use");
    drop(holding);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
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

#[tokio::test]
async fn an_answer_under_way_ends_before_the_server_does() {
    let installation = Installation::start_with(Ground::Embedded, Limits::default(), []).await;
    let key = installation.project_key("acme").await;
    let receiver = ringback_testkit::receiver::Receiver::start().await;
    let slow = ringback_testkit::receiver::Answer::status(200).after(Duration::from_millis(300));
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
    installation.stop().await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"accepted\":true"), "{answer}");
}
