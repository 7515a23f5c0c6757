//! What must not stand in our files, and how long they may be.

use super::{Finding, TextFile, Tree};
use std::path::Path;

/// A file tells one story; the median of well-kept projects is a quarter of this.
const LINES_MAX: usize = 800;

/// Fragments with the reason against them, put together here so that this file passes its own check.
const NOWHERE: [(&str, &str); 9] = [
    (concat!("crates", ".io"), "names a registry's host"),
    (concat!("npm", "js"), "names a registry's host"),
    (concat!("pypi", ".org"), "names a registry's host"),
    (concat!("python", "hosted"), "names a registry's host"),
    (concat!("/", "home/"), "names a path of one machine"),
    (concat!("/", "root/"), "names a path of one machine"),
    (concat!("/", "work/"), "names a path of one machine"),
    (concat!("../", "shared"), "names a path outside the project"),
    (concat!("cla", "ude"), "names a tool"),
];

const NOT_IN_RUST: [(&str, &str); 4] = [
    (concat!("to", "do!("), "is unfinished"),
    (concat!("unimple", "mented!("), "is unfinished"),
    (concat!("d", "bg!("), "was left from a search"),
    (concat!("#[ig", "nore"), "is a test that nobody runs"),
];

/// What an ignored test says that is a process of another one.
const STARTED: &str = "the other test starts it";

const EXPECTED_FILES: [&str; 3] = ["CHANGELOG.md", "README.md", "ARCHITECTURE.md"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<_> = EXPECTED_FILES
        .iter()
        .filter(|name| !tree.root.join(name).is_file())
        .map(|name| Finding::in_file(Path::new(name), "is missing"))
        .collect();
    for file in &tree.files {
        check_file(file, &mut findings);
    }
    findings
}

fn check_file(file: &TextFile, findings: &mut Vec<Finding>) {
    // Cargo writes its registry's index into its lock file; there is no way to leave it out.
    if file.path.ends_with("Cargo.lock") {
        return;
    }
    let is_rust = file.has_extension("rs");
    if is_rust && file.text.lines().count() > LINES_MAX {
        findings.push(Finding::in_file(
            &file.path,
            format!("is longer than {LINES_MAX} lines"),
        ));
    }
    for (index, line) in file.text.lines().enumerate() {
        let lower = line.to_lowercase();
        let unfinished = NOT_IN_RUST
            .iter()
            .filter(|_| is_rust && !line.contains(STARTED));
        for (fragment, why) in NOWHERE.iter().chain(unfinished) {
            if lower.contains(fragment) {
                findings.push(Finding::at_line(
                    &file.path,
                    index,
                    format!("`{fragment}` {why}"),
                ));
            }
        }
        if file.path.ends_with("package-lock.json") && line.contains("\"resolved\":") {
            findings.push(Finding::at_line(
                &file.path,
                index,
                "names a registry's host",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_in(path: &str, text: String) -> Vec<String> {
        let mut findings = Vec::new();
        let file = TextFile {
            path: path.into(),
            text,
        };
        check_file(&file, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_forbidden_fragment_is_found_with_its_line() {
        for (fragment, why) in NOWHERE.iter().chain(&NOT_IN_RUST) {
            assert_eq!(
                findings_in("a.rs", format!("fine\nnot {fragment} fine\n")),
                [format!("a.rs:2: `{fragment}` {why}")]
            );
        }
    }

    #[test]
    fn a_long_rust_file_is_found_and_a_long_table_is_not() {
        let long = "\n".repeat(LINES_MAX + 1);
        assert_eq!(
            findings_in("a.rs", long.clone()),
            ["a.rs: is longer than 800 lines"]
        );
        assert!(findings_in("a.json", long).is_empty());
    }
}
