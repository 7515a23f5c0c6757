//! A process is killed in the middle of its work, again and again; what it had confirmed must be there, and what it had done must not
//! come back.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimRequest, ClaimStore, Clock, DeadLetterStore, DeliveryStore, Lane,
    Queue, SettledAs, Settlement,
};
use ringback_domain::{DeadLetterId, Delivery, Generation, Wait};
use ringback_embedded::{Embedded, EmbeddedStore};
use ringback_testkit::samples;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const DIR: &str = "RINGBACK_KILL_TEST_DIR";
const KILLS: usize = 8;

/// What the child said before it died, by the first word of the line.
#[derive(Default)]
struct Said {
    published: BTreeSet<String>,
    /// Perhaps acknowledged.
    taken: BTreeSet<String>,
    delivered: BTreeSet<String>,
    dead: BTreeSet<String>,
    /// Acknowledged, and something asked for later was confirmed.
    done: BTreeSet<String>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let Some((word, id)) = line.split_once(' ') else {
            return;
        };
        let heard = match word {
            "published" => &mut self.published,
            "taken" => &mut self.taken,
            "delivered" => &mut self.delivered,
            "dead" => &mut self.dead,
            "done" => &mut self.done,
            _ => return,
        };
        heard.insert(id.to_owned());
    }
}

#[test]
fn a_killed_process_loses_nothing_confirmed_and_repeats_nothing_done() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut said = Said::default();
    for round in 0..KILLS {
        // A different moment each time, by what the child is doing and not by the clock.
        let lines = 40 + round * 97 % 400;
        work_until_killed(dir.path(), lines, &mut said);
        runtime.block_on(check(dir.path(), &said));
    }
    assert!(said.done.len() > KILLS, "work was done between the kills");
    assert!(!said.dead.is_empty());
}

fn work_until_killed(dir: &Path, lines: usize, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut heard = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in heard.by_ref().take(lines) {
        said.hear(&line.unwrap());
    }
    child.kill().unwrap();
    // What it said before it heard of its death counts, too; a line cut in half is no word of it.
    for line in heard {
        said.hear(&line.unwrap());
    }
    assert!(!child.wait().unwrap().success(), "it was still at work");
}

async fn check(dir: &Path, said: &Said) {
    let embedded = common::open(dir);
    let waiting = everything_waiting(&embedded).await;
    for id in said.published.difference(&said.taken) {
        assert!(waiting.contains(id), "{id} was published and is gone");
    }
    for id in &said.done {
        assert!(!waiting.contains(id), "{id} was acknowledged and is back");
    }
    let store = embedded.store();
    for (ids, class) in [
        (&said.delivered, "delivered"),
        (&said.dead, "dead_lettered"),
    ] {
        for id in ids {
            let record = store.delivery(&id.parse().unwrap()).await.unwrap();
            assert_eq!(record.unwrap().state.class(), class, "{id}");
        }
    }
    for id in &said.dead {
        let id = DeadLetterId::derive(&id.parse().unwrap(), Generation::FIRST);
        assert!(store.dead_letter(&id).await.unwrap().is_some());
    }
}

/// Ids of all messages that are ready. They stay: nothing is acknowledged.
async fn everything_waiting(embedded: &Embedded) -> BTreeSet<String> {
    let queue = embedded.queue();
    let depths = queue.depths().await.unwrap();
    let ready = depths
        .iter()
        .find(|depth| depth.queue == ringback_delivery::port::QueueName::Deliveries(Lane::Main))
        .unwrap()
        .waiting;
    let mut consumer = queue
        .consume_deliveries(Lane::Main, u16::MAX)
        .await
        .unwrap();
    let mut ids = BTreeSet::new();
    for _ in 0..ready {
        let taken = consumer.next().await.unwrap();
        assert!(
            ids.insert(taken.content.unwrap().id.to_string()),
            "each is there once"
        );
    }
    ids
}

/// Publishes, claims, settles and acknowledges until it is killed.
#[test]
#[ignore = "the other test starts it"]
fn the_child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let embedded = Arc::new(common::open(Path::new(&dir)));
        let mut workers = Vec::new();
        for _ in 0..4 {
            workers.push(tokio::spawn(publish(embedded.clone())));
            workers.push(tokio::spawn(deliver(embedded.clone())));
        }
        for worker in workers {
            worker.await.unwrap();
        }
    });
}

fn say(word: &str, id: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {id}").unwrap();
    out.flush().unwrap();
}

async fn publish(embedded: Arc<Embedded>) {
    let queue = embedded.queue();
    loop {
        let delivery = samples::delivery();
        queue
            .publish_delivery(&delivery, Lane::Main, None)
            .await
            .unwrap();
        say("published", &delivery.id);
    }
}

async fn deliver(embedded: Arc<Embedded>) {
    let (queue, store) = (embedded.queue(), embedded.store());
    let mut consumer = queue.consume_deliveries(Lane::Main, 5).await.unwrap();
    loop {
        let taken = consumer.next().await.unwrap();
        let delivery = taken.content.unwrap();
        match claim(&store, &delivery).await {
            ClaimAnswer::Granted { claim, .. } => settle(&store, &claim, &delivery).await,
            ClaimAnswer::Settled => {}
            ClaimAnswer::Held { .. } => panic!("the lease is too short to outlive a process"),
        }
        say("taken", &delivery.id);
        taken.receipt.acknowledge();
        // Confirmed after the acknowledgement was given, and so after it is on disk.
        let long = Some(Wait::exactly(Duration::from_hours(1)));
        let other = samples::delivery();
        queue
            .publish_delivery(&other, Lane::Slow, long)
            .await
            .unwrap();
        say("done", &delivery.id);
    }
}

async fn claim(store: &EmbeddedStore, delivery: &Delivery) -> ClaimAnswer {
    let request = ClaimRequest {
        delivery,
        worker: &samples::worker(),
        nonce: samples::claim_nonce(),
        lease: Duration::from_millis(1),
    };
    store.claim(request).await.unwrap()
}

async fn settle(store: &EmbeddedStore, claim: &Claim, delivery: &Delivery) {
    let now = common::SystemClock.now();
    let gives_up = delivery.id.as_str().ends_with(['0', '1', '2']);
    let settled_as = if gives_up {
        let dead_letter = samples::dead_letter_of(delivery.clone(), now);
        SettledAs::DeadLettered(Box::new(dead_letter))
    } else {
        SettledAs::Delivered
    };
    let settlement = Settlement {
        claim,
        delivery,
        attempts: &[samples::attempt_of(delivery)],
        settled_as: &settled_as,
        at: now,
    };
    store.settle(settlement).await.unwrap();
    say(if gives_up { "dead" } else { "delivered" }, &delivery.id);
}
