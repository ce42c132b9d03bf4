//! The calls of the contract on the embedded engine. What writes goes to the
//! writer and waits for its commit; what reads does so on a thread that may
//! wait for the disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::message::{Content, Destination, MessageId, Submission};
use slimta_core::storage::{
    Acted, Action, Backlog, Due, Filter, FirstLeases, Lease, Leased, Listed, Listing, Owner, Page,
    Session, Settled, Settlement, Stats, StorageError, Suspension, Ticket,
};
use slimta_core::world::Timestamp;
use tokio::sync::oneshot;

use super::Open;
use super::claim::{Spoiled, claim, lock};
use super::counts;
use super::engine::{Engine, unavailable};
use super::leases::Now;
use super::listing::list;
use super::prepare::Prepared;
use super::snapshot::Found;
use super::suspensions::Suspending;
use super::writer::{Answer, Call, Settling};
use crate::closing::Closing;

#[derive(Debug)]
pub(super) struct EmbeddedSession {
    store: Arc<Open>,
    owner: Owner,
    closing: Closing,
}

impl EmbeddedSession {
    pub(super) fn new(store: Arc<Open>, owner: Owner) -> Self {
        EmbeddedSession {
            store,
            owner,
            closing: Closing::default(),
        }
    }

    fn open(&self) -> Result<&Arc<Engine>, StorageError> {
        self.closing.check()?;
        Ok(&self.store.engine)
    }

    /// A lease is granted only as long as it can be settled: else the message
    /// would be attempted again whenever the lease ends, without any record.
    fn granting(&self) -> Result<(), StorageError> {
        self.open()?.writable()
    }

    /// Has something written, and waits until it is on the disk.
    async fn write<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, StorageError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || StorageError::Poisoned("the writer has stopped".to_owned());
        let calls = self.store.calls.as_ref().ok_or_else(stopped)?;
        calls.send(call(answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Engine) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let engine = self.open()?;
        let reading = tokio::task::spawn_blocking({
            let engine = engine.clone();
            move || read(&engine)
        });
        match reading.await {
            Ok(read) => read,
            Err(error) if error.is_panic() => Err(engine.break_off()),
            Err(error) => Err(StorageError::Unavailable(format!("a read failed: {error}"))),
        }
    }

    async fn change_suspended(&self, change: Suspending) -> Result<bool, StorageError> {
        let now = Now::of(&self.open()?.world);
        let call = |answer| Call::Suspend {
            change,
            now,
            answer,
        };
        self.write(call).await
    }

    async fn set_aside(&self, spoiled: Spoiled) -> Result<(), StorageError> {
        let Spoiled { id, reason, place } = spoiled;
        tracing::error!(%id, reason, "a message cannot be read and is put into quarantine");
        self.write(|answer| Call::SetAside {
            id,
            reason,
            place,
            answer,
        })
        .await
    }

    /// By priority or by age.
    async fn claim_in_order(
        &self,
        destination: &Destination,
        limit: usize,
        by_age: bool,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.granting()?;
        let (destination, owner) = (destination.clone(), self.owner.clone());
        let (leased, spoiled) = self
            .read(move |engine| claim(engine, &destination, limit, by_age, &owner, lease))
            .await?;
        for spoiled in spoiled {
            self.set_aside(spoiled).await?;
        }
        Ok(leased)
    }
}

#[async_trait]
impl Session for EmbeddedSession {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn now(&self) -> Timestamp {
        self.store.engine.world.now()
    }

    async fn close(&self) {
        self.closing.close();
    }

    async fn store(
        &self,
        submission: Submission,
        lease: Option<FirstLeases>,
    ) -> Result<Vec<Leased>, StorageError> {
        let now = Now::of(&self.open()?.world);
        let prepared = Prepared::new(&submission)?;
        let leases = self
            .write(|answer| Call::Store {
                submission: prepared,
                lease,
                owner: self.owner.clone(),
                now,
                answer,
            })
            .await?;
        let leased = leases.into_iter().zip(submission.messages);
        Ok(leased
            .map(|(lease, message)| Leased { lease, message })
            .collect())
    }

    async fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        let after = after.cloned();
        self.read(move |engine| {
            let (now, overlay, snapshot) = engine.look()?;
            let heads = snapshot.heads(after.as_ref(), limit, now.wall, &overlay);
            heads.map_err(|error| unavailable(&error))
        })
        .await
    }

    async fn claim(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.claim_in_order(destination, limit, false, lease).await
    }

    async fn claim_longest_due(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.claim_in_order(destination, limit, true, lease).await
    }

    async fn lock(&self, id: MessageId, lease: Duration) -> Result<Option<Leased>, StorageError> {
        self.granting()?;
        let owner = self.owner.clone();
        let found = self
            .read(move |engine| lock(engine, id, &owner, lease))
            .await?;
        match found {
            Ok(leased) => Ok(leased),
            Err(spoiled) => self.set_aside(spoiled).await.map(|()| None),
        }
    }

    async fn unlock(&self, lease: &Lease) -> Result<Settled, StorageError> {
        let engine = self.open()?;
        if !engine.leases().end(lease.ticket()) {
            return Ok(Settled::LeaseLost);
        }
        engine.changed();
        Ok(Settled::Done)
    }

    async fn renew(
        &self,
        tickets: &[Ticket],
        lease: Duration,
    ) -> Result<Vec<Settled>, StorageError> {
        let engine = self.open()?;
        let now = Now::of(&engine.world);
        let mut leases = engine.leases();
        let renewed = tickets
            .iter()
            .map(|ticket| leases.renew(*ticket, lease, now));
        Ok(renewed.map(Settled::if_current).collect())
    }

    async fn settle(
        &self,
        batch: &[Settlement],
    ) -> Result<Vec<Result<Settled, StorageError>>, StorageError> {
        self.open()?;
        let batch = batch.iter().map(|settlement| {
            let notices = settlement.notices.iter().map(Prepared::new);
            Ok(Settling {
                ticket: settlement.lease.ticket(),
                change: settlement.change.clone(),
                notices: notices.collect::<Result<_, StorageError>>()?,
            })
        });
        let batch = batch.collect::<Result<Vec<_>, StorageError>>()?;
        self.write(|answer| Call::Settle { batch, answer }).await
    }

    async fn load(&self, id: MessageId) -> Result<Option<Listed>, StorageError> {
        let found = self
            .read(move |engine| {
                let (now, _, snapshot) = engine.look()?;
                let found = snapshot.message(id).map_err(|error| unavailable(&error))?;
                Ok((found, engine.leases().view(id, now)))
            })
            .await?;
        match found {
            (Found::Message(message, _), lease) => Ok(Some(Listed {
                message: *message,
                lease,
            })),
            (Found::Nothing, _) => Ok(None),
            (Found::Unreadable(reason), _) => {
                let place = None;
                self.set_aside(Spoiled { id, reason, place }).await?;
                Ok(None)
            }
        }
    }

    async fn contents(&self, id: MessageId) -> Result<Option<Content>, StorageError> {
        let contents = self
            .read(move |engine| {
                let snapshot = engine.snapshot()?;
                let failed = |error| unavailable(&error);
                Ok(match snapshot.message(id).map_err(failed)? {
                    Found::Nothing => Ok(None),
                    Found::Unreadable(reason) => Err(reason),
                    Found::Message(message, _) => {
                        let contents = snapshot.contents(message.submission);
                        contents.map_err(failed)?.map(Some)
                    }
                })
            })
            .await?;
        match contents {
            Ok(contents) => Ok(contents),
            Err(reason) => {
                let place = None;
                self.set_aside(Spoiled { id, reason, place }).await?;
                Ok(None)
            }
        }
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listing, StorageError> {
        let filter = filter.clone();
        let (listing, found) = self.read(move |engine| list(engine, &filter, page)).await?;
        for unreadable in found {
            let (id, reason, place) = (unreadable.id, unreadable.reason, None);
            self.set_aside(Spoiled { id, reason, place }).await?;
        }
        Ok(listing)
    }

    async fn waiting_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        let after = after.cloned();
        self.read(move |engine| {
            let (_, overlay, snapshot) = engine.look()?;
            let heads = snapshot.heads(after.as_ref(), limit, Timestamp::MAX, &overlay);
            heads.map_err(|error| unavailable(&error))
        })
        .await
    }

    async fn backlogs(
        &self,
        destinations: &[Destination],
        most: usize,
    ) -> Result<Vec<Backlog>, StorageError> {
        let destinations = destinations.to_vec();
        self.read(move |engine| counts::backlogs(engine, &destinations, most))
            .await
    }

    async fn stats(&self) -> Result<Stats, StorageError> {
        self.read(counts::stats).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        self.read(|engine| {
            let (_, overlay, snapshot) = engine.look()?;
            let heads = snapshot.heads(None, 1, Timestamp::MAX, &overlay);
            let first = heads.map_err(|error| unavailable(&error))?;
            let first = first.first().map(|head| head.since);
            Ok(first.into_iter().chain(overlay.next_end).min())
        })
        .await
    }

    async fn changed(&self, seen: u64) -> Result<u64, StorageError> {
        let engine = &self.store.engine;
        let now = self.closing.news(&engine.generation, seen).await?;
        engine.writable()?;
        Ok(now)
    }

    async fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
    ) -> Result<Acted, StorageError> {
        let now = Now::of(&self.open()?.world);
        let (filter, action) = (filter.clone(), action.clone());
        self.write(|answer| Call::Act {
            filter,
            page,
            action,
            now,
            answer,
        })
        .await
    }

    async fn suspend(&self, suspension: &Suspension) -> Result<(), StorageError> {
        let begun = self.change_suspended(Suspending::Begin(suspension.clone()));
        match begun.await? {
            true => Ok(()),
            false => Err(StorageError::too_many_suspensions()),
        }
    }

    async fn resume(&self, destinations: &str) -> Result<bool, StorageError> {
        let end = Suspending::End(destinations.to_owned());
        self.change_suspended(end).await
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, StorageError> {
        self.read(|engine| {
            let found = engine.snapshot()?.suspensions(engine.world.now());
            found.map_err(|error| unavailable(&error))
        })
        .await
    }
}
