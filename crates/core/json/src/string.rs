//! Strings as they are spelled, and what they mean.

use std::borrow::Cow;

/// The text between the quotation marks of a JSON string, spelled as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawStr<'t>(&'t str);

/// A part of a string's meaning.
enum Piece<'t> {
    /// Characters that stand for themselves.
    Plain(&'t str),
    /// An escaped character.
    Char(char),
    /// Half of a surrogate pair: a number that is no character.
    Lone(u16),
}

impl<'t> RawStr<'t> {
    /// The reader has checked the escapes and that no quotation mark or control character stands in it.
    pub(crate) fn checked(raw: &'t str) -> Self {
        Self(raw)
    }

    /// The spelling, without the quotation marks.
    pub fn as_spelled(self) -> &'t str {
        self.0
    }

    /// The text it means; nothing when it holds half of a surrogate pair, which is no text.
    pub fn decode(self) -> Option<Cow<'t, str>> {
        if self.is_plain() {
            return Some(Cow::Borrowed(self.0));
        }
        let mut text = String::with_capacity(self.0.len());
        for piece in self.pieces() {
            match piece {
                Piece::Plain(run) => text.push_str(run),
                Piece::Char(c) => text.push(c),
                Piece::Lone(_) => return None,
            }
        }
        Some(Cow::Owned(text))
    }

    /// Bytes that are equal exactly when two strings mean the same: UTF-8, with lone surrogates in the same manner (WTF-8).
    pub fn identity(self) -> Cow<'t, [u8]> {
        if self.is_plain() {
            return Cow::Borrowed(self.0.as_bytes());
        }
        let mut bytes = Vec::with_capacity(self.0.len());
        for piece in self.pieces() {
            match piece {
                Piece::Plain(run) => bytes.extend_from_slice(run.as_bytes()),
                Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Piece::Lone(unit) => {
                    let [high, low] = unit.to_be_bytes();
                    bytes.push(0b1110_0000 | high >> 4);
                    bytes.push(0b1000_0000 | (high & 0b1111) << 2 | low >> 6);
                    bytes.push(0b1000_0000 | low & 0b11_1111);
                }
            }
        }
        Cow::Owned(bytes)
    }

    /// Whether both mean the same text.
    pub fn is_same_text(self, other: Self) -> bool {
        self.0 == other.0
            || !(self.is_plain() && other.is_plain()) && self.identity() == other.identity()
    }

    /// Writes it as `JSON.stringify` spells it, with quotation marks.
    pub(crate) fn write_ecmascript(self, out: &mut Vec<u8>) {
        out.push(b'"');
        for piece in self.pieces() {
            match piece {
                Piece::Plain(run) => out.extend_from_slice(run.as_bytes()),
                Piece::Char(c) => write_char(out, c),
                Piece::Lone(unit) => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
            }
        }
        out.push(b'"');
    }

    /// Whether it is spelled as it is meant.
    pub(crate) fn is_plain(self) -> bool {
        !self.0.as_bytes().contains(&b'\\')
    }

    fn pieces(self) -> impl Iterator<Item = Piece<'t>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let run = rest.find('\\').unwrap_or(rest.len());
            if run > 0 {
                let (plain, after) = rest.split_at(run);
                rest = after;
                return Some(Piece::Plain(plain));
            }
            let (piece, after) = unescape(rest);
            rest = after;
            Some(piece)
        })
    }
}

/// Reads the escape that `text` begins with, and returns what follows it.
fn unescape(text: &str) -> (Piece<'_>, &str) {
    let (piece, length) = match text.as_bytes()[1] {
        b'b' => (Piece::Char('\u{8}'), 2),
        b'f' => (Piece::Char('\u{c}'), 2),
        b'n' => (Piece::Char('\n'), 2),
        b'r' => (Piece::Char('\r'), 2),
        b't' => (Piece::Char('\t'), 2),
        b'u' => unescape_unit(text),
        itself => (Piece::Char(itself.into()), 2),
    };
    (piece, &text[length..])
}

/// Reads `\uXXXX`, or two of them where they are a surrogate pair.
fn unescape_unit(text: &str) -> (Piece<'_>, usize) {
    let first = unit(&text[2..6]);
    if let Some(c) = char::from_u32(first.into()) {
        return (Piece::Char(c), 6);
    }
    let second = text[6..].strip_prefix("\\u").map(|rest| unit(&rest[..4]));
    match char::decode_utf16([first, second.unwrap_or(0)]).next() {
        Some(Ok(pair)) => (Piece::Char(pair), 12),
        _ => (Piece::Lone(first), 6),
    }
}

fn unit(digits: &str) -> u16 {
    u16::from_str_radix(digits, 16).expect("the reader has seen four hex digits")
}

/// Writes a text as a JSON string, escaping as `JSON.stringify` does: nothing that need not be.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_run(rest.as_bytes()));
        out.extend_from_slice(plain.as_bytes());
        let mut chars = special.chars();
        let Some(escaped) = chars.next() else { break };
        write_char(out, escaped);
        rest = chars.as_str();
    }
    out.push(b'"');
}

/// How many bytes of a text stand for themselves in a string, until one is a quotation mark, a backslash or a control character.
pub(crate) fn plain_run(text: &[u8]) -> usize {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
    text.iter().position(is_special).unwrap_or(text.len())
}

fn write_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\0'..='\u{1f}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_mean_what_they_mean() {
        for (spelled, text) in [
            (r"a\/\\\u0022\b\f\n\r\t", "a/\\\"\u{8}\u{c}\n\r\t"),
            (r"\u00e9é\uD83d\uDe00", "éé😀"),
            (r"\u0000", "\0"),
        ] {
            assert_eq!(RawStr(spelled).decode().as_deref(), Some(text));
        }
        for lone in [
            r"\ud800",
            r"\udc00",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\u0041",
            r"\udc00\ud800",
        ] {
            assert_eq!(RawStr(lone).decode(), None, "{lone}");
        }
    }

    #[test]
    fn strings_are_the_same_by_meaning() {
        let same = |a, b| RawStr(a).is_same_text(RawStr(b));
        assert!(same("a", r"\u0061"));
        assert!(same(r"\ud83d\ude00", "😀"));
        assert!(same(r"\uD800", r"\ud800"));
        assert!(!same(r"\ud800", r"\ud801"));
        assert!(!same(r"\ud800", "\u{fffd}"));
        assert!(!same("é", "e\u{301}"), "no normalisation");
    }

    #[test]
    fn only_what_must_be_is_escaped() {
        let written = |raw| {
            let mut out = Vec::new();
            RawStr(raw).write_ecmascript(&mut out);
            String::from_utf8(out).unwrap()
        };
        for (spelled, expected) in [
            (r"\/\u0041\u001F\u0008\u0022", r#""/A\u001f\b\"""#),
            (r"\u007f\u2028\ufeff", "\"\u{7f}\u{2028}\u{feff}\""),
            (r"\ud83d\ude00\uD800", r#""😀\ud800""#),
            (r"\\u0041", r#""\\u0041""#),
        ] {
            assert_eq!(written(spelled), expected);
        }
    }

    proptest! {
        #[test]
        fn a_written_string_reads_back(text: String) {
            let mut written = Vec::new();
            write_string(&mut written, &text);
            prop_assert_eq!(crate::decode_string(&written).unwrap(), text);
        }
    }
}
