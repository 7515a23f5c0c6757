//! Everything over TLS, each role as a user of its own with the rights that `deploy/` gives it, and no more.

use crate::{
    installation::{HASTY, UNFORGIVING},
    secured::Secured,
};
use ringback_producer::{Job, NewEvent, Producer};
use ringback_testkit::receiver::{Answer, Receiver};

#[tokio::test(flavor = "multi_thread")]
async fn every_role_does_its_work_over_tls_with_no_more_rights_than_it_needs() {
    let place = Secured::new().await;
    let made = place.run("topology", &["topology", "apply"]).await;
    assert!(made.is_success, "{}", made.said);

    let worker = place.serve("worker", "dispatch,deliver,replay").await;
    let api = place.serve("api", "api").await;
    let receiver = Receiver::start().await;
    receiver.script("/retried", [Answer::status(500), Answer::status(200)]);
    receiver.script("/replayed", [Answer::status(500), Answer::status(200)]);
    for (project, path) in [(HASTY, "/retried"), (UNFORGIVING, "/replayed")] {
        let url = receiver.url(path);
        let add = ["webhooks", "add", &url, "--project", project];
        let added = place.run("api", &add).await;
        assert!(added.is_success, "{}", added.said);
    }

    let producer = Producer::builder(&place.broker("producer"))
        .ca_file(place.ca())
        .connect()
        .await
        .unwrap();
    for project in [HASTY, UNFORGIVING] {
        let event = NewEvent::new(project, "task.completed", Job::new("task_1"));
        producer.publish(event).await.unwrap();
    }
    receiver.wait_for("/retried", 2).await;
    receiver.wait_for("/replayed", 1).await;
    let dead_letter = place.wait_for_dead_letters(1).await;
    let replay = ["dead", "replay", &dead_letter, "-y"];
    let replayed = place.run("api", &replay).await;
    assert!(replayed.is_success, "{}", replayed.said);
    receiver.wait_for("/replayed", 2).await;

    for user in ["worker", "api", "producer"] {
        let refused = place.run(user, &["topology", "apply"]).await;
        assert!(!refused.is_success, "{user} may make queues");
        assert!(refused.said.contains("out of reach"), "{}", refused.said);
    }
    let found = place.run("api", &["doctor"]).await.said;
    assert!(found.contains("unseen  topology"), "{found}");
    assert!(!found.contains("broken"), "{found}");
    // The Redis that `deploy/` sets up: nothing is evicted, everything is on disk before it is answered.
    assert!(found.contains("ok      store"), "{found}");
    for complaint in [
        "weak    store",
        "weak    encryption",
        "appendfsync",
        "maxmemory",
    ] {
        assert!(!found.contains(complaint), "{complaint}: {found}");
    }
    let looks = looks_of(&found);
    assert_eq!(looks.len(), 4, "{looks:?}");
    for look in looks {
        let words: Vec<_> = look.iter().map(String::as_str).collect();
        place.rabbitmq.rabbitmqctl(&words).unwrap();
    }
    assert!(found.contains("list_policies -p ringback`"), "{found}");
    refuses(&place).await;
    for process in [worker, api] {
        let said = process.said();
        for complaint in ["ACCESS_REFUSED", "out of reach", "NOPERM", " ERROR "] {
            assert!(!said.contains(complaint), "{complaint}: {said}");
        }
        process.stop().await;
    }
}

/// What `doctor` has people ask the broker, in words: changes nothing.
fn looks_of(found: &str) -> Vec<Vec<String>> {
    let quoted = found.split('`').skip(1).step_by(2);
    let asked = quoted.filter_map(|quoted| quoted.strip_prefix("rabbitmqctl "));
    asked
        .filter(|command| !command.starts_with("clear_policy"))
        .map(|command| match command.split_once(" '") {
            Some((word, text)) => vec![word.into(), text.trim_end_matches('\'').into()],
            None => command.split(' ').map(str::to_owned).collect(),
        })
        .collect()
}

/// What the store refuses its users.
async fn refuses(place: &Secured) {
    let everybodys = [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "CONFIG SET save 1",
        "CONFIG REWRITE",
        "ACL SETUSER ringback +@all",
        "ACL LIST",
        "SHUTDOWN",
        "SCRIPT FLUSH",
        "REPLICAOF 127.0.0.1 1",
        "MONITOR",
        "SUBSCRIBE another",
        "GET another",
        "SET another 1",
        "DEL another",
    ];
    let operators = ["GET ringback:x", "EVAL return(1) 0", "CONFIG GET save"];
    let healths = ["INFO", "ACL LOAD"];
    for (user, more) in [
        ("ringback", &["ACL LOAD"][..]),
        ("operator", &operators),
        ("health", &healths),
    ] {
        for command in everybodys.iter().chain(more) {
            let answer = place.tell_redis(user, command).await;
            assert!(answer.starts_with("-NOPERM"), "{user}: {command}: {answer}");
        }
        let answer = place.tell_redis(user, "PING").await;
        assert_eq!(answer, "+PONG\r\n", "{user}");
    }
    let reaching_out = "EVAL \"return redis.call('GET', 'another')\" 0";
    let answer = place.tell_redis("ringback", reaching_out).await;
    assert!(answer.starts_with('-'), "{answer}");
    let answer = place.tell_redis("default", "PING").await;
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
}
