//! Waiting for the disk, in a cluster. The servers of the tests do not know `WAITAOF`; here somebody between us and them answers it.

use crate::{cluster::Cluster, settings, store};
use futures_util::future::join_all;
use ringback_delivery::port::{DeadLetterStore, StoreError};
use ringback_domain::DeadLetter;
use ringback_store_redis::RedisStoreSettings;
use ringback_testkit::{samples, servers::free_port};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Between us and one server.
#[derive(Default)]
struct Disk {
    /// What `WAITAOF` answers: whether the server's own disk has it.
    written: AtomicU32,
    asked: AtomicU32,
}

/// Nobody waits for a fast disk.
const DISK_TAKES: Duration = Duration::from_millis(100);

impl Disk {
    async fn serve(self: Arc<Self>, listener: TcpListener, server: u16) {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(self.clone().pass(client, server));
        }
    }

    /// One command after the other, each with its answer.
    async fn pass(self: Arc<Self>, client: TcpStream, server: u16) -> std::io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", server)).await?;
        let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
        loop {
            let command = read_value(&mut client).await?;
            let text = String::from_utf8_lossy(&command);
            let answer = if text.contains("WAITAOF") {
                self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(DISK_TAKES).await;
                let written = self.written.load(Ordering::Relaxed);
                format!("*2\r\n:{written}\r\n:0\r\n").into_bytes()
            } else {
                server.write_all(&command).await?;
                read_value(&mut server).await?
            };
            client.write_all(&answer).await?;
        }
    }
}

/// One value as Redis writes it, whole.
async fn read_value(from: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let (mut value, mut left) = (Vec::new(), 1);
    while left > 0 {
        left -= 1;
        let begin = value.len();
        if from.read_until(b'\n', &mut value).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&value[begin..]);
        let (kind, rest) = line.split_at(1);
        let count = rest.trim().parse::<i64>().unwrap_or(0).max(0);
        match kind {
            "*" => left += count,
            "%" => left += 2 * count,
            "$" if !rest.starts_with('-') => {
                let text = usize::try_from(count).unwrap() + "\r\n".len();
                let begin = value.len();
                value.resize(begin + text, 0);
                from.read_exact(&mut value[begin..]).await?;
            }
            _ => {}
        }
    }
    Ok(value)
}

#[tokio::test]
async fn in_a_cluster_each_server_is_asked_for_its_own_disk() {
    let mut disks = Vec::new();
    let ports = [(); 3].map(|()| free_port());
    let cluster = Cluster::start_behind(&ports).await;
    for (port, server) in ports.iter().zip(cluster.ports()) {
        let disk = Arc::new(Disk::default());
        let listener = TcpListener::bind(("127.0.0.1", *port)).await.unwrap();
        tokio::spawn(disk.clone().serve(listener, server));
        disks.push(disk);
    }
    let store = store(RedisStoreSettings {
        wait_aof: true,
        ..settings(&format!("redis+cluster://127.0.0.1:{}", ports[0]))
    });
    let asked = |disk: &Arc<Disk>| disk.asked.load(Ordering::Relaxed);
    let set = |disk: &Arc<Disk>, written| disk.written.store(written, Ordering::Relaxed);

    // Which server keeps which.
    let mut homes: Vec<Vec<DeadLetter>> = vec![Vec::new(); disks.len()];
    for disk in &disks {
        set(disk, 1);
    }
    while homes.iter().any(Vec::is_empty) {
        let letter = samples::dead_letter();
        let before: Vec<_> = disks.iter().map(asked).collect();
        store.put_dead_letter(&letter).await.unwrap();
        let after = disks.iter().map(asked);
        let of: Vec<_> = after
            .zip(before)
            .map(|(after, before)| after - before)
            .collect();
        assert_eq!(of.iter().sum::<u32>(), 1, "one server is asked: {of:?}");
        let home = of.iter().position(|asked| *asked == 1).unwrap();
        homes[home].push(letter);
    }

    // Written at the same time: a disk that is done vouches for no other.
    set(&disks[1], 0);
    let (quick, slow) = (&homes[0][0], &homes[1][0]);
    let puts = [quick, quick, slow].map(|letter| store.put_dead_letter(letter));
    let put = join_all(puts).await;
    assert!(put[0].is_ok() && put[1].is_ok(), "{put:?}");
    let refused = put[2].as_ref().unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
}
