//! `ringback bench`, small: that every figure is there and nothing is lost. How large the figures are depends on the machine.

use serde_json::{Value, json};
use std::fs;
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
    let told = ["--rounds", "2", "--workers", "2", "--write", file_name];
    let report = bench([&scenarios[..], &told].concat()).await;
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report, written);

    for floor in ["http", "queue"] {
        for figure in ["per_second", "cpu_s_per_1000"] {
            is_measured(&report["floors"][floor], figure);
        }
    }
    let runs = report["scenarios"].as_array().unwrap();
    let names: Vec<_> = runs.iter().map(|run| run["scenario"].as_str()).collect();
    assert_eq!(names, [scenarios.map(Some); 2].concat());
    for measured in runs {
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
    for run in runs {
        let is_on_servers = run["scenario"] == "throughput";
        for figure in ["broker", "store"] {
            assert_eq!(run["cpu_s_per_1000"][figure].is_number(), is_on_servers);
        }
        if is_on_servers {
            is_measured(run, "times_floors");
        }
    }
    for (of, name) in scenarios.iter().enumerate() {
        let middle = &report["middle"][of];
        assert_eq!(
            (&middle["scenario"], &middle["runs"]),
            (&json!(name), &json!(2))
        );
        assert_eq!(middle["deliveries"], 2 * EVENTS, "{middle}");
        let spread = &middle["figures"]["per_second"];
        let [least, most] = ["least", "most"].map(|end| spread[end].as_f64().unwrap());
        let each = runs.iter().filter(|run| run["scenario"] == *name);
        let each: Vec<_> = each
            .map(|run| run["per_second"].as_f64().unwrap())
            .collect();
        assert!(each.contains(&least) && each.contains(&most), "{spread}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_compared_with_the_same_events_alone() {
    let report = bench(vec!["storm", "--no-floors"]).await;
    let runs = report["scenarios"].as_array().unwrap();
    let [alone, storm] = &runs[..] else {
        panic!("{report}");
    };
    assert_eq!(
        (&alone["scenario"], &storm["scenario"]),
        (&json!("healthy"), &json!("storm"))
    );
    for run in runs {
        assert_eq!(run["lost"], 0, "{run}");
        assert_eq!(run["duplicates"], 0, "{run}");
    }
    assert!(alone["compared"].is_null());
    let compared = &storm["compared"];
    assert_eq!(compared["with"], "healthy");
    let p99 = |run: &Value| run["to_post"]["p99_ms"].as_f64().unwrap();
    let ratio = compared["to_post_p99"].as_f64().unwrap();
    assert!((ratio - p99(storm) / p99(alone)).abs() < 1e-9, "{compared}");
    let middle = &report["middle"][1];
    assert_eq!(middle["compared_with"], "healthy");
    assert_eq!(
        middle["figures"]["compared_to_post_p99"]["middle"],
        compared["to_post_p99"]
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn a_soak_tells_how_much_memory_a_worker_had_all_along() {
    let report = bench(vec!["soak", "--no-floors"]).await;
    let run = &report["scenarios"][0];
    assert_eq!(run["lost"], 0, "{run}");
    assert_eq!(run["deliveries"], EVENTS * 3 / 4, "{run}");
    assert!(run["troubled_requests"].as_u64() > Some(0), "{run}");
    let looks = run["worker_memory"].as_array().unwrap();
    assert!(looks.len() >= 3, "{looks:?}");
    let peak = run["worker_memory_peak"].as_u64().unwrap();
    let seen = looks.iter().map(|look| look.as_u64().unwrap());
    assert!(seen.clone().all(|look| 0 < look && look <= peak), "{run}");
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
