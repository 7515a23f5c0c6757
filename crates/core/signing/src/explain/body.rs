//! What happens to a body between sender and receiver, or in the receiver before it verifies.

use super::Known;
use crate::scheme::BASE64_LENIENT;
use base64::Engine;
use ringback_json::{Limits, Node, Value};
use std::{borrow::Cow, io::Read};

/// Bytes of a body that are looked into; a longer one is taken as it is. No body of ours is longer.
pub const EXPLAINED_BODY_BYTES_MAX: usize = 256 * 1024;
const DEPTH_MAX: usize = 120;

/// A way in which a body changes. Nothing when it does not apply.
pub(super) struct Change {
    pub(super) known: Known,
    pub(super) make: fn(&[u8]) -> Option<Vec<u8>>,
}

const RAW: &str = "verify over the bytes of the request, before any parser has them: `express.raw()`, Flask's `request.get_data()`, axum's `Bytes`";
const FILE: &str = "compare with what came over the wire: an editor, a shell or a log added or removed it, or the receiver did";
const BYTES: &str = "keep the body as bytes, or decode and encode it as UTF-8 only";
const PROXY: &str =
    "something between sender and receiver packed the body: undo that first, verify then";
const EMPTY: &str = "the body was not there when it was signed: read it before verifying, and once (a stream is empty the second time)";

const fn change(
    name: &'static str,
    says: &'static str,
    advice: &'static str,
    make: fn(&[u8]) -> Option<Vec<u8>>,
) -> Change {
    Change {
        known: Known { name, says, advice },
        make,
    }
}

/// All changes tried, the likelier of those that make the same bytes first.
pub(super) static CHANGES: [Change; 36] = [
    change(
        "newline-removed",
        "what was signed is the body without the line end at its end",
        FILE,
        |body| {
            let shorter = body.strip_suffix(b"\n")?;
            Some(shorter.strip_suffix(b"\r").unwrap_or(shorter).to_vec())
        },
    ),
    change(
        "newline-added",
        "what was signed is the body with one more line end",
        FILE,
        |body| Some([body, b"\n"].concat()),
    ),
    change(
        "blanks-removed",
        "what was signed is the body without the white space around it",
        FILE,
        |body| Some(body.trim_ascii().to_vec()),
    ),
    change(
        "crlf-to-lf",
        "what was signed is the body with LF where it has CRLF",
        FILE,
        |body| Some(replaced(body, b"\r\n", b"\n")),
    ),
    change(
        "lf-to-crlf",
        "what was signed is the body with CRLF where it has LF",
        FILE,
        |body| {
            let plain = replaced(body, b"\r\n", b"\n");
            Some(replaced(&plain, b"\n", b"\r\n"))
        },
    ),
    change(
        "bom-removed",
        "what was signed is the body without the byte order mark it begins with",
        FILE,
        |body| body.strip_prefix(BOM).map(<[u8]>::to_vec),
    ),
    change(
        "bom-added",
        "what was signed is the body with a byte order mark before it",
        FILE,
        |body| Some([BOM, body].concat()),
    ),
    change(
        "json-stringify",
        "what was signed is the body parsed and written again by `JSON.stringify`",
        RAW,
        |body| ringback_json::fixed_point(body, limits()).ok(),
    ),
    change(
        "json-compact",
        "what was signed is the body without the white space of its JSON",
        RAW,
        |body| styled(body, &Style::default()),
    ),
    change(
        "json-spaced",
        "what was signed is the body with a blank after each comma and colon, as Python's `json.dumps` writes it",
        RAW,
        |body| styled(body, &PYTHON),
    ),
    change(
        "json-ascii",
        "what was signed is the body with every character beyond ASCII escaped",
        RAW,
        |body| {
            let ascii = Style {
                escapes: Escapes::Ascii,
                ..Style::default()
            };
            styled(body, &ascii)
        },
    ),
    change(
        "json-python",
        "what was signed is the body parsed and written again by Python's `json.dumps`",
        RAW,
        |body| {
            let ascii = Style {
                escapes: Escapes::Ascii,
                ..PYTHON
            };
            styled(body, &ascii)
        },
    ),
    change(
        "json-indented",
        "what was signed is the body spread over lines, indented by two blanks",
        RAW,
        |body| styled(body, &indented("  ")),
    ),
    change(
        "json-indented-4",
        "what was signed is the body spread over lines, indented by four blanks",
        RAW,
        |body| styled(body, &indented("    ")),
    ),
    change(
        "json-indented-tab",
        "what was signed is the body spread over lines, indented by tabs",
        RAW,
        |body| styled(body, &indented("\t")),
    ),
    change(
        "json-sorted",
        "what was signed is the body with the members of its objects sorted",
        RAW,
        |body| {
            let sorted = Style {
                sorted: true,
                ..Style::default()
            };
            styled(body, &sorted)
        },
    ),
    change(
        "json-slashes",
        "what was signed is the body with its slashes escaped, as PHP's `json_encode` writes them",
        RAW,
        |body| {
            let slashes = Style {
                escapes: Escapes::Slashes,
                ..Style::default()
            };
            styled(body, &slashes)
        },
    ),
    change(
        "json-html",
        "what was signed is the body with `<`, `>` and `&` escaped, as Go's `json.Marshal` writes them",
        RAW,
        |body| {
            let html = Style {
                escapes: Escapes::Html,
                ..Style::default()
            };
            styled(body, &html)
        },
    ),
    change(
        "json-quoted",
        "what was signed is the body as one JSON string",
        "the body is text already: sign it, not what `JSON.stringify` makes of that text",
        |body| {
            let mut quoted = Vec::with_capacity(body.len() + 2);
            ringback_json::write_string(&mut quoted, std::str::from_utf8(body).ok()?);
            Some(quoted)
        },
    ),
    change(
        "json-unquoted",
        "what was signed is the text that the body holds as one JSON string",
        RAW,
        |body| match Value::parse(body, limits()).ok()?.0 {
            Node::String(text) => Some(text.decode()?.into_owned().into_bytes()),
            _ => None,
        },
    ),
    change(
        "gzip-unpacked",
        "what was signed is what the body unpacks to: it is gzip",
        PROXY,
        unpacked,
    ),
    change(
        "base64-unpacked",
        "what was signed is what the body decodes to: it is base64",
        "some gateways hand binary bodies on as base64 (`isBase64Encoded`): decode first, verify then",
        |body| BASE64_LENIENT.decode(body.trim_ascii()).ok(),
    ),
    change(
        "chunks-joined",
        "what was signed is the body without the chunks of its transfer",
        "the lengths between chunks are not part of the body: let an HTTP library read it",
        joined,
    ),
    change(
        "latin-1-written",
        "what was signed is the body with each of its characters as one byte of Latin-1",
        BYTES,
        |body| {
            let text = std::str::from_utf8(body).ok()?;
            text.chars().map(|c| u8::try_from(c).ok()).collect()
        },
    ),
    change(
        "latin-1-read",
        "what was signed is the body with each of its bytes taken for a character of Latin-1",
        BYTES,
        |body| {
            Some(
                body.iter()
                    .copied()
                    .map(char::from)
                    .collect::<String>()
                    .into_bytes(),
            )
        },
    ),
    change(
        "utf-16-read",
        "what was signed is the body in UTF-8: it is UTF-16",
        BYTES,
        |body| {
            let (units, rest) = body.as_chunks::<2>();
            if units.is_empty() || !rest.is_empty() {
                return None;
            }
            let read = match units[0] {
                [0xfe, 0xff] | [0, _] => u16::from_be_bytes,
                _ => u16::from_le_bytes,
            };
            let text: Vec<_> = units.iter().copied().map(read).collect();
            let text = String::from_utf16(&text).ok()?;
            Some(text.trim_start_matches('\u{feff}').into())
        },
    ),
    change(
        "utf-16-written",
        "what was signed is the body in UTF-16",
        BYTES,
        |body| {
            let text = std::str::from_utf8(body).ok()?;
            Some(text.encode_utf16().flat_map(u16::to_le_bytes).collect())
        },
    ),
    change(
        "utf-8-replaced",
        "what was signed is the body with a replacement character for each byte that is no UTF-8",
        BYTES,
        |body| Some(String::from_utf8_lossy(body).into_owned().into_bytes()),
    ),
    change(
        "python-bytes",
        "what was signed is the body as Python prints bytes: `b'…'`",
        "an f-string spells bytes out: join bytes with `b\"\".join`, or decode the body first",
        |body| Some(python_bytes(body)),
    ),
    change("empty", "what was signed has no body", EMPTY, |_| {
        Some(Vec::new())
    }),
    change(
        "object-object",
        "what was signed is `[object Object]` in place of the body",
        RAW,
        |_| Some(b"[object Object]".to_vec()),
    ),
    change(
        "undefined",
        "what was signed is `undefined` in place of the body",
        EMPTY,
        |_| Some(b"undefined".to_vec()),
    ),
    change(
        "none",
        "what was signed is `None` in place of the body",
        EMPTY,
        |_| Some(b"None".to_vec()),
    ),
    change(
        "null",
        "what was signed is `null` in place of the body",
        EMPTY,
        |_| Some(b"null".to_vec()),
    ),
    change(
        "empty-object",
        "what was signed is `{}` in place of the body",
        "the parser took nothing, most often for its content type, and left an empty object: verify over the raw bytes",
        |_| Some(b"{}".to_vec()),
    ),
    change(
        "buffer-json",
        "what was signed is the body as `JSON.stringify` writes a Buffer: `{\"type\":\"Buffer\",…}`",
        "the body is a Buffer: hand it to `hmac.update` as it is",
        |body| {
            let bytes: Vec<_> = body.iter().map(u8::to_string).collect();
            Some(format!(r#"{{"type":"Buffer","data":[{}]}}"#, bytes.join(",")).into_bytes())
        },
    ),
];

const BOM: &[u8] = b"\xef\xbb\xbf";

/// How JSON is written.
#[derive(Default)]
struct Style {
    comma: &'static str,
    colon: &'static str,
    indent: Option<&'static str>,
    escapes: Escapes,
    sorted: bool,
}

/// What is escaped that need not be.
#[derive(Default, PartialEq, Eq)]
enum Escapes {
    /// What was escaped before.
    #[default]
    AsWritten,
    /// Everything beyond ASCII.
    Ascii,
    /// Slashes.
    Slashes,
    /// What means something in HTML.
    Html,
}

const PYTHON: Style = Style {
    comma: " ",
    colon: " ",
    indent: None,
    escapes: Escapes::AsWritten,
    sorted: false,
};

fn indented(indent: &'static str) -> Style {
    Style {
        colon: " ",
        indent: Some(indent),
        ..Style::default()
    }
}

fn limits() -> Limits {
    Limits {
        bytes_max: EXPLAINED_BODY_BYTES_MAX,
        depth_max: DEPTH_MAX,
    }
}

pub(super) fn is_json(body: &[u8]) -> bool {
    ringback_json::check(body, limits()).is_ok()
}

/// What a parser and a writer of ECMAScript would change, where they would.
pub(super) fn fixed_point_fault(body: &[u8]) -> Option<String> {
    match ringback_json::fixed_point(body, limits()) {
        Ok(fixed) if fixed == body => None,
        Ok(_) => Some("white space, numbers, escapes or the order of members".to_owned()),
        Err(fault) => Some(fault.to_string()),
    }
}

/// Names and texts of the top-level members that are strings or numbers.
pub(super) fn top_members(body: &[u8]) -> Vec<(String, String)> {
    let Ok(members) = ringback_json::members(body, limits()) else {
        return Vec::new();
    };
    let text = |span: std::ops::Range<usize>| match Value::parse(&body[span], limits()).ok()?.0 {
        Node::String(text) => text.decode().map(Cow::into_owned),
        Node::Number(text) => Some(text.to_owned()),
        _ => None,
    };
    members
        .into_iter()
        .filter_map(|(name, span)| Some((name.into_owned(), text(span)?)))
        .collect()
}

/// Whether two bodies are the same JSON but for spelling, or but for the order of members too.
pub(super) fn same_json(one: &[u8], other: &[u8]) -> Option<&'static str> {
    let fixed = |body: &[u8]| ringback_json::fixed_point(body, limits()).ok();
    let sorted = Style {
        sorted: true,
        ..Style::default()
    };
    let ordered = |body: &[u8]| styled(&fixed(body)?, &sorted);
    if fixed(one)? == fixed(other)? {
        Some("both are the same JSON, spelled in two ways")
    } else if ordered(one)? == ordered(other)? {
        Some("both are the same JSON, with members in another order")
    } else {
        None
    }
}

fn styled(body: &[u8], style: &Style) -> Option<Vec<u8>> {
    let value = Value::parse(body, limits()).ok()?;
    let mut out = String::with_capacity(body.len() * 2);
    style.write(&value, 0, &mut out);
    Some(out.into_bytes())
}

impl Style {
    fn write(&self, value: &Value<'_>, depth: usize, out: &mut String) {
        match &value.0 {
            Node::Null => out.push_str("null"),
            Node::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Node::Number(text) => out.push_str(text),
            Node::String(text) => self.write_text(text.as_spelled(), out),
            Node::Array(items) => self.write_list(['[', ']'], items, depth, out, |item, out| {
                self.write(item, depth + 1, out);
            }),
            Node::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if self.sorted {
                    members.sort_by_key(|(name, _)| name.identity());
                }
                self.write_list(['{', '}'], members, depth, out, |(name, value), out| {
                    self.write_text(name.as_spelled(), out);
                    out.push(':');
                    out.push_str(self.colon);
                    self.write(value, depth + 1, out);
                });
            }
        }
    }

    fn write_list<T>(
        &self,
        [opening, closing]: [char; 2],
        entries: impl IntoIterator<Item = T>,
        depth: usize,
        out: &mut String,
        write: impl Fn(T, &mut String),
    ) {
        out.push(opening);
        let mut is_empty = true;
        for entry in entries {
            if !is_empty {
                out.push(',');
                out.push_str(self.comma);
            }
            self.start_line(depth + 1, out);
            write(entry, out);
            is_empty = false;
        }
        if !is_empty {
            self.start_line(depth, out);
        }
        out.push(closing);
    }

    fn start_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(indent, depth));
        }
    }

    fn write_text(&self, spelled: &str, out: &mut String) {
        out.push('"');
        let mut escaped = false;
        for c in spelled.chars() {
            match c {
                '/' if self.escapes == Escapes::Slashes && !escaped => out.push_str("\\/"),
                '<' | '>' | '&' if self.escapes == Escapes::Html => push_escape(u32::from(c), out),
                c if self.escapes == Escapes::Ascii && !c.is_ascii() => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        push_escape(u32::from(*unit), out);
                    }
                }
                c => out.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        out.push('"');
    }
}

fn push_escape(unit: u32, out: &mut String) {
    use std::fmt::Write;
    write!(out, "\\u{unit:04x}").expect("a String takes all");
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Unpacks gzip, up to the limit: a small body can hold a huge one.
fn unpacked(body: &[u8]) -> Option<Vec<u8>> {
    let limit = u64::try_from(EXPLAINED_BODY_BYTES_MAX).expect("a small number");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut plain)
        .ok()?;
    Some(plain)
}

/// Joins what a chunked transfer carries.
fn joined(body: &[u8]) -> Option<Vec<u8>> {
    let (mut plain, mut rest) = (Vec::new(), body);
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = std::str::from_utf8(&rest[..end]).ok()?;
        let length = length.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(plain);
        }
        rest = &rest[end + 2..];
        plain.extend_from_slice(rest.get(..length)?);
        rest = rest.get(length..)?.strip_prefix(b"\r\n")?;
    }
}

fn python_bytes(body: &[u8]) -> Vec<u8> {
    use std::fmt::Write;
    let quote = if body.contains(&b'\'') && !body.contains(&b'"') {
        '"'
    } else {
        '\''
    };
    let mut text = format!("b{quote}");
    for byte in body {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'\'' if quote == '\'' => text.push_str("\\'"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").expect("a String takes all"),
        }
    }
    text.push(quote);
    text.into_bytes()
}
