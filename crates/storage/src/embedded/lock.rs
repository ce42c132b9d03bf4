//! That one process at a time has a store open.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use slimta_core::storage::StorageError;

use super::private_file;

/// The lock of a store, until it is dropped.
#[derive(Debug)]
pub(super) struct StoreLock(File);

impl StoreLock {
    pub(super) fn take(directory: &Path, place: &str) -> Result<Self, StorageError> {
        let open = |error: io::Error| StorageError::Open {
            place: place.to_owned(),
            reason: error.to_string(),
        };
        let lock = private_file(&directory.join("lock")).map_err(open)?;
        match lock.try_lock() {
            Ok(()) => Ok(StoreLock(lock)),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse {
                place: place.to_owned(),
                hint: "stop that process, or ask it through its admin socket".to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(open(error)),
        }
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started at this
        // moment has a copy of it until its program begins.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_its_file_does_not_keep_it() {
        let directory = tempfile::tempdir().unwrap();
        let take = || StoreLock::take(directory.path(), "here");
        let lock = take().unwrap();
        let copy = lock.0.try_clone().unwrap();
        assert!(matches!(take(), Err(StorageError::InUse { .. })));
        drop(lock);
        assert!(take().is_ok());
        drop(copy);
    }
}
