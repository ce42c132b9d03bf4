//! redb behind a guard. It panics on a file that was changed behind its back,
//! and once more when it is dropped; a panic within a panic ends the process,
//! and with it every other mail. So a panic becomes an error, and a database
//! that has panicked is not dropped but forgotten: a file handle is lost, no
//! more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use redb::Database;

/// A database, and whether it has panicked.
pub(super) struct Guarded {
    /// There until it is dropped.
    db: Option<Database>,
    is_broken: AtomicBool,
}

impl Guarded {
    pub(super) fn new(db: Database) -> Self {
        Guarded {
            db: Some(db),
            is_broken: AtomicBool::new(false),
        }
    }

    pub(super) fn get(&self) -> Result<&Database, redb::Error> {
        self.db.as_ref().ok_or_else(damaged)
    }

    /// Does something to the database; a panic, or damage that it finds itself,
    /// breaks it off.
    pub(super) fn run<T>(
        &mut self,
        work: impl FnOnce(&mut Database) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let db = self.db.as_mut().ok_or_else(damaged)?;
        let done = guarded(|| work(db));
        if let Err(redb::Error::Corrupted(_)) = &done {
            self.break_off();
        }
        done
    }

    /// It has panicked.
    pub(super) fn break_off(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let Some(db) = self.db.take() else { return };
        if std::thread::panicking() || self.is_broken.load(Ordering::Relaxed) {
            std::mem::forget(db);
        } else if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
            tracing::error!("closing the storage has panicked: its file is damaged");
        }
    }
}

/// Makes a panic an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged()))
}

pub(super) fn damaged() -> redb::Error {
    redb::Error::Corrupted("its pages do not fit together".to_owned())
}
