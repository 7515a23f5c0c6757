//! The contract, on a cluster of three masters: keys of one step lie in one slot, and lists find all of them.

use crate::{claim, raw, settings, store};
use redis::AsyncCommands;
use ringback_delivery::port::{
    ClaimAnswer, ClaimStore, DeadLetterStore, DeliveryStore, SettleAnswer, SettledAs, Settlement,
};
use ringback_store_redis::RedisStore;
use ringback_testkit::{
    samples,
    servers::{RedisOptions, RedisServer},
};
use std::{net::TcpListener, time::Duration};
use tokio::sync::OnceCell;

ringback_testkit::store_contract!(open);

/// Started once; ends with the process.
static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

const NODES: usize = 3;
const SLOTS: u16 = 16_384;

/// Three masters.
pub(crate) struct Cluster(Vec<RedisServer>);

async fn open() -> (RedisStore, ()) {
    let cluster = CLUSTER.get_or_init(|| Cluster::start_behind(&[])).await;
    let hosts: Vec<_> = cluster
        .ports()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    (
        store(settings(&format!("redis+cluster://{}", hosts.join(",")))),
        (),
    )
}

impl Cluster {
    /// Starts one whose servers tell clients to come to these ports, if there are any, rather than their own.
    pub(crate) async fn start_behind(announced: &[u16]) -> Self {
        let started: Vec<_> = (0..NODES)
            .map(|number| start_node(announced.get(number).copied()))
            .collect();
        let first = &started[0].0;
        for (number, (node, _)) in (0..).zip(&started) {
            let slot = |number| usize::from(SLOTS) * number / NODES;
            let mut node = raw(&node.url()).await;
            redis::cmd("CLUSTER")
                .arg("ADDSLOTSRANGE")
                .arg(slot(number))
                .arg(slot(number + 1) - 1)
                .exec_async(&mut node)
                .await
                .unwrap();
        }
        let mut meeting = raw(&first.url()).await;
        for (node, bus_port) in &started[1..] {
            let mut meet = redis::cmd("CLUSTER");
            meet.arg("MEET")
                .arg("127.0.0.1")
                .arg(node.port())
                .arg(*bus_port);
            meet.exec_async(&mut meeting).await.unwrap();
        }
        for (node, _) in &started {
            wait_until_joined(&node.url()).await;
        }
        Self(started.into_iter().map(|(node, _)| node).collect())
    }

    /// Where its servers are.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        self.0.iter().map(RedisServer::port)
    }
}

fn start_node(announced: Option<u16>) -> (RedisServer, u16) {
    let bus_port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let bus = bus_port.to_string();
    let args = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let mut args = args.map(String::from).to_vec();
    if let Some(port) = announced {
        args.extend(["--cluster-announce-port".to_owned(), port.to_string()]);
    }
    let options = RedisOptions {
        args,
        ..RedisOptions::default()
    };
    (RedisServer::start(options).unwrap(), bus_port)
}

/// A cluster does not tell when it is ready.
async fn wait_until_joined(url: &str) {
    let mut node = raw(url).await;
    let poll = async {
        loop {
            let info: String = redis::cmd("CLUSTER")
                .arg("INFO")
                .query_async(&mut node)
                .await
                .unwrap();
            if info.contains("cluster_state:ok")
                && info.contains(&format!("cluster_known_nodes:{NODES}"))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), poll)
        .await
        .expect("the nodes find each other");
}

struct Node {
    id: String,
    connection: redis::aio::MultiplexedConnection,
}

impl Node {
    async fn run(&mut self, words: &[&str]) {
        let command = cluster_command(words);
        command.exec_async(&mut self.connection).await.unwrap();
    }
}

fn cluster_command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg(words);
    command
}

/// The key whose name ends so, the node that has it, and another one.
async fn home_of(cluster: &Cluster, name: &str) -> (String, [Node; 2]) {
    let (mut home, mut others) = (None, Vec::new());
    for server in &cluster.0 {
        let mut connection = raw(&server.url()).await;
        let mut keys: Vec<String> = connection.keys(format!("*{name}")).await.unwrap();
        let id = cluster_command(&["MYID"]);
        let id = id.query_async(&mut connection).await.unwrap();
        let node = Node { id, connection };
        match keys.pop() {
            Some(key) => home = Some((key, node)),
            None => others.push(node),
        }
    }
    let (key, home) = home.expect("somebody has it");
    (key, [home, others.pop().expect("there are three")])
}

/// A call with a key that is not there yet is refused then, before it writes anything; done by half, it would count as done.
#[tokio::test]
async fn a_settlement_while_its_slot_is_moved_is_done_afterwards_and_whole() {
    let cluster = Cluster::start_behind(&[]).await;
    let hosts: Vec<_> = cluster
        .ports()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let store = store(settings(&format!("redis+cluster://{}", hosts.join(","))));
    let (lost, done) = (samples::delivery(), samples::delivery());
    let dead_letter = samples::dead_letter_of(lost.clone(), samples::moment(9));
    let letter_id = dead_letter.id.clone();
    let ends = [
        (lost, SettledAs::DeadLettered(Box::new(dead_letter))),
        (done, SettledAs::Delivered),
    ];
    for (delivery, settled_as) in &ends {
        let ClaimAnswer::Granted { claim, .. } = claim(&store, delivery).await.unwrap() else {
            panic!("not granted");
        };
        let attempts = [samples::attempt_of(delivery)];
        let settle = || {
            store.settle(Settlement {
                claim: &claim,
                delivery,
                attempts: &attempts,
                settled_as,
                at: samples::moment(9),
            })
        };
        let (key, [mut from, mut to]) = home_of(&cluster, delivery.id.as_str()).await;
        let slot = cluster_command(&["KEYSLOT", &key]);
        let slot: u16 = slot.query_async(&mut from.connection).await.unwrap();
        let slot = slot.to_string();
        to.run(&["SETSLOT", &slot, "IMPORTING", &from.id]).await;
        from.run(&["SETSLOT", &slot, "MIGRATING", &to.id]).await;
        assert!(settle().await.is_err());
        for node in [&mut from, &mut to] {
            node.run(&["SETSLOT", &slot, "STABLE"]).await;
        }
        assert_eq!(settle().await.unwrap(), SettleAnswer::Settled);
        let record = store.delivery(&delivery.id).await.unwrap();
        assert_eq!(record.expect("it is in the log").attempts.len(), 1);
    }
    assert!(store.dead_letter(&letter_id).await.unwrap().is_some());
}
