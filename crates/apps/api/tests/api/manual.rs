//! The manual's examples do what the manual says.

use crate::installation::{Ground, Installation};
use ringback_testkit::receiver::Receiver;
use std::{fs, path::Path, process::Stdio};
use tokio::process::Command;

/// What the manual writes for the server, the key, and the destination of a newcomer.
const SERVER: &str = "http://127.0.0.1:8080";
const KEY: &str = "rb_…";
const DESTINATION: &str = "https://example.com/hook";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_the_manual_work_one_after_the_other() {
    let installation = Installation::start(Ground::Embedded).await;
    let receiver = Receiver::start().await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/api.md");
    let manual = fs::read_to_string(file).unwrap();
    let blocks = manual.split("```sh\n").skip(1);
    let examples: Vec<_> = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let mut script =
        "set -eu\ncurl() { command curl --silent --show-error --fail-with-body \"$@\"; }\n"
            .to_owned();
    for example in &examples {
        assert!(
            example.contains("curl") || example.contains("export"),
            "{example}"
        );
        script.push_str(example);
        script.push_str("\necho\n");
    }
    let server = format!("http://{}", installation.address());
    let script = script
        .replace(SERVER, &server)
        .replace(KEY, &installation.operator)
        .replace(DESTINATION, &receiver.url("/hook"));
    let running = Command::new("sh")
        .arg("-c")
        .arg(script)
        .stdin(Stdio::null())
        .output();
    let output = running.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(!receiver.received("/hook").is_empty(), "{said}");
    installation.stop().await;
}
