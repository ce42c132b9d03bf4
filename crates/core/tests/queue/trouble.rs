//! A storage that fails when it is told to.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::message::{Content, Destination, MessageId, Submission};
use slimta_core::storage::{
    Acted, Action, Due, Filter, FirstLeases, Lease, Leased, Listed, Listing, Owner, Page, Session,
    Settled, Settlement, Stats, Storage, StorageError, Ticket,
};
use slimta_core::world::Timestamp;

/// What goes wrong from now on.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// What the next store gets instead of being kept.
    pub(crate) store: Mutex<Option<StorageError>>,
    /// How many settlements fail before anything is changed.
    pub(crate) settles: AtomicU32,
    /// Renewals are told that somebody else has the message.
    pub(crate) renewals: AtomicBool,
}

/// A storage with trouble before it.
#[derive(Debug)]
pub(crate) struct Troubled {
    pub(crate) inner: Arc<dyn Storage>,
    pub(crate) trouble: Arc<Trouble>,
}

#[async_trait]
impl Storage for Troubled {
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError> {
        let inner = self.inner.connect().await?;
        let trouble = self.trouble.clone();
        Ok(Arc::new(TroubledSession { inner, trouble }))
    }
}

#[derive(Debug)]
struct TroubledSession {
    inner: Arc<dyn Session>,
    trouble: Arc<Trouble>,
}

#[async_trait]
impl Session for TroubledSession {
    fn owner(&self) -> &Owner {
        self.inner.owner()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    async fn store(
        &self,
        submission: Submission,
        lease: Option<FirstLeases>,
    ) -> Result<Vec<Leased>, StorageError> {
        let error = self.trouble.store.lock().unwrap().take();
        match error {
            Some(error) => Err(error),
            None => self.inner.store(submission, lease).await,
        }
    }

    async fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        self.inner.due_destinations(after, limit).await
    }

    async fn claim(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.inner.claim(destination, limit, lease).await
    }

    async fn lock(&self, id: MessageId, lease: Duration) -> Result<Option<Leased>, StorageError> {
        self.inner.lock(id, lease).await
    }

    async fn unlock(&self, lease: &Lease) -> Result<Settled, StorageError> {
        self.inner.unlock(lease).await
    }

    async fn renew(
        &self,
        tickets: &[Ticket],
        lease: Duration,
    ) -> Result<Vec<Settled>, StorageError> {
        match self.trouble.renewals.load(Ordering::Relaxed) {
            true => Ok(vec![Settled::LeaseLost; tickets.len()]),
            false => self.inner.renew(tickets, lease).await,
        }
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, StorageError> {
        let failing = self.trouble.settles.load(Ordering::Relaxed);
        if failing > 0 {
            self.trouble.settles.store(failing - 1, Ordering::Relaxed);
            return Err(StorageError::Unavailable("out of reach".to_owned()));
        }
        self.inner.settle(batch).await
    }

    async fn load(&self, id: MessageId) -> Result<Option<Listed>, StorageError> {
        self.inner.load(id).await
    }

    async fn contents(&self, id: MessageId) -> Result<Option<Content>, StorageError> {
        self.inner.contents(id).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listing, StorageError> {
        self.inner.list(filter, page).await
    }

    async fn stats(&self) -> Result<Stats, StorageError> {
        self.inner.stats().await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        self.inner.next_due().await
    }

    async fn changed(&self, seen: u64) -> Result<u64, StorageError> {
        self.inner.changed(seen).await
    }

    async fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
    ) -> Result<Acted, StorageError> {
        self.inner.act(filter, page, action).await
    }
}
