//! The private servers do what tests rely on.

use ringback_servers::{
    Fsync, RabbitOptions, RabbitServer, RedisOptions, RedisServer, ServerError,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn redis(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn redis_keeps_its_port_and_data_over_a_kill_and_a_restart() {
    let mut server = RedisServer::start(RedisOptions {
        fsync: Fsync::Always,
        ..RedisOptions::default()
    })
    .unwrap();
    let port = server.port();
    redis(port, "SET color blue").unwrap();

    server.kill9();
    assert!(redis(port, "PING").is_err());
    server.restart().unwrap();
    assert!(redis(port, "GET color").unwrap().contains("blue"));

    server.stop();
    server.restart().unwrap();
    assert!(redis(port, "GET color").unwrap().contains("blue"));
    assert_eq!(server.port(), port);
}

#[test]
fn a_paused_redis_answers_nothing_until_it_is_resumed() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    server.pause();
    assert!(redis(server.port(), "PING").is_err());
    server.resume();
    assert!(redis(server.port(), "PING").unwrap().contains("PONG"));
}

#[test]
fn a_redis_that_cannot_start_says_why() {
    let refused = RedisServer::start(RedisOptions {
        args: vec!["--no-such-option".into(), "1".into()],
        ..RedisOptions::default()
    });
    let Err(ServerError::NotReady { log, .. }) = refused else {
        panic!("it started")
    };
    assert!(log.contains("no-such-option"), "{log}");
}

#[test]
fn two_nodes_form_a_cluster_and_keep_it_over_a_kill_and_a_restart() {
    let first = RabbitServer::start(&RabbitOptions::default()).unwrap();
    let mut second = first.start_joined(&RabbitOptions::default()).unwrap();
    let status = || first.rabbitmqctl(&["cluster_status"]).unwrap();
    assert!(status().contains(&second.node_name()));

    let timeout = "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout).";
    assert!(
        first
            .rabbitmqctl(&["eval", timeout])
            .unwrap()
            .contains("5000")
    );

    let url = second.url();
    second.kill9();
    assert!(TcpStream::connect(("127.0.0.1", second.port())).is_err());
    second.restart().unwrap();
    assert_eq!(second.url(), url);
    assert!(status().contains(&second.node_name()));
    second.stop();
    assert!(second.rabbitmqctl(&["status"]).is_err());
}

/// Set in the copy of this test program that is killed.
const DOOMED: &str = "RINGBACK_TEST_DOOMED";

#[test]
fn a_server_ends_with_the_process_that_started_it_even_by_a_kill() {
    const NAME: &str = "a_server_ends_with_the_process_that_started_it_even_by_a_kill";
    if std::env::var_os(DOOMED).is_some() {
        let server = RedisServer::start(RedisOptions::default()).unwrap();
        eprintln!("port={}", server.port());
        loop {
            std::thread::park();
        }
    }
    let mut doomed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(DOOMED, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let port = BufReader::new(doomed.stderr.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().strip_prefix("port=")?.parse().ok())
        .unwrap();
    assert!(redis(port, "PING").is_ok());

    doomed.kill().unwrap();
    doomed.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < deadline, "the server is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}
