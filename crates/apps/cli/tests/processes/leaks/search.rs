//! The searcher: marked secrets, in every spelling they may hide in.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use std::{collections::HashSet, fmt::Write as _, fs, path::Path};

/// A secret that can be recognised wherever it is.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    pub(super) name: &'static str,
    text: Vec<u8>,
}

impl Marker {
    pub(super) fn new(name: &'static str, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref().to_owned();
        assert!(text.len() >= 16, "{name} could be found by chance");
        Self { name, text }
    }

    /// What to look for: a name for the spelling, and its bytes.
    fn spellings(&self) -> Vec<(String, Vec<u8>)> {
        let mut spellings = Vec::new();
        for (spelling, keeps, write) in [
            ("hex", NOTHING, HEX),
            ("HEX", NOTHING, UPPER_HEX),
            ("percent", NOTHING, PERCENT),
            ("PERCENT", NOTHING, UPPER_PERCENT),
            ("percent where needed", UNRESERVED, PERCENT),
            ("PERCENT where needed", UNRESERVED, UPPER_PERCENT),
        ] {
            let text = spelled(&self.text, keeps, write);
            spellings.push((spelling.to_owned(), text.into_bytes()));
        }
        spellings.push(("plain".into(), self.text.clone()));
        for (alphabet, engine) in [
            ("standard", BASE64_STANDARD_NO_PAD),
            ("URL-safe", BASE64_URL_SAFE_NO_PAD),
        ] {
            for alignment in 0..3 {
                let text = aligned(&engine, &self.text, alignment);
                spellings.push((format!("{alphabet} base64 at {alignment}"), text));
            }
        }
        spellings
    }
}

const NOTHING: fn(u8) -> bool = |_| false;
const UNRESERVED: fn(u8) -> bool = |byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
const HEX: fn(u8) -> String = |byte| format!("{byte:02x}");
const UPPER_HEX: fn(u8) -> String = |byte| format!("{byte:02X}");
const PERCENT: fn(u8) -> String = |byte| format!("%{byte:02x}");
const UPPER_PERCENT: fn(u8) -> String = |byte| format!("%{byte:02X}");

fn spelled(text: &[u8], keeps: fn(u8) -> bool, write: fn(u8) -> String) -> String {
    let mut spelled = String::new();
    for byte in text {
        if keeps(*byte) {
            spelled.push(char::from(*byte));
        } else {
            spelled.push_str(&write(*byte));
        }
    }
    spelled
}

/// What of a longer text's base64 depends on this part alone, when so many bytes stand before it.
fn aligned(engine: &impl Engine, text: &[u8], before: usize) -> Vec<u8> {
    let mut longer = vec![0; before];
    longer.extend_from_slice(text);
    let encoded = engine.encode(&longer);
    // The first characters hold bits of what stands before, the last may hold bits of what comes after.
    let first = (before * 8).div_ceil(6);
    let last = longer.len() * 8 / 6;
    encoded.as_bytes()[first..last].to_vec()
}

/// Something found where it must not be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) marker: &'static str,
    pub(super) spelling: String,
    pub(super) place: String,
}

/// Looks for all markers at once.
pub(super) struct Searcher {
    needles: Vec<(&'static str, String, Vec<u8>)>,
    /// By its first two bytes, where a needle is.
    begins: Vec<Vec<usize>>,
}

impl Searcher {
    pub(super) fn new<'m>(markers: impl IntoIterator<Item = &'m Marker>) -> Self {
        let needles: Vec<_> = markers
            .into_iter()
            .flat_map(|marker| {
                let spellings = marker.spellings().into_iter();
                spellings.map(|(spelling, bytes)| (marker.name, spelling, bytes))
            })
            .collect();
        let mut begins = vec![Vec::new(); 1 << 16];
        for (index, (.., needle)) in needles.iter().enumerate() {
            begins[key(needle[0], needle[1])].push(index);
        }
        Self { needles, begins }
    }

    /// What is found in these bytes; each thing once.
    pub(super) fn search(&self, place: &str, bytes: &[u8]) -> HashSet<Finding> {
        let mut findings = HashSet::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            for index in &self.begins[key(pair[0], pair[1])] {
                let (marker, spelling, needle) = &self.needles[*index];
                if bytes[at..].starts_with(needle) {
                    findings.insert(Finding {
                        marker,
                        spelling: spelling.clone(),
                        place: place.to_owned(),
                    });
                }
            }
        }
        findings
    }

    /// What is found in the files below a folder, and in their names; how many bytes were looked at.
    pub(super) fn search_folder(
        &self,
        place: &str,
        folder: &Path,
        findings: &mut HashSet<Finding>,
    ) -> usize {
        let mut bytes_seen = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let place = format!("{place}/{name}");
            findings.extend(self.search(&place, name.as_bytes()));
            if path.is_dir() {
                bytes_seen += self.search_folder(&place, &path, findings);
            } else if path.is_file() {
                let bytes = fs::read(&path).unwrap();
                bytes_seen += bytes.len();
                findings.extend(self.search(&place, &bytes));
            }
        }
        bytes_seen
    }
}

fn key(first: u8, second: u8) -> usize {
    (usize::from(first) << 8) | usize::from(second)
}

/// A finding a line, for the message of a failing test.
pub(super) fn told(findings: &HashSet<Finding>) -> String {
    let mut findings: Vec<_> = findings.iter().collect();
    findings.sort_unstable();
    let mut text = String::new();
    for Finding {
        marker,
        spelling,
        place,
    } in findings
    {
        writeln!(text, "{marker} as {spelling} in {place}").unwrap();
    }
    text
}

#[test]
fn a_secret_is_found_in_every_spelling_and_wherever_it_stands() {
    let secret = b"Mark of a/secret+with?signs=7";
    let searcher = Searcher::new([&Marker::new("it", secret)]);
    let form = "Mark%20of%20a%2Fsecret%2Bwith%3Fsigns%3D7";
    let mut hidden = vec![form.as_bytes().to_vec()];
    for write in [HEX, UPPER_HEX, PERCENT, UPPER_PERCENT] {
        hidden.push(spelled(secret, NOTHING, write).into_bytes());
    }
    hidden.push(secret.to_vec());
    for before in 0..7 {
        for after in 0..4 {
            let mut whole = vec![0xfb; before];
            whole.extend_from_slice(secret);
            whole.extend(vec![0xef; after]);
            hidden.push(BASE64_STANDARD_NO_PAD.encode(&whole).into_bytes());
            hidden.push(BASE64_URL_SAFE_NO_PAD.encode(&whole).into_bytes());
        }
    }
    for spelling in hidden {
        let mut text = b"before \xff".to_vec();
        text.extend_from_slice(&spelling);
        text.extend_from_slice(b"\x00 after");
        let found = searcher.search("here", &text);
        assert!(!found.is_empty(), "{}", String::from_utf8_lossy(&spelling));
    }
    let innocent = b"Mark of a secret with signs, TWFyayBvZiBh, 4d61726b206f66";
    assert_eq!(searcher.search("here", innocent), HashSet::new());
}
