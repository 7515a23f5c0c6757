//! The contract, on a cluster of three masters: keys of one step lie in one slot, and lists find all of them.

use crate::{raw, settings, store};
use ringback_store_redis::RedisStore;
use ringback_testkit::servers::{RedisOptions, RedisServer};
use std::{net::TcpListener, time::Duration};
use tokio::sync::OnceCell;

ringback_testkit::store_contract!(open);

/// Started once; ends with the process.
static CLUSTER: OnceCell<Vec<RedisServer>> = OnceCell::const_new();

const NODES: u16 = 3;
const SLOTS: u16 = 16_384;

async fn open() -> (RedisStore, ()) {
    let nodes = CLUSTER.get_or_init(start).await;
    let hosts: Vec<_> = nodes
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.port()))
        .collect();
    (
        store(settings(&format!("redis+cluster://{}", hosts.join(",")))),
        (),
    )
}

async fn start() -> Vec<RedisServer> {
    let started: Vec<_> = (0..NODES).map(|_| start_node()).collect();
    let first = &started[0].0;
    for (number, (node, _)) in (0..).zip(&started) {
        let (from, to) = (SLOTS * number / NODES, SLOTS * (number + 1) / NODES - 1);
        let mut node = raw(&node.url()).await;
        redis::cmd("CLUSTER")
            .arg("ADDSLOTSRANGE")
            .arg(from)
            .arg(to)
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
    started.into_iter().map(|(node, _)| node).collect()
}

fn start_node() -> (RedisServer, u16) {
    let bus_port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let bus = bus_port.to_string();
    let args = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let options = RedisOptions {
        args: args.map(String::from).to_vec(),
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
