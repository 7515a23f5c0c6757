//! What `deploy/` asks Prometheus, asked of a real one that reads a real process.

use crate::{
    installation::{Ground, HASTY, Installation, UNFORGIVING},
    secured::deploy,
};
use ringback_testkit::{
    receiver::{Answer, Receiver},
    servers::{PrometheusServer, promtool},
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, time::Duration};
use tokio::{process::Command, time::sleep};

const POLL: Duration = Duration::from_millis(500);
/// How often a test looks before it gives up: a minute.
const LOOKS_MAX: usize = 120;

/// What a healthy installation has no series of.
const OF_TROUBLE: [&str; 1] = ["error_type!=\"\""];

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_dashboard_and_rules_finds_what_a_process_measures() {
    let installation = Installation::new(Ground::Servers);
    let receiver = Receiver::start().await;
    receiver.script("/down", [Answer::status(500)]);
    // Dead letters are counted once a minute, and when a process begins.
    let first = installation.serve().await;
    let down = receiver.url("/down");
    publish(&installation, UNFORGIVING, "evt_dead", &down).await;
    receiver.wait_for("/down", 1).await;
    first.stop().await;

    let process = installation.serve().await;
    let rules = deploy("prometheus/rules/ringback.yml");
    let config = format!(
        r#"
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ["{}"]
scrape_configs:
  - job_name: ringback
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
"#,
        fs::canonicalize(&rules).unwrap().display(),
        process.api_port()
    );
    let prometheus = PrometheusServer::start(&config).unwrap();
    let queries = queries();
    assert!(queries.len() > 40, "{} queries", queries.len());
    let mut unanswered: BTreeMap<&str, Value> = BTreeMap::new();
    for look in 0..LOOKS_MAX {
        let (event, up) = (format!("evt_{look}"), receiver.url("/up"));
        publish(&installation, UNFORGIVING, &event, &up).await;
        // What is accepted at once is never queued: without retries nothing tells how late they are.
        let (event, moody) = (format!("evt_moody_{look}"), format!("/moody-{look}"));
        receiver.script(&moody, [Answer::status(503), Answer::status(200)]);
        publish(&installation, HASTY, &event, &receiver.url(&moody)).await;
        unanswered.clear();
        for query in &queries {
            let answer = ask(&prometheus, "query", &[&format!("query={query}")]).await;
            assert_eq!(answer["status"], "success", "{query}: {answer}");
            let is_empty = answer["data"]["result"] == serde_json::json!([]);
            if is_empty && !OF_TROUBLE.iter().any(|word| query.contains(word)) {
                unanswered.insert(query, answer);
            }
        }
        if unanswered.is_empty() {
            break;
        }
        sleep(POLL).await;
    }
    assert!(unanswered.is_empty(), "{unanswered:#?}");

    let written = fs::read_to_string(&rules).unwrap();
    let told = ask(&prometheus, "rules", &[]).await;
    let groups = told["data"]["groups"].as_array().unwrap().iter();
    let rules: Vec<_> = groups
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    let written = ["- alert: ", "- record: "].map(|word| written.matches(word).count());
    assert_eq!(rules.len(), written.iter().sum::<usize>());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "{rule}");
    }
    process.stop().await;
}

#[test]
fn every_alert_is_tried_where_it_fires_and_where_it_does_not() {
    let file = |name| fs::canonicalize(deploy(name)).unwrap();
    let (rules, cases) = (
        file("prometheus/rules/ringback.yml"),
        file("prometheus/tests/ringback.yml"),
    );
    for (what, file) in [("check", &rules), ("test", &cases)] {
        let said = promtool(&[what, "rules", &file.display().to_string()]).unwrap();
        assert!(said.contains("SUCCESS"), "{said}");
    }
    let (rules, cases) = (
        fs::read_to_string(rules).unwrap(),
        fs::read_to_string(cases).unwrap(),
    );
    let words: Vec<_> = cases.split_whitespace().collect();
    let words = words.join(" ");
    for alert in rules.split("- alert: ").skip(1) {
        let name = alert.lines().next().expect("a name");
        for (is, case) in [
            (
                "fires",
                format!("alertname: {name} exp_alerts: - exp_labels:"),
            ),
            ("is silent", format!("alertname: {name}, exp_alerts: [] }}")),
        ] {
            assert!(words.contains(&case), "no case in which {name} {is}");
        }
    }
}

/// An event with a callback.
async fn publish(installation: &Installation, project: &str, id: &str, url: &str) {
    let event = serde_json::json!({
        "id": id, "project": project, "type": "job.completed",
        "job": {"id": "job_1"}, "callback": {"url": url},
    });
    let file = installation.data().with_extension("json");
    fs::write(&file, event.to_string()).unwrap();
    let mut command = installation.command(&["publish"]);
    let output = command.arg(file).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Every expression of the dashboard's panels and of the rules, with what Grafana would put in.
fn queries() -> Vec<String> {
    let dashboard = fs::read_to_string(deploy("grafana/dashboards/ringback.json")).unwrap();
    let dashboard = serde_json::from_str(&dashboard).unwrap();
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    let filled = |query: String| {
        query
            .replace("$job", "ringback")
            .replace("$__rate_interval", "30s")
    };
    queries.into_iter().map(filled).collect()
}

fn collect(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(query)) = members.get("expr") {
                queries.push(query.clone());
            }
            for member in members.values() {
                collect(member, queries);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, queries);
            }
        }
        _ => {}
    }
}

async fn ask(prometheus: &PrometheusServer, what: &str, parameters: &[&str]) -> Value {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--get"])
        .arg(format!("{}/api/v1/{what}", prometheus.url()));
    for parameter in parameters {
        command.args(["--data-urlencode", parameter]);
    }
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
