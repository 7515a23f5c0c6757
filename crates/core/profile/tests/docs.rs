//! `docs/profiles.md` is true: its worked example works, and no member or function is missing.

mod support;

use ringback_profile::{DestinationKind, Profile, builtin_names};

const PAGE: &str = include_str!("../../../../docs/profiles.md");

/// The page's blocks of code in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

#[test]
fn the_worked_example_gives_the_body_that_is_printed() {
    let toml = blocks("toml");
    let profile = Profile::from_toml("podcasts".parse().unwrap(), toml[1]).unwrap();
    let [event, body] = blocks("json")[..] else {
        panic!("an event and its body")
    };
    for kind in [DestinationKind::Webhook, DestinationKind::Callback] {
        assert_eq!(support::body(&profile, kind, event), body.trim_end());
    }
}

#[test]
fn the_worked_example_uses_every_member() {
    let toml = blocks("toml")[1];
    // A faulty member is told all the names that are known beside it.
    let probe = "x = 1\nbody = '.'\n[signature]\nx = 1\n[retry]\nx = 1\n[webhook]\nx = 1";
    let faults = Profile::from_toml("probe".parse().unwrap(), probe).unwrap_err();
    let mut count = 0;
    for fault in faults.iter().filter(|fault| fault.member.ends_with('x')) {
        let (_, known) = fault.problem.split_once("known here: `").unwrap();
        for name in known
            .trim_end_matches('`')
            .split("`, `")
            .filter(|name| *name != "webhook")
        {
            let is_used = toml
                .lines()
                .any(|line| line.starts_with(&format!("{name} =")) || line == format!("[{name}]"));
            assert!(is_used, "`{name}` is not shown");
            count += 1;
        }
    }
    assert!(count > 30, "only {count} members were asked for");
}

#[test]
fn every_builtin_profile_is_in_the_table() {
    for name in builtin_names() {
        assert!(PAGE.contains(&format!("\n| `{name}`")), "{name}");
    }
}

#[test]
fn every_function_named_there_is_callable() {
    let (_, after) = PAGE.split_once("- of jq: `").unwrap();
    let (names, _) = after.split_once('`').unwrap();
    let own = [
        "to_seconds",
        "to_milliseconds",
        "to_unix_seconds",
        "without_nulls",
        "message",
        "contains_item",
    ];
    for name in names.split_whitespace().chain(own) {
        let calls = [
            name.to_owned(),
            format!("{name}(.)"),
            format!("{name}(.; .)"),
        ];
        let works = calls.iter().any(|call| {
            let text = format!("body = '{call}'\nsignature = \"none\"\nretry = \"none\"\n");
            Profile::from_toml("mine".parse().unwrap(), &text).is_ok()
        });
        assert!(works, "{name}");
    }
}
