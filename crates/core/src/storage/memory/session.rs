//! The calls of the contract on the memory engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::shelf::Shelf;
use super::{Now, Shared};
use crate::message::{Content, Destination, MessageId, Submission};
use crate::storage::{
    Acted, Action, Backlog, Change, Due, Filter, FirstLeases, Lease, Leased, Listed, Listing,
    Owner, Page, Session, Settled, Settlement, Stats, StorageError, Suspension, Ticket,
    check_submission,
};
use crate::world::{Timestamp, Watched};

/// How many messages one page of a listing looks at.
const SCAN_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct MemorySession {
    memory: Arc<Shared>,
    owner: Owner,
    closed: Watched<bool>,
}

impl MemorySession {
    pub(super) fn new(memory: Arc<Shared>, owner: Owner) -> Self {
        MemorySession {
            memory,
            owner,
            closed: Watched::new(false),
        }
    }

    fn open(&self) -> Result<&Shared, StorageError> {
        match self.closed.get() {
            true => Err(StorageError::Closed),
            false => Ok(&self.memory),
        }
    }

    fn step<T>(&self, step: impl FnOnce(&mut Shelf, Now) -> T) -> Result<T, StorageError> {
        Ok(self.open()?.step(step))
    }

    /// By priority or by age.
    fn claim_in_order(
        &self,
        destination: &Destination,
        limit: usize,
        by_age: bool,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.step(|shelf, now| {
            let due = shelf.due(destination, limit, by_age, now.wall).into_iter();
            due.filter_map(|id| shelf.lease(id, &self.owner, lease, now))
                .collect()
        })
    }
}

#[async_trait]
impl Session for MemorySession {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn now(&self) -> Timestamp {
        self.memory.world.now()
    }

    async fn close(&self) {
        self.closed.set(true);
    }

    async fn store(
        &self,
        submission: Submission,
        lease: Option<FirstLeases>,
    ) -> Result<Vec<Leased>, StorageError> {
        let memory = self.open()?;
        check_submission(&submission)?;
        let leased = memory.step(|shelf, now| {
            if shelf.knows(&submission) {
                return Ok(Vec::new());
            }
            let bytes = shelf
                .stats()
                .bytes
                .saturating_add(submission.content.len() as u64);
            if bytes > memory.bytes_max {
                let limit = memory.bytes_max;
                return Err(StorageError::Full(format!("the limit is {limit} bytes")));
            }
            let first: Vec<MessageId> = submission.messages.iter().map(|m| m.id).collect();
            shelf.insert(submission);
            let leases = lease.into_iter().flat_map(|lease| {
                let ids = first.iter().take(lease.count);
                ids.map(move |id| (*id, lease.lease))
            });
            Ok(leases
                .filter_map(|(id, lease)| shelf.lease(id, &self.owner, lease, now))
                .collect())
        })?;
        memory.changed();
        Ok(leased)
    }

    async fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        self.step(|shelf, now| shelf.due_destinations(after, limit, now.wall))
    }

    async fn claim(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.claim_in_order(destination, limit, false, lease)
    }

    async fn claim_longest_due(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.claim_in_order(destination, limit, true, lease)
    }

    async fn lock(&self, id: MessageId, lease: Duration) -> Result<Option<Leased>, StorageError> {
        self.step(|shelf, now| shelf.lease(id, &self.owner, lease, now))
    }

    async fn unlock(&self, lease: &Lease) -> Result<Settled, StorageError> {
        let memory = self.open()?;
        let settled = memory.step(|shelf, _| {
            if !shelf.holds(lease.ticket()) {
                return Settled::LeaseLost;
            }
            shelf.release(lease.id());
            Settled::Done
        });
        memory.changed();
        Ok(settled)
    }

    async fn renew(
        &self,
        tickets: &[Ticket],
        lease: Duration,
    ) -> Result<Vec<Settled>, StorageError> {
        self.step(|shelf, now| {
            let renewed = tickets
                .iter()
                .map(|ticket| shelf.renew(*ticket, lease, now));
            renewed.map(Settled::if_current).collect()
        })
    }

    async fn settle(
        &self,
        batch: &[Settlement],
    ) -> Result<Vec<Result<Settled, StorageError>>, StorageError> {
        let memory = self.open()?;
        for notice in batch.iter().flat_map(|settlement| &settlement.notices) {
            check_submission(notice)?;
        }
        let settled = memory.step(|shelf, _| {
            let settlements = batch.iter();
            settlements.map(|s| Ok(settle_one(shelf, s))).collect()
        });
        memory.changed();
        Ok(settled)
    }

    async fn load(&self, id: MessageId) -> Result<Option<Listed>, StorageError> {
        self.step(|shelf, now| shelf.load(id, now))
    }

    async fn contents(&self, id: MessageId) -> Result<Option<Content>, StorageError> {
        self.step(|shelf, _| shelf.contents(id))
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listing, StorageError> {
        self.step(|shelf, now| {
            let (messages, next) = select(shelf, filter, page, now);
            Listing {
                messages,
                unreadable: Vec::new(),
                next,
            }
        })
    }

    async fn waiting_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        self.step(|shelf, _| shelf.due_destinations(after, limit, Timestamp::MAX))
    }

    async fn backlogs(
        &self,
        destinations: &[Destination],
        most: usize,
    ) -> Result<Vec<Backlog>, StorageError> {
        self.step(|shelf, now| {
            let count = |destination, until| shelf.due(destination, most, false, until).len();
            let all = destinations.iter().map(|destination| Backlog {
                waiting: count(destination, Timestamp::MAX),
                due: count(destination, now.wall),
            });
            all.collect()
        })
    }

    async fn stats(&self) -> Result<Stats, StorageError> {
        self.step(|shelf, _| shelf.stats())
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        self.step(|shelf, now| shelf.next_due(now))
    }

    async fn changed(&self, seen: u64) -> Result<u64, StorageError> {
        tokio::select! {
            biased;
            _ = self.closed.wait_for(|closed| closed) => Err(StorageError::Closed),
            generation = self.memory.generation.wait_for(|now| now > seen) => Ok(generation),
        }
    }

    async fn manage(&self, lasting: Duration) -> Result<Vec<Owner>, StorageError> {
        self.step(|shelf, now| shelf.manage(&self.owner, lasting, now))
    }

    async fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
    ) -> Result<Acted, StorageError> {
        let memory = self.open()?;
        let acted = memory.step(|shelf, now| {
            let (messages, next) = select(shelf, filter, page, now);
            let mut acted = Acted {
                next,
                ..Acted::default()
            };
            for listed in messages {
                match listed.lease {
                    Some(_) => acted.leased += 1,
                    None if act_on(shelf, &listed, action) => acted.changed.push(listed.message.id),
                    None => {}
                }
            }
            acted
        });
        memory.changed();
        Ok(acted)
    }

    async fn suspend(&self, suspension: &Suspension) -> Result<(), StorageError> {
        let memory = self.open()?;
        memory.step(|shelf, now| shelf.suspensions.begin(suspension, now.wall))?;
        memory.changed();
        Ok(())
    }

    async fn resume(&self, destinations: &str) -> Result<bool, StorageError> {
        let memory = self.open()?;
        let resumed = memory.step(|shelf, now| shelf.suspensions.end(destinations, now.wall));
        memory.changed();
        Ok(resumed)
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, StorageError> {
        self.step(|shelf, now| shelf.suspensions.in_force(now.wall))
    }
}

fn settle_one(shelf: &mut Shelf, settlement: &Settlement) -> Settled {
    let lease = &settlement.lease;
    if !shelf.holds(lease.ticket()) {
        return Settled::LeaseLost;
    }
    match &settlement.change {
        Change::Remove => shelf.remove(lease.id()),
        Change::Defer(deferral) => {
            shelf.release(lease.id());
            shelf.edit(lease.id(), |message| deferral.apply(message));
        }
    }
    for notice in &settlement.notices {
        if !shelf.knows(notice) {
            shelf.insert(notice.clone());
        }
    }
    Settled::Done
}

/// One page of what a filter means, and where the next begins.
fn select(
    shelf: &Shelf,
    filter: &Filter,
    page: Page,
    now: Now,
) -> (Vec<Listed>, Option<MessageId>) {
    let mut found = Vec::new();
    let mut last = None;
    for (looked_at, id) in shelf.ids(page.after, filter.id).enumerate() {
        if found.len() == page.limit || looked_at == SCAN_MAX {
            return (found, last.or(page.after));
        }
        found.extend(shelf.load(id, now).filter(|listed| filter.matches(listed)));
        last = Some(id);
    }
    (found, None)
}

/// Whether it changed anything.
fn act_on(shelf: &mut Shelf, listed: &Listed, action: &Action) -> bool {
    let id = listed.message.id;
    if *action == Action::Delete {
        shelf.remove(id);
        return true;
    }
    let mut message = listed.message.clone();
    if !action.apply(&mut message) {
        return false;
    }
    shelf.edit(id, |stored| *stored = message);
    true
}
