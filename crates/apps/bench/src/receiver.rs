//! The receiver: as fast as can be, since it shares the processors with what is measured. It keeps what came in memory and
//! writes it down when asked.
//!
//! How a destination answers is the first part of its path: `/accepts/<name>`, `/hangs/<name>`.

use crate::{BenchError, figures::Micros, micros_now};
use std::{
    collections::HashSet,
    fmt::Write as _,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// A head and a body of a bench's request fit in; what is longer is none of ours.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
const ACCEPTED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const REFUSED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

struct Seen {
    at: Micros,
    destination: Box<str>,
    event: Box<str>,
    status: Option<u16>,
}

#[derive(Default)]
struct Receiver {
    seen: Mutex<Vec<Seen>>,
    refused_once: Mutex<HashSet<Box<str>>>,
}

/// Serves until the process ends.
pub(crate) async fn run(port: u16) -> Result<(), BenchError> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(BenchError::io("listen"))?;
    let receiver = Arc::new(Receiver::default());
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            continue;
        };
        let receiver = receiver.clone();
        tokio::spawn(async move {
            // A connection that breaks off is the sender's affair.
            let _ = receiver.serve(connection).await;
        });
    }
}

impl Receiver {
    async fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut bytes = Vec::with_capacity(4096);
        loop {
            let Some((head, length)) = read_head(&mut connection, &mut bytes).await? else {
                return Ok(());
            };
            let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            while bytes.len() < head + length {
                if connection.read_buf(&mut bytes).await? == 0 {
                    return Ok(());
                }
            }
            bytes.drain(..head + length);
            let mut words = text.split(' ');
            let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
            if method == "GET" {
                self.tell(&mut connection, path).await?;
            } else if !self.answer(&mut connection, path, &text).await? {
                return Ok(());
            }
        }
    }

    /// Whether the connection goes on.
    async fn answer(&self, connection: &mut TcpStream, path: &str, head: &str) -> io::Result<bool> {
        let (manner, destination) = path[1..].split_once('/').unwrap_or(("accepts", "-"));
        let event = header(head, "webhook-id").unwrap_or("-");
        let note = |status| self.note(destination, event, status);
        match manner {
            "hangs" => {
                note(None);
                // Until the other side has had enough.
                let mut rest = [0; 64];
                while connection.read(&mut rest).await? > 0 {}
                return Ok(false);
            }
            "drips" => {
                note(None);
                for byte in ACCEPTED {
                    connection.write_all(&[*byte]).await?;
                    sleep(Duration::from_secs(1)).await;
                }
            }
            "resets" => {
                note(None);
                connection.set_zero_linger()?;
                return Ok(false);
            }
            "refuses-once"
                if self
                    .refused()
                    .insert(format!("{destination} {event}").into()) =>
            {
                note(Some(503));
                connection.write_all(REFUSED).await?;
            }
            "waits" => {
                note(Some(200));
                sleep(Duration::from_millis(50)).await;
                connection.write_all(ACCEPTED).await?;
            }
            _ => {
                note(Some(200));
                connection.write_all(ACCEPTED).await?;
            }
        }
        Ok(true)
    }

    /// `/count`: accepted requests so far. `/log`: all of them, a line each.
    async fn tell(&self, connection: &mut TcpStream, path: &str) -> io::Result<()> {
        let text = if path == "/log" {
            let mut text = String::new();
            for seen in self.seen().iter() {
                let status = seen
                    .status
                    .map_or_else(|| "-".to_owned(), |s| s.to_string());
                let _ = writeln!(
                    text,
                    "{} {} {} {status}",
                    seen.at, seen.destination, seen.event
                );
            }
            text
        } else {
            let accepted = |seen: &&Seen| seen.status == Some(200);
            self.seen().iter().filter(accepted).count().to_string()
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(text.as_bytes()).await
    }

    fn note(&self, destination: &str, event: &str, status: Option<u16>) {
        self.seen().push(Seen {
            at: micros_now(),
            destination: destination.into(),
            event: event.into(),
            status,
        });
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.refused_once
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until a head is whole: its length, and that of the body. Nothing, when the other side is done.
async fn read_head(
    connection: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> io::Result<Option<(usize, usize)>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = end + 4;
            let text = String::from_utf8_lossy(&bytes[..head]);
            let length = header(&text, "content-length").and_then(|text| text.parse().ok());
            return Ok(Some((head, length.unwrap_or(0))));
        }
        if bytes.len() > REQUEST_BYTES_MAX || connection.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_came_is_told_when_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (connection, _) = listener.accept().await.unwrap();
        let serving = tokio::spawn(async move { Receiver::default().serve(connection).await });
        let post = "POST /refuses-once/a HTTP/1.1\r\nWebhook-Id: e1\r\ncontent-length: 2\r\n\r\n{}";
        for request in [
            post,
            post,
            "GET /count HTTP/1.1\r\n\r\n",
            "GET /log HTTP/1.1\r\n\r\n",
        ] {
            client.write_all(request.as_bytes()).await.unwrap();
        }
        client.shutdown().await.unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        serving.await.unwrap().unwrap();
        assert!(answers.starts_with("HTTP/1.1 503"), "{answers}");
        assert!(answers.contains("\r\n\r\n1HTTP"), "{answers}");
        assert!(
            answers.contains(" a e1 503\n") && answers.ends_with(" a e1 200\n"),
            "{answers}"
        );
    }
}
