//! `JSON.stringify(JSON.parse(text))`, without ECMAScript.
//!
//! Receivers that verify a signature over `JSON.stringify(req.body)` accept only bytes that this map leaves alone. So the
//! body is mapped before it is signed; mapping twice changes nothing. What the map would lose is refused instead.

use crate::{Fault, FaultKind, Limits, Node, RawStr, number, read, value::write_list};

/// The text as ECMAScript's `JSON.stringify(JSON.parse(text))` returns it, in UTF-8.
///
/// White space goes; numbers and escapes are respelled; integer-like names move to the front of their object. A lone
/// surrogate stays, as an escape in lower case.
///
/// # Errors
///
/// What [`crate::check`] refuses; a number that would change its value; a text that is neither object nor array, since
/// body parsers refuse it.
pub fn fixed_point(bytes: &[u8], limits: Limits) -> Result<Vec<u8>, Fault> {
    let top = read(bytes, limits, |node, _| Part::of(node))?;
    if !matches!(top, Part::Array(_) | Part::Object(_)) {
        return Err(Fault::at_top(FaultKind::Scalar));
    }
    let mut out = Vec::with_capacity(bytes.len());
    top.write(&mut out);
    Ok(out)
}

/// A value on its way from one spelling to the other.
enum Part<'t> {
    /// Spelled alike in both.
    Same(&'t str),
    Number(f64),
    String(RawStr<'t>),
    Array(Vec<Self>),
    /// Members in their final order.
    Object(Vec<(RawStr<'t>, Self)>),
}

impl<'t> Part<'t> {
    fn of(node: Node<'t, Self>) -> Result<Self, FaultKind> {
        Ok(match node {
            Node::Null => Self::Same("null"),
            Node::Bool(true) => Self::Same("true"),
            Node::Bool(false) => Self::Same("false"),
            Node::Number(text) if number::is_plain_integer(text) => Self::Same(text),
            Node::Number(text) => Self::Number(number::ecmascript(text)?),
            Node::String(raw) => Self::String(raw),
            Node::Array(items) => Self::Array(items),
            Node::Object(mut members) => {
                // Stable: all names that are no index keep their order behind those that are.
                members.sort_by_cached_key(|(name, _)| array_index(*name).unwrap_or(u32::MAX));
                Self::Object(members)
            }
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Same(text) => out.extend_from_slice(text.as_bytes()),
            Self::Number(double) => {
                out.extend_from_slice(ryu_js::Buffer::new().format_finite(*double).as_bytes());
            }
            Self::String(raw) => raw.write_ecmascript(out),
            Self::Array(items) => {
                write_list(out, [b'[', b']'], items, |out, item| item.write(out));
            }
            Self::Object(members) => {
                write_list(out, [b'{', b'}'], members, |out, (name, value)| {
                    name.write_ecmascript(out);
                    out.push(b':');
                    value.write(out);
                });
            }
        }
    }
}

/// The number that a name is, when ECMAScript takes it for an array index: canonical decimal below 2³² − 1.
fn array_index(name: RawStr<'_>) -> Option<u32> {
    if !matches!(
        name.as_spelled().as_bytes().first(),
        Some(b'0'..=b'9' | b'\\')
    ) {
        return None;
    }
    let text = name.decode()?;
    let is_canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse()
        .ok()
        .filter(|index| is_canonical && *index < u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        bytes_max: 1 << 20,
        depth_max: 64,
    };

    fn fixed(text: &str) -> String {
        String::from_utf8(fixed_point(text.as_bytes(), LIMITS).unwrap()).unwrap()
    }

    #[test]
    fn what_survives_survives() {
        for text in [
            r#"{"z":1,"a":0.5}"#,
            r#"{"0":1,"9":2,"10":3,"4294967294":4,"01":5,"4294967295":6}"#,
            r#"[1e+21,1.5e-7,5e-324,100000000000000000000,87.5,"\ud800"]"#,
            r#"{"__proto__":{},"constructor":1,"toJSON":2,"":3}"#,
            "[\"\u{7f}\u{2028}\u{feff}é e\u{301}😀\"]",
        ] {
            assert_eq!(fixed(text), text);
        }
    }

    #[test]
    fn the_rest_becomes_what_javascript_makes_of_it() {
        for (text, expected) in [
            (" {\n\"a\" : [ 1 , 2 ] }\t", r#"{"a":[1,2]}"#),
            (r#"{"a":1,"0":2}"#, r#"{"0":2,"a":1}"#),
            (r#"{"10":1,"9":2}"#, r#"{"9":2,"10":1}"#),
            (r#"{"b":1,"\u0031":2}"#, r#"{"1":2,"b":1}"#),
            (
                r#"{"4294967295":1,"-1":2,"1.5":3,"00":4,"4294967294":5}"#,
                r#"{"4294967294":5,"4294967295":1,"-1":2,"1.5":3,"00":4}"#,
            ),
            (
                r#"["\/\u0041\u001F",87.0,1E5]"#,
                r#"["/A\u001f",87,100000]"#,
            ),
        ] {
            assert_eq!(fixed(text), expected);
        }
    }

    #[test]
    fn what_would_be_lost_is_refused_with_its_place() {
        let refusal = |text: &str| {
            let fault = fixed_point(text.as_bytes(), LIMITS).unwrap_err();
            fault.to_string()
        };
        assert_eq!(
            refusal(r#"{"data":{"ids":[1,9007199254740993]}}"#),
            "`data.ids[1]`: number `9007199254740993` would become `9007199254740992` in JavaScript; send it as a string"
        );
        assert!(refusal("[-0]").contains("would become `0`"));
        assert!(refusal("[1e999]").contains("would become `null`"));
        assert!(refusal(r#"{"a":1,"a":1}"#).contains("twice"));
        assert_eq!(refusal("\"text\""), "expected an object or an array");
    }

    proptest! {
        #[test]
        fn twice_is_once(text in json()) {
            if let Ok(once) = fixed_point(text.as_bytes(), LIMITS) {
                prop_assert_eq!(&fixed_point(&once, LIMITS), &Ok(once.clone()));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = fixed_point(&bytes, LIMITS);
        }
    }

    /// Texts that are JSON but for members that appear twice.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<f64>()
                .prop_filter("JSON has no infinity", |n| n.is_finite())
                .prop_map(|n| format!("{n:e}")),
            any::<i64>().prop_map(|n| n.to_string()),
            r#""([a-z0-9é]|\\[/nbt"\\]|\\u[0-9a-fA-F]{4}){0,6}""#,
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let name = r#""([0-9]{1,3}|[a-c]{0,2}|\\u003[0-9])""#;
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                proptest::collection::vec((name, inner), 0..6).prop_map(|members| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(name, value)| format!("{name} :{value}"))
                        .collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }
}
