//! Replay plans on the command line, on the embedded queue and store. Nobody serves: nothing is sent.

use crate::place::Place;
use insta::assert_snapshot;
use ringback_delivery::port::Clock;
use ringback_domain::{DeadLetter, Destination};
use ringback_testkit::samples;
use ringback_worker::{Backend, Opener, SystemClock, config::Config};

/// Dead letters of two webhooks, two and one, given up now.
pub(crate) async fn give_up(place: &Place) -> Vec<DeadLetter> {
    let data_dir = place.path("ringback-data").display().to_string();
    let variables = [("RINGBACK_DATA_DIR".to_owned(), data_dir)];
    let config = Config::load(None, variables).unwrap();
    let backend = Backend::open(&config, Opener::Command).await.unwrap();
    let mut given_up = Vec::new();
    for webhook in ["1", "1", "2"] {
        let destination = Destination::Webhook {
            id: format!("whk_{webhook}").parse().unwrap(),
            url: format!("https://hooks.example.com/{webhook}?token=x")
                .parse()
                .unwrap(),
        };
        let now = SystemClock.now();
        let mut delivery = samples::delivery_of(&samples::event(), destination);
        delivery.event.occurred_at = now;
        let letter = samples::dead_letter_of(delivery, now);
        backend.store.put_dead_letter(&letter).await.unwrap();
        given_up.push(letter);
    }
    backend.close().await;
    given_up
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_looked_at_before_it_is_made() {
    let place = Place::new();
    let letters = give_up(&place).await;
    let ran = place.run(["replays", "plan", "--dry-run"]);
    let mut shown = ran.stdout;
    for (letter, name) in letters.iter().zip(["", "CAUSE OF 1", "CAUSE OF 2"]).skip(1) {
        let padded = format!("{name:16}");
        shown = shown.replace(&letter.cause.fingerprint, &padded);
    }
    assert_snapshot!(shown, @"
    entries  3
    age      3 under an hour

    ENTRIES  STALE  DESTINATION  TO
    2        0      whk_1        https://hooks.example.com/1?…
    1        0      whk_2        https://hooks.example.com/2?…

    ENTRIES  CAUSE             WHAT HAPPENED
    2        CAUSE OF 1        refused 503
    1        CAUSE OF 2        refused 503
    ");
    assert_eq!(
        place.json(&["replays", "list"])["data"],
        serde_json::json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_made_of_what_a_text_finds() {
    let place = Place::new();
    let letters = give_up(&place).await;
    let event = letters[2].event().unwrap().as_str();
    for (text, entries) in [("refused 503", 3), (event, 1)] {
        let shown = place.json(&["replays", "plan", "--text", text, "--dry-run"]);
        assert_eq!(shown["entries"], entries, "{text}: {shown}");
    }
    let made = place.json(&[
        "replays",
        "plan",
        "--text",
        event,
        "--reason",
        "one of them",
    ]);
    let selection = made["selection"].as_str().unwrap();
    assert!(
        selection.ends_with(&format!("text `{event}`")),
        "{selection}"
    );
    let none = place.run(["replays", "plan", "--text", "refused 418", "--dry-run"]);
    assert_eq!(none.code, 3, "{}", none.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_from_making_to_cancelling() {
    let place = Place::new();
    give_up(&place).await;
    let of_removed = place.run(["dead", "list", "--destination", "whk_1"]);
    assert_eq!(
        of_removed.stderr, "",
        "there is no such webhook, and something is kept of it"
    );
    let unsaid = place.run(["replays", "plan"]);
    assert_eq!(unsaid.code, 2, "a plan needs a reason: {}", unsaid.stderr);
    let made = place.json(&[
        "replays",
        "plan",
        "--destination",
        "whk_1",
        "--reason",
        "receiver repaired",
        "--rate",
        "unlimited",
        "--stop-above",
        "30",
    ]);
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["state"], "planned");
    assert_eq!(
        (&made["rate"], &made["concurrency"]),
        (&serde_json::Value::Null, &16.into())
    );
    assert_eq!(made["preview"]["entries"], 2);
    assert_eq!(
        (&made["by"], &made["reason"]),
        (&"tester".into(), &"receiver repaired".into())
    );

    let unasked = place.run(["replays", "start", id]);
    assert_eq!(unasked.code, 2, "nobody can be asked here");
    let early = place.run(["replays", "pause", id]);
    assert_eq!(early.code, 4, "{}", early.stderr);
    assert_eq!(
        place.json(&["replays", "start", id, "--yes"])["state"],
        "running"
    );
    let twice = place.run(["replays", "start", id, "--yes"]);
    assert_snapshot!(twice.stderr, @"error: a plan that is running cannot be started");
    assert_eq!(place.json(&["replays", "pause", id])["state"], "paused");
    assert_eq!(place.json(&["replays", "resume", id])["state"], "running");
    let end = place.json(&["replays", "cancel", id, "--yes"]);
    assert_eq!(end["state"], "cancelled");
    let states = end["changes"].as_array().unwrap().iter();
    let states: Vec<_> = states
        .map(|change| change["to"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        ["planned", "running", "paused", "running", "cancelled"]
    );
    let over = place.run(["replays", "resume", id]);
    assert_eq!(over.code, 4);
    assert_snapshot!(over.stderr, @"
    error: a plan that is cancelled cannot be resumed
    hint: make another plan of what is still dead
    ");

    let list = place.run(["replays", "list"]).stdout;
    assert!(
        list.contains("cancelled") && list.contains("receiver repaired"),
        "{list}"
    );
    let shown = place.run(["replays", "show", id]).stdout;
    let speed = "as fast as it goes, 16 open per destination, oldest first";
    assert!(shown.contains(speed) && shown.contains("tester"), "{shown}");
    assert!(!shown.contains("token"), "{shown}");
}

#[test]
fn a_plan_of_nothing_and_a_plan_that_is_not_there_are_not_found() {
    let place = Place::new();
    let none = place.run(["replays", "plan", "--reason", "x"]);
    assert_eq!(none.code, 3);
    assert_snapshot!(none.stderr, @"
    note: there was no data directory `./ringback-data`, and an empty one was made
    error: no open dead letter matches
    ");
    let unknown = place.run(["replays", "show", "rpl_1"]);
    assert_eq!(unknown.code, 3);
    assert_snapshot!(unknown.stderr, @"error: there is no replay plan rpl_1");
    let nobody = place.run(["replays", "plan", "--reason", "x", "--to", "whk_1"]);
    assert_eq!(nobody.code, 3, "{}", nobody.stderr);
    for wrong in [
        ["--rate", "0"],
        ["--order", "random"],
        ["--to", "https://x"],
        ["--stop-window", "0"],
    ] {
        let ran = place.run(
            ["replays", "plan", "--reason", "x"]
                .into_iter()
                .chain(wrong),
        );
        assert_eq!(ran.code, 2, "{wrong:?}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_was_given_up_is_replayed_by_its_own_id() {
    let place = Place::new();
    let letters = give_up(&place).await;
    let id = letters[0].delivery().unwrap().id.as_str();
    assert_eq!(
        place.run(["deliveries", "replay", id]).code,
        2,
        "nobody can be asked here"
    );
    let replayed = place.json(&["deliveries", "replay", id, "--yes"]);
    assert_eq!(replayed["generation"], 1);
    assert_eq!(replayed["dead_letter"], letters[0].id.as_str());
    let twice = place.run(["deliveries", "replay", id, "--yes"]);
    assert_eq!(twice.code, 4);
    assert!(
        twice.stderr.contains("hint: pass --again"),
        "{}",
        twice.stderr
    );
    let again = place.json(&["deliveries", "replay", id, "--yes", "--again"]);
    assert_eq!(again["generation"], 2);
    assert_eq!(
        place
            .run(["deliveries", "replay", "dlv_none", "--yes"])
            .code,
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_named_twice_is_dealt_with_once() {
    let place = Place::new();
    let letters = give_up(&place).await;
    let [first, second] = [0, 1].map(|index| letters[index].id.as_str());
    let replay = ["dead", "replay", second, first, second, "--again", "--yes"];
    let replayed = place.json(&replay);
    let done: Vec<_> = replayed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|done| (done["id"].as_str().unwrap(), done["generation"].as_u64()))
        .collect();
    assert_eq!(done, [(second, Some(1)), (first, Some(1))]);
    let third = letters[2].id.as_str();
    let discarded = place.json(&["dead", "discard", third, third, "--yes"]);
    assert_eq!(discarded["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_sends_it_is_said_and_nobody_watches() {
    const NOTE: &str = "note: nothing is sent until `ringback serve` runs on this data directory\n";
    let place = Place::new();
    let letters = give_up(&place).await;
    let made = place.json(&["replays", "plan", "--destination", "whk_1", "--reason", "x"]);
    let id = made["id"].as_str().unwrap();
    let watching = place.run(["replays", "start", id, "--watch", "--yes"]);
    assert_eq!(watching.code, 4);
    assert_snapshot!(watching.stderr, @"
    error: nothing is sent here, and nothing could be watched: `ringback serve` does not run on this data directory
    hint: start `ringback serve`, then watch from another terminal; without `--watch` the plan goes on once it runs
    ");
    assert_eq!(place.json(&["replays", "show", id])["state"], "planned");

    let started = place.run(["replays", "start", id, "--yes"]);
    assert_eq!((started.code, started.stderr.as_str()), (0, NOTE));
    let show = place.run(["replays", "show", id, "--watch"]);
    assert_eq!(show.code, 4, "{}", show.stderr);
    place.json(&["replays", "pause", id]);
    let show = place.run(["replays", "show", id, "--watch"]);
    assert_eq!(show.code, 0, "it stands still: {}", show.stderr);
    let resume = place.run(["replays", "resume", id, "--watch"]);
    assert_eq!(resume.code, 4, "{}", resume.stderr);

    let third = letters[2].id.as_str();
    let replayed = place.run(["dead", "replay", third, "--yes"]);
    assert_eq!((replayed.code, replayed.stderr.as_str()), (0, NOTE));
    let refused = place.run(["dead", "replay", third, "--yes"]);
    assert!(!refused.stderr.contains(NOTE), "{}", refused.stderr);
}
