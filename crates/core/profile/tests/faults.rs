//! A faulty profile is told everything that is wrong with it, at once and with the place.
#![expect(clippy::unwrap_used, reason = "a test may")]

use ringback_profile::Profile;

fn faults(text: &str) -> Vec<String> {
    let faults = Profile::from_toml("mine".parse().unwrap(), text).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

const LEAST: &str = "body = '.'\nsignature = \"none\"\nretry = \"none\"\n";

#[test]
fn the_least_profile_is_three_lines() {
    let profile = Profile::from_toml("mine".parse().unwrap(), LEAST).unwrap();
    assert!(profile.event_types().is_none());
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = r#"
descripton = "a slip"
event_types = ["task.completed", "a b", 7]
body = '''
{
  id,
  type: .kind | to_second
}
'''
body_form = "canonical"
success = ["2xx", "6xx", "20"]
time_limit = "10m"
payload_age_max = 7

[headers]
Content-Type = "text/plain"
"X Y" = "{id}"
x-a = "1"
X-A = "2"

[webhook]
on_unknown = "drop"
gone_disables = "yes"

[webhook.signature]
header = "x-sig"
signed = "{timestamp}{body}"
value = "v1={signature};"
digest = "hex"
secret = "utf8"
secret_prefix = "whsec_"

[webhook.retry]
delays = ["1m", "0s", "six days", "6d"]
retries = 3
jitter = 2

[callback]
signature = "none"
time_limits = "30s"

[callback.retry]
first = "1m"
factor = 0.5
"#;
    let contract = "`body`, `body_form`, `headers`, `diagnostic_headers`, `signature`, `secret_required`, `success`, `refused_for_good`, \
                    `gone_disables`, `time_limit`, `on_unknown`, `retry`";
    let expected = [
        &format!(
            "line 2: `descripton`: there is no such member; known here: `description`, `event_types`, `payload_age_max`, `webhook`, `callback`, {contract}"
        ),
        "line 3: `event_types[1]`: event type `a b` is not accepted: 1 to 128 letters, digits, `_`, `-` or `.`",
        "line 3: `event_types[2]`: expected a text, found the number `7`",
        "line 7: `body`: `to_second`: there is no such function with 0 arguments",
        "line 10: `body_form`: `canonical` is not known; write `as-given` or `ecmascript-fixed-point`",
        "line 11: `success[1]`: status `6xx` is not one; write a code (`200`), a class (`2xx`) or a range (`200-204`) within 100 to 599",
        "line 11: `success[2]`: status `20` is not one; write a code (`200`), a class (`2xx`) or a range (`200-204`) within 100 to 599",
        "line 12: `time_limit`: 600s is out of range; allowed: 1s to 120s",
        "line 13: `payload_age_max`: expected a text, found the number `7`",
        "line 16: `headers.Content-Type`: `Content-Type` is set by the sender; leave it out",
        "line 17: `headers.\"X Y\"`: `X Y` is no header name; use letters, digits and `-`",
        "line 17: `headers.\"X Y\"`: `{id}` is not known; known: `{event.id}`, `{event.type}`, `{job.id}`, `{delivery.id}`, `{attempt}`, `{timestamp}`",
        "line 19: `headers.X-A`: the header is there twice; names are equal in any case",
        "line 22: `webhook.on_unknown`: `drop` is not known; write `resend` or `dead-letter`",
        "line 23: `webhook.gone_disables`: expected `true` or `false`, found the text `yes`",
        "line 27: `webhook.signature.signed`: `{timestamp}{body}` has two placeholders without a literal between them, so that different requests would sign alike",
        "line 28: `webhook.signature.value`: `v1={signature};` must end in `{signature}`",
        "line 31: `webhook.signature.secret_prefix`: only secrets in base64 have a prefix that is not part of the key; leave it out",
        "line 34: `webhook.retry.delays[1]`: retry delay 0ns is out of range; allowed: 1ms to 432000s",
        "line 34: `webhook.retry.delays[2]`: `six days` is no duration; write `30s`, `5m`, `1h 30m` or `7d`",
        "line 34: `webhook.retry.delays[3]`: retry delay 518400s is out of range; allowed: 1ms to 432000s",
        "line 35: `webhook.retry.retries`: belongs to an exponential schedule; write it or `delays`, not both",
        "line 36: `webhook.retry.jitter`: jitter 2 is out of range; allowed: 0 to 1",
        &format!(
            "line 40: `callback.time_limits`: there is no such member; known here: {contract}"
        ),
        "line 42: `callback.retry.max`: is missing; write the longest wait, such as `\"6h\"`",
        "line 42: `callback.retry.retries`: is missing; write how many, such as `8`",
        "line 44: `callback.retry.factor`: 0.5 would make the waits shorter; allowed: 1 and more",
    ];
    let found = faults(text);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn what_decides_safety_cannot_be_left_out() {
    assert_eq!(
        faults("description = \"empty\""),
        [
            "line 1: `body`: is missing; write a filter that makes the body of the event, such as `'{id, type, data}'`",
            "line 1: `retry`: is missing; write a table, or `retry = \"none\"` to try once",
            "line 1: `signature`: is missing; write a table, or `signature = \"none\"` to send unsigned",
        ]
    );
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let found = faults(&format!("{LEAST}success = [\"2xx\"\ntime_limit = \"5s\"\n"));
    assert!(found[0].starts_with("line 5: "), "{found:?}");
}

#[test]
fn a_filter_is_checked_where_it_stands() {
    for (body, expected) in [
        ("'.a b'", "line 1: `body`: expected"),
        ("'''\n{\n  id:\n}'''", "line 4: `body`: expected"),
        (
            "\"\"\"\n.a |\n $x\"\"\"",
            "line 3: `body`: there is no variable `$x`",
        ),
        (
            "'now'",
            "line 1: `body`: `now`: there is no such function with 0 arguments",
        ),
        (
            "'env.HOME'",
            "line 1: `body`: `env`: there is no such function",
        ),
        (
            "'input'",
            "line 1: `body`: `input`: there is no such function",
        ),
        (
            "'halt'",
            "line 1: `body`: `halt`: there is no such function",
        ),
        (
            "'repeat(.)'",
            "line 1: `body`: `repeat`: there is no such function",
        ),
        (
            "'recurse(.)'",
            "line 1: `body`: `recurse`: there is no such function",
        ),
        (
            "'def f: f; f'",
            "line 1: `body`: `f`: a definition must not call itself",
        ),
        (
            "'def f(g): [.[] | f(g)]; f(.)'",
            "line 1: `body`: `f`: a definition must not call itself",
        ),
        (
            "'def f: def g: f; g; f'",
            "line 1: `body`: `f`: a definition must not call itself",
        ),
        (
            "'@sh \"\\(.)\"'",
            "line 1: `body`: `@sh`: string formats are not available",
        ),
        ("'import \"m\" as m; .'", "line 1: `body`: "),
        (
            "'import \"x\" as $x; $x'",
            "line 1: `body`: expected a filter, found a module",
        ),
        (
            "'module {}; def f: f; f'",
            "line 1: `body`: expected a filter, found a module",
        ),
        (
            "'module {}; last(repeat(1))'",
            "line 1: `body`: expected a filter, found a module",
        ),
    ] {
        let found = faults(&format!(
            "body = {body}\nsignature = \"none\"\nretry = \"none\"\n"
        ));
        assert!(found[0].starts_with(expected), "{body}: {found:?}");
    }
}
