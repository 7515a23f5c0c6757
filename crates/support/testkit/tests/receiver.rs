//! The scripted receiver and the fault proxy do what tests rely on.

use ringback_testkit::{
    proxy::{Fault, FaultProxy},
    receiver::{Answer, Receiver},
};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const SOON: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_secs(30);

async fn open(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect(("127.0.0.1", port)).await
}

async fn post(stream: &mut TcpStream, path: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nX-Test: Yes\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await
}

async fn answer(port: u16, path: &str, body: &str) -> io::Result<String> {
    let mut stream = open(port).await?;
    post(&mut stream, path, body).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn answers_follow_the_script_and_the_last_one_goes_on() {
    let receiver = Receiver::start().await;
    let port = receiver.address().port();
    receiver.script(
        "/a",
        [
            Answer::status(503).with_header("retry-after", "7"),
            Answer::redirect(307, "http://127.0.0.1:1/"),
            Answer::status(201).with_body("done"),
        ],
    );
    let first = answer(port, "/a?x=1", "one").await.unwrap();
    assert!(first.starts_with("HTTP/1.1 503") && first.contains("retry-after: 7"));
    assert!(
        answer(port, "/a", "two")
            .await
            .unwrap()
            .contains("location: ")
    );
    for _ in 0..2 {
        let last = answer(port, "/a", "three").await.unwrap();
        assert!(last.starts_with("HTTP/1.1 201") && last.ends_with("done"));
    }
    assert!(
        answer(port, "/b", "")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );

    let requests = receiver.wait_for("/a", 4).await;
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0].uri, "/a?x=1");
    assert_eq!(requests[1].body, "two");
    assert_eq!(requests[2].header("x-test"), Some("Yes"));
}

#[tokio::test]
async fn a_receiver_can_misbehave() {
    let receiver = Receiver::start().await;
    let port = receiver.address().port();
    receiver.script("/reset", [Answer::reset()]);
    receiver.script("/hang", [Answer::hang()]);
    receiver.script("/drip", [Answer::drip(Duration::from_millis(5))]);
    receiver.script("/huge", [Answer::huge(100_001)]);

    let reset = answer(port, "/reset", "body").await.unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    assert!(timeout(SOON, answer(port, "/hang", "")).await.is_err());
    assert!(timeout(SOON, answer(port, "/drip", "")).await.is_err());
    let huge = answer(port, "/huge", "").await.unwrap();
    assert_eq!(huge.matches('x').count(), 100_001);
    receiver.wait_for("/hang", 1).await;
}

#[tokio::test]
async fn the_proxy_holds_cuts_and_falls_silent() {
    let receiver = Receiver::start().await;
    let proxy = FaultProxy::start(receiver.address().port()).await.unwrap();
    let port = proxy.port();
    assert!(answer(port, "/pass", "").await.is_ok());

    let mut held = open(port).await.unwrap();
    proxy.set(Fault::Hold);
    post(&mut held, "/held", "").await.unwrap();
    let mut byte = [0];
    assert!(timeout(SOON, held.read(&mut byte)).await.is_err());
    assert!(receiver.received("/held").is_empty());
    proxy.set(Fault::None);
    assert_eq!(held.read(&mut byte).await.unwrap(), 1);

    let mut open_before = open(port).await.unwrap();
    post(&mut open_before, "/before", "").await.unwrap();
    open_before.read_exact(&mut byte).await.unwrap();
    proxy.set(Fault::SilentNew);
    let silent = answer(port, "/silent", "");
    tokio::pin!(silent);
    assert!(timeout(SOON, &mut silent).await.is_err());
    assert!(receiver.received("/silent").is_empty());
    let mut rest = String::new();
    open_before.read_to_string(&mut rest).await.unwrap();
    proxy.set(Fault::None);
    assert!(timeout(LATE, silent).await.unwrap().is_ok());

    let mut cut = open(port).await.unwrap();
    proxy.set(Fault::Cut);
    let ended = timeout(LATE, cut.read(&mut byte)).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let refused = answer(port, "/cut", "").await;
    assert!(refused.map_or(true, |answer| answer.is_empty()));
    proxy.set(Fault::None);
    assert!(answer(port, "/again", "").await.is_ok());
}
