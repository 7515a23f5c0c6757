//! Waiting until Redis has a write on disk.

use crate::{
    RedisStore,
    connection::Connection,
    error::STORE,
    key::{SHARDS, Shard},
    settings::SettingsError,
};
use ringback_delivery::port::StoreError;
use tokio::{sync::Mutex, time::Instant};

/// How long Redis may take to write its file out. Every second is the slowest it promises; a busy disk is slower.
const DISK_TIMEOUT_MS: u32 = 1500;

/// Waits on connections of its own, since the wait holds up whatever comes behind it.
///
/// The file is written in order: a write made after ours and found on disk vouches for ours. So those who wait at the same
/// time share one wait. In a cluster each server has a file of its own, and shards that share one may part: each shard waits
/// by itself. It does so on its own connection, or the shards of one server would wait one behind the other, each for another
/// write of the file.
pub(crate) struct Barrier {
    /// Of all shards, in a cluster of each.
    files: Vec<File>,
}

struct File {
    /// Made with the first wait.
    connection: Connection,
    /// When the last wait that succeeded began.
    passed: Mutex<Option<Instant>>,
}

impl Barrier {
    pub(crate) fn try_new(
        connection: impl Fn() -> Result<Connection, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let file = || {
            Ok(File {
                connection: connection()?,
                passed: Mutex::new(None),
            })
        };
        let mut files = vec![file()?];
        if files[0].connection.is_cluster() {
            for _ in 1..SHARDS {
                files.push(file()?);
            }
        }
        Ok(Self { files })
    }

    async fn pass(&self, shard: &Shard) -> Result<(), StoreError> {
        const STEP: &str = "write to disk";
        let written = Instant::now();
        let file = &self.files[usize::from(shard.number()) % self.files.len()];
        let mut passed = file.passed.lock().await;
        if passed.is_some_and(|began| began >= written) {
            return Ok(());
        }
        let began = Instant::now();
        let barrier = shard.barrier();
        let mut mark = redis::cmd("SET");
        mark.arg(&barrier).arg(1).arg("PX").arg(60_000);
        let () = file.connection.send(STEP, &mark).await?;
        let mut wait = redis::cmd("WAITAOF");
        wait.arg(1).arg(0).arg(DISK_TIMEOUT_MS);
        let wait = file.connection.send_to_home_of(&barrier, STEP, wait);
        let (local, _replicas): (u32, u32) = wait.await?;
        if local == 0 {
            return Err(StoreError::Refused {
                store: STORE,
                step: STEP,
                why: format!("not done within {DISK_TIMEOUT_MS} ms"),
            });
        }
        *passed = Some(began);
        Ok(())
    }
}

impl RedisStore {
    /// Returns once what was written to the shard is on disk; at once where that is not asked for.
    pub(crate) async fn wait_for_disk(&self, shard: &Shard) -> Result<(), StoreError> {
        match &self.barrier {
            Some(barrier) => barrier.pass(shard).await,
            None => Ok(()),
        }
    }
}
