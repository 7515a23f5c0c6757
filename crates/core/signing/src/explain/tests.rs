//! Every mistake, made on purpose, is named; and what is none of them is not.

use super::*;
use crate::{
    scheme::{digest, lower_hex as hex},
    template::Part,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeSet;

const ID: &str = "evt_1";
const SECONDS: &str = "1767225600";
const BODY: &[u8] = br#"{"id":"evt_1","a":1.50}"#;

fn standard() -> NamedScheme {
    NamedScheme {
        name: "webhooks of profile `standard`".to_owned(),
        id_header: Some("webhook-id".to_owned()),
        timestamp_header: Some("webhook-timestamp".to_owned()),
        scheme: SignatureScheme::try_new(SchemeParts {
            header: "webhook-signature".to_owned(),
            signed: "{id}.{timestamp}.{body}".parse().unwrap(),
            value: "v1,{signature}".to_owned(),
            digest: DigestEncoding::Base64,
            secret: SecretEncoding::Base64After("whsec_".to_owned()),
            several: Some(" ".to_owned()),
        })
        .unwrap(),
    }
}

fn modelhunter() -> NamedScheme {
    NamedScheme {
        name: "webhooks of profile `modelhunter`".to_owned(),
        id_header: Some("X-Webhook-ID".to_owned()),
        timestamp_header: Some("X-Webhook-Timestamp".to_owned()),
        scheme: hex_scheme(
            "X-Webhook-Signature",
            "{timestamp}.{body}",
            "sha256={signature}",
        ),
    }
}

fn hinto() -> NamedScheme {
    NamedScheme {
        name: "callbacks of profile `hinto`".to_owned(),
        id_header: None,
        timestamp_header: None,
        scheme: hex_scheme("X-Hinto-Signature", "{body}", "{signature}"),
    }
}

fn hex_scheme(header: &str, signed: &str, value: &str) -> SignatureScheme {
    SignatureScheme::try_new(SchemeParts {
        header: header.to_owned(),
        signed: signed.parse().unwrap(),
        value: value.to_owned(),
        digest: DigestEncoding::LowerHex,
        secret: SecretEncoding::Utf8,
        several: None,
    })
    .unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::try_new(text).unwrap()
}

fn whsec() -> Secret {
    secret(&format!("whsec_{}", STANDARD.encode([7; 24])))
}

/// What a receiver has in hand when nothing went wrong.
struct Case {
    expected: NamedScheme,
    others: Vec<NamedScheme>,
    secrets: Vec<Secret>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    original: Option<Vec<u8>>,
    computed: Option<String>,
    received_at_seconds: Option<i64>,
}

impl Case {
    fn of(expected: NamedScheme) -> Self {
        let secret = match expected.scheme.secret_encoding() {
            SecretEncoding::Utf8 => secret("whk_secret"),
            SecretEncoding::Base64After(_) => whsec(),
        };
        let signature = sign(&expected.scheme, &secret, BODY);
        let named = [
            (&expected.id_header, ID),
            (&expected.timestamp_header, SECONDS),
        ];
        let mut headers: Vec<_> = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.clone()?, value.to_owned())))
            .collect();
        headers.push((expected.scheme.header().to_owned(), signature));
        Self {
            expected,
            others: Vec::new(),
            secrets: vec![secret],
            headers,
            body: BODY.to_vec(),
            original: None,
            computed: None,
            received_at_seconds: None,
        }
    }

    fn header(&mut self, name: &str) -> &mut String {
        let header = self.headers.iter_mut().find(|(known, _)| known == name);
        &mut header.expect("the header is there").1
    }

    fn signature(&mut self) -> &mut String {
        let name = self.expected.scheme.header().to_owned();
        self.header(&name)
    }

    /// The digest that code makes which takes these for key, template, timestamp and body.
    fn computes(mut self, key: &[u8], template: &str, timestamp: &str, body: &[u8]) -> Self {
        let template = Part::parse_signed(template).unwrap();
        self.computed = Some(hex(&digest(key, &template, ID, timestamp, body)));
        self
    }

    fn explain(&self) -> Explanation {
        let evidence = Evidence {
            headers: &self.headers,
            body: &self.body,
            original: self.original.as_deref(),
            computed: self.computed.as_deref(),
            received_at_seconds: self.received_at_seconds,
        };
        explain(&self.expected, &self.others, &self.secrets, &evidence)
    }

    /// The names of the mistakes, sorted; empty when all is right.
    fn names(&self) -> Vec<&'static str> {
        match self.explain().verdict {
            Verdict::Right { .. } => Vec::new(),
            Verdict::Unexplained => vec!["unexplained"],
            Verdict::Unsigned => vec!["unsigned"],
            Verdict::Explained { mistakes, .. } => {
                let names: BTreeSet<_> = mistakes.iter().map(|mistake| mistake.name).collect();
                assert_eq!(
                    names.len(),
                    mistakes.len(),
                    "none is told twice: {mistakes:?}"
                );
                names.into_iter().collect()
            }
        }
    }
}

fn sign(scheme: &SignatureScheme, secret: &Secret, body: &[u8]) -> String {
    let signable = crate::Signable {
        id: ID,
        timestamp_seconds: SECONDS.parse().unwrap(),
        body,
    };
    scheme.sign(std::slice::from_ref(secret), signable).unwrap()
}

/// The body that was signed is not the one at hand: its name, the one at hand, the one signed.
const BODIES: [(&str, &[u8], &[u8]); 36] = [
    ("newline-removed", b"{\"a\":1.5}\r\n", b"{\"a\":1.5}"),
    ("newline-added", b"{\"a\":1.5}", b"{\"a\":1.5}\n"),
    ("blanks-removed", b" {\"a\":1.5}\n\n", b"{\"a\":1.5}"),
    ("crlf-to-lf", b"{\r\n\"a\":1.5}\r\n", b"{\n\"a\":1.5}\n"),
    ("lf-to-crlf", b"{\n\"a\":1.5}", b"{\r\n\"a\":1.5}"),
    ("bom-removed", b"\xef\xbb\xbf{\"a\":1.5}", b"{\"a\":1.5}"),
    ("bom-added", b"{\"a\":1.5}", b"\xef\xbb\xbf{\"a\":1.5}"),
    ("json-stringify", br#"{"b":1.0, "a":"\u00e9","0":1}"#, r#"{"0":1,"b":1,"a":"é"}"#.as_bytes()),
    ("json-compact", b"{\n  \"b\": 1.50\n}", br#"{"b":1.50}"#),
    ("json-spaced", br#"{"b":1.50,"a":[1,2]}"#, br#"{"b": 1.50, "a": [1, 2]}"#),
    ("json-ascii", "{\"b\":\"é😀\"}".as_bytes(), br#"{"b":"\u00e9\ud83d\ude00"}"#),
    ("json-python", "{\"b\":\"é\",\"a\":[]}".as_bytes(), br#"{"b": "\u00e9", "a": []}"#),
    ("json-indented", br#"{"b":[1,{}],"a":[]}"#, b"{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": []\n}"),
    ("json-indented-4", br#"{"b":[1]}"#, b"{\n    \"b\": [\n        1\n    ]\n}"),
    ("json-indented-tab", br#"{"b":[1]}"#, b"{\n\t\"b\": [\n\t\t1\n\t]\n}"),
    ("json-sorted", br#"{"b":1,"a":{"d":1,"c":2}}"#, br#"{"a":{"c":2,"d":1},"b":1}"#),
    ("json-slashes", br#"{"u":"https://x\/y"}"#, br#"{"u":"https:\/\/x\/y"}"#),
    ("json-html", br#"{"u":"<a>&\n"}"#, br#"{"u":"\u003ca\u003e\u0026\n"}"#),
    ("json-quoted", br#"{"a":1}"#, br#""{\"a\":1}""#),
    ("json-unquoted", br#""{\"a\":1}""#, br#"{"a":1}"#),
    (
        "gzip-unpacked",
        // `{"a":1}`, as Python's `gzip.compress(…, mtime=0)` packs it.
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabVJT\xb22\xac\x05\x00\xaf\xac\x1bV\x07\x00\x00\x00",
        br#"{"a":1}"#,
    ),
    ("base64-unpacked", b"eyJhIjoxfQ==", br#"{"a":1}"#),
    ("chunks-joined", b"4\r\n{\"a\"\r\n3;x=y\r\n:1}\r\n0\r\n\r\n", br#"{"a":1}"#),
    ("latin-1-written", "{\"a\":\"Ã©\"}".as_bytes(), "{\"a\":\"é\"}".as_bytes()),
    ("latin-1-read", b"{\"a\":\"\xe9\"}", "{\"a\":\"é\"}".as_bytes()),
    ("utf-16-read", b"\xff\xfe{\0}\0", b"{}"),
    ("utf-16-written", b"{}", b"{\0}\0"),
    ("utf-8-replaced", b"{\"a\":\"\xe9\"}", "{\"a\":\"\u{fffd}\"}".as_bytes()),
    ("python-bytes", b"{\"a\":\"\xc3\xa9'\"}", br#"b'{"a":"\xc3\xa9\'"}'"#),
    ("empty", BODY, b""),
    ("object-object", BODY, b"[object Object]"),
    ("undefined", BODY, b"undefined"),
    ("none", BODY, b"None"),
    ("null", BODY, b"null"),
    ("empty-object", BODY, b"{}"),
    ("buffer-json", b"{}", br#"{"type":"Buffer","data":[123,125]}"#),
];

#[test]
fn a_body_changed_in_a_known_way_is_named_whichever_side_changed_it() {
    for (name, at_hand, signed) in BODIES {
        let mut sent = Case::of(modelhunter());
        let signature = sign(&sent.expected.scheme, &sent.secrets[0], signed);
        sent.body = at_hand.to_vec();
        *sent.signature() = signature;
        assert_eq!(sent.names(), [name], "{}", String::from_utf8_lossy(at_hand));

        let mut computed =
            Case::of(modelhunter()).computes(b"whk_secret", "{timestamp}.{body}", SECONDS, signed);
        computed.body = at_hand.to_vec();
        computed.computed.as_mut().unwrap().insert_str(0, "sha256=");
        assert_eq!(computed.names(), [name], "computed");
    }
    let tested: BTreeSet<_> = BODIES.iter().map(|(name, ..)| *name).collect();
    let known: BTreeSet<_> = CHANGES.iter().map(|change| change.known.name).collect();
    assert_eq!(tested, known, "every change is in the table");
}

#[test]
fn a_secret_misread_in_a_known_way_is_named() {
    let base64 = STANDARD.encode([7; 24]);
    let quoted = format!("\"whsec_{base64}\"");
    let hex_text = "0123456789abcdef";
    let (utf8, decoded): (&str, &str) = ("whk_secret", "whsec_");
    let table: [(&str, bool, String, Vec<u8>); 13] = [
        ("secret-blanks", true, " whk_secret\n".into(), utf8.into()),
        ("secret-quotes", true, "'whk_secret'".into(), utf8.into()),
        ("secret-quotes", false, quoted, vec![7; 24]),
        (
            "secret-line-end",
            true,
            utf8.into(),
            b"whk_secret\n".to_vec(),
        ),
        ("secret-crlf", true, utf8.into(), b"whk_secret\r\n".to_vec()),
        (
            "secret-as-text",
            false,
            format!("{decoded}{base64}"),
            format!("{decoded}{base64}").into(),
        ),
        (
            "secret-rest-as-text",
            false,
            format!("{decoded}{base64}"),
            base64.clone().into(),
        ),
        ("secret-decoded", true, base64.clone(), vec![7; 24]),
        (
            "secret-rest-decoded",
            true,
            format!("{decoded}{base64}"),
            vec![7; 24],
        ),
        ("secret-rest", true, utf8.into(), b"secret".to_vec()),
        (
            "secret-hex-decoded",
            true,
            hex_text.into(),
            b"\x01\x23\x45\x67\x89\xab\xcd\xef".to_vec(),
        ),
        ("secret-empty", true, utf8.into(), Vec::new()),
        (
            "secret-empty",
            false,
            format!("{decoded}{base64}"),
            Vec::new(),
        ),
    ];
    for (name, is_utf8, text, key) in &table {
        let (named, template) = if *is_utf8 {
            (modelhunter(), "{timestamp}.{body}")
        } else {
            (standard(), "{id}.{timestamp}.{body}")
        };
        let mut case = Case::of(named).computes(key, template, SECONDS, BODY);
        case.secrets = vec![secret(text)];
        let computed = case.computed.clone().unwrap();
        case.computed = Some(if *is_utf8 {
            format!("sha256={computed}")
        } else {
            format!("v1,{}", STANDARD.encode(secret::hex(&computed).unwrap()))
        });
        assert_eq!(case.names(), [*name]);
    }
    let tested: BTreeSet<_> = table.iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        tested,
        secret::names().collect(),
        "every misreading is in the table"
    );
}

#[test]
fn a_signature_written_in_another_way_is_named() {
    type Change = fn(&mut Case);
    let table: [(&str, NamedScheme, Change); 14] = [
        ("upper-case", modelhunter(), |case| {
            let upper = case.signature().to_uppercase().replace("SHA256", "sha256");
            *case.signature() = upper;
        }),
        ("base64-for-hex", hinto(), |case| {
            let bytes = secret::hex(case.signature()).unwrap();
            *case.signature() = STANDARD.encode(bytes);
        }),
        ("hex-for-base64", standard(), |case| {
            let digest = STANDARD.decode(&case.signature()[3..]).unwrap();
            *case.signature() = format!("v1,{}", hex(&digest));
        }),
        ("base64-alphabet", standard(), |case| {
            let digest = case
                .signature()
                .replace('+', "-")
                .replace('/', "_")
                .replace('=', "");
            *case.signature() = digest;
        }),
        ("prefix-missing", modelhunter(), |case| {
            *case.signature() = case.signature().replace("sha256=", "");
        }),
        ("prefix-missing", standard(), |case| {
            *case.signature() = case.signature().replace("v1,", "");
        }),
        ("prefix-doubled", modelhunter(), |case| {
            case.signature().insert_str(0, "sha256=");
        }),
        ("prefix-doubled", standard(), |case| {
            case.signature().insert_str(0, "v1,");
        }),
        ("prefix-other", hinto(), |case| {
            case.signature().insert_str(0, "sha256=");
        }),
        ("prefix-other", standard(), |case| {
            *case.signature() = case.signature().replace("v1,", "v1=");
        }),
        ("signature-blanks", modelhunter(), |case| {
            *case.signature() = format!(" \"{}\"", case.signature());
        }),
        ("several-signatures", modelhunter(), |case| {
            let one = case.signature().clone();
            let another = one.replace('0', "1");
            *case.signature() = [one, another].join(", ");
        }),
        ("header-repeated", modelhunter(), |case| {
            let again = case.headers.last().unwrap().clone();
            case.headers.push(again);
        }),
        ("other-header", modelhunter(), |case| {
            case.headers.last_mut().unwrap().0 = "X-Signature".to_owned();
        }),
    ];
    for (name, scheme, change) in table {
        let mut case = Case::of(scheme);
        assert_eq!(case.names(), [""; 0], "before the mistake");
        change(&mut case);
        assert_eq!(case.names(), [name], "{:?}", case.headers);
    }
}

#[test]
fn an_id_or_timestamp_taken_from_elsewhere_is_named() {
    type Change = fn(&mut Case);
    let table: [(&str, Change); 9] = [
        ("milliseconds", |case| {
            case.header("webhook-timestamp").push_str("000");
        }),
        ("timestamp-of-clock", |case| {
            *case.header("webhook-timestamp") = "1767225637".to_owned();
        }),
        ("other-timestamp", |case| {
            *case.header("webhook-timestamp") = "1767229999".to_owned();
            case.headers
                .push(("X-Signed-At".to_owned(), SECONDS.to_owned()));
        }),
        ("other-timestamp", |case| {
            *case.header("webhook-timestamp") = "1767229999".to_owned();
            case.headers
                .push(("X-Signed-At".to_owned(), "2026-01-01T00:00:00Z".to_owned()));
        }),
        ("other-id", |case| {
            *case.header("webhook-id") = "dlv_9".to_owned();
        }),
        ("other-id", |case| {
            *case.header("webhook-id") = "dlv_9".to_owned();
            case.headers
                .push(("ringback-event-id".to_owned(), ID.to_owned()));
        }),
        ("id-missing", |case| {
            case.sign_as("{id}.{timestamp}.{body}", "undefined", SECONDS);
        }),
        ("timestamp-missing", |case| {
            case.sign_as("{id}.{timestamp}.{body}", ID, "None");
        }),
        ("other-parts", |case| {
            case.sign_as("{timestamp}.{body}", ID, SECONDS);
        }),
    ];
    for (name, change) in table {
        let mut case = Case::of(standard());
        change(&mut case);
        assert_eq!(case.names(), [name], "{:?}", case.headers);
    }
}

impl Case {
    fn sign_as(&mut self, template: &str, id: &str, timestamp: &str) {
        let template = Part::parse_signed(template).unwrap();
        let made = digest(&[7; 24], &template, id, timestamp, BODY);
        *self.signature() = format!("v1,{}", STANDARD.encode(made));
    }
}

#[test]
fn a_request_of_another_platform_is_told_by_its_scheme() {
    for other in known_schemes().into_iter().chain([hinto(), modelhunter()]) {
        let mut case = Case::of(other.clone());
        case.expected = standard();
        case.headers.push(("webhook-id".to_owned(), ID.to_owned()));
        case.headers
            .push(("webhook-timestamp".to_owned(), SECONDS.to_owned()));
        case.others = [known_schemes(), vec![hinto(), modelhunter()]].concat();
        let verdict = case.explain().verdict;
        let Verdict::Explained { mistakes, .. } = &verdict else {
            panic!("{}: {verdict:?}", other.name)
        };
        let svix_differs_in_its_header_only = mistakes
            .iter()
            .any(|mistake| mistake.name == "other-header");
        assert!(
            svix_differs_in_its_header_only && other.name.contains("Svix")
                || mistakes
                    .iter()
                    .any(|mistake| mistake.says == format!("it was signed as {} are", other.name)),
            "{}: {mistakes:?}",
            other.name
        );
    }
}

#[test]
fn two_mistakes_at_a_time_are_both_named() {
    let mut case = Case::of(standard());
    case.secrets = vec![secret(&STANDARD.encode([7; 24]))];
    case.header("webhook-timestamp").push_str("000");
    case.body = [BODY, b"\n"].concat();
    assert_eq!(case.names(), ["milliseconds", "newline-removed"]);

    let base64 = STANDARD.encode([7; 24]);
    let key = format!("whsec_{base64}");
    let mut case = Case::of(standard()).computes(
        key.as_bytes(),
        "{id}.{timestamp}.{body}",
        SECONDS,
        br#"{"id":"evt_1","a":1.5}"#,
    );
    case.computed = case
        .computed
        .map(|text| STANDARD.encode(secret::hex(&text).unwrap()));
    assert_eq!(
        case.names(),
        ["json-stringify", "prefix-missing", "secret-as-text"]
    );

    let mut case = Case::of(hinto());
    let body = r#"{"b":"é","a":1}"#;
    *case.signature() = sign(
        &case.expected.scheme,
        &case.secrets[0],
        br#"{"a": 1, "b": "\u00e9"}"#,
    );
    case.body = body.as_bytes().to_vec();
    assert_eq!(case.names(), ["json-python", "json-sorted"]);
}

#[test]
fn a_timestamp_is_old_only_when_it_is_known_when_the_request_came() {
    let at = |seconds: i64| {
        let mut case = Case::of(standard());
        case.received_at_seconds = Some(seconds);
        case.names()
    };
    let signed: i64 = SECONDS.parse().unwrap();
    assert_eq!(Case::of(standard()).names(), [""; 0]);
    assert_eq!(at(signed + 300), [""; 0]);
    assert_eq!(at(signed + 301), ["stale"]);
    assert_eq!(at(signed - 301), ["early"]);

    let mut milliseconds = Case::of(modelhunter());
    *milliseconds.header("X-Webhook-Timestamp") = format!("{SECONDS}000");
    let made = digest(
        b"whk_secret",
        milliseconds.expected.scheme.signed().parts(),
        "",
        &format!("{SECONDS}000"),
        BODY,
    );
    *milliseconds.signature() = format!("sha256={}", hex(&made));
    assert_eq!(
        milliseconds.names(),
        ["milliseconds"],
        "signed as sent, and still wrong"
    );
}

#[test]
fn the_body_that_was_sent_shows_where_the_other_differs() {
    let mut case = Case::of(standard());
    case.original = Some(BODY.to_vec());
    assert_eq!(case.names(), [""; 0]);
    assert_eq!(case.explain().difference, None);

    case.body = br#"{"id": "evt_1", "a": 1.50}"#.to_vec();
    assert_eq!(case.names(), ["json-compact"]);
    let difference = case.explain().difference.unwrap();
    assert_eq!(
        (difference.offset, difference.line, difference.column),
        (6, 1, 7)
    );
    assert_eq!(difference.before, br#"{"id":"#);
    assert_eq!(difference.original, br#""evt_1","a":1.50}"#);
    assert_eq!(difference.body, br#" "evt_1", "a": 1.50}"#);

    case.body = br#"{"id":"evt_2","a":1.50}"#.to_vec();
    assert_eq!(case.names(), ["body-changed"]);
    assert_eq!(case.explain().difference.unwrap().offset, 11);

    case.original = Some(br#"{"id":"evt_3","a":1.50}"#.to_vec());
    assert_eq!(case.names(), ["unexplained"], "neither was signed");
}

#[test]
fn a_body_that_was_really_changed_and_a_wrong_secret_are_explained_by_nothing() {
    for scheme in [standard(), modelhunter(), hinto()] {
        let mut changed = Case::of(scheme.clone());
        changed.others = known_schemes();
        changed.body = br#"{"id":"evt_1","a":2}"#.to_vec();
        let explanation = changed.explain();
        assert_eq!(explanation.verdict, Verdict::Unexplained);
        assert!(
            explanation.is_complete && explanation.trials > 100,
            "{}",
            explanation.trials
        );

        let mut other = Case::of(scheme);
        other.secrets = vec![secret("whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB")];
        assert_eq!(other.names(), ["unexplained"]);
    }
}

#[test]
fn any_of_several_secrets_may_be_the_one() {
    let mut case = Case::of(standard());
    case.secrets
        .insert(0, secret("whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"));
    assert_eq!(case.explain().verdict, Verdict::Right { secret: 1 });
}

#[test]
fn what_strikes_the_eye_is_told_whatever_the_digest_says() {
    let mut case = Case::of(standard());
    case.headers.retain(|(name, _)| name == "webhook-timestamp");
    case.headers
        .push(("Content-Length".to_owned(), "24".to_owned()));
    case.headers
        .push(("Content-Encoding".to_owned(), "gzip".to_owned()));
    assert_eq!(case.names(), ["unsigned"]);
    assert_eq!(
        case.explain().observations,
        [
            "there is no `webhook-id` header, and its value is signed",
            "`Content-Length` says 24 bytes, and the body has 23",
            "the body is packed: `Content-Encoding: gzip`",
            "a receiver that parses this body and writes it again with `JSON.stringify` gets other bytes: white space, numbers, escapes or the order of members",
        ]
    );
}

#[test]
fn hostile_input_is_harmless() {
    let deep = "[".repeat(100_000).into_bytes();
    for body in [
        deep,
        b"ffffffffffffffff\r\n".to_vec(),
        b"\xff\xfe\x00".to_vec(),
    ] {
        let mut case = Case::of(hinto());
        case.body = body;
        assert_eq!(case.names(), ["unexplained"]);
    }
    for value in [
        "",
        "=",
        "====",
        "é=é",
        "sha256=",
        "v1,",
        ",,,",
        &"=".repeat(1000),
    ] {
        let mut case = Case::of(standard());
        *case.signature() = value.to_owned();
        case.header("webhook-timestamp").clear();
        assert_eq!(case.names(), ["unexplained"], "{value:?}");
    }
}

#[test]
fn a_small_body_that_unpacks_to_a_huge_one_is_unpacked_to_the_limit() {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let megabyte = vec![b' '; 1024 * 1024];
    for _ in 0..4 {
        packed.write_all(&megabyte).unwrap();
    }
    let bomb = packed.finish().unwrap();
    let change = CHANGES
        .iter()
        .find(|change| change.known.name == "gzip-unpacked");
    let plain = (change.unwrap().make)(&bomb).unwrap();
    assert_eq!(plain.len(), EXPLAINED_BODY_BYTES_MAX);
}

#[test]
fn the_page_for_those_who_ask_has_every_change_and_misreading() {
    let page = include_str!("../../../../../docs/verifying.md");
    let names = CHANGES.iter().map(|change| change.known.name);
    for name in names.chain(secret::names()) {
        let family = name.rsplit_once('-').map_or(name, |(family, _)| family);
        let first = name.split('-').next().unwrap_or_default();
        let is_there = [
            format!("`{name}`"),
            format!("`{family}-…`"),
            format!("`{first}-…`"),
        ]
        .iter()
        .any(|spelled| page.contains(spelled));
        assert!(is_there, "{name}");
    }
}
