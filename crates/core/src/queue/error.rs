//! What can go wrong with the queue.

use crate::bus::BusError;
use crate::storage::StorageError;

/// Why the queue could not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The edge bus is closed or absent: no more requests will come.
    #[error("the edge bus is closed")]
    NoEdge,
    /// The queue was made without a relay bus: it only stores.
    #[error("this queue has no relay: it only stores")]
    NoRelay,
    /// The relay bus failed.
    #[error("the relay bus failed: {0}")]
    Relay(BusError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A setting cannot work.
    #[error("invalid setting: {0}")]
    Setting(String),
}
