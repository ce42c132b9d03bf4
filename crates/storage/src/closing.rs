//! Whether a session is closed, and waiting that its closing ends.

use slimta_core::storage::StorageError;
use tokio::sync::watch;

/// Open until it is closed.
#[derive(Debug, Default)]
pub(crate) struct Closing(watch::Sender<bool>);

impl Closing {
    /// Closes; whoever waits hears of it.
    pub(crate) fn close(&self) {
        self.0.send_replace(true);
    }

    /// An error once it is closed.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match *self.0.borrow() {
            true => Err(StorageError::Closed),
            false => Ok(()),
        }
    }

    /// Waits for a generation behind `seen`, unless it is closed first.
    pub(crate) async fn news(
        &self,
        generation: &watch::Sender<u64>,
        seen: u64,
    ) -> Result<u64, StorageError> {
        let (mut closed, mut generation) = (self.0.subscribe(), generation.subscribe());
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(StorageError::Closed),
            now = generation.wait_for(|now| *now > seen) => {
                now.map(|now| *now).map_err(|_| StorageError::Closed)
            }
        }
    }
}
