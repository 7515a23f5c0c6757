//! A text as a tree that can be written back.

use crate::{Fault, Limits, Node, read};

/// A JSON text in parts: number text, spelling of strings and order of members are those of the text it borrows from.
///
/// Only white space between the parts is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'t>(pub Node<'t, Value<'t>>);

impl<'t> Value<'t> {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// What [`crate::check`] refuses.
    pub fn parse(bytes: &'t [u8], limits: Limits) -> Result<Self, Fault> {
        read(bytes, limits, |node, _| Ok(Self(node)))
    }

    /// Writes it without white space.
    pub fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Node::Null => out.extend_from_slice(b"null"),
            Node::Bool(true) => out.extend_from_slice(b"true"),
            Node::Bool(false) => out.extend_from_slice(b"false"),
            Node::Number(text) => out.extend_from_slice(text.as_bytes()),
            Node::String(raw) => write_quoted(out, raw.as_spelled()),
            Node::Array(items) => {
                write_list(out, [b'[', b']'], items, |out, item| item.write(out));
            }
            Node::Object(members) => {
                write_list(out, [b'{', b'}'], members, |out, (name, value)| {
                    write_quoted(out, name.as_spelled());
                    out.push(b':');
                    value.write(out);
                });
            }
        }
    }
}

fn write_quoted(out: &mut Vec<u8>, spelled: &str) {
    out.push(b'"');
    out.extend_from_slice(spelled.as_bytes());
    out.push(b'"');
}

/// Writes what stands between two brackets, with commas.
pub(crate) fn write_list<T>(
    out: &mut Vec<u8>,
    [opening, closing]: [u8; 2],
    entries: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(opening);
    for (index, entry) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, entry);
    }
    out.push(closing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_goes() {
        let text = br#" { "b" : [ 1.50, -0, 1E+2 , 18446744073709551616 ] , "a\u0062" : "\/\u00E9 \ud800" , "1": {} , "0": [ ], "n": null, "t":true,"f" :false } "#;
        let limits = Limits {
            bytes_max: 1000,
            depth_max: 8,
        };
        let mut written = Vec::new();
        Value::parse(text, limits).unwrap().write(&mut written);
        assert_eq!(
            String::from_utf8(written).unwrap(),
            r#"{"b":[1.50,-0,1E+2,18446744073709551616],"a\u0062":"\/\u00E9 \ud800","1":{},"0":[],"n":null,"t":true,"f":false}"#
        );
    }
}
