//! JSON as text: strict reading that loses nothing, and the ECMAScript fixed point.
//!
//! A job event passes through us as text: `1.50`, `18446744073709551615`, `"\u00e9"` and the order of members mean something
//! to whoever wrote them, and a number parsed into a machine word is no longer the number that was written. So [`read`]
//! hands out pieces of the text itself, and what is built from them can be written back byte for byte.
//!
//! Strict means: UTF-8 without a byte order mark, one value and nothing after it, no member twice, and limits for size and
//! depth. Everything refused is a [`Fault`] that names the member. Time is linear in the length of the text.
//!
//! Deliberately absent: serde, numbers as `f64`, and tolerance.
#![warn(missing_docs)]

mod fault;
mod fixed_point;
mod number;
mod reader;
mod string;
mod value;

pub use fault::{Fault, FaultKind};
pub use fixed_point::fixed_point;
pub use reader::{DEPTH_SUPPORTED, Limits, Node, read};
pub use string::{RawStr, write_string};
pub use value::Value;

use std::{borrow::Cow, ops::Range};

/// Whether the text is JSON that we accept.
///
/// # Errors
///
/// The first fault, in the order of reading; a member that appears twice is noticed where its object ends.
pub fn check(bytes: &[u8], limits: Limits) -> Result<(), Fault> {
    read(bytes, limits, |_, _| Ok(()))
}

/// A member's name, and the bytes its value takes up.
pub type Member<'t> = (Cow<'t, str>, Range<usize>);

/// The members of the top-level object. Checks the whole text like [`check`].
///
/// # Errors
///
/// What [`check`] refuses, [`FaultKind::NotAnObject`], and a name with a lone surrogate.
pub fn members(bytes: &[u8], limits: Limits) -> Result<Vec<Member<'_>>, Fault> {
    // The object that ends last is the top-level one.
    let mut last_object = Vec::new();
    let top = read(bytes, limits, |node, span| {
        let is_object = matches!(node, Node::Object(_));
        if let Node::Object(members) = node {
            last_object = members;
        }
        Ok((is_object, span))
    })?;
    if !top.0 {
        return Err(Fault::at_top(FaultKind::NotAnObject));
    }
    last_object
        .into_iter()
        .map(|(name, (_, span))| match name.decode() {
            Some(name) => Ok((name, span)),
            None => Err(Fault::at_top(FaultKind::LoneSurrogate)),
        })
        .collect()
}

/// The text that a JSON string means; `token` is the whole of it, quotation marks included, as [`members`] cuts it out.
///
/// # Errors
///
/// When it is no JSON string, or has a lone surrogate and so means no text.
pub fn decode_string(token: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let limits = Limits {
        bytes_max: usize::MAX,
        depth_max: 0,
    };
    let string = read(token, limits, |node, _| match node {
        Node::String(raw) => Ok(raw),
        _ => Err(FaultKind::Syntax {
            expected: "a string",
            found: char::from_u32(token[0].into()),
        }),
    })?;
    string
        .decode()
        .ok_or_else(|| Fault::at_top(FaultKind::LoneSurrogate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes_max: 1 << 20,
        depth_max: 64,
    };

    #[test]
    fn members_are_cut_out_as_they_stand() {
        let text =
            br#" { "id" : "e\/1", "\u0064ata": { "n": [1.50, {"deep": {}}] } ,"n":-0.0e+7 } "#;
        let members = members(text, LIMITS).unwrap();
        let cut: Vec<_> = members
            .iter()
            .map(|(name, span)| {
                (
                    name.as_ref(),
                    std::str::from_utf8(&text[span.clone()]).unwrap(),
                )
            })
            .collect();
        assert_eq!(
            cut,
            [
                ("id", r#""e\/1""#),
                ("data", r#"{ "n": [1.50, {"deep": {}}] }"#),
                ("n", "-0.0e+7")
            ]
        );
        assert_eq!(decode_string(&text[members[0].1.clone()]).unwrap(), "e/1");
    }

    #[test]
    fn an_array_or_scalar_has_no_members() {
        for text in ["[{}]", "1", "\"{}\"", "null"] {
            let fault = members(text.as_bytes(), LIMITS).unwrap_err();
            assert_eq!(fault.kind, FaultKind::NotAnObject, "{text}");
        }
        assert_eq!(
            members(br#"{"\ud800":1}"#, LIMITS).unwrap_err().kind,
            FaultKind::LoneSurrogate
        );
    }

    #[test]
    fn a_string_is_decoded_and_nothing_else() {
        assert_eq!(
            decode_string(br#""\ud83d\ude00\n\u00e9""#).unwrap(),
            "😀\né"
        );
        assert!(decode_string(b"1").is_err());
        assert!(decode_string(b"[]").is_err());
        assert!(decode_string(b"").is_err());
        assert!(decode_string(br#""a" "b""#).is_err());
        assert!(decode_string(br#""\udc00""#).is_err());
    }
}
