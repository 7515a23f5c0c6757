//! Files of dead letters and of webhooks: written so that they can be trusted, and read back with every rule checked.
//!
//! A file has one of them on each line, in the form of [`ringback_wire::export`]. It is written under another name, synced to
//! disk, read again and compared, and only then gets its own: a file under its own name is whole.

use ringback_delivery::port::{Entropy, Store, StoreError};
use ringback_domain::{
    Callback, CallbackSecret, DeadLetter, DeadLetterContent, Destination, ProjectName,
    SealedSecret, Timestamp, Webhook, WebhookId,
};
use ringback_signing::{KeyRing, NONCE_BYTES, SealedFor, Secret};
use ringback_wire::{WireError, export};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use url::Url;

/// What a file has on its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Dead letters.
    DeadLetters,
    /// Webhooks.
    Webhooks,
}

impl Content {
    /// Whether a line can be read back.
    fn reads(self, line: &[u8]) -> bool {
        match self {
            Self::DeadLetters => export::decode(line).is_ok(),
            Self::Webhooks => export::decode_webhook(line).is_ok(),
        }
    }
}

/// A file that is being written. Dropped before [`Archive::finish`], it is removed.
#[derive(Debug)]
pub struct Archive {
    content: Content,
    path: PathBuf,
    unfinished: PathBuf,
    file: io::BufWriter<File>,
    lines: u64,
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// There is a file of that name.
    #[error("`{}` is there already (hint: choose another name, or move it away)", .0.display())]
    Exists(PathBuf),
    /// It cannot be made at that place.
    #[error("could not begin `{}`", path.display())]
    NotBegun {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk.
    #[error("could not write `{}`", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was read back is not what was written.
    #[error("`{}` does not hold what was written to it", .0.display())]
    Unverified(PathBuf),
    /// Something whose line would be passed over when the file is read back. The file is as it was.
    #[error("{what} {id} takes {bytes} bytes; a line of a file has at most {max}", max = export::LINE_BYTES_MAX)]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Which.
        id: String,
        /// How long its line would be.
        bytes: usize,
    },
    /// A dead letter that cannot be written.
    #[error("dead letter {id} cannot be exported")]
    Record {
        /// Which.
        id: ringback_domain::DeadLetterId,
        /// Why.
        #[source]
        source: WireError,
    },
}

impl Archive {
    /// Begins a file that is not there yet, for its owner alone: bodies and URLs are customers' data.
    ///
    /// # Errors
    ///
    /// When there is one, or it cannot be made.
    pub fn create(path: &Path, content: Content) -> Result<Self, ArchiveError> {
        if path.exists() {
            return Err(ArchiveError::Exists(path.to_owned()));
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        let unfinished = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options
            .open(&unfinished)
            .map_err(|source| ArchiveError::NotBegun {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            content,
            path: path.to_owned(),
            unfinished,
            file: io::BufWriter::new(file),
            lines: 0,
        })
    }

    /// Adds what [`line_of`] or [`line_of_webhook`] made.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add(&mut self, line: &[u8]) -> Result<(), ArchiveError> {
        self.file
            .write_all(line)
            .map_err(|source| unwritable(&self.path, source))?;
        self.lines += 1;
        Ok(())
    }

    /// Syncs it, reads it back, and gives it its name. How many lines it has.
    ///
    /// # Errors
    ///
    /// When any of that fails: then there is no such file.
    pub fn finish(mut self) -> Result<u64, ArchiveError> {
        let failed = |source| unwritable(&self.path, source);
        self.file.flush().map_err(failed)?;
        self.file.get_ref().sync_all().map_err(failed)?;
        let mut lines = Lines::open(&self.unfinished).map_err(failed)?;
        let mut verified = 0;
        while let Some((_, line)) = lines.next().map_err(failed)? {
            let is_whole = line.is_ok_and(|line| self.content.reads(&line));
            verified += u64::from(is_whole);
        }
        if verified != self.lines {
            return Err(ArchiveError::Unverified(self.path.clone()));
        }
        // A hard link refuses where a rename would replace what somebody put there meanwhile.
        std::fs::hard_link(&self.unfinished, &self.path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ArchiveError::Exists(self.path.clone()),
            _ => unwritable(&self.path, source),
        })?;
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // A file is there after a power cut only once its directory is on disk.
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed)?;
        Ok(verified)
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // Gone already, or left for whoever looks after the disk that fails.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

/// A dead letter as the line that a file of them has for it, line feed included.
///
/// # Errors
///
/// When it cannot be written, or not be read back.
pub fn line_of(dead_letter: &DeadLetter) -> Result<Vec<u8>, ArchiveError> {
    let line = export::encode(dead_letter).map_err(|source| ArchiveError::Record {
        id: dead_letter.id.clone(),
        source,
    })?;
    ended(line, "dead letter", &dead_letter.id)
}

/// A webhook as such a line.
///
/// # Errors
///
/// When it could not be read back.
pub fn line_of_webhook(webhook: &Webhook) -> Result<Vec<u8>, ArchiveError> {
    ended(export::encode_webhook(webhook), "webhook", &webhook.id)
}

fn ended(
    mut line: Vec<u8>,
    what: &'static str,
    id: &impl ToString,
) -> Result<Vec<u8>, ArchiveError> {
    if line.len() > export::LINE_BYTES_MAX {
        return Err(ArchiveError::TooLong {
            what,
            id: id.to_string(),
            bytes: line.len(),
        });
    }
    line.push(b'\n');
    Ok(line)
}

fn unwritable(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Unwritable {
        path: path.to_owned(),
        source,
    }
}

/// The lines of a file, with their numbers.
#[derive(Debug)]
pub struct Lines {
    input: BufReader<File>,
    number: u64,
}

/// A line, or why it cannot be one; with its number.
pub type Numbered = (u64, Result<Vec<u8>, LineTooLong>);

/// A line that nothing has which was exported.
#[derive(Debug, thiserror::Error)]
#[error("the line is longer than {max} bytes", max = export::LINE_BYTES_MAX)]
pub struct LineTooLong;

impl Lines {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            input: BufReader::new(File::open(path)?),
            number: 0,
        })
    }

    /// The next line that is not empty. What is longer than any may be is passed over, not kept.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "a failure ends it, which an iterator's would not"
    )]
    pub fn next(&mut self) -> io::Result<Option<Numbered>> {
        loop {
            let mut line = Vec::new();
            let mut length = 0;
            loop {
                let buffer = self.input.fill_buf()?;
                if buffer.is_empty() {
                    if length == 0 {
                        return Ok(None);
                    }
                    break;
                }
                let (taken, ends) = match buffer.iter().position(|byte| *byte == b'\n') {
                    Some(at) => (at, true),
                    None => (buffer.len(), false),
                };
                length += taken;
                if length <= export::LINE_BYTES_MAX {
                    line.extend_from_slice(&buffer[..taken]);
                }
                self.input.consume(taken + usize::from(ends));
                if ends {
                    break;
                }
            }
            self.number += 1;
            if length > export::LINE_BYTES_MAX {
                return Ok(Some((self.number, Err(LineTooLong))));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some((self.number, Ok(line))));
            }
        }
    }
}

/// What must be so of a dead letter that is brought back.
pub struct ImportRules {
    /// Where the webhooks are.
    pub store: Arc<dyn Store>,
    /// Seals a callback's secret.
    pub keys: Arc<KeyRing>,
    /// Nonces.
    pub entropy: Arc<dyn Entropy>,
    /// What is older would be forgotten at once.
    pub retention: Duration,
    /// When the import began.
    pub now: Timestamp,
    /// What callbacks whose secret was left out are signed with.
    pub callback_secret: Option<Secret>,
    webhooks: Mutex<HashMap<WebhookId, bool>>,
}

/// Why a dead letter is not brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportFault {
    /// It is no dead letter.
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
    /// It is damaged.
    #[error(transparent)]
    Line(#[from] WireError),
    /// Its webhook is gone.
    #[error(
        "member `message` names webhook {0}, which is not here (hint: its dead letters can be sent nowhere)"
    )]
    NoWebhook(WebhookId),
    /// It would be forgotten at once.
    #[error(
        "member `dead_letter` was given up at {died_at}, longer ago than `dead_letters.retention` keeps it"
    )]
    TooOld {
        /// When.
        died_at: Timestamp,
    },
    /// A callback that could not be signed.
    #[error(
        "member `secret_left_out` says that its callback was signed (hint: give the secret with --callback-secret-file)"
    )]
    NoSecret,
    /// The webhooks could not be looked at.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImportFault {
    /// The member it is about.
    pub fn member(&self) -> Option<&'static str> {
        match self {
            Self::Line(WireError::Member { member, .. }) => Some(member),
            Self::NoWebhook(_) => Some("message"),
            Self::TooOld { .. } => Some("dead_letter"),
            Self::NoSecret => Some("secret_left_out"),
            Self::TooLong(_) | Self::Line(_) | Self::Store(_) => None,
        }
    }
}

impl ImportRules {
    /// Rules as of now.
    pub fn new(
        store: Arc<dyn Store>,
        keys: Arc<KeyRing>,
        entropy: Arc<dyn Entropy>,
        retention: Duration,
        now: Timestamp,
        callback_secret: Option<Secret>,
    ) -> Self {
        Self {
            store,
            keys,
            entropy,
            retention,
            now,
            callback_secret,
            webhooks: Mutex::default(),
        }
    }

    /// The dead letter of a line, ready to be stored; none when it lacks something, and is there already: it would stay as it is.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub async fn read(&self, line: &[u8]) -> Result<Option<DeadLetter>, ImportFault> {
        let exported = export::decode(line)?;
        let id = exported.dead_letter.id.clone();
        match self.ready(exported).await {
            Ok(dead_letter) => Ok(Some(dead_letter)),
            Err(ImportFault::Store(error)) => Err(error.into()),
            Err(fault) => match self.store.dead_letter(&id).await? {
                Some(_) => Ok(None),
                None => Err(fault),
            },
        }
    }

    async fn ready(&self, exported: export::Exported) -> Result<DeadLetter, ImportFault> {
        let export::Exported {
            mut dead_letter,
            secret_left_out,
        } = exported;
        let died_at = dead_letter.died_at;
        let kept_since = self.now.checked_sub(self.retention);
        if kept_since.is_ok_and(|since| died_at <= since) {
            return Err(ImportFault::TooOld { died_at });
        }
        let webhook = match dead_letter.delivery().map(|delivery| &delivery.destination) {
            Some(Destination::Webhook { id, .. }) => Some(id.clone()),
            _ => None,
        };
        if let Some(id) = webhook
            && !self.is_there(&id).await?
        {
            return Err(ImportFault::NoWebhook(id));
        }
        if secret_left_out {
            let secret = self.callback_secret.as_ref().ok_or(ImportFault::NoSecret)?;
            self.put_secret(&mut dead_letter, secret);
        }
        Ok(dead_letter)
    }

    async fn is_there(&self, id: &WebhookId) -> Result<bool, StoreError> {
        let known = || self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(is_there) = known().get(id) {
            return Ok(*is_there);
        }
        let is_there = self.store.webhook(id).await?.is_some();
        known().insert(id.clone(), is_there);
        Ok(is_there)
    }

    fn put_secret(&self, dead_letter: &mut DeadLetter, plain: &Secret) {
        match &mut dead_letter.content {
            DeadLetterContent::Delivery(delivery) => {
                if let Destination::Callback { url, secret } = &mut delivery.destination {
                    *secret = Some(self.seal(&delivery.event.project, url, plain));
                }
            }
            DeadLetterContent::Event { event, .. } => {
                if let Some(Callback { url, secret }) = &mut event.callback {
                    let sealed = self.seal(&event.project, url, plain);
                    *secret = Some(CallbackSecret::Sealed(sealed));
                }
            }
            DeadLetterContent::Raw { .. } => {}
        }
    }

    fn seal(&self, project: &ProjectName, url: &Url, plain: &Secret) -> SealedSecret {
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        self.keys
            .seal(plain, &SealedFor::callback(project, url), nonce)
    }
}
