//! What the writer and the readers share: the tables, the leases, and whether
//! writing still works.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use slimta_core::storage::StorageError;
use slimta_core::world::World;
use tokio::sync::watch;

use super::Limits;
use super::audit::audit;
use super::file::{Backing, Disk};
use super::guard::{self, Guarded, guarded};
use super::leases::{Leases, Now, Overlay};
use super::lock::StoreLock;
use super::snapshot::Snapshot;
use super::tables::{
    CONTENTS, COUNTS, DESTINATIONS, DUE, FORMAT, FORMAT_BEFORE, HEADS, MESSAGES, META, META_EPOCH,
    META_FORMAT, QUARANTINE, SHARERS, SUSPENSIONS,
};

/// What mail takes in the file at most: rows are rounded up to powers of two,
/// and the pages of an index are at least half full.
const FILE_BYTES_PER_BYTE: u64 = 2;
const FILE_BYTES_PER_RECORD: u64 = 8 << 10;
/// How many pages of the file are kept in memory, in bytes.
const CACHE_BYTES_MAX: usize = 32 << 20;
/// With more than this in it a store is not compacted when it is opened.
const GIVE_BACK_MESSAGES_MAX: u64 = 1_000;
const GIVE_BACK_BYTES_MAX: u64 = 16 << 20;

/// What an operator can do about a file that makes no sense.
const DAMAGED_ADVICE: &str = "; its file mail.redb is damaged or no store: keep a copy of it, \
     then restore a backup, or move it away to begin with an empty store";

pub(super) struct Engine {
    // Fields are dropped in this order: the file is let go before its lock.
    db: Guarded,
    backing: Backing,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) limits: Limits,
    pub(super) world: World,
    leases: Mutex<Leases>,
    poison: OnceLock<String>,
    pub(super) generation: watch::Sender<u64>,
    _lock: Option<StoreLock>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("disk", &self.disk)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens what is on a disk, or begins it. `place` is its name in errors.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        place: &str,
        world: World,
        limits: Limits,
        lock: Option<StoreLock>,
    ) -> Result<Self, StorageError> {
        let backing = Backing::new(disk.clone());
        let failed = |error| not_opened(place, &error);
        let db = guarded(|| open_database(&backing)).map_err(failed)?;
        let mut db = Guarded::new(db);
        let begun = db.run(|db| Ok(begin(db, place)));
        let epoch = begun.map_err(failed)??;
        if backing.last_len() <= limits.audit_file_bytes_max {
            db.run(|db| audit(db)).map_err(failed)?;
        }
        db.run(|db| give_back(db, &backing, &limits))
            .map_err(failed)?;
        Ok(Engine {
            db,
            backing,
            disk,
            limits,
            world,
            leases: Mutex::new(Leases::new(epoch)),
            poison: OnceLock::new(),
            generation: watch::Sender::new(0),
            _lock: lock,
        })
    }

    /// The leases. Held for lines, never while something is written.
    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        let mut txn = self.db.get()?.begin_write()?;
        txn.set_quick_repair(self.backing.last_len() >= self.limits.quick_repair_bytes_min);
        Ok(txn)
    }

    /// What was committed last, as it stays whatever is written meanwhile.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StorageError> {
        let begun = || Ok(self.db.get()?.begin_read()?);
        let txn = begun().map_err(|error: redb::Error| unavailable(&error))?;
        Ok(Snapshot::new(txn))
    }

    /// How much of the file surely holds no mail. The file does not shrink when
    /// mail leaves it, but new mail goes there before the file grows.
    pub(super) fn free_within(&self) -> u64 {
        let counts = self.snapshot().ok().and_then(|last| last.counts().ok());
        let Some(counts) = counts else { return 0 };
        let records = counts.messages.saturating_add(counts.quarantined);
        let used = (counts.bytes.saturating_mul(FILE_BYTES_PER_BYTE))
            .saturating_add(records.saturating_mul(FILE_BYTES_PER_RECORD));
        self.backing.last_len().saturating_sub(used)
    }

    /// The leases and what was committed last, as of one moment.
    pub(super) fn look(&self) -> Result<(Now, Overlay, Snapshot), StorageError> {
        let now = Now::of(&self.world);
        let leases = self.leases();
        Ok((now, leases.overlay(now), self.snapshot()?))
    }

    pub(super) fn writable(&self) -> Result<(), StorageError> {
        match self.poison.get() {
            Some(reason) => Err(StorageError::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// A write failed, and nobody knows what of it is on the disk: trying again
    /// could make it look as if it were. Only opening it anew tells.
    pub(super) fn poison(&self, error: &redb::Error) -> StorageError {
        let reason = self.poison.get_or_init(|| error.to_string());
        tracing::error!(%error, "the storage failed to write and refuses all further writes");
        // Whoever waits for news must hear of it.
        self.changed();
        StorageError::Poisoned(reason.clone())
    }

    /// Something has panicked in the file: nothing of it can be relied on.
    pub(super) fn break_off(&self) -> StorageError {
        self.db.break_off();
        self.poison(&guard::damaged())
    }

    pub(super) fn changed(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

fn open_database(backing: &Backing) -> Result<Database, redb::Error> {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES_MAX);
    Ok(builder.create_with_backend(backing.clone())?)
}

/// Gives room back that a drained queue has left in the file. Only when little
/// has to be moved for it, so that opening stays fast; what is not given back
/// is used again.
fn give_back(db: &mut Database, backing: &Backing, limits: &Limits) -> Result<(), redb::Error> {
    let counts = Snapshot::new(db.begin_read()?).counts()?;
    let left = counts.messages.saturating_add(counts.quarantined);
    if left <= GIVE_BACK_MESSAGES_MAX
        && counts.bytes <= GIVE_BACK_BYTES_MAX
        && backing.last_len() >= limits.give_back_file_bytes_min
    {
        db.compact()?;
    }
    Ok(())
}

/// Checks the format, or writes it down in a new store, and counts the opening.
fn begin(db: &Database, place: &str) -> Result<u64, StorageError> {
    let opened = || -> Result<Result<u64, u64>, redb::Error> {
        let mut txn = db.begin_write()?;
        txn.set_quick_repair(true);
        let epoch = {
            let mut meta = txn.open_table(META)?;
            let format = meta.get(META_FORMAT)?.map(|format| format.value());
            match format {
                Some(FORMAT) => {}
                Some(other) if other != FORMAT_BEFORE => return Ok(Err(other)),
                _ => {
                    meta.insert(META_FORMAT, FORMAT)?;
                }
            }
            let epoch = meta.get(META_EPOCH)?.map_or(0, |epoch| epoch.value()) + 1;
            meta.insert(META_EPOCH, epoch)?;
            epoch
        };
        // Readers find every table, also before the first message.
        txn.open_table(COUNTS)?;
        txn.open_table(MESSAGES)?;
        txn.open_table(DUE)?;
        txn.open_table(DESTINATIONS)?;
        txn.open_table(HEADS)?;
        txn.open_table(CONTENTS)?;
        txn.open_table(SHARERS)?;
        txn.open_table(QUARANTINE)?;
        txn.open_table(SUSPENSIONS)?;
        txn.commit()?;
        Ok(Ok(epoch))
    };
    match opened() {
        Ok(Ok(epoch)) => Ok(epoch),
        Ok(Err(found)) => Err(version(place, found.to_string())),
        Err(error) => Err(not_opened(place, &error)),
    }
}

fn not_opened(place: &str, error: &redb::Error) -> StorageError {
    let is_damage = match error {
        redb::Error::UpgradeRequired(found) => return version(place, format!("redb {found}")),
        redb::Error::Corrupted(_) => true,
        redb::Error::Io(error) => {
            let kind = error.kind();
            matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        }
        _ => false,
    };
    let advice = if is_damage { DAMAGED_ADVICE } else { "" };
    StorageError::Open {
        place: place.to_owned(),
        reason: format!("{error}{advice}"),
    }
}

fn version(place: &str, found: String) -> StorageError {
    StorageError::Version {
        place: place.to_owned(),
        found,
        known: format!("{FORMAT_BEFORE} and {FORMAT}"),
    }
}

pub(super) fn unavailable(error: &redb::Error) -> StorageError {
    StorageError::Unavailable(error.to_string())
}
