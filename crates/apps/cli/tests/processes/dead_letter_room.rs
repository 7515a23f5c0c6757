//! Dead letters that take more room than they should: an alarm first, then the oldest in files that can be brought back.

use crate::{
    desk::{Desk, event},
    installation::{Ground, Installation, UNFORGIVING},
};
use ringback_testkit::receiver::{Answer, Receiver};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// Dead letters that there is room for.
const ROOM: usize = 10;
/// 80 % of the room, where the alarm rings.
const NEAR: usize = 8;
const OVER: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn on_rabbitmq_and_redis_what_has_no_room_goes_into_files_and_comes_back() {
    what_has_no_room_goes_into_files_and_comes_back(Ground::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_embedded_default_what_has_no_room_goes_into_files_and_comes_back() {
    what_has_no_room_goes_into_files_and_comes_back(Ground::Embedded).await;
}

async fn what_has_no_room_goes_into_files_and_comes_back(ground: Ground) {
    let receiver = Receiver::start().await;
    receiver.script("/down", [Answer::status(503)]);
    let files = tempfile::tempdir().unwrap();
    let spilled = files.path().join("spilled");
    let installation = Installation::with(
        ground,
        &format!(
            "deliver.breaker_failures = 0\ndead_letters.entries_max = {ROOM}\ndead_letters.spill_dir = \"{}\"",
            spilled.display()
        ),
    );
    let worker = installation.serve().await;
    let desk = installation.desk().await;
    desk.webhook(UNFORGIVING, receiver.url("/down")).await;
    publish(&desk, 0..NEAR).await;
    desk.close().await;
    worker.stop().await;

    // A process looks when it starts, and every minute from then on.
    let mut worker = installation.serve().await;
    worker
        .says("dead letters have nearly used up their room")
        .await;
    assert!(!spilled.exists(), "there is room yet");
    let desk = installation.desk().await;
    publish(&desk, NEAR..OVER).await;
    let all = ids(&desk).await;
    desk.close().await;
    worker.stop().await;

    let mut worker = installation.serve().await;
    worker
        .says("moved the oldest dead letters into files")
        .await;
    worker.says("the oldest move into files").await;
    let desk = installation.desk().await;
    let kept = ids(&desk).await;
    desk.close().await;
    worker.stop().await;
    assert_eq!(kept.len(), ROOM);
    assert!(kept.is_subset(&all));
    let names: Vec<_> = fs::read_dir(&spilled)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let [file] = names.as_slice() else {
        panic!("{names:?}")
    };
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.lines().count(), OVER - ROOM);

    let report = run(&installation, &["dead", "import"], file).await;
    assert_eq!(report["imported"], OVER - ROOM, "{report}");
    let report = run(&installation, &["dead", "import"], file).await;
    assert_eq!(report["already_there"], OVER - ROOM, "{report}");
    let desk = installation.desk().await;
    assert_eq!(ids(&desk).await, all, "none is missing");
    desk.close().await;
    let exported = files.path().join("all.ndjson");
    let report = run(&installation, &["dead", "export"], &exported).await;
    assert_eq!(report["exported"], OVER, "{report}");
    let exported = fs::read_to_string(exported).unwrap();
    let lines: BTreeSet<_> = exported.lines().collect();
    assert!(
        text.lines().all(|line| lines.contains(line)),
        "what came back is what went, to the byte"
    );
}

/// Publishes events that become dead letters at once, and waits until all have.
async fn publish(desk: &Desk, numbers: std::ops::Range<usize>) {
    let count = numbers.end;
    for number in numbers {
        let event = event(UNFORGIVING, &format!("evt_{number}"), 16);
        desk.publisher().publish(&event).await.unwrap();
    }
    desk.wait_for_deliveries(UNFORGIVING, "dead_lettered", count)
        .await;
}

async fn ids(desk: &Desk) -> BTreeSet<String> {
    let all = desk.dead_letters(UNFORGIVING).await;
    all.iter().map(|letter| letter.id.to_string()).collect()
}

/// What a command reports of a file.
async fn run(installation: &Installation, command: &[&str], file: &Path) -> Value {
    let arguments = [command, &[file.to_str().unwrap(), "--output", "json"]].concat();
    let output = installation.command(&arguments).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
