//! The receiver of the drill: takes webhooks, verifies them, and writes down what came before it answers.
//!
//! It is the witness, so it shares no code with the system it judges: the standard library, SHA-256, HMAC and base64 are all it
//! has. It runs as a process of its own, is killed and started again like everything else, and its log outlives it.
//!
//! A line of the log is a request that arrived whole:
//!
//! ```text
//! 1780308090250 steady evt-7 9f86d081…0a08 verified 200
//! ```
//!
//! milliseconds since 1970, destination, the id it came under, SHA-256 of the body, verdict on the signature, and the answer. A
//! request that broke off is no line; one that is not HTTP is, as `unreadable`.

mod request;
mod signature;

use request::{Broken, Request};
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

/// Connections open at once; one more is closed at once.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a connection may be silent between requests.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Between the line in the log and the answer: a fault should find requests under way.
const THINKING: Duration = Duration::from_millis(40);
/// Ids remembered by a destination that fails at first.
const SEEN_MAX: usize = 1_000_000;

/// What the receiver is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens, on the loopback address.
    pub port: u16,
    /// The file it appends to.
    pub log: PathBuf,
    /// A file with a line for each destination: its path without the slash, its manner, its secret.
    pub destinations: PathBuf,
}

/// How a destination answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// 200, always.
    Accepts,
    /// 503 when it first sees an id, for half of them; then 200. It forgets when it is killed.
    FailsFirst,
    /// 500 for half of the ids, always; 200 for the others, so that nobody takes it for down.
    RefusesHalf,
}

struct Destination {
    manner: Manner,
    key: Vec<u8>,
}

struct Receiver {
    destinations: HashMap<String, Destination>,
    log: Mutex<File>,
    seen: Mutex<HashSet<String>>,
    connections: AtomicUsize,
}

/// Serves until the process ends.
///
/// # Errors
///
/// When the destinations cannot be read, the log not be opened, or the port not be had.
pub fn run(settings: &Settings) -> io::Result<()> {
    let destinations = parse_destinations(&fs::read_to_string(&settings.destinations)?)?;
    let log = File::options()
        .create(true)
        .append(true)
        .open(&settings.log)?;
    let receiver = Arc::new(Receiver {
        destinations,
        log: Mutex::new(log),
        seen: Mutex::default(),
        connections: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind(("127.0.0.1", settings.port))?;
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        if receiver.connections.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX {
            let receiver = Arc::clone(&receiver);
            thread::spawn(move || {
                // A connection that breaks is what the drill is about.
                let _ = receiver.serve(connection);
                receiver.connections.fetch_sub(1, Ordering::Relaxed);
            });
        } else {
            receiver.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn parse_destinations(text: &str) -> io::Result<HashMap<String, Destination>> {
    text.lines()
        .map(|line| {
            parse_destination(line).ok_or_else(|| io::Error::other("a destination is not one"))
        })
        .collect()
}

fn parse_destination(line: &str) -> Option<(String, Destination)> {
    let [name, manner, secret] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let manner = match manner {
        "accepts" => Manner::Accepts,
        "fails-first" => Manner::FailsFirst,
        "refuses-half" => Manner::RefusesHalf,
        _ => return None,
    };
    let key = signature::key_of(secret)?;
    Some((name.to_owned(), Destination { manner, key }))
}

impl Receiver {
    fn serve(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_read_timeout(Some(IDLE_MAX))?;
        connection.set_nodelay(true)?;
        let mut answers = connection.try_clone()?;
        let mut requests = BufReader::new(connection);
        loop {
            let status = match Request::read(&mut requests) {
                Ok(Some(request)) => self.take(&request)?,
                Ok(None) => return Ok(()),
                Err(Broken::Off(failure)) => return Err(failure),
                Err(Broken::NotHttp) => {
                    self.write(&format!("{} - - - unreadable 400", now().as_millis()))?;
                    400
                }
            };
            thread::sleep(THINKING);
            write!(
                answers,
                "HTTP/1.1 {status} {status}\r\ncontent-length: 0\r\n\r\n"
            )?;
            if status == 400 {
                return Ok(());
            }
        }
    }

    /// Judges and records a request; the status to answer with.
    fn take(&self, request: &Request) -> io::Result<u16> {
        let at = now();
        let name = request.path.trim_start_matches('/');
        let id = request.header("webhook-id").unwrap_or("-");
        let digest = Sha256::digest(&request.body);
        let (verdict, status) = match self.destinations.get(name) {
            None => ("wrong", 404),
            Some(destination) => {
                let verified = signature::is_valid(request, &destination.key, at);
                let verdict = if verified { "verified" } else { "wrong" };
                (
                    verdict,
                    self.answer_of(destination.manner, name, id, digest[0]),
                )
            }
        };
        let mut hex = String::with_capacity(64);
        for byte in digest {
            let _ = write!(hex, "{byte:02x}");
        }
        let (name, id) = (one_word(name), one_word(id));
        self.write(&format!(
            "{} {name} {id} {hex} {verdict} {status}",
            at.as_millis()
        ))?;
        Ok(status)
    }

    fn answer_of(&self, manner: Manner, name: &str, id: &str, chance: u8) -> u16 {
        match manner {
            Manner::RefusesHalf if chance.is_multiple_of(2) => 500,
            Manner::Accepts | Manner::RefusesHalf => 200,
            Manner::FailsFirst => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.len() >= SEEN_MAX {
                    seen.clear();
                }
                let is_first = seen.insert(format!("{name}/{id}"));
                if is_first && chance.is_multiple_of(2) {
                    503
                } else {
                    200
                }
            }
        }
    }

    /// Appends a line by one write, so that a kill leaves whole lines.
    fn write(&self, line: &str) -> io::Result<()> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.write_all(format!("{line}\n").as_bytes())
    }
}

/// Text from outside as one word of the log.
fn one_word(text: &str) -> String {
    let harmless = |char: char| if char.is_ascii_graphic() { char } else { '?' };
    match text {
        "" => "-".to_owned(),
        text => text.chars().map(harmless).take(200).collect(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the system is one of the things it does not share"
)]
fn now() -> Duration {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn it_shares_no_code_with_the_system() {
        let manifest = include_str!("../Cargo.toml");
        let dependencies = manifest.split_once("[dependencies]").unwrap().1;
        assert!(!dependencies.contains("ringback"), "{dependencies}");
    }

    #[test]
    fn a_line_of_destinations_is_a_name_a_manner_and_a_secret() {
        let read = parse_destinations("steady accepts whsec_AAAA\nflaky fails-first whsec_AAAA\n")
            .unwrap();
        assert_eq!(read["flaky"].manner, Manner::FailsFirst);
        for wrong in [
            "steady accepts",
            "steady sometimes whsec_AAAA",
            "steady accepts AAAA",
        ] {
            assert!(parse_destinations(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn half_of_the_ids_are_refused_always_or_at_first() {
        let receiver = receiver(std::path::Path::new("/dev/null"));
        let answer = |id, chance| receiver.answer_of(Manner::FailsFirst, "flaky", id, chance);
        assert_eq!([answer("a", 0), answer("a", 0)], [503, 200]);
        assert_eq!([answer("b", 1), answer("b", 1)], [200, 200]);
        let answer = |chance| receiver.answer_of(Manner::RefusesHalf, "doomed", "a", chance);
        assert_eq!([answer(0), answer(0), answer(1)], [500, 500, 200]);
    }

    #[test]
    fn what_came_is_in_the_log_before_the_answer_and_what_broke_off_is_not() {
        let path =
            std::env::temp_dir().join(format!("ringback-drill-receiver-{}", std::process::id()));
        let receiver = receiver(&path);
        let signed = "webhook-id: evt-1\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,AAAA\r\n";
        let whole = format!("POST /steady HTTP/1.1\r\n{signed}content-length: 2\r\n\r\n{{}}");
        let answers = talk(
            &receiver,
            &format!("{whole}{whole}POST /steady HTTP/1.1\r\ncontent-length: 9\r\n\r\n{{"),
        );
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
        assert!(talk(&receiver, "nonsense\r\n\r\n").contains("400"));

        let log = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let lines: Vec<_> = log
            .lines()
            .map(|line| line.split_once(' ').unwrap().1)
            .collect();
        let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let taken = format!("steady evt-1 {digest} wrong 200");
        assert_eq!(lines, [&taken, &taken, "- - - unreadable 400"]);
    }

    fn receiver(log: &std::path::Path) -> Receiver {
        Receiver {
            destinations: parse_destinations("steady accepts whsec_AAAA").unwrap(),
            log: Mutex::new(File::options().create(true).append(true).open(log).unwrap()),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
        }
    }

    /// Sends this, closes that half, and returns all that is answered.
    fn talk(receiver: &Receiver, text: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        client.write_all(text.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = receiver.serve(connection);
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        answers
    }
}
