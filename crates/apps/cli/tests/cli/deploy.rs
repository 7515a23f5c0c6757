//! What `deploy/` sets is there to be set.

use crate::place::Place;
use std::{collections::BTreeSet, path::Path};

fn file(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    std::fs::read_to_string(root.join(name)).unwrap()
}

#[test]
fn every_variable_of_compose_chart_and_unit_stands_for_a_member() {
    for name in [
        "docker-compose.yml",
        "Dockerfile",
        "deploy/helm/ringback/templates/_helpers.tpl",
        "deploy/systemd/ringback@.service",
        "deploy/systemd/worker.env",
    ] {
        let text = file(name);
        let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
        let variables: BTreeSet<_> = text
            .split(|c| !is_part(c))
            .filter(|word| word.starts_with("RINGBACK_"))
            // Of the build, and of where the configuration is.
            .filter(|word| !["RINGBACK_COMMIT", "RINGBACK_CONFIG"].contains(word))
            .map(|word| (word, "x"))
            .collect();
        assert!(!variables.is_empty(), "{name}");
        let said = Place::new().run_with(variables, ["config", "check"]).stderr;
        assert!(!said.contains("no such member"), "{name}: {said}");
    }
}

#[test]
fn the_configuration_that_the_chart_brings_is_accepted() {
    let values = file("deploy/helm/ringback/values.yaml");
    let (_, rest) = values.split_once("\nconfig: |\n").expect("a configuration");
    let lines = rest
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("  "));
    let text: Vec<_> = lines.map(str::trim_start).collect();
    assert!(text.contains(&"declare = false"));
    let place = Place::new();
    place.write("ringback.toml", &text.join("\n"));
    let ran = place.run(["config", "check"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}
