//! A file of mailboxes, and when it is read again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::table::{BadLine, Table};
use crate::edge::smtp::look::{Look, NextLook};
use crate::world::World;

/// A larger file holds no mailboxes: room for some two million.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Mailboxes in a file, one a line: `user@example.org`, or `@example.org` for
/// all of a domain. Lines that begin with `#` say nothing; upper and lower case
/// are alike.
///
/// The file is looked at when a client names a recipient, at most once a second,
/// and read again if it has changed. If what is new cannot be used, what was
/// read before stays, and an error in the log says why. Clones share all of it.
#[derive(Clone, Debug)]
pub struct RecipientsFile(Arc<Shared>);

/// What clones share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    table: Mutex<Arc<Table>>,
    /// Whoever looks at the file holds it meanwhile, on a thread that may wait.
    seen: Mutex<Option<Look>>,
    next_look: NextLook,
}

/// Why a file of mailboxes cannot be used.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum RecipientsError {
    /// It cannot be read.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A line is not as it should be.
    #[error("{} line {line}: {reason}", file.display())]
    BadLine {
        /// Of which file.
        file: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl RecipientsFile {
    /// Reads the file. The error names it, and the line that is no good.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RecipientsError> {
        let path = path.into();
        // Looked at first: what changes from here on is read again.
        let look = Look::at(&path);
        let table = Arc::new(read(&path)?);
        Ok(RecipientsFile(Arc::new(Shared {
            path,
            table: Mutex::new(table),
            seen: Mutex::new(look),
            next_look: NextLook::default(),
        })))
    }

    /// The mailboxes as they are now.
    pub(super) async fn table(&self, world: &World) -> Arc<Table> {
        if self.0.next_look.begin(world.monotonic()) {
            let file = self.clone();
            // Disks can be slow, and these threads are those of all clients. If
            // the look fails, mailboxes are as they were.
            let _ = tokio::task::spawn_blocking(move || file.look()).await;
        }
        lock(&self.0.table).clone()
    }

    /// Reads the file again if it has changed.
    fn look(&self) {
        // Somebody else looks, on a disk that is very slow.
        let Ok(mut seen) = self.0.seen.try_lock() else {
            return;
        };
        let look = Look::at(&self.0.path);
        if *seen == look {
            return;
        }
        // Noted whatever comes of it, so that an error is told once.
        *seen = look;
        match read(&self.0.path) {
            Ok(table) => {
                let (file, lines) = (self.0.path.display(), table.len());
                tracing::info!(%file, lines, "recipients read again");
                *lock(&self.0.table) = Arc::new(table);
            }
            Err(error) => tracing::error!(%error, "recipients that have changed are not used"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(path: &Path) -> Result<Table, RecipientsError> {
    let unreadable = |error| RecipientsError::Unreadable {
        file: path.to_owned(),
        error,
    };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    Table::parse(&text).map_err(|BadLine { line, reason }| RecipientsError::BadLine {
        file: path.to_owned(),
        line,
        reason,
    })
}
