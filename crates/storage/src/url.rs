//! Storage by URL, as flags and configuration name it.

use std::path::Path;
use std::sync::Arc;

use slimta_core::storage::{Memory, Storage, StorageError};
use slimta_core::world::World;

/// The storages of this build.
const KNOWN: &[&str] = &[
    "memory:",
    #[cfg(feature = "embedded")]
    "embedded:DIRECTORY",
    #[cfg(feature = "postgres")]
    "postgres://USER@HOST/DATABASE",
    #[cfg(feature = "redis")]
    "redis[s]://HOST[:PORT]",
    #[cfg(feature = "redis")]
    "redis[s]+sentinel://HOST[:PORT],HOST[:PORT]/MASTER",
];

/// Why a storage URL could not be opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No engine has that name. The error lists what exists.
    #[error("unknown storage \"{0}\": there are {known}", known = KNOWN.join(", "))]
    Unknown(String),
    /// The URL of an embedded store names no directory.
    #[error("the storage \"{0}\" lacks its directory, as in \"embedded:./slimta-data\"")]
    NoDirectory(String),
    /// The engine says why; it names the place.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Opens the storage that a URL names: `memory:`, `embedded:DIRECTORY`,
/// `postgres://USER@HOST/DATABASE` or `redis://HOST[:PORT]` (and `rediss://`,
/// `redis+sentinel://`, `rediss+sentinel://`); all but the first with the feature
/// of that name.
///
/// A directory is read and written before it returns; a database or
/// Redis is connected with the first session. Dropping what it gives, and all sessions of it,
/// closes it in good order.
pub fn open(url: &str, world: World) -> Result<Arc<dyn Storage>, OpenError> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::new(world))),
        #[cfg(feature = "embedded")]
        Some(("embedded", "")) => Err(OpenError::NoDirectory(url.to_owned())),
        #[cfg(feature = "embedded")]
        Some(("embedded", directory)) => Ok(Arc::new(crate::Embedded::open(directory, world)?)),
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => Ok(Arc::new(crate::Postgres::new(url, world)?)),
        #[cfg(feature = "redis")]
        Some(("redis" | "rediss" | "redis+sentinel" | "rediss+sentinel", _)) => {
            Ok(Arc::new(crate::Redis::new(url, world)?))
        }
        _ => Err(OpenError::Unknown(without_secrets(url))),
    }
}

/// No more of a URL than its scheme: who misspells that may have a password behind it.
fn without_secrets(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://…"),
        None => url.to_owned(),
    }
}

/// The same, but an embedded storage is read whole, whatever its size, and what
/// follows from its messages is written anew where it does not fit. That takes
/// as long as reading the file, and memory for each message.
pub fn open_checked(url: &str, world: World) -> Result<Arc<dyn Storage>, OpenError> {
    #[cfg(feature = "embedded")]
    if let Some(directory) = embedded_directory(url) {
        return Ok(Arc::new(crate::Embedded::open_checked(directory, world)?));
    }
    open(url, world)
}

/// The directory of an embedded storage URL, in which the server puts its
/// admin socket; none for other URLs.
pub fn embedded_directory(url: &str) -> Option<&Path> {
    url.strip_prefix("embedded:")
        .filter(|directory| !directory.is_empty())
        .map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        open(url, World::system()).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_storage_is_told_what_exists() {
        for url in ["", "memory", "memory:x", "mysql://localhost", "/var/spool"] {
            let error = error(url);
            assert!(
                error.contains("memory:") && error.contains("embedded:"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_misspelt_storage_keeps_its_password() {
        let error = error("reddis://user:secret@host/");
        assert!(
            error.contains("\"reddis://…\"") && !error.contains("secret"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn memory_opens() {
        let storage = open("memory:", World::system()).unwrap();
        assert!(storage.connect().await.is_ok());
        assert_eq!(embedded_directory("memory:"), None);
    }

    #[cfg(feature = "embedded")]
    #[tokio::test]
    async fn a_directory_opens_once_and_again_after_it_was_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/store");
        let url = format!("embedded:{}", path.display());
        assert_eq!(embedded_directory(&url), Some(path.as_path()));
        let storage = open(&url, World::system()).unwrap();
        let in_use = error(&url);
        assert!(in_use.contains("open in another process"), "{in_use}");
        assert!(in_use.contains("deep/store"), "{in_use}");
        drop(storage);
        assert!(open(&url, World::system()).is_ok());
    }

    #[cfg(feature = "embedded")]
    #[test]
    fn a_directory_that_cannot_be_used_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let url = format!("embedded:{}", file.path().display());
        let error = error(&url);
        assert!(error.contains(&*file.path().to_string_lossy()), "{error}");
        assert!(self::error("embedded:").contains("directory"));
    }
}
