//! The data directory: private, and one process's at a time.

use crate::EmbeddedError;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

const LOCK_FILE: &str = "lock";
const DATABASE_FILE: &str = "ringback.redb";

/// Pages kept in memory; the messages about to be taken are kept beside it.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// A directory for what must outlive the process, readable by its owner alone, locked while any copy of this is held.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
    _lock: Arc<File>,
}

impl DataDir {
    /// Makes the directory if it is missing, and locks it.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::InUse`] when another process has it; [`EmbeddedError::Unusable`] when it cannot be made or written.
    pub fn lock(path: impl Into<PathBuf>) -> Result<Self, EmbeddedError> {
        let path = path.into();
        let unusable = |source| EmbeddedError::Unusable {
            dir: path.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(unusable)?;
        let mut lock = private()
            .read(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
            Err(TryLockError::WouldBlock) => {
                return Err(EmbeddedError::InUse {
                    holder: holder(&mut lock),
                    dir: path,
                });
            }
        }
        name_ourselves(&mut lock).map_err(unusable)?;
        Ok(Self {
            path,
            _lock: Arc::new(lock),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of a private file, such as generated keys; made and synced to disk if it is missing.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Unusable`] when it cannot be written or read.
    pub fn private_file(
        &self,
        name: &str,
        make: impl FnOnce() -> String,
    ) -> Result<String, EmbeddedError> {
        self.read_or_make(name, make)
            .map_err(|source| EmbeddedError::Unusable {
                dir: self.path.clone(),
                source,
            })
    }

    fn read_or_make(&self, name: &str, make: impl FnOnce() -> String) -> io::Result<String> {
        let path = self.path.join(name);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        // Under another name first: half a key file would be worse than none.
        let text = make();
        let unfinished = self.path.join(format!("{name}.unfinished"));
        let mut file = private().truncate(true).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        self.sync()?;
        Ok(text)
    }

    /// Whether a store was made here before.
    pub fn has_store(&self) -> bool {
        self.database_path().exists()
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }

    pub(crate) fn open_database(&self) -> Result<redb::Database, EmbeddedError> {
        let path = self.database_path();
        let unusable = |source| EmbeddedError::Unusable {
            dir: self.path.clone(),
            source,
        };
        let refused = |error| match error {
            // The directory is ours, so the file is, too.
            redb::DatabaseError::DatabaseAlreadyOpen => EmbeddedError::InUse {
                dir: self.path.clone(),
                holder: "this process".to_owned(),
            },
            other => EmbeddedError::of_database(self, other.into()),
        };
        if !path.try_exists().map_err(unusable)? {
            // Under another name first: an empty file has lost what it held, and is not one just begun.
            let unfinished = self.path.join(format!("{DATABASE_FILE}.unfinished"));
            private()
                .truncate(true)
                .open(&unfinished)
                .map_err(unusable)?;
            drop(database_at(&unfinished).map_err(refused)?);
            std::fs::rename(&unfinished, &path).map_err(unusable)?;
        }
        self.sync().map_err(unusable)?;
        if path.metadata().map_err(unusable)?.len() == 0 {
            let empty = redb::Error::Corrupted("the file is empty".to_owned());
            return Err(EmbeddedError::of_database(self, empty));
        }
        self.database().map_err(refused)
    }

    pub(crate) fn database(&self) -> Result<redb::Database, redb::DatabaseError> {
        database_at(&self.database_path())
    }

    /// A file is there after a power cut only once its directory is on disk.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

fn database_at(path: &Path) -> Result<redb::Database, redb::DatabaseError> {
    redb::Builder::new()
        .set_cache_size(CACHE_BYTES)
        // A damaged file would otherwise be noticed in the middle of a delivery, by a panic.
        .set_check_integrity_on_open(true)
        .create(path)
}

/// Options that make a file for its owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// Leaves our process id, for the message to whoever comes second.
fn name_ourselves(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.write_all(std::process::id().to_string().as_bytes())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(id)) => format!("process {id}"),
        _ => "another process".to_owned(),
    }
}
