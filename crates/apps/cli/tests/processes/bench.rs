//! `ringback bench`, small: that every figure is there and nothing is lost. How large the figures are depends on the machine.

use serde_json::Value;
use std::{collections::HashMap, fs};
use tokio::process::Command;

const EVENTS: u64 = 300;
/// Of an event of the replay, which has as many fewer of them.
const REPLAY_DESTINATIONS: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_loses_nothing_and_tells_every_figure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let file_name = file.to_str().unwrap();
    let scenarios = ["throughput", "embedded"];
    let report = bench([&scenarios[..], &["--workers", "2", "--write", file_name]].concat()).await;
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report, written);

    for floor in ["http", "queue"] {
        for figure in ["per_second", "cpu_s_per_1000"] {
            is_measured(&report["floors"][floor], figure);
        }
    }
    let scenarios: HashMap<_, _> = report["scenarios"]
        .as_array()
        .unwrap()
        .iter()
        .map(|measured| (measured["scenario"].as_str().unwrap(), measured))
        .collect();
    for measured in scenarios.values() {
        assert_eq!(measured["lost"], 0, "{measured}");
        assert_eq!(measured["duplicates"], 0, "{measured}");
        assert_eq!(measured["deliveries"], EVENTS, "{measured}");
        for figure in ["per_second", "worker_memory_peak"] {
            is_measured(measured, figure);
        }
        for figure in ["p50_ms", "p99_ms", "p999_ms", "max_ms"] {
            is_measured(&measured["to_post"], figure);
        }
        let cpu = &measured["cpu_s_per_1000"];
        is_measured(cpu, "workers");
        is_measured(cpu, "system");
        // Linux counts in hundredths of a second, and so few events may cost less.
        assert!(cpu["generator"].is_number(), "{cpu}");
    }
    let on_servers = scenarios["throughput"];
    is_measured(on_servers, "times_floors");
    for figure in ["broker", "store"] {
        assert!(on_servers["cpu_s_per_1000"][figure].is_number());
    }
    assert!(scenarios["embedded"]["cpu_s_per_1000"]["broker"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_of_a_replay_loses_nothing() {
    let report = bench(vec!["replay", "--no-floors"]).await;
    let measured = &report["scenarios"][0];
    let entries = EVENTS / REPLAY_DESTINATIONS * REPLAY_DESTINATIONS;
    assert_eq!(measured["deliveries"], entries, "{measured}");
    assert_eq!(measured["lost"], 0, "{measured}");
    assert_eq!(measured["duplicates"], 0, "{measured}");
    // So few may all be there at the first look, and then nobody knows how fast they came.
    assert!(measured["per_second"].is_number(), "{measured}");
    assert!(
        measured["cpu_s_per_1000"]["broker"].is_number(),
        "{measured}"
    );
}

async fn bench(arguments: Vec<&str>) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["bench", "--output", "json", "--events"])
        .arg(EVENTS.to_string())
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    serde_json::from_slice(&run.stdout).unwrap()
}

fn is_measured(figures: &Value, name: &str) {
    let figure = figures[name].as_f64();
    assert!(
        figure.is_some_and(|figure| figure > 0.0),
        "{name} of {figures}"
    );
}
