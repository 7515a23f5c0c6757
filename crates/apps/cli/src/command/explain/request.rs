//! A request as people keep it: in files, as headers and body or as a dump of both.

use crate::{
    args::ExplainArgs,
    failure::{Failure, Outcome},
};
use std::{fs::File, io::Read, path::Path};

/// Bytes of any file that is read: far more than a request of ours, far less than a log.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the receiver saw.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) fn read(args: &ExplainArgs) -> Outcome<Request> {
    if let Some(file) = &args.request {
        let bytes = read_bytes(file)?;
        return dumped(&bytes).ok_or_else(|| {
            Failure::usage(format!("`{}` is not a request", file.display()))
                .hint("a request line, headers as `Name: value`, an empty line, the body")
        });
    }
    let mut headers = args.header.clone();
    if let Some(file) = &args.headers {
        let bytes = read_bytes(file)?;
        headers.extend(String::from_utf8_lossy(&bytes).lines().filter_map(header));
    }
    let body = args.body.as_deref().map(read_bytes).transpose()?;
    let body = body.unwrap_or_default();
    Ok(Request { headers, body })
}

/// A file's bytes, or those of the standard input.
pub(super) fn read_bytes(file: &Path) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin()
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|failure| {
        Failure::usage(format!("could not read `{}`", file.display())).because(failure)
    })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "`{}` has more than {FILE_BYTES_MAX} bytes",
            file.display()
        )));
    }
    Ok(bytes)
}

/// Reads a dump. The body is every byte after the first empty line, also a line end that an editor added.
fn dumped(bytes: &[u8]) -> Option<Request> {
    let ends = [b"\r\n\r\n".as_slice(), b"\n\n"].map(|end| {
        let at = bytes.windows(end.len()).position(|window| window == end)?;
        Some((at, at + end.len()))
    });
    let (head, body) = ends.into_iter().flatten().min()?;
    let head = String::from_utf8_lossy(&bytes[..head]);
    let headers: Vec<_> = head.lines().filter_map(header).collect();
    (!headers.is_empty()).then(|| Request {
        headers,
        body: bytes[body..].to_vec(),
    })
}

/// A header; nothing for a request line.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    is_name.then(|| (name.to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], body: &[u8]) -> Request {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Request {
            headers: headers.iter().map(own).collect(),
            body: body.to_vec(),
        }
    }

    #[test]
    fn a_dump_is_split_at_its_first_empty_line_and_no_byte_of_the_body_changes() {
        assert_eq!(
            dumped(b"POST /a:b HTTP/1.1\r\nHost: x:80\r\nX-Empty:\r\n\r\n{\r\n\r\n}\n"),
            Some(request(
                &[("Host", "x:80"), ("X-Empty", "")],
                b"{\r\n\r\n}\n"
            ))
        );
        assert_eq!(
            dumped(b"a: 1\na:  2 \n\n\xff\r\n\r\n"),
            Some(request(&[("a", "1"), ("a", "2")], b"\xff\r\n\r\n"))
        );
        for not_one in ["", "{}", "POST / HTTP/1.1\r\n\r\n{}", "a: 1\n{}"] {
            assert_eq!(dumped(not_one.as_bytes()), None, "{not_one:?}");
        }
    }
}
