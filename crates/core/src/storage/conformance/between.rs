//! A storage with something between it and its user: for tests of what users
//! do when calls fail, or when their answers are lost.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::message::{Content, Destination, MessageId, Submission};
use crate::storage::{
    Acted, Action, Due, Filter, FirstLeases, Lease, Leased, Listed, Listing, Owner, Page, Session,
    Settled, Settlement, Stats, Storage, StorageError, Ticket,
};
use crate::world::Timestamp;

/// What stands between. `call` is the name of the function of [`Session`].
pub trait Hook: Debug + Send + Sync + 'static {
    /// Comes before the call; an error stands for it, and nothing has happened.
    fn before(&self, call: &'static str) -> Result<(), StorageError> {
        let _ = call;
        Ok(())
    }

    /// Comes after a call that did what it should; an error hides its answer.
    fn after(&self, call: &'static str) -> Result<(), StorageError> {
        let _ = call;
        Ok(())
    }

    /// Whether leases look lost from now on to whoever renews them.
    fn takes_leases(&self) -> bool {
        false
    }
}

/// A storage behind a hook.
#[derive(Debug)]
pub struct Between<H> {
    inner: Arc<dyn Storage>,
    hook: Arc<H>,
}

impl<H: Hook> Between<H> {
    /// Puts `hook` before `inner`.
    pub fn new(inner: Arc<dyn Storage>, hook: Arc<H>) -> Self {
        Between { inner, hook }
    }
}

#[async_trait]
impl<H: Hook> Storage for Between<H> {
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError> {
        let inner = self.inner.connect().await?;
        let hook = self.hook.clone();
        Ok(Arc::new(BetweenSession { inner, hook }))
    }
}

#[derive(Debug)]
struct BetweenSession<H> {
    inner: Arc<dyn Session>,
    hook: Arc<H>,
}

impl<H: Hook> BetweenSession<H> {
    async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        self.hook.before(name)?;
        let answer = call.await?;
        self.hook.after(name)?;
        Ok(answer)
    }
}

#[async_trait]
impl<H: Hook> Session for BetweenSession<H> {
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
        self.call("store", self.inner.store(submission, lease))
            .await
    }

    async fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        let call = self.inner.due_destinations(after, limit);
        self.call("due_destinations", call).await
    }

    async fn claim(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        let call = self.inner.claim(destination, limit, lease);
        self.call("claim", call).await
    }

    async fn claim_longest_due(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        let call = self.inner.claim_longest_due(destination, limit, lease);
        self.call("claim", call).await
    }

    async fn lock(&self, id: MessageId, lease: Duration) -> Result<Option<Leased>, StorageError> {
        self.call("lock", self.inner.lock(id, lease)).await
    }

    async fn unlock(&self, lease: &Lease) -> Result<Settled, StorageError> {
        self.call("unlock", self.inner.unlock(lease)).await
    }

    async fn renew(
        &self,
        tickets: &[Ticket],
        lease: Duration,
    ) -> Result<Vec<Settled>, StorageError> {
        if self.hook.takes_leases() {
            return Ok(vec![Settled::LeaseLost; tickets.len()]);
        }
        self.call("renew", self.inner.renew(tickets, lease)).await
    }

    async fn settle(
        &self,
        batch: &[Settlement],
    ) -> Result<Vec<Result<Settled, StorageError>>, StorageError> {
        self.call("settle", self.inner.settle(batch)).await
    }

    async fn load(&self, id: MessageId) -> Result<Option<Listed>, StorageError> {
        self.call("load", self.inner.load(id)).await
    }

    async fn contents(&self, id: MessageId) -> Result<Option<Content>, StorageError> {
        self.call("contents", self.inner.contents(id)).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listing, StorageError> {
        self.call("list", self.inner.list(filter, page)).await
    }

    async fn stats(&self) -> Result<Stats, StorageError> {
        self.call("stats", self.inner.stats()).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        self.call("next_due", self.inner.next_due()).await
    }

    async fn changed(&self, seen: u64) -> Result<u64, StorageError> {
        self.inner.changed(seen).await
    }

    async fn manage(&self, lasting: Duration) -> Result<Vec<Owner>, StorageError> {
        self.call("manage", self.inner.manage(lasting)).await
    }

    async fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
    ) -> Result<Acted, StorageError> {
        self.call("act", self.inner.act(filter, page, action)).await
    }
}
