//! Takes secrets out of bytes that could not be read, before anybody keeps or shows them.
//!
//! What comes here may be anything: cut, quoted by hand, JSON within a string of JSON. So nothing is parsed. A member's
//! name is found wherever it stands, and its value hidden; in doubt more is hidden, up to all that follows.

use bytes::Bytes;
use std::ops::ControlFlow;

const WORD: &[u8] = b"secret";
const INSTEAD: &str = "[redacted]";

/// Of a name after the word, in bytes, and of backslashes in a row. Without a limit, a message of nothing but such takes hours.
const NAME_REST_MAX: usize = 128;
const BACKSLASHES_MAX: usize = 64;

/// The bytes without the value of any member whose name ends in `secret`, or has it in its middle as in `secretKey`, and without
/// the user and password of any URL.
pub fn redact(bytes: &Bytes) -> Bytes {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest: &[u8] = bytes;
    while !rest.is_empty() {
        if let Some((scheme_end, user_info)) = user_info(rest) {
            kept.extend_from_slice(&rest[..scheme_end]);
            kept.extend_from_slice(INSTEAD.as_bytes());
            rest = &rest[scheme_end + user_info..];
            continue;
        }
        let Some((name, quote)) = name_of_secret(rest) else {
            kept.push(rest[0]);
            rest = &rest[1..];
            continue;
        };
        let (name, value) = rest.split_at(name);
        let end = value_end(value, quote);
        kept.extend_from_slice(name);
        if end > 0 {
            quote.write(&mut kept);
            kept.extend_from_slice(INSTEAD.as_bytes());
            quote.write(&mut kept);
        }
        rest = &value[end..];
    }
    kept.into()
}

/// Reads `://`, also as JSON may escape it, and what stands before the `@` of an authority: the length of each.
fn user_info(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut at = 1;
    if bytes.first() != Some(&b':') {
        return None;
    }
    for _ in 0..2 {
        at += count(&bytes[at..], |byte| byte == b'\\');
        if bytes.get(at) != Some(&b'/') {
            return None;
        }
        at += 1;
    }
    let authority = count(&bytes[at..], |byte| {
        !byte.is_ascii_whitespace() && !b"/\\?#\"'".contains(&byte)
    });
    let length = bytes[at..at + authority]
        .iter()
        .rposition(|byte| *byte == b'@')?;
    (length > 0).then_some((at, length))
}

/// What a string begins and ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quote {
    mark: u8,
    /// In how many strings it stands: each doubles the backslashes before it.
    depth: u32,
}

impl Quote {
    /// A quotation mark with so many backslashes before it; pairs of them stand for themselves.
    fn new(mark: u8, backslashes: usize) -> Self {
        let depth = backslashes.trailing_ones();
        Self { mark, depth }
    }

    fn write(self, to: &mut Vec<u8>) {
        to.resize(to.len() + (1 << self.depth) - 1, b'\\');
        to.push(self.mark);
    }
}

/// Reads `secret`, the rest of the name, its closing quotation mark and a colon: their length, and the mark.
fn name_of_secret(bytes: &[u8]) -> Option<(usize, Quote)> {
    let mut at = 0;
    for letter in WORD {
        at += spelling_of(*letter, &bytes[at..])?;
    }
    at += count(first(NAME_REST_MAX, &bytes[at..]), |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
    });
    let backslashes = count(first(BACKSLASHES_MAX, &bytes[at..]), |byte| byte == b'\\');
    at += backslashes;
    let mark = *bytes.get(at).filter(|byte| matches!(byte, b'"' | b'\''))?;
    at += 1 + blanks(&bytes[at + 1..]);
    if bytes.get(at) != Some(&b':') {
        return None;
    }
    at += 1 + blanks(&bytes[at + 1..]);
    Some((at, Quote::new(mark, backslashes)))
}

/// The length of a letter's spelling: itself in either case, or its escape.
fn spelling_of(letter: u8, bytes: &[u8]) -> Option<usize> {
    if bytes.first()?.eq_ignore_ascii_case(&letter) {
        return Some(1);
    }
    let backslashes = count(first(BACKSLASHES_MAX, bytes), |byte| byte == b'\\');
    let digits = bytes[backslashes..].strip_prefix(b"u00")?.get(..2)?;
    let code = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (backslashes > 0 && code.eq_ignore_ascii_case(&letter)).then_some(backslashes + 5)
}

/// Where the value of a member ends whose name ends with such a mark.
fn value_end(bytes: &[u8], quote: Quote) -> usize {
    let backslashes = count(bytes, |byte| byte == b'\\');
    match bytes.get(backslashes) {
        None => bytes.len(),
        Some(mark @ (b'"' | b'\'')) => {
            string_end(bytes, backslashes + 1, Quote::new(*mark, backslashes))
        }
        Some(b'[' | b'{') if backslashes == 0 => {
            let end = list_end(bytes, quote);
            let rest = &bytes[end..];
            if is_end_of_value(rest) {
                end
            } else {
                end + word_end(rest, quote)
            }
        }
        Some(_) => word_end(bytes, quote),
    }
}

/// The end of a string that began before `from`. A mark that nothing of JSON follows was not its end.
fn string_end(bytes: &[u8], from: usize, quote: Quote) -> usize {
    let end = each_mark(bytes, from, |run, mark, found| {
        if is_around(found, quote) {
            ControlFlow::Break(run)
        } else if found == quote && is_end_of_value(&bytes[mark + 1..]) {
            ControlFlow::Break(mark + 1)
        } else {
            ControlFlow::Continue(())
        }
    });
    end.unwrap_or(bytes.len())
}

/// The end of an array or object, which may hold strings.
fn list_end(bytes: &[u8], quote: Quote) -> usize {
    let (mut open, mut in_string, mut from) = (0_usize, false, 0);
    // Piece by piece between the marks; brackets count only outside of strings.
    let balance = |open: &mut usize, piece: std::ops::Range<usize>| {
        for (offset, byte) in bytes[piece.clone()].iter().enumerate() {
            match byte {
                b'[' | b'{' => *open += 1,
                b']' | b'}' => *open = open.saturating_sub(1),
                _ => continue,
            }
            if *open == 0 {
                return Some(piece.start + offset + 1);
            }
        }
        None
    };
    let end = each_mark(bytes, 0, |run, mark, found| {
        if !in_string && let Some(end) = balance(&mut open, from..run) {
            return ControlFlow::Break(end);
        }
        from = mark + 1;
        if is_around(found, quote) {
            return ControlFlow::Break(run);
        }
        in_string ^= found == quote;
        ControlFlow::Continue(())
    });
    let last = || balance(&mut open, from..bytes.len()).filter(|_| !in_string);
    end.or_else(last).unwrap_or(bytes.len())
}

/// The end of anything else: a number, or a text without marks.
fn word_end(bytes: &[u8], quote: Quote) -> usize {
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b',' | b'}' | b']' => break,
            b'\n' if is_end_of_value(&bytes[end..]) => break,
            b'\n' => end += blanks(&bytes[end..]),
            _ => end += 1,
        }
    }
    let around = each_mark(&bytes[..end], 0, |run, _, found| {
        if is_around(found, quote) {
            ControlFlow::Break(run)
        } else {
            ControlFlow::Continue(())
        }
    });
    around.unwrap_or(end)
}

/// Whether what follows a value is what JSON has after one, or the end of a string that it stands in.
fn is_end_of_value(rest: &[u8]) -> bool {
    let next = rest.get(blanks(rest));
    next.is_none_or(|next| b",}]\\\"'".contains(next))
}

/// Whether a mark ends the string that the other one stands in.
fn is_around(found: Quote, quote: Quote) -> bool {
    found.mark == quote.mark && found.depth < quote.depth
}

/// Visits every quotation mark: where the backslashes before it begin, where it is, and which.
fn each_mark(
    bytes: &[u8],
    from: usize,
    mut visit: impl FnMut(usize, usize, Quote) -> ControlFlow<usize>,
) -> Option<usize> {
    let mut run = from;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match *byte {
            b'\\' => continue,
            mark @ (b'"' | b'\'') => {
                if let ControlFlow::Break(end) = visit(run, at, Quote::new(mark, at - run)) {
                    return Some(end);
                }
            }
            _ => {}
        }
        run = at + 1;
    }
    None
}

fn first(length_max: usize, bytes: &[u8]) -> &[u8] {
    &bytes[..length_max.min(bytes.len())]
}

fn blanks(bytes: &[u8]) -> usize {
    count(bytes, |byte| byte.is_ascii_whitespace())
}

fn count(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is(**byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        let kept = redact(&Bytes::copy_from_slice(text.as_bytes()));
        String::from_utf8(kept.to_vec()).unwrap()
    }

    #[test]
    fn the_value_is_hidden_and_the_rest_stays() {
        for (text, expected) in [
            (
                r#"{"secret":"hush","n":1}"#,
                r#"{"secret":"[redacted]","n":1}"#,
            ),
            (
                r#"{"callbackSecret" : "hu\"sh" }"#,
                r#"{"callbackSecret" : "[redacted]" }"#,
            ),
            (
                r#"{"SECRET_key":"a\\","n":1}"#,
                r#"{"SECRET_key":"[redacted]","n":1}"#,
            ),
            (
                r#"{"s\u0065cret":"hush"}"#,
                r#"{"s\u0065cret":"[redacted]"}"#,
            ),
            (
                r#"{"secret":["hu,sh",{"a":"]"}],"n":1}"#,
                r#"{"secret":"[redacted]","n":1}"#,
            ),
            (
                r#"{"secret":{"a":[1],"b":"}"},"n":1}"#,
                r#"{"secret":"[redacted]","n":1}"#,
            ),
            (
                r#"{"secret":12345,"n":1}"#,
                r#"{"secret":"[redacted]","n":1}"#,
            ),
            (
                r#"{"text":"{\"secret\":\"hu,sh\",\"n\":1}","n":1}"#,
                r#"{"text":"{\"secret\":\"[redacted]\",\"n\":1}","n":1}"#,
            ),
            (
                r#"{"text":"{\"secret\":[\"hu\",\"sh\"","n":1}"#,
                r#"{"text":"{\"secret\":\"[redacted]\"","n":1}"#,
            ),
            (
                "{'secret': 'hush', 'n': 1}",
                "{'secret': '[redacted]', 'n': 1}",
            ),
            (
                r#"{"no":"secret","n":"a secret: none"}"#,
                r#"{"no":"secret","n":"a secret: none"}"#,
            ),
            (r#"{"secret":}"#, r#"{"secret":}"#),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn user_and_password_of_a_url_are_hidden_and_the_rest_of_it_stays() {
        for (text, expected) in [
            (
                r#"{"url":"https://user:hu@sh@host/a@b"}"#,
                r#"{"url":"https://[redacted]@host/a@b"}"#,
            ),
            (
                r#"{"url":"https:\/\/hush@host\/x"}"#,
                r#"{"url":"https:\/\/[redacted]@host\/x"}"#,
            ),
            (
                r#"{"url":"https://host/?to=a@b","mail":"a@b"}"#,
                r#"{"url":"https://host/?to=a@b","mail":"a@b"}"#,
            ),
            ("http://user:hush@", "http://[redacted]@"),
            ("http://@host", "http://@host"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn in_doubt_more_is_hidden() {
        for (text, expected) in [
            (r#"{"secret":"hush"#, r#"{"secret":"[redacted]""#),
            (r#"{"secret":["hush"#, r#"{"secret":"[redacted]""#),
            (
                r#"{"secret":"hu"sh","n":1}"#,
                r#"{"secret":"[redacted]","n":1}"#,
            ),
            ("{\"secret\":hush\n}", "{\"secret\":\"[redacted]\"\n}"),
            ("{\"secret\":hu\nsh,1}", "{\"secret\":\"[redacted]\",1}"),
            (
                r#"{"secret":["hu"]sh,"n":1}"#,
                r#"{"secret":"[redacted]","n":1}"#,
            ),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    /// Were every byte a place from which all others are read, this would take hours.
    #[test]
    fn what_looks_like_a_beginning_everywhere_is_read_once() {
        for word in ["secret", "\\", "s\\", "://", "secret\"", " \n"] {
            let text = word.repeat(200_000 / word.len());
            assert_eq!(redacted(&text), text);
        }
        let blank = format!("\"secret\":hush{}sh", "\n".repeat(200_000));
        assert_eq!(redacted(&blank), r#""secret":"[redacted]""#);
    }
}
