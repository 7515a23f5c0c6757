//! A short drill, as `ringback drill` runs long ones, and one with workers broken on purpose, which it has to notice.
#![expect(clippy::unwrap_used, reason = "panicking is how tests fail")]

use ringback_drill::{Class, DrillOptions, Progress, Report};
use std::time::Duration;

fn options() -> DrillOptions {
    DrillOptions {
        program: env!("CARGO_BIN_EXE_ringback").into(),
        events: 500,
        faults: 12,
        workers: 2,
        nodes: 1,
        seed: 1,
        only: Vec::new(),
        keep: None,
        patience: Duration::from_secs(45),
        worker_env: Vec::new(),
    }
}

async fn drill(options: &DrillOptions) -> Report {
    let tell = |progress: Progress<'_>| eprintln!("{progress:?}");
    ringback_drill::run(options, &tell).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_dozen_faults_nothing_is_lost_changed_or_wrongly_signed() {
    let report = drill(&options()).await;
    assert!(report.holds, "{report:?}");
    assert_eq!((report.attempted, report.faults), (500, 12));
    assert!(
        report.delivered > 400 && report.dead_lettered > 0,
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
