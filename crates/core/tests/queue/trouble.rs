//! A storage that fails when it is told to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use slimta_core::storage::StorageError;
use slimta_core::storage::conformance::Hook;

/// What goes wrong from now on.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// What the next store gets instead of being kept.
    pub(crate) store: Mutex<Option<StorageError>>,
    /// How many settlements fail before anything is changed.
    pub(crate) settles: AtomicU32,
    /// Renewals are told that somebody else has the message.
    pub(crate) renewals: AtomicBool,
    /// How often the queue has looked for what is due.
    pub(crate) looks: AtomicU32,
}

impl Hook for Trouble {
    fn before(&self, call: &'static str) -> Result<(), StorageError> {
        match call {
            "due_destinations" => {
                self.looks.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            "store" => self.store.lock().unwrap().take().map_or(Ok(()), Err),
            "settle" if self.settles.load(Ordering::Relaxed) > 0 => {
                self.settles.fetch_sub(1, Ordering::Relaxed);
                Err(StorageError::Unavailable("out of reach".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn takes_leases(&self) -> bool {
        self.renewals.load(Ordering::Relaxed)
    }
}
