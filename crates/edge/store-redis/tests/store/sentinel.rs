//! A master, a replica and a sentinel: the store follows the master.

use crate::{raw, settings, store};
use ringback_delivery::port::DeadLetterStore;
use ringback_testkit::{
    samples,
    servers::{RedisOptions, RedisServer},
};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);

/// Ends with the test in any case: its shell waits for our end of the pipe to close.
struct Sentinel {
    port: u16,
    shell: Child,
    _folder: TempDir,
}

impl Sentinel {
    fn watching(master: &RedisServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let file = folder.path().join("sentinel.conf");
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".into(),
            format!("dir {}", folder.path().display()),
            format!("sentinel monitor jobs 127.0.0.1 {} 1", master.port()),
            "sentinel down-after-milliseconds jobs 500".into(),
            "sentinel failover-timeout jobs 5000".into(),
        ];
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        let shell = Command::new("sh")
            .args([
                "-c",
                r#"redis-server "$0" --sentinel >/dev/null & read -r _; kill -KILL $!"#,
            ])
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            port,
            shell,
            _folder: folder,
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Asks again and again until the answer holds the words.
async fn until_it_says(url: &str, command: &redis::Cmd, words: &str) {
    let poll = async {
        loop {
            let client = redis::Client::open(url).unwrap();
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
                let answer: Result<redis::Value, _> = command.query_async(&mut connection).await;
                if answer.is_ok_and(|answer| format!("{answer:?}").contains(words)) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.expect(words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_follows_the_master_when_another_server_takes_over() {
    let mut master = RedisServer::start(RedisOptions::default()).unwrap();
    let replica = RedisServer::start(RedisOptions {
        args: vec![
            "--replicaof".into(),
            "127.0.0.1".into(),
            master.port().to_string(),
        ],
        ..RedisOptions::default()
    })
    .unwrap();
    let mut replication = redis::cmd("INFO");
    replication.arg("replication");
    until_it_says(&replica.url(), &replication, "master_link_status:up").await;
    let sentinel = Sentinel::watching(&master);
    let mut replicas = redis::cmd("SENTINEL");
    replicas.arg("REPLICAS").arg("jobs");
    let sentinel_url = format!("redis://127.0.0.1:{}/", sentinel.port);
    until_it_says(&sentinel_url, &replicas, &replica.port().to_string()).await;

    let store = store(settings(&format!(
        "redis+sentinel://127.0.0.1:{}/jobs",
        sentinel.port
    )));
    let dead_letter = samples::dead_letter();
    store.put_dead_letter(&dead_letter).await.unwrap();
    let mut counting = raw(&replica.url()).await;
    let arrived = async {
        while redis::cmd("DBSIZE")
            .query_async::<u64>(&mut counting)
            .await
            .unwrap()
            < 2
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived)
        .await
        .expect("it reaches the replica");

    master.kill9();
    let another = samples::dead_letter();
    let healed = async {
        while store.put_dead_letter(&another).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, healed)
        .await
        .expect("the store finds the new master");
    assert!(store.dead_letter(&dead_letter.id).await.unwrap().is_some());
    assert_eq!(store.dead_letter_count(None).await.unwrap(), 2);
}
