//! What can go wrong with a storage engine, by what the caller can do.

use super::suspension::SUSPENSIONS_MAX;

/// Why a call to an engine failed. Nothing of the call has happened, except
/// where the variant says that this is unknown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The session was closed. Open another.
    #[error("the storage session is closed")]
    Closed,
    /// There is no room. Reading and settling still work; try again later.
    #[error("the storage is full: {0}")]
    Full(String),
    /// The storage cannot be reached for now. Try again later.
    #[error("the storage is unavailable: {0}")]
    Unavailable(String),
    /// A write failed in a way that leaves unknown what reached the disk. The
    /// engine refuses all further writes; open it anew.
    #[error("the storage stopped writing after a failure: {0}")]
    Poisoned(String),
    /// Somebody else has the storage open.
    #[error("the storage {place} is open in another process: {hint}")]
    InUse {
        /// Which storage.
        place: String,
        /// What to do about it.
        hint: String,
    },
    /// The storage was written in a format that this version does not know.
    #[error("the storage {place} has format version {found}; this version of slimta reads {known}")]
    Version {
        /// Which storage.
        place: String,
        /// The version found.
        found: String,
        /// The versions that can be read.
        known: String,
    },
    /// It cannot be opened or understood.
    #[error("the storage {place} cannot be opened: {reason}")]
    Open {
        /// Which storage.
        place: String,
        /// Why.
        reason: String,
    },
    /// The request breaks the contract, such as a submission without messages.
    #[error("invalid storage request: {0}")]
    Invalid(String),
}

impl StorageError {
    /// There is no room for another suspension.
    pub fn too_many_suspensions() -> Self {
        StorageError::Full(format!(
            "there are {SUSPENSIONS_MAX} suspensions, as many as there may be; \
             resume some, or suspend all that is below a domain at once"
        ))
    }

    /// What a peer may be told: a fixed word, without internals.
    pub fn class(&self) -> &'static str {
        match self {
            StorageError::Full(_) => "storage full",
            _ => "storage unavailable",
        }
    }
}
