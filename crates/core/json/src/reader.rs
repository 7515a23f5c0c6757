//! The reader: one pass over the text, no recursion.

use crate::{
    Fault, FaultKind,
    fault::{push_index, push_name},
    string::{RawStr, plain_run},
};
use std::{collections::HashSet, ops::Range};

/// How much is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest text.
    pub bytes_max: usize,
    /// The most arrays and objects within each other; never more than [`DEPTH_SUPPORTED`].
    pub depth_max: usize,
}

/// The deepest nesting ever accepted: what is built from a text is walked, and dropped, by recursion.
pub const DEPTH_SUPPORTED: usize = 512;

/// One value of a text, with what was made of the values inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node<'t, V> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(&'t str),
    /// A string, as written.
    String(RawStr<'t>),
    /// The values of an array, in order.
    Array(Vec<V>),
    /// The members of an object, in order, no name twice.
    Object(Vec<(RawStr<'t>, V)>),
}

/// Reads a text. `build` makes something of each value and learns which bytes it took up; inner values come first.
///
/// # Errors
///
/// The first fault, or the first that `build` returns, with the path of the value it looked at.
pub fn read<'t, V>(
    bytes: &'t [u8],
    limits: Limits,
    mut build: impl FnMut(Node<'t, V>, Range<usize>) -> Result<V, FaultKind>,
) -> Result<V, Fault> {
    if bytes.len() > limits.bytes_max {
        return Err(Fault::at_top(FaultKind::TooLong {
            bytes: bytes.len(),
            bytes_max: limits.bytes_max,
        }));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Fault {
        path: String::new(),
        offset: error.valid_up_to(),
        kind: FaultKind::NotUtf8,
    })?;
    if text.starts_with('\u{feff}') {
        return Err(Fault::at_top(FaultKind::ByteOrderMark));
    }
    let mut reader = Reader {
        text,
        at: 0,
        open: Vec::new(),
        depth_max: limits.depth_max.min(DEPTH_SUPPORTED),
    };
    reader
        .run(&mut build)
        .map_err(|kind| reader.fault_here(kind))
}

struct Reader<'t, V> {
    text: &'t str,
    at: usize,
    /// The arrays and objects around the current place; also the path to it.
    open: Vec<Open<'t, V>>,
    depth_max: usize,
}

/// An array or object whose end has not been read.
struct Open<'t, V> {
    start: usize,
    content: Content<'t, V>,
}

enum Content<'t, V> {
    Array(Vec<V>),
    Object {
        members: Vec<(RawStr<'t>, V)>,
        /// The name of the value that comes next.
        name: Option<RawStr<'t>>,
    },
}

/// What comes after a value has found its place.
enum Then<'t, V> {
    /// It was the text's only one.
    Done(V),
    /// Another value follows beside it.
    Next,
    /// What surrounds it is complete, and began at this byte.
    Complete(Node<'t, V>, usize),
}

impl<'t, V> Reader<'t, V> {
    fn run(
        &mut self,
        build: &mut impl FnMut(Node<'t, V>, Range<usize>) -> Result<V, FaultKind>,
    ) -> Result<V, FaultKind> {
        loop {
            self.skip_space();
            let start = self.at;
            let Some(node) = self.begin()? else { continue };
            let mut value = build(node, start..self.at)?;
            loop {
                match self.place(value)? {
                    Then::Done(value) => return Ok(value),
                    Then::Next => break,
                    Then::Complete(node, start) => value = build(node, start..self.at)?,
                }
            }
        }
    }

    /// Reads a value that holds no others; nothing, when an array or object was opened and its first value comes next.
    fn begin(&mut self) -> Result<Option<Node<'t, V>>, FaultKind> {
        Ok(Some(match self.peek() {
            Some(b'{') => {
                self.open(Content::Object {
                    members: Vec::new(),
                    name: None,
                })?;
                if !self.took(b'}') {
                    self.name()?;
                    return Ok(None);
                }
                self.open.pop();
                Node::Object(Vec::new())
            }
            Some(b'[') => {
                self.open(Content::Array(Vec::new()))?;
                if !self.took(b']') {
                    return Ok(None);
                }
                self.open.pop();
                Node::Array(Vec::new())
            }
            Some(b'"') => Node::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Node::Number(self.number()?),
            Some(b't') => self.word("true", Node::Bool(true))?,
            Some(b'f') => self.word("false", Node::Bool(false))?,
            Some(b'n') => self.word("null", Node::Null)?,
            _ => return Err(self.unexpected("a value")),
        }))
    }

    /// Puts a value where it belongs and reads on to the next, or to the end of what surrounds it.
    fn place(&mut self, value: V) -> Result<Then<'t, V>, FaultKind> {
        self.skip_space();
        let next = self.peek();
        let Some(open) = self.open.last_mut() else {
            return match next {
                None => Ok(Then::Done(value)),
                Some(_) => Err(self.unexpected("the end of the text")),
            };
        };
        match &mut open.content {
            Content::Array(items) => {
                items.push(value);
                match next {
                    Some(b',') => {
                        self.at += 1;
                        return Ok(Then::Next);
                    }
                    Some(b']') => self.at += 1,
                    _ => return Err(self.unexpected("`,` or `]`")),
                }
            }
            Content::Object { members, name } => {
                // The name stays, for the path of a fault.
                members.extend(name.map(|name| (name, value)));
                match next {
                    Some(b',') => {
                        self.at += 1;
                        self.skip_space();
                        self.name()?;
                        return Ok(Then::Next);
                    }
                    Some(b'}') => {
                        self.at += 1;
                        self.refuse_duplicates()?;
                    }
                    _ => return Err(self.unexpected("`,` or `}`")),
                }
            }
        }
        let closed = self.open.pop().expect("looked at a moment ago");
        let node = match closed.content {
            Content::Array(items) => Node::Array(items),
            Content::Object { members, .. } => Node::Object(members),
        };
        Ok(Then::Complete(node, closed.start))
    }

    /// Takes an opening bracket and the space behind it.
    fn open(&mut self, content: Content<'t, V>) -> Result<(), FaultKind> {
        if self.open.len() >= self.depth_max {
            return Err(FaultKind::TooDeep {
                depth_max: self.depth_max,
            });
        }
        self.open.push(Open {
            start: self.at,
            content,
        });
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// Takes the name of a member, and the colon.
    fn name(&mut self) -> Result<(), FaultKind> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a member's name"));
        }
        let read = self.string()?;
        self.skip_space();
        if !self.took(b':') {
            return Err(self.unexpected("`:`"));
        }
        if let Some(Open {
            content: Content::Object { name, .. },
            ..
        }) = self.open.last_mut()
        {
            *name = Some(read);
        }
        Ok(())
    }

    /// Takes a string, and checks it.
    fn string(&mut self) -> Result<RawStr<'t>, FaultKind> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        let start = self.at;
        loop {
            self.at += plain_run(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(_) => return Err(self.unexpected("no control character in a string")),
                None => return Err(self.unexpected("`\"`")),
            }
        }
        self.at += 1;
        Ok(RawStr::checked(&self.text[start..self.at - 1]))
    }

    /// Takes what follows a backslash.
    fn escape(&mut self) -> Result<(), FaultKind> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.unexpected("four hex digits"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.unexpected("one of `\"\\/bfnrtu`")),
        }
        Ok(())
    }

    /// Takes a number.
    fn number(&mut self) -> Result<&'t str, FaultKind> {
        let start = self.at;
        self.took(b'-');
        if !self.took(b'0') {
            self.digits()?;
        }
        if self.took(b'.') {
            self.digits()?;
        }
        if self.took(b'e') || self.took(b'E') {
            if !self.took(b'+') {
                self.took(b'-');
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// Takes one digit or more.
    fn digits(&mut self) -> Result<(), FaultKind> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected("a digit"));
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str, node: Node<'t, V>) -> Result<Node<'t, V>, FaultKind> {
        for expected in word.bytes() {
            if !self.took(expected) {
                return Err(self.unexpected(word));
            }
        }
        Ok(node)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn took(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Refuses the innermost object when it has a name twice, however each is spelled.
    fn refuse_duplicates(&mut self) -> Result<(), FaultKind> {
        let Some(Open {
            content: Content::Object { members, name },
            ..
        }) = self.open.last_mut()
        else {
            return Ok(());
        };
        if let Some(twice) = find_duplicate(members) {
            *name = Some(twice);
            return Err(FaultKind::Duplicate);
        }
        Ok(())
    }

    fn unexpected(&self, expected: &'static str) -> FaultKind {
        FaultKind::Syntax {
            expected,
            found: self.text[self.at..].chars().next(),
        }
    }

    fn fault_here(&self, kind: FaultKind) -> Fault {
        let mut path = String::new();
        for open in &self.open {
            match &open.content {
                Content::Array(items) => push_index(&mut path, items.len()),
                Content::Object {
                    name: Some(name), ..
                } => push_name(&mut path, *name),
                Content::Object { name: None, .. } => {}
            }
        }
        Fault {
            path,
            offset: self.at,
            kind,
        }
    }
}

/// Members up to which comparing each with each is quicker than hashing.
const FEW_MEMBERS: usize = 8;

fn find_duplicate<'t, V>(members: &[(RawStr<'t>, V)]) -> Option<RawStr<'t>> {
    if members.len() <= FEW_MEMBERS {
        // Looked at once for all of them, since each is compared with each.
        let are_plain = members.iter().all(|(name, _)| name.is_plain());
        let is_same = |a: RawStr<'t>, b: RawStr<'t>| a == b || !are_plain && a.is_same_text(b);
        return members.iter().enumerate().find_map(|(index, (name, _))| {
            let before = &members[..index];
            before
                .iter()
                .any(|(other, _)| is_same(*other, *name))
                .then_some(*name)
        });
    }
    let mut seen = HashSet::with_capacity(members.len());
    members
        .iter()
        .map(|(name, _)| *name)
        .find(|name| !seen.insert(name.identity()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        bytes_max: 64 << 20,
        depth_max: 64,
    };

    fn refusal(text: &str) -> String {
        check(text.as_bytes(), LIMITS).unwrap_err().to_string()
    }

    #[test]
    fn json_is_accepted() {
        for text in [
            "0",
            "-0",
            "1.5e+07",
            "null",
            " [ ] ",
            "{}",
            "[[],{}]",
            r#"{"a":[1,{"b":null}],"":"\u0000\"\/"}"#,
            "\"\u{7f}\u{2028}é\"",
            r#"{"a":1,"A":2,"a ":3}"#,
            r#""\ud800""#,
        ] {
            assert_eq!(check(text.as_bytes(), LIMITS), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_where_it_stands() {
        for (text, expected) in [
            ("", "byte 0: expected a value, found the end of the text"),
            ("nul", "byte 3: expected null, found the end of the text"),
            ("01", "byte 1: expected the end of the text, found `1`"),
            ("-", "byte 1: expected a digit, found the end of the text"),
            ("1.", "byte 2: expected a digit, found the end of the text"),
            (".5", "byte 0: expected a value, found `.`"),
            ("1e", "byte 2: expected a digit, found the end of the text"),
            ("NaN", "byte 0: expected a value, found `N`"),
            ("[1,]", "`[1]` (byte 3): expected a value, found `]`"),
            (
                "{\"a\":1,}",
                "`a` (byte 7): expected a member's name, found `}`",
            ),
            ("{\"a\"}", "byte 4: expected `:`, found `}`"),
            ("{a:1}", "byte 1: expected a member's name, found `a`"),
            ("[1 2]", "`[1]` (byte 3): expected `,` or `]`, found `2`"),
            ("[1}", "`[1]` (byte 2): expected `,` or `]`, found `}`"),
            ("{} {}", "byte 3: expected the end of the text, found `{`"),
            ("\"a", "byte 2: expected `\"`, found the end of the text"),
            (
                "\"\\x\"",
                "byte 2: expected one of `\"\\/bfnrtu`, found `x`",
            ),
            ("\"\\u00g0\"", "byte 5: expected four hex digits, found `g`"),
            (
                "\"\n\"",
                "byte 1: expected no control character in a string, found `\\n`",
            ),
            ("\u{a0}1", "byte 0: expected a value, found `\\u{a0}`"),
            (
                "\u{feff}{}",
                "the text begins with a byte order mark; leave it out",
            ),
            ("/**/1", "byte 0: expected a value, found `/`"),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
        assert_eq!(
            check(b"{\"a\":\"\xff\"}", LIMITS).unwrap_err().to_string(),
            "byte 6: the bytes are not UTF-8"
        );
        assert!(
            check(b"\"\xed\xa0\x80\"", LIMITS).is_err(),
            "a surrogate in the bytes"
        );
    }

    #[test]
    fn a_fault_names_the_member() {
        for (text, path) in [
            (
                r#"{"data":{"metadata":{"items":[0,1,2,{"id":01}]}}}"#,
                "data.metadata.items[3].id",
            ),
            (r#"{"data":{"a b":{"":[x]}}}"#, r#"data["a b"][""][0]"#),
            (r#"[[],[{"k":!}]]"#, "[1][0].k"),
            (r#"{"a":{"x":1,"y":{"z":2}},"b":!}"#, "b"),
        ] {
            assert_eq!(
                check(text.as_bytes(), LIMITS).unwrap_err().path,
                path,
                "{text}"
            );
        }
    }

    #[test]
    fn a_member_twice_is_refused_however_it_is_spelled() {
        for text in [
            r#"{"data":{"a":1,"b":2,"a":3}}"#,
            r#"{"data":{"a":1,"\u0061":3}}"#,
            r#"{"data":{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"a":0,"\u0061":0}}"#,
        ] {
            assert_eq!(
                refusal(text),
                "`data.a`: the member appears twice in its object"
            );
        }
        assert!(refusal(r#"{"\uD83D\uDE00":1,"😀":2}"#).ends_with("twice in its object"));
        assert!(refusal(r#"{"\ud800":1,"\uD800":2}"#).ends_with("twice in its object"));
    }

    #[test]
    fn limits_hold_and_say_so() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(nested(64).as_bytes(), LIMITS).is_ok());
        assert!(refusal(&nested(65)).ends_with("nested too deep; allowed: up to 64 levels"));
        let unlimited = Limits {
            bytes_max: usize::MAX,
            depth_max: usize::MAX,
        };
        let refused = check(nested(100_000).as_bytes(), unlimited).unwrap_err();
        assert_eq!(
            refused.kind,
            FaultKind::TooDeep {
                depth_max: DEPTH_SUPPORTED
            }
        );
        let short = Limits {
            bytes_max: 3,
            depth_max: 3,
        };
        assert!(check(b"[ ]", short).is_ok());
        assert_eq!(
            check(b"[ ] ", short).unwrap_err().to_string(),
            "4 bytes are too many; allowed: up to 3"
        );
    }

    /// Were any of these quadratic, the test would take hours.
    #[test]
    fn large_texts_take_linear_time() {
        let keys: Vec<_> = (0..1_000_000).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(check(format!("{{{}}}", keys.join(",")).as_bytes(), LIMITS).is_ok());
        assert!(check("9".repeat(1_000_000).as_bytes(), LIMITS).is_ok());
        assert!(check(format!("[{}0]", "0,".repeat(1_000_000)).as_bytes(), LIMITS).is_ok());
        assert!(
            check(
                format!("\"{}\"", r"\u0000".repeat(1_000_000)).as_bytes(),
                LIMITS
            )
            .is_ok()
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes, LIMITS);
        }

        #[test]
        fn nearly_json_never_panics(text in r#"([\[\]{}:,"\\ 0-9.eEu+-]|null|true|"a"|\\ud8){0,40}"#) {
            let _ = check(text.as_bytes(), LIMITS);
        }
    }
}
