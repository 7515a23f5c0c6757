//! The private servers do what tests rely on.

use ringback_servers::{
    Fsync, RabbitCluster, RabbitOptions, RedisOptions, RedisServer, ServerError,
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

/// Makes a quorum queue on all nodes, without a client.
const DECLARE: &str =
    "{new, _} = rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"jobs\">>), true, false,
    [{<<\"x-queue-type\">>, longstr, <<\"quorum\">>}], none, <<\"test\">>), ok.";

#[test]
fn a_cluster_lives_on_with_two_of_three_nodes_whichever_is_killed_paused_or_cut_off() {
    let mut cluster = RabbitCluster::start(3, &RabbitOptions::default()).unwrap();
    let timeout = "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout).";
    let answer = cluster.nodes()[0].rabbitmqctl(&["eval", timeout]).unwrap();
    assert!(answer.contains("5000"), "{answer}");
    cluster.nodes()[0].rabbitmqctl(&["eval", DECLARE]).unwrap();

    let leader = wait_for_leader(&cluster, None);
    let url = cluster.nodes()[leader].url();
    cluster.node_mut(leader).kill9();
    assert!(!cluster.nodes()[leader].speaks_amqp());
    let next = wait_for_leader(&cluster, Some(leader));
    cluster.node_mut(leader).restart().unwrap();
    assert_eq!(cluster.nodes()[leader].url(), url);
    cluster.wait_until_whole().unwrap();

    cluster.cut_off(next).unwrap();
    wait_until("the node without a majority falls silent", || {
        !cluster.nodes()[next].speaks_amqp()
    });
    let last = wait_for_leader(&cluster, Some(next));
    cluster.reconnect(next).unwrap();
    cluster.wait_until_whole().unwrap();

    cluster.nodes()[last].pause();
    assert!(!cluster.nodes()[last].speaks_amqp());
    wait_for_leader(&cluster, Some(last));
    cluster.nodes()[last].resume();
    wait_until("the node goes on where it stood still", || {
        cluster.nodes()[last].speaks_amqp()
    });
}

/// Waits until a node other than `not` leads the queue.
fn wait_for_leader(cluster: &RabbitCluster, not: Option<usize>) -> usize {
    let mut leader = None;
    wait_until("the queue has a leader", || {
        leader = cluster.leader_of("jobs").expect("a node answers");
        leader.is_some() && leader != not
    });
    leader.expect("it was waited for")
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
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
