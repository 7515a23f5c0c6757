//! A program that others wrote tries out the API by its description.

use crate::installation::Installation;
use std::{path::PathBuf, process::Stdio};
use tokio::process::Command;

/// Where `cargo xtask test` has put it.
const PROGRAM_VARIABLE: &str = "RINGBACK_TEST_SCHEMATHESIS";
/// How many requests it may make up for each call, besides those that its list of edge cases brings. For a long look: 200.
const EXAMPLES_VARIABLE: &str = "RINGBACK_TEST_SCHEMATHESIS_EXAMPLES";
/// Enough to notice a description that went wrong, within half a minute.
const EXAMPLES: &str = "5";
/// Teaches it media types.
const HOOKS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../tests/schemathesis/hooks.py"
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_server_error_and_no_undocumented_answer() {
    let program = PathBuf::from(std::env::var_os(PROGRAM_VARIABLE).unwrap_or_else(|| {
        panic!("{PROGRAM_VARIABLE} is not set: run the tests through cargo xtask test")
    }));
    let installation = Installation::start_without_a_way_out().await;
    let key = installation.project_key("acme").await;
    let folder = tempfile::tempdir().unwrap();
    let examples = std::env::var(EXAMPLES_VARIABLE).unwrap_or_else(|_| EXAMPLES.to_owned());
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance,ignored_auth,unsupported_method,allow_header_conformance";
    let trying = Command::new(program)
        .arg("run")
        .arg(format!("http://{}/openapi.json", installation.address()))
        .args(["--header", &format!("Authorization: Bearer {key}")])
        .args(["--checks", checks, "--phases", "coverage,fuzzing"])
        .args([
            "--max-examples",
            &examples,
            "--seed",
            "1",
            "--max-failures",
            "10",
        ])
        .args([
            "--suppress-health-check",
            "all",
            "--no-shrink",
            "--warnings",
            "off",
        ])
        .env("SCHEMATHESIS_HOOKS", HOOKS)
        .env("NO_COLOR", "1")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output();
    let output = trying.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    installation.stop().await;
}
