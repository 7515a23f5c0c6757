//! The logs as text: the receiver's, which is read, and those that are kept for whoever wants to judge again.

use crate::judge::{Evidence, Millis, Published, Received};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Reads a log that grows, from where it was read last.
#[derive(Debug)]
pub(crate) struct ReceiverLog {
    path: PathBuf,
    read_bytes: u64,
}

impl ReceiverLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read_bytes: 0,
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the lines that are new. One that is still being written waits for the next time.
    pub(crate) fn read_on(&mut self, received: &mut Vec<Received>) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            // Before the first request there is none.
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        file.seek(SeekFrom::Start(self.read_bytes))?;
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            let request = parse(line.trim_end()).ok_or_else(|| {
                io::Error::other(format!("the receiver wrote `{}`", line.trim_end()))
            })?;
            received.push(request);
            self.read_bytes += line.len() as u64;
            line.clear();
        }
        Ok(())
    }
}

fn parse(line: &str) -> Option<Received> {
    let [at, destination, id, digest, verdict, status] =
        line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    Some(Received {
        at: at.parse().ok()?,
        destination: destination.to_owned(),
        id: id.to_owned(),
        digest: digest.to_owned(),
        verified: match verdict {
            "verified" => true,
            "wrong" | "unreadable" => false,
            _ => return None,
        },
        status: status.parse().ok()?,
    })
}

/// Keeps what the verdict was reached by: a file for each side, as they are judged.
pub(crate) fn keep(folder: &Path, evidence: &Evidence, receiver_log: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::copy(receiver_log, folder.join("received.log"))?;
    write_lines(
        &folder.join("published.log"),
        evidence.published.iter().map(published_line),
    )?;
    let given_up = evidence.given_up.iter().map(|dead| {
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
        format!("{} {}", word(&dead.id), word(&dead.destination))
    });
    write_lines(&folder.join("dead-letters.log"), given_up)?;
    let struck = evidence
        .struck
        .iter()
        .map(|fault| format!("{} {} {}", fault.begun_at, fault.over_at, fault.class));
    write_lines(&folder.join("faults.log"), struck)
}

fn published_line(event: &Published) -> String {
    let acknowledged_at = event
        .acknowledged_at
        .as_ref()
        .map_or_else(|| "-".to_owned(), Millis::to_string);
    format!(
        "{} {} {} {acknowledged_at}",
        event.id,
        event.destinations.join(","),
        event.digest
    )
}

fn write_lines(path: &Path, lines: impl Iterator<Item = String>) -> io::Result<()> {
    let mut file = io::BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read_line_by_line_as_it_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("received.log");
        let mut log = ReceiverLog::new(path.clone());
        let mut received = Vec::new();
        log.read_on(&mut received).unwrap();
        assert!(received.is_empty());

        std::fs::write(
            &path,
            "10 steady evt-1 ab verified 200\n11 flaky evt-2 cd wr",
        )
        .unwrap();
        log.read_on(&mut received).unwrap();
        assert_eq!(received.len(), 1);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"ong 503\n").unwrap();
        log.read_on(&mut received).unwrap();
        let expected = Received {
            at: 11,
            destination: "flaky".into(),
            id: "evt-2".into(),
            digest: "cd".into(),
            verified: false,
            status: 503,
        };
        assert_eq!(received[1..], [expected]);

        file.write_all(b"nonsense\n").unwrap();
        assert!(
            log.read_on(&mut received)
                .unwrap_err()
                .to_string()
                .contains("`nonsense`")
        );
    }

    #[test]
    fn all_sides_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let receiver_log = folder.path().join("log");
        std::fs::write(&receiver_log, "10 steady evt-1 ab verified 200\n").unwrap();
        let event = |acknowledged_at| Published {
            id: "evt-1".into(),
            destinations: &["left", "right"],
            digest: "ab".into(),
            acknowledged_at,
        };
        let evidence = Evidence {
            published: vec![event(Some(7)), event(None)],
            ..Evidence::default()
        };
        keep(&folder.path().join("kept"), &evidence, &receiver_log).unwrap();
        let kept = std::fs::read_to_string(folder.path().join("kept/published.log")).unwrap();
        assert_eq!(kept, "evt-1 left,right ab 7\nevt-1 left,right ab -\n");
        assert!(folder.path().join("kept/received.log").is_file());
    }
}
