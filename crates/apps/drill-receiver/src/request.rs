//! As much of HTTP/1.1 as a receiver of webhooks needs.

use std::io::{self, BufRead, Read};

const HEAD_BYTES_MAX: u64 = 32 * 1024;
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A request that arrived whole.
pub(crate) struct Request {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection ended in the middle, or was silent for too long.
    Off(io::Error),
    /// What came is nothing that a receiver could read.
    NotHttp,
}

impl From<io::Error> for Broken {
    fn from(failure: io::Error) -> Self {
        Self::Off(failure)
    }
}

impl Request {
    /// The next one of a connection; nothing at its orderly end.
    pub(crate) fn read(input: &mut impl BufRead) -> Result<Option<Self>, Broken> {
        let mut head = input.by_ref().take(HEAD_BYTES_MAX);
        let Some(first) = line(&mut head)? else {
            return Ok(None);
        };
        let (method, rest) = first.split_once(' ').ok_or(Broken::NotHttp)?;
        let (path, version) = rest.split_once(' ').ok_or(Broken::NotHttp)?;
        if method != "POST" || version != "HTTP/1.1" {
            return Err(Broken::NotHttp);
        }
        let path = path.to_owned();
        let mut headers = Vec::new();
        loop {
            let line = line(&mut head)?.ok_or_else(broken_off)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(Broken::NotHttp)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            path,
            headers,
            body: Vec::new(),
        };
        let length = request
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let length = length
            .filter(|length| *length <= BODY_BYTES_MAX)
            .ok_or(Broken::NotHttp)?;
        request.body.resize(length, 0);
        input.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    /// The header of this name; nothing when it came not once but never or more often.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }
}

/// A line without its end; nothing when the input is over.
fn line(input: &mut impl BufRead) -> Result<Option<String>, Broken> {
    let mut bytes = Vec::new();
    if input.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        return Err(if bytes.ends_with(b"\n") {
            Broken::NotHttp
        } else {
            broken_off()
        });
    };
    let line = str::from_utf8(line).map_err(|_| Broken::NotHttp)?;
    Ok(Some(line.to_owned()))
}

fn broken_off() -> Broken {
    Broken::Off(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_one_after_the_other() {
        let mut input = "POST /a HTTP/1.1\r\nX-One:  1 \r\nContent-Length: 2\r\n\r\n{}POST /b HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
            .as_bytes();
        let first = Request::read(&mut input).unwrap().unwrap();
        assert_eq!(
            (first.path.as_str(), first.header("x-one"), &first.body[..]),
            ("/a", Some("1"), &b"{}"[..])
        );
        assert_eq!(Request::read(&mut input).unwrap().unwrap().path, "/b");
        assert!(Request::read(&mut input).unwrap().is_none());
    }

    #[test]
    fn a_header_that_came_twice_is_none() {
        let mut input = "POST / HTTP/1.1\r\nx: 1\r\nX: 2\r\ncontent-length: 0\r\n\r\n".as_bytes();
        assert_eq!(
            Request::read(&mut input).unwrap().unwrap().header("x"),
            None
        );
    }

    #[test]
    fn what_broke_off_and_what_is_not_http_are_told_apart() {
        let read =
            |text: &str| Request::read(&mut text.as_bytes()).map(|request| request.is_some());
        for off in [
            "POST /a HT",
            "POST /a HTTP/1.1\r\n",
            "POST /a HTTP/1.1\r\ncontent-length: 2\r\n\r\n{",
        ] {
            assert!(matches!(read(off), Err(Broken::Off(_))), "{off:?}");
        }
        for wrong in [
            "\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "POST /a HTTP/1.0\r\n\r\n",
            "POST /a HTTP/1.1\r\n\r\n",
            "POST /a HTTP/1.1\r\nnonsense\r\n\r\n",
            "POST /a HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n",
        ] {
            assert!(matches!(read(wrong), Err(Broken::NotHttp)), "{wrong:?}");
        }
    }
}
