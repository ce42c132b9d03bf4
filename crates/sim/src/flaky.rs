//! A storage as a manager sees it over a bad network: slow, out of reach,
//! failing before a commit, or failing to say that it committed.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::message::{Content, Destination, MessageId, Submission};
use slimta_core::storage::{
    Acted, Action, Change, Due, Filter, FirstLeases, Lease, Leased, Listed, Listing, Owner, Page,
    Session, Settled, Settlement, Stats, Storage, StorageError, Ticket,
};
use slimta_core::world::Timestamp;

use crate::books::Books;
use crate::chance::Chance;
use crate::mail::number;

/// How long a call waits for a storage that is out of reach.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is wrong between one manager and the storage.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) chance: Chance,
    /// No more faults.
    pub(crate) calm: Arc<AtomicBool>,
    cut_until: Mutex<Duration>,
}

impl Weather {
    pub(crate) fn new(chance: Chance, calm: Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Weather {
            chance,
            calm,
            cut_until: Mutex::default(),
        })
    }

    /// Puts the storage out of reach for a while.
    pub(crate) fn cut_for(&self, time: Duration) {
        let until = self.chance.0.monotonic() + time;
        *self
            .cut_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = until;
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    fn is_cut(&self) -> bool {
        let until = *self
            .cut_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.chance.0.monotonic() < until
    }

    /// Makes one call through it.
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        if self.is_calm() {
            return call.await;
        }
        let unavailable = |why: &str| Err(StorageError::Unavailable(why.to_owned()));
        let slow = if self.chance.permille(10) { 20_000 } else { 20 };
        self.chance
            .0
            .sleep(self.chance.time(Duration::from_millis(slow)))
            .await;
        if self.is_cut() {
            self.chance.0.sleep(DEADLINE).await;
            return unavailable("out of reach");
        }
        if self.chance.permille(20) {
            return unavailable("failed before the commit");
        }
        let answer = call.await;
        // Not each time: these waits are most of what a run does.
        if self.chance.permille(250) {
            self.chance
                .0
                .sleep(self.chance.time(Duration::from_millis(20)))
                .await;
        }
        if self.chance.permille(20) {
            return unavailable("the answer was lost");
        }
        answer
    }
}

/// The storage behind its weather.
#[derive(Debug)]
pub(crate) struct Flaky {
    pub(crate) inner: Arc<dyn Storage>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) books: Books,
}

#[async_trait]
impl Storage for Flaky {
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError> {
        let inner = self.weather.call(self.inner.connect()).await?;
        Ok(Arc::new(FlakySession {
            inner,
            weather: self.weather.clone(),
            books: self.books.clone(),
        }))
    }
}

#[derive(Debug)]
struct FlakySession {
    inner: Arc<dyn Session>,
    weather: Arc<Weather>,
    books: Books,
}

impl FlakySession {
    fn note_leases(&self, leased: &[Leased]) {
        for Leased { lease, message } in leased {
            self.books.leases(lease.ticket(), message);
        }
    }

    fn note_settled(&self, batch: &[Settlement], answers: &[Result<Settled, StorageError>]) {
        for (settlement, answer) in batch.iter().zip(answers) {
            if *answer == Ok(Settled::Done) {
                let remaining = match &settlement.change {
                    Change::Remove => &[][..],
                    Change::Defer(deferral) => &deferral.recipients,
                };
                self.books.settles(settlement.lease.ticket(), remaining);
                for notice in &settlement.notices {
                    self.books.commits(self.books.stores(notice));
                }
            }
        }
    }
}

#[async_trait]
impl Session for FlakySession {
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
        let copy = self.books.whole(number(&submission.content));
        let keys = self.books.stores(&submission);
        let call = async {
            let leased = self.inner.store(submission, lease).await?;
            self.books.copies.stored(copy);
            self.books.commits(keys);
            self.note_leases(&leased);
            Ok(leased)
        };
        let answer = self.weather.call(call).await;
        if answer.is_ok() {
            self.books.copies.known(copy);
        }
        answer
    }

    async fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        self.weather
            .call(self.inner.due_destinations(after, limit))
            .await
    }

    async fn claim(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        let call = async {
            let leased = self.inner.claim(destination, limit, lease).await?;
            self.note_leases(&leased);
            Ok(leased)
        };
        self.weather.call(call).await
    }

    async fn claim_longest_due(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        let call = async {
            let claim = self.inner.claim_longest_due(destination, limit, lease);
            let leased = claim.await?;
            self.note_leases(&leased);
            Ok(leased)
        };
        self.weather.call(call).await
    }

    async fn lock(&self, id: MessageId, lease: Duration) -> Result<Option<Leased>, StorageError> {
        let call = async {
            let leased = self.inner.lock(id, lease).await?;
            self.note_leases(leased.as_slice());
            Ok(leased)
        };
        self.weather.call(call).await
    }

    async fn unlock(&self, lease: &Lease) -> Result<Settled, StorageError> {
        self.weather.call(self.inner.unlock(lease)).await
    }

    async fn renew(
        &self,
        tickets: &[Ticket],
        lease: Duration,
    ) -> Result<Vec<Settled>, StorageError> {
        self.weather.call(self.inner.renew(tickets, lease)).await
    }

    async fn settle(
        &self,
        batch: &[Settlement],
    ) -> Result<Vec<Result<Settled, StorageError>>, StorageError> {
        for notice in batch.iter().flat_map(|settlement| &settlement.notices) {
            self.books.stores(notice);
        }
        let call = async {
            let answers = self.inner.settle(batch).await?;
            self.note_settled(batch, &answers);
            Ok(answers)
        };
        self.weather.call(call).await
    }

    async fn load(&self, id: MessageId) -> Result<Option<Listed>, StorageError> {
        self.weather.call(self.inner.load(id)).await
    }

    async fn contents(&self, id: MessageId) -> Result<Option<Content>, StorageError> {
        self.weather.call(self.inner.contents(id)).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listing, StorageError> {
        self.weather.call(self.inner.list(filter, page)).await
    }

    async fn stats(&self) -> Result<Stats, StorageError> {
        self.weather.call(self.inner.stats()).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        self.weather.call(self.inner.next_due()).await
    }

    async fn changed(&self, seen: u64) -> Result<u64, StorageError> {
        // Waiting is not a call: the weather shows in what follows.
        self.inner.changed(seen).await
    }

    async fn manage(&self, lasting: Duration) -> Result<Vec<Owner>, StorageError> {
        self.weather.call(self.inner.manage(lasting)).await
    }

    async fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
    ) -> Result<Acted, StorageError> {
        self.weather
            .call(self.inner.act(filter, page, action))
            .await
    }
}
