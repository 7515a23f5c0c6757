//! The fixed point against a real ECMAScript engine, on many random and deliberately nasty texts.
#![expect(clippy::unwrap_used, reason = "a test may")]

use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use ringback_json::{Fault, FaultKind, Limits, check, fixed_point};
use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

const TEXTS: usize = 12_000;

const LIMITS: Limits = Limits {
    bytes_max: 1 << 20,
    depth_max: 100,
};

#[test]
fn it_is_what_node_makes_of_the_text_or_refused_because_something_would_be_lost() {
    let texts = random_texts();
    let verdicts = ask_node(&texts);
    assert_eq!(verdicts.len(), texts.len());
    let mut seen = [0_usize; 4];
    for (text, verdict) in texts.iter().zip(&verdicts) {
        let found = fixed_point(text, LIMITS);
        let shown = String::from_utf8_lossy(text);
        match (
            verdict
                .split_once(' ')
                .map_or(verdict.as_str(), |(word, _)| word),
            &found,
        ) {
            ("same", Ok(body)) => {
                assert_eq!(
                    verdict,
                    &format!("same {}", hex(body)),
                    "{shown}\n{}",
                    String::from_utf8_lossy(body)
                );
                assert_eq!(
                    fixed_point(body, LIMITS).as_ref(),
                    Ok(body),
                    "twice is once"
                );
                seen[0] += 1;
            }
            (
                "lossy",
                Err(Fault {
                    kind: FaultKind::NumberChanges { .. } | FaultKind::Duplicate,
                    ..
                }),
            ) => seen[1] += 1,
            ("scalar", Err(Fault { kind, .. })) if !matches!(kind, FaultKind::Syntax { .. }) => {
                seen[2] += 1;
            }
            ("invalid", Err(fault)) => {
                assert!(check(text, LIMITS).is_err(), "{shown}: {fault}");
                seen[3] += 1;
            }
            _ => panic!("node says {verdict}, we say {found:?}: {shown}"),
        }
    }
    eprintln!("same, lossy, scalar, invalid: {seen:?} of {TEXTS}");
    // Were one of the four hardly ever met, the test would say nothing about it.
    assert!(seen.iter().all(|count| *count >= 100));
}

fn ask_node(texts: &[Vec<u8>]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ecmascript.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test asks Node.js; install it, so that `node` can be run");
    let mut to_node = node.stdin.take().unwrap();
    let from_node = BufReader::new(node.stdout.take().unwrap());
    let asked: Vec<_> = texts.iter().map(|text| hex(text)).collect();
    // Both ways at once: either pipe may fill up.
    let writer = std::thread::spawn(move || {
        for line in asked {
            writeln!(to_node, "{line}").unwrap();
        }
    });
    let verdicts = from_node.lines().map(Result::unwrap).collect();
    writer.join().unwrap();
    assert!(node.wait().unwrap().success());
    verdicts
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn random_texts() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::new(Config::default());
    let nasty = prop_oneof![
        20 => document(value(2)).boxed(),
        8 => document(value(200)).boxed(),
        1 => scalar(200).boxed(),
        1 => mutated().boxed(),
    ];
    (0..TEXTS)
        .map(|_| nasty.new_tree(&mut runner).unwrap().current().into_bytes())
        .collect()
}

/// An object or array with space around it.
fn document(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (space(), vec(value, 0..5), space(), any::<bool>()).prop_map(
        |(before, values, after, as_array)| {
            if as_array {
                format!("{before}[{}]{after}", values.join(","))
            } else {
                let members = values
                    .iter()
                    .enumerate()
                    .map(|(index, value)| format!("\"m{index}\":{value}"));
                format!(
                    "{before}{{{}}}{after}",
                    members.collect::<Vec<_>>().join(",")
                )
            }
        },
    )
}

/// A text with one character gone wrong, which may be JSON all the same.
fn mutated() -> impl Strategy<Value = String> {
    let wrong = prop_oneof![
        Just("\u{feff}"),
        Just("\0"),
        Just("\n"),
        Just(","),
        Just("}"),
        Just("\""),
        Just("\\"),
        Just("0"),
        Just("-"),
        Just("\u{2028}"),
        Just("+"),
        Just("."),
        Just("e"),
        Just(" "),
    ];
    (
        document(value(50)),
        any::<prop::sample::Index>(),
        wrong,
        any::<bool>(),
    )
        .prop_map(|(text, at, wrong, replaces)| {
            let chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len() + 1);
            let after = (at + usize::from(replaces)).min(chars.len());
            chars[..at].iter().collect::<String>()
                + wrong
                + &chars[after..].iter().collect::<String>()
        })
}

/// The smaller `tame` is, the more numbers are there that a double cannot hold.
fn value(tame: u32) -> impl Strategy<Value = String> {
    scalar(tame).prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec((space(), inner.clone(), space()), 0..6).prop_map(|items| {
                let items: Vec<_> = items
                    .iter()
                    .map(|(before, item, after)| format!("{before}{item}{after}"))
                    .collect();
                format!("[{}]", items.join(","))
            }),
            vec((name(), space(), inner), 0..7).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, space, value)| format!("{name}{space}:{space}{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn scalar(tame: u32) -> BoxedStrategy<String> {
    prop_oneof![
        tame => any::<f64>().prop_filter("JSON has no infinity", |n| n.is_finite() && *n != 0.0).prop_map(|n| format!("{n:e}")),
        tame => (-9_007_199_254_740_992_i64..=9_007_199_254_740_992).prop_map(|n| n.to_string()),
        tame => r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,5})?([eE][+-]?[0-2]?[0-9])?",
        tame => string(),
        tame => prop_oneof![Just("null".to_owned()), Just("true".to_owned()), Just("false".to_owned())],
        1 => any::<i128>().prop_map(|n| n.to_string()),
        1 => r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
        1 => prop_oneof![
            Just("-0"), Just("-0.0e7"), Just("0e999999999999999999999"), Just("1e-999999999999999999999"), Just("1e309"),
            Just("9007199254740993"), Just("4.9e-324"), Just("5e-324"), Just("2.2250738585072011e-308"),
            Just("1.7976931348623157e308"), Just("1.7976931348623159e308"), Just("1e21"), Just("1e-7"),
            Just("123456789012345680000"), Just("0.1000000000000000055511151231257827021181583404541015625"),
        ].prop_map(str::to_owned),
    ]
    .boxed()
}

fn string() -> impl Strategy<Value = String> {
    r#""([a-zé\u{7f}\u{85}\u{2028}\u{feff}\u{ffff}😀/ ]|\\["\\/bfnrt]|\\u00[01][0-9a-fA-F]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00|\\u[dD][89abAB][0-9a-f]{2}|\\u[dD][c-fC-F][0-9A-F]{2}){0,8}""#
}

/// Names that are array indices, nearly so, or special to some engines; the same one comes twice now and then.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => r#""[1-9][0-9]{1,4}""#,
        4 => r#""[a-zA-Zé😀_]{2,6}""#,
        2 => string(),
        1 => r#""(0|00|01|-1|1\.5|1e3|４|429496729[3-7]|9007199254740993|\\u0031[0-9]|)""#,
        1 => r#""(__proto__|constructor|prototype|toJSON|then|hasOwnProperty|length)""#,
    ]
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}
