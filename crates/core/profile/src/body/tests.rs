use super::*;
use proptest::prelude::*;

fn run(filter: &str, event: &str) -> Result<String, String> {
    let filter = Filter::compile(filter).unwrap_or_else(|faults| panic!("{filter}: {faults:?}"));
    let body = filter
        .run(&Bytes::copy_from_slice(event.as_bytes()))
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8(body).unwrap())
}

#[test]
fn mappings_are_run_directly() {
    let is_direct = |filter: &str| Filter::compile(filter).unwrap().direct.is_some();
    assert!(is_direct(
        "(.type == \"a\") as $a | {id, b: (if $a then [.c, 1] end), d: (.d // {} | message)}"
    ));
    for filter in [
        "del(.a)",
        ".a[]",
        ".a?",
        ".[0]",
        "def f: 1; f",
        "def length: 1; length",
        "1, 2",
        "\"a\\(.b)\"",
        "{(.a): 1}",
        ". as [$a] | $a",
        "empty",
        "reduce .[] as $a (0; . + $a)",
        ".a = 1",
        "-.a",
        "..",
        "first(.a)",
        "1.5",
    ] {
        assert!(!is_direct(filter), "{filter}");
    }
}

#[test]
fn what_is_passed_through_keeps_its_text() {
    let data = r#"{"z":1.50,"a":[-0,1E+2,18446744073709551616,0.10],"k\u0065y":"\/\u00E9\ud800","10":{},"9":[],"é":"\u2028"}"#;
    let event = format!(r#"{{ "data" : {data} , "job":{{"id":"j"}} }}"#);
    for (filter, expected) in [
        (".data", data.to_owned()),
        ("{data}", format!(r#"{{"data":{data}}}"#)),
        ("[.data] | first", data.to_owned()),
        (".data | to_entries | from_entries", data.to_owned()),
        (".data | with_entries(.)", data.to_owned()),
        (".data + {}", data.to_owned()),
        (".job.more = .data | .job.more", data.to_owned()),
        (
            "[.data.a[]] | reverse | reverse",
            r"[-0,1E+2,18446744073709551616,0.10]".to_owned(),
        ),
        ("[.data.key]", r#"["\/\u00E9\ud800"]"#.to_owned()),
        (
            r#"[1.50, 1e1000, "\u0007"]"#,
            r#"[1.50,1e1000,"\u0007"]"#.to_owned(),
        ),
    ] {
        assert_eq!(run(filter, &event), Ok(expected), "{filter}");
    }
}

#[test]
fn a_member_changed_leaves_the_others_as_they_are() {
    let event = r#"{"a":1.0,"b":{"c":2.0,"d":"\u0061"},"e":3.0}"#;
    for (filter, expected) in [
        (".b.c = 4", r#"{"a":1.0,"b":{"c":4,"d":"\u0061"},"e":3.0}"#),
        (".b.c += 1", r#"{"a":1.0,"b":{"c":3,"d":"\u0061"},"e":3.0}"#),
        ("del(.b.c, .a)", r#"{"b":{"d":"\u0061"},"e":3.0}"#),
        (
            ".b |= without_nulls",
            r#"{"a":1.0,"b":{"c":2.0,"d":"\u0061"},"e":3.0}"#,
        ),
        (
            ".b.new = null",
            r#"{"a":1.0,"b":{"c":2.0,"d":"\u0061","new":null},"e":3.0}"#,
        ),
        ("{e, a}", r#"{"e":3.0,"a":1.0}"#),
        ("map_values(arrays, numbers)", r#"{"a":1.0,"e":3.0}"#),
        (
            "{a: -.a, f: (.a < .e), g: (.a == 1)}",
            r#"{"a":-1.0,"f":true,"g":true}"#,
        ),
    ] {
        assert_eq!(run(filter, event).as_deref(), Ok(expected), "{filter}");
    }
}

#[test]
fn absent_and_null_are_two_things() {
    let event = r#"{"there":null,"value":1}"#;
    for (filter, expected) in [
        ("{there, absent}", r#"{"there":null,"absent":null}"#),
        ("{there, absent, value} | without_nulls", r#"{"value":1}"#),
        ("[has(\"there\"), has(\"absent\")]", "[true,false]"),
        ("if has(\"absent\") then {absent} else {} end", "{}"),
        (
            "{value} + if .absent then {absent} else {} end",
            r#"{"value":1}"#,
        ),
    ] {
        assert_eq!(run(filter, event).as_deref(), Ok(expected), "{filter}");
    }
}

#[test]
fn times_are_cut_never_rounded_up() {
    for (time, seconds, milliseconds, unix) in [
        (
            "2026-06-01T10:01:30Z",
            "2026-06-01T10:01:30Z",
            "2026-06-01T10:01:30.000Z",
            "1780308090",
        ),
        (
            "2026-06-01T10:01:30.9999Z",
            "2026-06-01T10:01:30Z",
            "2026-06-01T10:01:30.999Z",
            "1780308090",
        ),
        (
            "2026-06-01T12:01:30.2+02:00",
            "2026-06-01T10:01:30Z",
            "2026-06-01T10:01:30.200Z",
            "1780308090",
        ),
        (
            "1969-12-31T23:59:59.5Z",
            "1969-12-31T23:59:59Z",
            "1969-12-31T23:59:59.500Z",
            "-1",
        ),
    ] {
        let event = format!(r#"{{"at":"{time}"}}"#);
        let filter = "[.at | to_seconds, to_milliseconds, to_unix_seconds]";
        assert_eq!(
            run(filter, &event),
            Ok(format!(r#"["{seconds}","{milliseconds}",{unix}]"#))
        );
    }
    assert_eq!(
        run("[.at | to_seconds]", "{}").as_deref(),
        Ok("[null]"),
        "not known yet"
    );
    let refused = run(".at | to_seconds", r#"{"at":"yesterday"}"#).unwrap_err();
    assert_eq!(
        refused,
        "expected a time such as `2026-06-01T10:01:30.250Z`, found \"yesterday\""
    );
    assert!(run(".at | to_seconds", r#"{"at":5}"#).is_err());
}

#[test]
fn the_common_functions_are_there() {
    let event = r#"{"n":[3,1,2],"s":" Ab,c ","o":{"b":1,"a":2}}"#;
    for (filter, expected) in [
        (
            "[.n | sort, length, add, min, max, first, last]",
            "[[1,2,3],3,6,1,3,3,2]",
        ),
        ("[.n[1:], .n[-1], .n[:1]]", "[[1,2],2,[3]]"),
        (
            ".n[1:] = [9]",
            r#"{"n":[3,9],"s":" Ab,c ","o":{"b":1,"a":2}}"#,
        ),
        (
            ".s | trim | ascii_downcase | split(\",\") | join(\"-\")",
            r#""ab-c""#,
        ),
        (
            "[.o | keys, keys_unsorted, type]",
            r#"[["a","b"],["b","a"],"object"]"#,
        ),
        ("[.n[] | select(. > 1) | (. * 2 / 4) % 2]", "[1.5,1]"),
        (r#""\(.n | length) items: \(.n)""#, r#""3 items: [3,1,2]""#),
        ("[range(3)] | map(. + 0.5)", "[0.5,1.5,2.5]"),
        ("[limit(2; .n[])]", "[3,1]"),
        (
            "[.n[] as $x | .o | {($x | tostring): .a}] | add",
            r#"{"3":2,"1":2,"2":2}"#,
        ),
        ("reduce .n[] as $x (0; . + $x)", "6"),
        ("try error(\"x\") catch .", r#""x""#),
        ("[.n[]?, .s[]?] | unique", "[1,2,3]"),
        ("def twice(f): f | f; .n | length | twice(. + 1)", "5"),
        ("[..] | length", "9"),
        (
            ".o * {a: 3, c: 4} | tojson",
            r#""{\"b\":1,\"a\":3,\"c\":4}""#,
        ),
        (
            "[\"12\" | tonumber] + [\"é\" | length, utf8bytelength]",
            "[12,1,2]",
        ),
        ("[[1,[2,[3]]] | flatten]", "[[1,2,3]]"),
    ] {
        assert_eq!(run(filter, event).as_deref(), Ok(expected), "{filter}");
    }
}

#[test]
fn exactly_one_value_comes_out() {
    assert_eq!(run("empty", "{}").unwrap_err(), "the filter yields nothing");
    assert_eq!(
        run(".,.", "{}").unwrap_err(),
        "the filter yields more than one value"
    );
    assert_eq!(
        run("1 / 0", "{}").unwrap_err(),
        "a number in the result is not finite"
    );
    assert_eq!(run("{}, error(\"late\")", "{}").unwrap_err(), "late");
    assert_eq!(
        run("first(label $out | 1, break $out)", "{}").as_deref(),
        Ok("1")
    );
}

#[test]
fn a_message_tells_kinds_of_values_and_not_the_values() {
    let event = r#"{"secret":{"card":"4111"},"text":"4111"}"#;
    for filter in [
        ".secret | ltrimstr(\"x\") | explode",
        ".text.card",
        ".secret + 1",
        ".text | keys",
        "{(.secret): 1}",
    ] {
        let refused = run(filter, event).unwrap_err();
        assert!(!refused.contains("4111"), "{filter}: {refused}");
    }
    assert_eq!(
        run(".text.card", event).unwrap_err(),
        "cannot index a string with a string"
    );
}

#[test]
fn a_filter_cannot_take_for_ever_or_fill_the_memory() {
    let event = format!(r#"{{"n":[{}]}}"#, vec!["0"; 100_000].join(","));
    for filter in [
        "[range(1000000000)] | length",
        "last(range(1000000000000))",
        "[.n[] as $a | .n[] as $b | 1] | length",
        "reduce .n[] as $x (\"a\"; . + .) | length",
        "reduce .n[] as $x ([0]; . + .) | length",
        "reduce .n[] as $x (\"\"; . + \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\") | length",
        "[.n[] | try (reduce range(1000000) as $x (0; . + 1)) catch 0] | length",
    ] {
        let refused = run(filter, &event).unwrap_err();
        assert_eq!(
            refused, "the filter takes more than 2000000 steps",
            "{filter}"
        );
    }
    for filter in [
        "reduce .n[] as $x (0; [.])",
        "reduce .n[] as $x ({}; {a: .})",
    ] {
        let refused = run(filter, &event).unwrap_err();
        assert_eq!(
            refused, "the filter nests values more than 256 deep",
            "{filter}"
        );
    }
    // Doublings of one array share their parts in memory, and would be terabytes as text, or compared for years.
    let doubled = |times| format!("reduce range({times}) as $x (\"aaaaaaaa\"; [., .])");
    let refused = run(&doubled(15), "{}").unwrap_err();
    assert_eq!(
        refused,
        format!("the body is longer than {BODY_BYTES_MAX} bytes")
    );
    for filter in [
        doubled(40),
        format!("[0] | {} | . == .", ["[., .]"; 40].join(" | ")),
        format!("[{}, {}] | sort | length", doubled(40), doubled(40)),
    ] {
        assert_eq!(
            run(&filter, "{}").unwrap_err(),
            "the filter makes a value of more than 1048576 values",
            "{filter}"
        );
    }
    for filter in [
        format!(
            "{} as $a | {} as $b | [range(100000)] | map($a == $b) | length",
            doubled(17),
            doubled(17)
        ),
        format!(
            "{} as $a | [range(1000000)] | map($a | tojson) | length",
            doubled(13)
        ),
    ] {
        assert_eq!(
            run(&filter, "{}").unwrap_err(),
            "the filter takes more than 2000000 steps",
            "{filter}"
        );
    }
    assert_eq!(
        run(".", "{}").as_deref(),
        Ok("{}"),
        "the next run is not affected"
    );
}

/// Two names that are different until they are written: half of a surrogate pair has no spelling of its own once it is taken apart.
#[test]
fn names_that_come_out_alike_are_refused() {
    let event = r#"{"a":"\ud800","b":"\ud801"}"#;
    let refused = run(r#"{(.a + "x"): 1, (.b + "x"): 2}"#, event).unwrap_err();
    assert!(refused.contains("the member appears twice"), "{refused}");
}

#[test]
fn limits_hold_for_the_body() {
    let long = format!(r#"{{"s":"{}"}}"#, "a".repeat(BODY_BYTES_MAX - 8));
    assert!(run(".", &long).is_ok());
    assert!(run("[., .]", &long).unwrap_err().contains("longer than"));
    let grown = long.replacen('{', r#"{"occurred_at":"2026-06-01T10:01:30Z","#, 1);
    assert!(run(".s", &grown).is_ok(), "the event may be longer");
    let deep = format!(
        "{}{}",
        "[".repeat(JSON_DEPTH_MAX),
        "]".repeat(JSON_DEPTH_MAX)
    );
    assert!(run(".", &deep).is_ok());
    assert!(
        run("[.]", &deep)
            .unwrap_err()
            .contains("nested too deep; allowed: up to 64 levels")
    );
}

proptest! {
    /// Whatever the event holds, the identity only drops white space.
    #[test]
    fn the_identity_loses_nothing(text in json()) {
        if ringback_json::check(text.as_bytes(), LIMITS).is_ok() {
            let compact: String = text.chars().filter(|c| !"\t\r\n".contains(*c)).collect();
            prop_assert_eq!(run(".", &text), Ok(compact.clone()));
            prop_assert_eq!(run("{data: .} | .data", &text), Ok(compact));
        }
    }

    /// Arrays and objects of an event stay text until a filter looks into them, and nobody can tell.
    #[test]
    fn text_and_values_are_the_same(data in json()) {
        let event = Bytes::from(format!("{{\"data\":{data}}}"));
        let Ok(unread) = Val::parse(&event, EVENT_LIMITS) else { return Ok(()) };
        let read = Val::read(&event).unwrap();
        prop_assert_eq!(unread.depth(), read.depth());
        for filter in [
            ".data", "{a: .data, b: .data}", ".data | tojson", ".data == (.data | [.] | .[0])", ".data | [.[]?]", ".data.a?",
            ".data | length?", "[.data] | sort | unique", ".data | [paths]", "[.data | to_entries?], .data | [.] | flatten",
            ".data | del(.[0]?, .a?)", ".data * {b: 1}?", "[.data[1:]?]", ".data | has(0)?", "[.data, .data] | map(keys?)",
        ] {
            let filter = Filter::compile(&format!("[{filter}]")).unwrap();
            let written = |value: &Val| {
                fuel::refill();
                let mut out = Written::default();
                let made = filter.interpret(value.clone()).map(|value| write(&value, &mut out, BODY_BYTES_MAX));
                (made, String::from_utf8(out.bytes).unwrap())
            };
            prop_assert_eq!(written(&unread), written(&read));
        }
    }

    /// Whatever is run directly, the interpreter yields the same.
    #[test]
    fn direct_and_interpreted_are_the_same(filter in mapping(), data in json(), job in json()) {
        let filter = format!("{filter} | [.]");
        let event = format!("{{\"data\":{{\"a\":{data},\"b\":[1,\"2\"]}},\"job\":{job},\"at\":\"2026-06-01T10:01:30.25Z\"}}");
        let Ok(event) = Val::parse(&event.into(), EVENT_LIMITS) else { return Ok(()) };
        let filter = Filter::compile(&format!("null as $x | {filter}")).unwrap();
        let direct = filter.direct.as_ref().expect("it is a mapping");
        let written = |value: Val| {
            let mut out = Written::default();
            write(&value, &mut out, BODY_BYTES_MAX).map(|()| String::from_utf8(out.bytes).unwrap())
        };
        fuel::refill();
        let found = direct.run(&event).filter(|_| fuel::exceeded().is_none()).map(written);
        fuel::refill();
        let expected = filter.interpret(event).ok().filter(|_| fuel::exceeded().is_none()).map(written);
        prop_assert_eq!(found, expected);
    }

    /// Nonsense is refused or runs, and never panics.
    #[test]
    fn any_filter_is_refused_or_runs(filter in r#"([.\[\](){}|,:;$"a-c0-9?/=+*-]|\.\.| as |def |reduce |if |then |end|map\(|to_seconds){0,20}"#) {
        if let Ok(filter) = Filter::compile(&filter) {
            let _ = filter.run(&Bytes::from_static(br#"{"a":[1,{"b":"c"}]}"#));
        }
    }
}

/// Filters whose every part yields one value, or fails.
fn mapping() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        ".",
        ".data",
        ".job",
        ".data.a",
        ".job.b",
        ".at",
        "null",
        "true",
        "false",
        "0",
        "12",
        r#""""#,
        r#""a""#,
        "[]",
        "{}",
        "{data}",
        ".data[\"a\"]",
        "{\"at\"}",
        "$x",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let one = (
            inner.clone(),
            prop::sample::select(vec![
                "length",
                "tojson",
                "tonumber",
                "without_nulls",
                "message",
                "to_seconds",
                "to_milliseconds",
                "to_unix_seconds",
            ]),
        );
        let how = prop::sample::select(vec![
            "|", "//", "and", "or", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%",
            "as $x |", "as $y |",
        ]);
        prop_oneof![
            one.prop_map(|(of, call)| format!("({of} | {call})")),
            (inner.clone(), how, inner.clone()).prop_map(|(l, how, r)| format!("({l} {how} {r})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(i, t, e)| format!("(if {i} then {t} else {e} end)")),
            (inner.clone(), inner.clone()).prop_map(|(i, t)| format!("(if {i} then {t} end)")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("{{a: {a}, \"b\": {b}, a: 1, data}}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("[{a}, {b}, {c}]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(x, y, f)| format!("({x} as $x | {y} as $y | [$x, $y, {f}])")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(i, a, b)| format!("(if {i} then 1 elif {a} then 2 else {b} end)")),
            inner.prop_map(|of| format!("({of}).a")),
        ]
    })
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,3})?",
        r#""([a-z0-9é ]|\\[/nbt"\\]|\\u[0-9a-fA-F]{4}){0,6}""#,
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let name = r#""([0-9]{1,3}|[a-c]{0,2}|\\u003[0-9])""#;
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[\t{}\n]", items.join("\r\n,\t"))),
            proptest::collection::vec((name, inner), 0..6).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{name}\t:\n{value}"))
                    .collect();
                format!("{{\n{}\t}}", members.join(","))
            }),
        ]
    })
}
