//! A short drill, as `ringback drill` runs long ones, and one with workers broken on purpose, which it has to notice.
#![expect(clippy::unwrap_used, reason = "panicking is how tests fail")]

use ringback_drill::{Class, DrillOptions, Progress, Report};
use std::{process::Command, time::Duration};

fn options() -> DrillOptions {
    DrillOptions {
        program: env!("CARGO_BIN_EXE_ringback").into(),
        events: 500,
        faults: 12,
        workers: 2,
        nodes: 1,
        // Of the first two hundred, one of those whose faults are over soonest.
        seed: 11,
        only: Class::ALL
            .into_iter()
            .filter(|class| is_quick(*class))
            .collect(),
        keep: None,
        patience: Duration::from_secs(45),
        worker_env: Vec::new(),
    }
}

/// Whether a class costs the suite seconds only. Long runs have them all.
fn is_quick(class: Class) -> bool {
    !matches!(class, Class::NodeRestarted | Class::WorkerPaused)
}

async fn drill(options: &DrillOptions) -> Report {
    let tell = |progress: Progress<'_>| eprintln!("{progress:?}");
    Box::pin(ringback_drill::run(options, &tell)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_dozen_faults_nothing_is_lost_changed_or_wrongly_signed() {
    let report = drill(&options()).await;
    assert!(report.holds, "{report:?}");
    assert_eq!((report.attempted, report.faults), (500, 12));
    assert!(
        report.delivered > 250 && report.dead_lettered > 0,
        "{report:?}"
    );
    assert_eq!((report.bodies_changed, report.signatures_wrong), (0, 0));
    assert_eq!(
        report.duplicated_unexplained, 0,
        "{:?}",
        report.unexplained_examples
    );
    assert_eq!((report.left_in_queues, report.workers_deserted), (0, 0));
    assert_eq!(report.publish_refused, None);
}

/// The test can fail: a message that is acknowledged before it is handled dies with its worker.
#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_acknowledge_before_they_send_are_found_out() {
    let report = drill(&DrillOptions {
        faults: 5,
        only: vec![Class::WorkerKilled],
        // What is gone does not come, however long it is waited for.
        patience: Duration::from_secs(12),
        worker_env: vec![("RINGBACK_SABOTAGE".into(), "acknowledges-first".into())],
        ..options()
    })
    .await;
    assert!(report.lost > 0 && !report.holds, "{report:?}");
    assert_eq!(report.left_in_queues, 0, "lost, not late");
    assert_eq!(report.unexpected, 0);
}

#[test]
fn without_the_servers_it_says_what_to_install() {
    let mut nowhere = Command::new(env!("CARGO_BIN_EXE_ringback"));
    let output = nowhere.arg("drill").env_clear().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.contains("error: could not find `redis-server`\nhint: install Redis 7"),
        "{said}"
    );
}
