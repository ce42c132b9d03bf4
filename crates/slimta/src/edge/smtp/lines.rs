//! Files of lines, and when they are read again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::look::{Look, NextLook};
use crate::world::World;

/// A larger file is none of these: room for some two million addresses.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a file of lines, such as one of users or of mailboxes, cannot be used.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum FileError {
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
        /// What is wrong with it; never what is secret.
        reason: String,
    },
}

/// A line that is not as it should be.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct BadLine {
    /// Its number, from 1.
    pub(super) line: usize,
    pub(super) reason: String,
}

/// What such a file holds.
pub(super) trait Lines: Sized + Send + Sync + 'static {
    /// What the log calls it.
    const NAME: &'static str;

    fn parse(text: &str) -> Result<Self, BadLine>;

    /// How many lines say something, for the log.
    fn len(&self) -> usize;
}

/// The lines of a text that say something, each with its number: not the empty ones,
/// nor such that begin with `#`.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Reads a file. The error names it, and the line that is no good.
pub(super) fn read<T: Lines>(path: &Path) -> Result<T, FileError> {
    let unreadable = |error| FileError::Unreadable {
        file: path.to_owned(),
        error,
    };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    T::parse(&text).map_err(|BadLine { line, reason }| FileError::BadLine {
        file: path.to_owned(),
        line,
        reason,
    })
}

/// A file that is looked at when it is asked for, at most once a second, and read
/// again if it has changed. If what is new cannot be used, what was read before stays,
/// and an error in the log says why.
#[derive(Debug)]
pub(super) struct Watched<T> {
    path: PathBuf,
    value: Mutex<Arc<T>>,
    /// Whoever looks at the file holds it meanwhile, on a thread that may wait.
    seen: Mutex<Option<Look>>,
    next_look: NextLook,
}

impl<T: Lines> Watched<T> {
    pub(super) fn open(path: impl Into<PathBuf>) -> Result<Arc<Self>, FileError> {
        let path = path.into();
        // Looked at first: what changes from here on is read again.
        let look = Look::at(&path);
        let value = Arc::new(read(&path)?);
        Ok(Arc::new(Watched {
            path,
            value: Mutex::new(value),
            seen: Mutex::new(look),
            next_look: NextLook::default(),
        }))
    }

    /// What it holds now.
    pub(super) async fn now(self: &Arc<Self>, world: &World) -> Arc<T> {
        if self.next_look.begin(world.monotonic()) {
            let file = self.clone();
            // Disks can be slow, and these threads are those of all clients. If
            // the look fails, all is as it was.
            let _ = tokio::task::spawn_blocking(move || file.look()).await;
        }
        lock(&self.value).clone()
    }

    /// Reads the file again if it has changed.
    fn look(&self) {
        // Somebody else looks, on a disk that is very slow.
        let Ok(mut seen) = self.seen.try_lock() else {
            return;
        };
        let look = Look::at(&self.path);
        if *seen == look {
            return;
        }
        // Noted whatever comes of it, so that an error is told once.
        *seen = look;
        match read::<T>(&self.path) {
            Ok(value) => {
                let (file, lines) = (self.path.display(), value.len());
                tracing::info!(%file, lines, "{} read again", T::NAME);
                *lock(&self.value) = Arc::new(value);
            }
            Err(error) => {
                tracing::error!(%error, "{} that have changed are not used", T::NAME);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
