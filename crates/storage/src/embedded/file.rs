//! The only door of the embedded engine to the disk, so that tests can put a
//! faulty disk behind it.
//!
//! When the disk is full, a write that has begun must not fail: the engine would
//! have to stop. So a reserve is kept beside the mail and given up for it. As
//! long as the reserve is gone, no new mail is taken.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the engine asks of a disk: one file, and a reserve of space.
pub(super) trait Disk: Debug + Send + Sync + 'static {
    fn len(&self) -> io::Result<u64>;
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Returns once everything written before is on the disk.
    fn sync(&self) -> io::Result<()>;
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// How many bytes can still be written, as far as is known.
    fn free(&self) -> io::Result<u64>;
    fn has_reserve(&self) -> bool;
    /// Gives up the reserve; false if there is none.
    fn give_up_reserve(&self) -> bool;
    /// Tries to get the reserve back, and says whether it is there.
    fn restore_reserve(&self) -> bool;
}

/// The disk as redb sees it.
#[derive(Clone, Debug)]
pub(super) struct Backing {
    disk: Arc<dyn Disk>,
    len: Arc<AtomicU64>,
}

impl Backing {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Backing {
            disk,
            len: Arc::default(),
        }
    }

    /// The size of the file when it was last asked for or changed.
    pub(super) fn last_len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Once more with the reserve given up, if that was in the way.
    fn or_give_up_reserve(&self, write: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match write() {
            Err(error) if is_full(&error) && self.disk.give_up_reserve() => write(),
            result => result,
        }
    }
}

/// Whether there is no room, for anybody or for this user.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl redb::StorageBackend for Backing {
    fn len(&self) -> io::Result<u64> {
        let len = self.disk.len()?;
        self.len.store(len, Ordering::Relaxed);
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.or_give_up_reserve(|| self.disk.set_len(len))?;
        self.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.or_give_up_reserve(|| self.disk.write(offset, data))
    }
}

/// A file in a directory, with the reserve beside it.
#[derive(Debug)]
pub(super) struct FileDisk {
    file: File,
    directory: PathBuf,
    reserve: PathBuf,
    reserve_bytes: u64,
    reserve_there: AtomicBool,
}

impl FileDisk {
    pub(super) fn new(file: File, directory: &Path, reserve_bytes: u64) -> Self {
        let disk = FileDisk {
            file,
            directory: directory.to_owned(),
            reserve: directory.join("reserve"),
            reserve_bytes,
            reserve_there: AtomicBool::new(false),
        };
        disk.restore_reserve();
        disk
    }

    fn write_reserve(&self) -> io::Result<()> {
        let reserve = private_file(&self.reserve)?;
        // Zeros that are written take room; a hole in the file would not.
        let zeros = vec![0; 1 << 16];
        let mut at = reserve.metadata()?.len();
        while at < self.reserve_bytes {
            let step = zeros
                .len()
                .min(usize::try_from(self.reserve_bytes - at).unwrap_or(usize::MAX));
            reserve.write_all_at(&zeros[..step], at)?;
            at += step as u64;
        }
        reserve.sync_all()
    }
}

impl Disk for FileDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.directory)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn has_reserve(&self) -> bool {
        self.reserve_there.load(Ordering::Relaxed)
    }

    fn give_up_reserve(&self) -> bool {
        self.reserve_there.store(false, Ordering::Relaxed);
        std::fs::remove_file(&self.reserve).is_ok()
    }

    fn restore_reserve(&self) -> bool {
        if !self.has_reserve() {
            match self.write_reserve() {
                Ok(()) => self.reserve_there.store(true, Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(%error, "no room for the reserve");
                    let _ = std::fs::remove_file(&self.reserve);
                }
            }
        }
        self.has_reserve()
    }
}

/// Opens or creates a file that only its owner may read.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}
