//! Relative links of Markdown files lead somewhere.

use super::{Finding, Tree};
use std::path::Path;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.has_extension("md")) {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        for (index, line) in file.text.lines().enumerate() {
            for link in relative_links(line) {
                if !tree.root.join(folder).join(link).exists() {
                    let what = format!("the link `{link}` leads nowhere");
                    findings.push(Finding::at_line(&file.path, index, what));
                }
            }
        }
    }
    findings
}

/// The paths in `[text](path)` and `![text](path)`, without fragments; addresses with a scheme are not ours to check.
fn relative_links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split(['#', ' ']).next().unwrap_or(target))
        .filter(|path| !path.is_empty() && !path.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_are_found_and_others_left_alone() {
        let line = "[a](docs/a.md#top), ![b](b.svg), [c](https://example.com/), [d](#here) f](x";
        let links: Vec<_> = relative_links(line).collect();
        assert_eq!(links, ["docs/a.md", "b.svg"]);
    }
}
