//! The arrows between crates, read from the manifests: `apps → edge → core`.

use super::{Finding, TextFile, Tree};
use anyhow::{Context, Result};
use std::path::Path;
use toml::{Table, Value};

/// Libraries that one crate alone may know; the others speak to its port.
const FENCED: [(&str, &str); 4] = [
    ("lapin", "crates/edge/queue-rabbitmq"),
    ("redis", "crates/edge/store-redis"),
    ("redb", "crates/edge/embedded"),
    ("hyper-rustls", "crates/edge/sender-http"),
];

/// What a delivery costs is compared with what the bare libraries cost, which this crate measures.
const FLOORS: &str = "crates/apps/bench";

/// The crate that every edge may speak.
const WIRE: &str = "crates/edge/wire";
/// The crate that starts private brokers and stores, for tests and for the drill.
const SERVERS: &str = "crates/support/servers";
/// The crate that is open to everything above the core.
const TELEMETRY: &str = "crates/support/telemetry";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Core,
    Edge,
    Apps,
    Support,
    Outside,
}

impl Layer {
    fn of(folder: &str) -> Self {
        match folder.split('/').nth(1) {
            Some("core") => Self::Core,
            Some("edge") => Self::Edge,
            Some("apps") => Self::Apps,
            Some("support") => Self::Support,
            _ => Self::Outside,
        }
    }
}

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let manifest = |file: &TextFile| -> Result<Table> {
        toml::from_str(&file.text)
            .with_context(|| format!("could not read {}", file.path.display()))
    };
    let is_manifest = |file: &&TextFile| file.path.file_name().is_some_and(|n| n == "Cargo.toml");
    let root = tree
        .files
        .iter()
        .find(|file| file.path == Path::new("Cargo.toml"))
        .context("the root has no Cargo.toml")?;
    let workspace = manifest(root)?;
    let folders = member_folders(&workspace);

    let mut findings = Vec::new();
    for file in tree.files.iter().filter(is_manifest) {
        let table = manifest(file)?;
        let stands_alone = table.contains_key("workspace");
        if table.contains_key("package") && !stands_alone {
            check_crate(&file.path, &table, &folders, &mut findings);
        }
    }
    Ok(findings)
}

/// Package name and folder of the workspace's own crates.
fn member_folders(workspace: &Table) -> Vec<(String, String)> {
    let own = |(name, dependency): (&String, &Value)| {
        let folder = dependency.get("path")?.as_str()?;
        Some((name.clone(), folder.to_owned()))
    };
    let dependencies = workspace
        .get("workspace")
        .and_then(|w| w.get("dependencies"));
    dependencies
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
        .filter_map(own)
        .collect()
}

fn check_crate(
    file: &Path,
    manifest: &Table,
    folders: &[(String, String)],
    findings: &mut Vec<Finding>,
) {
    let folder = file.parent().unwrap_or(Path::new("")).to_string_lossy();
    let inherits_lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    if inherits_lints != Some(&Value::Boolean(true)) {
        findings.push(Finding::in_file(
            file,
            "does not say `[lints] workspace = true`",
        ));
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let is_dev = section == "dev-dependencies";
        for (name, dependency) in manifest
            .get(section)
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
        {
            if dependency.get("workspace") != Some(&Value::Boolean(true)) {
                findings.push(Finding::in_file(
                    file,
                    format!(
                        "`{name}` has a version or path of its own; say `{name}.workspace = true`"
                    ),
                ));
            }
            if let Some((_, keeper)) = FENCED.iter().find(|(fenced, _)| fenced == name)
                && *keeper != folder
                && folder != FLOORS
            {
                findings.push(Finding::in_file(
                    file,
                    format!("only {keeper} may depend on `{name}`"),
                ));
            }
            if let Some((_, to)) = folders.iter().find(|(member, _)| member == name)
                && !is_allowed(&folder, to, is_dev)
            {
                findings.push(Finding::in_file(
                    file,
                    format!("the arrow to {to} points the wrong way"),
                ));
            }
        }
    }
}

fn is_allowed(from: &str, to: &str, is_dev: bool) -> bool {
    let target = Layer::of(to);
    match Layer::of(from) {
        Layer::Core => target == Layer::Core || is_dev && (target == Layer::Support || to == WIRE),
        Layer::Edge => {
            target == Layer::Core
                || to == WIRE
                || to == TELEMETRY
                || is_dev && target == Layer::Support
        }
        Layer::Apps => target != Layer::Support || to == TELEMETRY || to == SERVERS || is_dev,
        Layer::Support => matches!(target, Layer::Core | Layer::Support) || to == WIRE,
        Layer::Outside => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_from_apps_over_edge_to_core_and_never_back() {
        let allowed = [
            ("crates/core/delivery", "crates/core/domain", false),
            ("crates/edge/embedded", "crates/core/domain", false),
            ("crates/edge/embedded", WIRE, false),
            ("crates/edge/embedded", TELEMETRY, false),
            ("crates/edge/embedded", "crates/support/testkit", true),
            ("crates/apps/cli", "crates/apps/worker", false),
            ("crates/apps/cli", "crates/edge/embedded", false),
            ("crates/support/testkit", "crates/core/delivery", false),
            ("xtask", "crates/support/testkit", false),
        ];
        let wrong = [
            ("crates/core/domain", WIRE, false),
            ("crates/core/domain", TELEMETRY, false),
            ("crates/edge/embedded", "crates/edge/store-redis", false),
            ("crates/edge/embedded", "crates/apps/worker", true),
            ("crates/edge/embedded", "crates/support/testkit", false),
            ("crates/apps/cli", "crates/support/testkit", false),
            ("crates/support/testkit", "crates/apps/worker", false),
        ];
        for (from, to, is_dev) in allowed {
            assert!(is_allowed(from, to, is_dev), "{from} to {to}");
        }
        for (from, to, is_dev) in wrong {
            assert!(!is_allowed(from, to, is_dev), "{from} to {to}");
        }
    }

    #[test]
    fn a_manifest_out_of_order_is_found_out() {
        let manifest = "
            [package]
            name = 'x'
            [dependencies]
            lapin.workspace = true
            serde = '1'
            ringback-cli.workspace = true
        ";
        let folders = [("ringback-cli".to_owned(), "crates/apps/cli".to_owned())];
        let mut findings = Vec::new();
        let table = toml::from_str(manifest).unwrap();
        check_crate(
            Path::new("crates/core/x/Cargo.toml"),
            &table,
            &folders,
            &mut findings,
        );
        let found: Vec<_> = findings
            .iter()
            .map(|finding| finding.what.as_str())
            .collect();
        assert_eq!(
            found,
            [
                "does not say `[lints] workspace = true`",
                "only crates/edge/queue-rabbitmq may depend on `lapin`",
                "the arrow to crates/apps/cli points the wrong way",
                "`serde` has a version or path of its own; say `serde.workspace = true`",
            ]
        );
    }
}
