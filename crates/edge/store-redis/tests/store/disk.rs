//! Waiting for the disk, in a cluster. The servers of the tests do not know `WAITAOF`; here somebody between us and them answers it.

use crate::{cluster::Cluster, settings, store};
use futures_util::future::join_all;
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
    time::Instant,
};

/// Between us and one server.
struct Disk {
    /// How long one write of the server's file takes; the next begins when it ends.
    takes: Duration,
    begun: Instant,
    /// What `WAITAOF` answers: whether the server's own disk has it.
    written: AtomicU32,
    asked: AtomicU32,
}

impl Disk {
    fn new(takes: Duration) -> Self {
        Self {
            takes,
            begun: Instant::now(),
            written: AtomicU32::new(0),
            asked: AtomicU32::new(0),
        }
    }

    /// When what is in the file at a moment is on disk.
    fn has(&self, what: Instant) -> Instant {
        let writes = (what - self.begun).div_duration_f64(self.takes).floor();
        self.begun + self.takes.mul_f64(writes + 1.0)
    }

    async fn serve(self: Arc<Self>, listener: TcpListener, server: u16) {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(self.clone().pass(client, server));
        }
    }

    /// One command after the other, each with its answer. As Redis does, it waits for the connection's last write.
    async fn pass(self: Arc<Self>, client: TcpStream, server: u16) -> std::io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", server)).await?;
        let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
        let mut last_write = self.begun;
        loop {
            let command = read_value(&mut client).await?;
            let text = String::from_utf8_lossy(&command);
            let answer = if text.contains("WAITAOF") {
                self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep_until(self.has(last_write)).await;
                let written = self.written.load(Ordering::Relaxed);
                format!("*2\r\n:{written}\r\n:0\r\n").into_bytes()
            } else {
                last_write = Instant::now();
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

/// A store that waits for the disks of three servers; each write of them takes this long. The cluster ends when dropped.
async fn store_on_disks(takes: Duration) -> (RedisStore, Vec<Arc<Disk>>, Cluster) {
    let mut disks = Vec::new();
    let ports = [(); 3].map(|()| free_port());
    let cluster = Cluster::start_behind(&ports).await;
    for (port, server) in ports.iter().zip(cluster.ports()) {
        let disk = Arc::new(Disk::new(takes));
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
    let (store, disks, _cluster) = store_on_disks(Duration::from_millis(100)).await;
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

/// As with `appendfsync everysec`. One write is waited for, or two by those who come while others wait. Where there are more, an
/// answer may come too late, and a dead letter that is stored counts as not stored.
#[tokio::test]
async fn in_a_cluster_shards_of_one_server_wait_for_the_same_write_of_its_disk() {
    let takes = Duration::from_secs(1);
    let (store, disks, _cluster) = store_on_disks(takes).await;
    for disk in &disks {
        disk.written.store(1, Ordering::Relaxed);
    }
    let until = Instant::now() + 4 * takes;
    let busy = (0..48).map(|number| {
        let store = &store;
        async move {
            tokio::time::sleep(takes * number / 48).await;
            while Instant::now() < until {
                let began = Instant::now();
                let put = store.put_dead_letter(&samples::dead_letter()).await;
                let took = began.elapsed();
                assert!(put.is_ok(), "{put:?} after {took:?}");
                assert!(took < takes * 5 / 2, "{took:?}");
            }
        }
    });
    join_all(busy).await;
}
