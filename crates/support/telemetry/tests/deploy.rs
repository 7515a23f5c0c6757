//! What `deploy/` asks Prometheus for is what the program tells: every metric, label and value by its name.

use ringback_telemetry::{Attribute, Instrument, Metric, Values};
use std::{collections::BTreeMap, fs, path::Path};

const FILES: [&str; 4] = [
    "prometheus/rules/ringback.yml",
    "prometheus/tests/ringback.yml",
    "grafana/dashboards/ringback.json",
    "helm/ringback/templates/worker.yaml",
];
/// What our metrics and labels begin with.
const PREFIXES: [&str; 3] = ["ringback_", "http_", "messaging_"];

#[test]
fn every_metric_and_label_that_is_asked_for_is_one_of_ours() {
    let mut known: Vec<String> = Attribute::ALL
        .iter()
        .map(|attribute| attribute.prometheus_name())
        .collect();
    for metric in Metric::ALL {
        let name = metric.prometheus_name();
        match metric.instrument() {
            Instrument::Histogram(_) => {
                known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
            }
            _ => known.push(name),
        }
    }
    for (file, text) in files() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let mut count = 0;
        for word in text.split(|c| !is_part(c)) {
            // In YAML, the colon after a label's name is not part of it; `ringback:…` is a rule's own.
            let word = word.trim_end_matches(':');
            if PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
                assert!(known.iter().any(|name| name == word), "{file}: {word}");
                count += 1;
            }
        }
        assert!(count > 0, "{file} was read");
    }
}

#[test]
fn every_value_that_a_label_is_compared_with_is_one_it_can_have() {
    let mut values: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for attribute in Attribute::ALL {
        if let Values::Words(words) = attribute.values() {
            let known = values.entry(attribute.prometheus_name()).or_default();
            known.extend(words);
        }
    }
    let mut count = 0;
    for (file, text) in files() {
        for (label, known) in &values {
            for compared in text.split(label.as_str()).skip(1) {
                let operator = compared.trim_start_matches(['=', '!', '~']);
                let Some(value) = operator.strip_prefix('"') else {
                    continue;
                };
                let value = value.split('"').next().expect("a piece");
                for value in value.split('|').filter(|value| !value.is_empty()) {
                    assert!(known.contains(&value), "{file}: {label} is never `{value}`");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 20, "{count} comparisons were found");
}

fn files() -> impl Iterator<Item = (&'static str, String)> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy");
    FILES.into_iter().map(move |file| {
        let text = fs::read_to_string(deploy.join(file)).expect("it is there");
        // As Prometheus reads it, in JSON, too.
        (file, text.replace("\\\"", "\""))
    })
}
