//! How a file looks from outside: whether it has changed, and who may read it.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Least time between two looks at a file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What changes when a file is written anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Look {
    /// How it looks now; none if it cannot be seen.
    pub(super) fn at(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Look {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
        })
    }
}

/// When files are to be looked at again, by the monotonic clock: at once, and then
/// once a second at most.
#[derive(Debug, Default)]
pub(super) struct NextLook(Mutex<Duration>);

impl NextLook {
    /// Whether it is time for a look; then it is the caller's to take, and nobody
    /// else's for a while.
    pub(super) fn begin(&self, now: Duration) -> bool {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = now >= *at;
        if is_due {
            *at = now.saturating_add(LOOK_EVERY);
        }
        is_due
    }
}

/// Whether everybody on this machine can read or write it: then what is in it
/// is no secret.
#[cfg(all(unix, any(feature = "credentials", feature = "tls")))]
pub(super) fn is_open_to_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs::metadata(file);
    metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
}

#[cfg(all(not(unix), any(feature = "credentials", feature = "tls")))]
pub(super) fn is_open_to_all(_: &Path) -> bool {
    false
}
