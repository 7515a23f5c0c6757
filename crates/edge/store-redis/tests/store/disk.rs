//! Waiting for the disk, in a cluster. The servers of the tests do not know `WAITAOF`; here somebody between us and them answers it.

use crate::{cluster::Cluster, settings, store};
use futures_util::future::{join, join_all};
use ringback_delivery::port::{DeadLetterStore, StoreError};
use ringback_domain::DeadLetter;
use ringback_store_redis::{RedisStore, RedisStoreSettings};
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
    sync::watch,
};

/// Between us and one server.
#[derive(Default)]
struct Disk {
    /// What `WAITAOF` answers: whether the server's own disk has it.
    written: AtomicU32,
    asked: AtomicU32,
    /// While it is, `WAITAOF` has no answer.
    is_busy: watch::Sender<bool>,
}

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
        let mut is_busy = self.is_busy.subscribe();
        loop {
            let command = read_value(&mut client).await?;
            let text = String::from_utf8_lossy(&command);
            let answer = if text.contains("WAITAOF") {
                self.asked.fetch_add(1, Ordering::Relaxed);
                let _ = is_busy.wait_for(|is_busy| !is_busy).await;
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

/// A store that waits for the disks of three servers. The cluster ends when dropped.
async fn store_on_disks() -> (RedisStore, Vec<Arc<Disk>>, Cluster) {
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
    (store, disks, cluster)
}

#[tokio::test]
async fn in_a_cluster_each_server_is_asked_for_its_own_disk() {
    let (store, disks, _cluster) = store_on_disks().await;
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

/// Behind one another, each would wait for another write of the file: with `appendfsync everysec` an answer may come too late then,
/// and a dead letter that is stored count as not stored.
#[tokio::test]
async fn in_a_cluster_shards_of_one_server_wait_for_its_disk_side_by_side() {
    let (store, disks, _cluster) = store_on_disks().await;
    for disk in &disks {
        disk.written.store(1, Ordering::Relaxed);
        disk.is_busy.send_replace(true);
    }
    let letters: Vec<_> = (0..48).map(|_| samples::dead_letter()).collect();
    let puts = join_all(letters.iter().map(|letter| store.put_dead_letter(letter)));
    let all_ask = async {
        while disks
            .iter()
            .any(|disk| disk.asked.load(Ordering::Relaxed) < 2)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for disk in &disks {
            disk.is_busy.send_replace(false);
        }
    };
    let both = tokio::time::timeout(Duration::from_secs(30), join(puts, all_ask));
    let (put, ()) = both.await.expect("each shard asks, though others wait");
    assert!(put.iter().all(Result::is_ok), "{put:?}");
}
