//! The embedded engine: mail in one file of this machine, opened by one process
//! at a time. What is stored is on the disk when `store` returns.
//!
//! The format is law: docs/design/embedded-format.md.

mod audit;
mod claim;
mod counts;
mod engine;
mod file;
mod guard;
mod leases;
mod ledger;
mod listing;
mod lock;
mod prepare;
mod select;
mod session;
mod snapshot;
mod suspensions;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use slimta_core::storage::{Owner, Session, Storage, StorageError};
use slimta_core::world::World;
use tokio::sync::mpsc;

use engine::Engine;
#[cfg(test)]
use file::Disk;
use file::{FileDisk, private_file};
use lock::StoreLock;
use session::EmbeddedSession;
use writer::{Call, WAITING_MAX};

/// Where the engine changes its ways; tests make it do so sooner.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Room that is kept aside for settling mail on a full disk.
    reserve_bytes: u64,
    /// With less free on the disk no new mail is taken.
    free_bytes_min: u64,
    /// From this size of the file on, each commit also writes down what a
    /// repair after a crash would have to find out by reading all of it. That
    /// costs a second sync a commit; below it, the repair takes a fraction of a
    /// second.
    quick_repair_bytes_min: u64,
    /// From this size of the file on, a store that is almost empty when it is
    /// opened gives the room back.
    give_back_file_bytes_min: u64,
    /// Up to this size of the file all of it is read when it is opened, to see
    /// whether its tables fit each other.
    audit_file_bytes_max: u64,
}

const LIMITS: Limits = Limits {
    reserve_bytes: 16 << 20,
    free_bytes_min: 64 << 20,
    quick_repair_bytes_min: 64 << 20,
    give_back_file_bytes_min: 64 << 20,
    audit_file_bytes_max: 64 << 20,
};

/// Mail in a directory of this machine.
///
/// Dropping it and all of its sessions finishes what is being written and lets
/// the directory go.
#[derive(Debug)]
pub struct Embedded(Arc<Open>);

/// An open store. The last to let go of it ends the writer.
#[derive(Debug)]
struct Open {
    engine: Arc<Engine>,
    /// Both are there until it is dropped.
    calls: Option<mpsc::Sender<Call>>,
    writer: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the store in a directory, which is created if it is not there. Only
    /// one process can have it open.
    pub fn open(directory: impl AsRef<Path>, world: World) -> Result<Self, StorageError> {
        Embedded::open_with(directory.as_ref(), world, LIMITS)
    }

    /// The same, after all of a store of any size was read, as small ones are
    /// at each opening: what follows from its messages is written anew where it
    /// does not fit. It takes memory for each message.
    pub fn open_checked(directory: impl AsRef<Path>, world: World) -> Result<Self, StorageError> {
        let limits = Limits {
            audit_file_bytes_max: u64::MAX,
            ..LIMITS
        };
        Embedded::open_with(directory.as_ref(), world, limits)
    }

    fn open_with(directory: &Path, world: World, limits: Limits) -> Result<Self, StorageError> {
        let place = directory.display().to_string();
        let failed = |error: io::Error| StorageError::Open {
            place: place.clone(),
            reason: error.to_string(),
        };
        create_directory(directory).map_err(failed)?;
        let lock = StoreLock::take(directory, &place)?;
        let path = directory.join("mail.redb");
        let fresh = directory.join("mail.redb.new");
        let is_new = !path.try_exists().map_err(failed)?;
        if is_new {
            // Left by a process that died before anything was stored.
            let _ = fs::remove_file(&fresh);
        }
        let file = private_file(if is_new { &fresh } else { &path }).map_err(failed)?;
        let disk = Arc::new(FileDisk::new(file, directory, limits.reserve_bytes));
        let engine = Engine::open(disk, &place, world, limits, Some(lock))?;
        if is_new {
            // The name appears only once there is a whole store behind it.
            fs::rename(&fresh, &path).map_err(failed)?;
            sync_directory(directory).map_err(failed)?;
        }
        Embedded::over(engine).map_err(failed)
    }

    /// A store on any disk, such as a faulty one.
    #[cfg(test)]
    fn on(disk: Arc<dyn Disk>, world: World, limits: Limits) -> Result<Self, StorageError> {
        let engine = Engine::open(disk, "test", world, limits, None)?;
        Ok(Embedded::over(engine).unwrap())
    }

    fn over(engine: Engine) -> io::Result<Self> {
        let engine = Arc::new(engine);
        let (calls, waiting) = mpsc::channel(WAITING_MAX);
        let writer = std::thread::Builder::new()
            .name("slimta-storage".to_owned())
            .spawn({
                let engine = engine.clone();
                move || writer::run(&engine, waiting)
            })?;
        Ok(Embedded(Arc::new(Open {
            engine,
            calls: Some(calls),
            writer: Some(writer),
        })))
    }
}

#[async_trait]
impl Storage for Embedded {
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError> {
        let owner = Owner::new(format!(
            "embedded-{:016x}",
            self.0.engine.world.random_u64()
        ));
        Ok(Arc::new(EmbeddedSession::new(self.0.clone(), owner)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Without callers the writer ends, after what it has begun.
        self.calls = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the storage writer has panicked");
        }
    }
}

/// Creates it for its owner only, with what is above it, and makes the names
/// durable.
fn create_directory(directory: &Path) -> io::Result<()> {
    let missing = directory.ancestors().take_while(|path| !path.is_dir());
    let missing: Vec<&Path> = missing.filter(|path| *path != Path::new("")).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    for created in missing {
        match created.parent() {
            Some(parent) if parent != Path::new("") => sync_directory(parent)?,
            _ => sync_directory(Path::new("."))?,
        }
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
