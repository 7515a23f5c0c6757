//! What docs/broker.md tells an operator to type, on a cluster of its own.

use ringback_delivery::port::Queue as _;
use ringback_queue_rabbitmq::{RabbitConfig, RabbitQueue, Scope};
use ringback_testkit::servers::{RabbitCluster, RabbitOptions, RabbitServer};

const PAGE: &str = include_str!("../../../../../docs/broker.md");
const RUNG: &str = "ringback.delay.2.1";

#[tokio::test]
async fn a_rungs_leader_is_moved_as_the_page_says() {
    let cluster = RabbitCluster::start(2, &RabbitOptions::default()).unwrap();
    let [first, second] = cluster.nodes() else {
        panic!("there are two")
    };
    let tell = |args: &[&str]| first.rabbitmqctl(args).unwrap();
    tell(&["add_vhost", "ringback"]);
    let rights = command("set_permissions")
        .replace('\'', "")
        .replace("USER", "guest");
    tell(&rights.split_whitespace().collect::<Vec<_>>());
    let url = first.url().replace("%2f", "ringback").parse().unwrap();
    let queue = RabbitQueue::connect(url, RabbitConfig::default(), Scope::Whole);
    queue.await.unwrap().close().await;

    let leader = leader(first);
    let other = [first, second]
        .map(RabbitServer::node_name)
        .into_iter()
        .find(|name| *name != leader);
    let other = other.unwrap();
    let expression = command("eval")
        .replace("RUNG", RUNG)
        .replace("NODE", &other);
    let expression = expression.trim_start_matches("eval '");
    let answer = tell(&["eval", expression.trim_end_matches('\'')]);
    assert!(answer.contains("migrated"), "{answer}");
    assert_eq!(self::leader(first), other);
}

/// A command of the page, of which the program's name is left out.
fn command(name: &str) -> String {
    let begin = format!("\nrabbitmqctl {name} ");
    let begin = PAGE.find(&begin).expect("it is there") + "\nrabbitmqctl ".len();
    let (command, _) = PAGE[begin..].split_once("\n```").expect("it ends");
    command.to_owned()
}

fn leader(node: &RabbitServer) -> String {
    let expression = format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"ringback\">>, queue, <<\"{RUNG}\">>)),
         {{Name, _}} = amqqueue:get_pid(Q), {{_, Node}} = ra_leaderboard:lookup_leader(Name), Node."
    );
    let answer = node.rabbitmqctl(&["eval", &expression]).unwrap();
    answer.trim().trim_matches('\'').to_owned()
}
