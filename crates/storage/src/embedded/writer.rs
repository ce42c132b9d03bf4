//! The one writer. Everything that waits to be written is taken into one
//! transaction, and every answer is given after it is on the disk: many wait
//! for one sync.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::MessageId;
use slimta_core::storage::{
    Acted, Action, Change, Filter, FirstLeases, Lease, Owner, Page, Settled, StorageError, Ticket,
};
use tokio::sync::{mpsc, oneshot};

use super::engine::Engine;
use super::guard::guarded;
use super::leases::Now;
use super::ledger::Ledger;
use super::prepare::Prepared;
use super::suspensions::Suspending;
use super::tables::DuePlace;

/// How many calls wait for the writer before callers have to wait to wait.
pub(super) const WAITING_MAX: usize = 1_024;
/// What one commit takes at most; it bounds memory and the longest wait.
const BATCH_CALLS_MAX: usize = 512;
const BATCH_BYTES_MAX: u64 = 32 << 20;
/// What a store may take on the disk for each of its bytes: rows are rounded
/// up to powers of two, and old pages are freed only after the commit.
const DISK_BYTES_PER_BYTE: u64 = 4;
/// How often the reserve is tried to be had back.
const RESTORE_INTERVAL: Duration = Duration::from_secs(5);

pub(super) type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

/// A call that changes what is on the disk. The time is the caller's: leases
/// count from when they were asked for.
#[derive(Debug)]
pub(super) enum Call {
    Store {
        submission: Prepared,
        lease: Option<FirstLeases>,
        owner: Owner,
        now: Now,
        answer: Answer<Vec<Lease>>,
    },
    Settle {
        batch: Vec<Settling>,
        answer: Answer<Vec<Result<Settled, StorageError>>>,
    },
    Act {
        filter: Filter,
        page: Page,
        action: Action,
        now: Now,
        answer: Answer<Acted>,
    },
    Suspend {
        change: Suspending,
        now: Now,
        answer: Answer<bool>,
    },
    /// Something was read that cannot be used.
    SetAside {
        id: MessageId,
        reason: String,
        place: Option<DuePlace>,
        answer: Answer<()>,
    },
}

/// A settlement as the writer needs it.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) ticket: Ticket,
    pub(super) change: Change,
    pub(super) notices: Vec<Prepared>,
}

/// What a call will answer once it is on the disk.
enum Outcome {
    Stored { is_new: bool },
    Full(String),
    Settled(Vec<Settled>),
    Acted(Acted),
    Suspended(bool),
    SetAside,
}

impl Call {
    fn bytes(&self) -> u64 {
        match self {
            Call::Store { submission, .. } => submission.bytes(),
            _ => 0,
        }
    }

    fn refuse(self, error: StorageError) {
        // Whoever does not wait any more does not need to know.
        match self {
            Call::Store { answer, .. } => drop(answer.send(Err(error))),
            Call::Settle { answer, .. } => drop(answer.send(Err(error))),
            Call::Act { answer, .. } => drop(answer.send(Err(error))),
            Call::Suspend { answer, .. } => drop(answer.send(Err(error))),
            Call::SetAside { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}

/// Writes until nobody can call any more.
pub(super) fn run(engine: &Arc<Engine>, mut calls: mpsc::Receiver<Call>) {
    let mut writer = Writer {
        engine,
        restored_at: None,
    };
    while let Some(first) = calls.blocking_recv() {
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH_CALLS_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(call) = calls.try_recv() else {
                break;
            };
            bytes += call.bytes();
            batch.push(call);
        }
        writer.write(batch, bytes);
    }
}

struct Writer<'a> {
    engine: &'a Arc<Engine>,
    /// When the reserve was last tried to be had back.
    restored_at: Option<Duration>,
}

impl Writer<'_> {
    fn write(&mut self, batch: Vec<Call>, bytes: u64) {
        if let Err(error) = self.engine.writable() {
            for call in batch {
                call.refuse(error.clone());
            }
            return;
        }
        let asked = batch.iter().find_map(|call| match call {
            Call::Store { now, .. } => Some(now.monotonic),
            _ => None,
        });
        let committed = guarded(|| {
            let full = asked.and_then(|now| self.is_full(bytes, now));
            self.commit(&batch, full.as_deref())
        });
        match committed {
            Ok(outcomes) => self.answer(batch, outcomes),
            Err(error) => {
                let error = match error {
                    redb::Error::Corrupted(_) => self.engine.break_off(),
                    error => self.engine.poison(&error),
                };
                for call in batch {
                    call.refuse(error.clone());
                }
            }
        }
    }

    fn commit(&self, batch: &[Call], full: Option<&str>) -> Result<Vec<Outcome>, redb::Error> {
        let txn = self.engine.begin_write()?;
        let mut ledger = Ledger::open(&txn)?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for call in batch {
            outcomes.push(self.apply(call, &mut ledger, full)?);
        }
        ledger.finish()?;
        txn.commit()?;
        Ok(outcomes)
    }

    fn apply(
        &self,
        call: &Call,
        ledger: &mut Ledger<'_>,
        full: Option<&str>,
    ) -> Result<Outcome, redb::Error> {
        Ok(match call {
            Call::Store {
                submission, lease, ..
            } => {
                if let Some(full) = full {
                    return Ok(Outcome::Full(full.to_owned()));
                }
                let is_new = !ledger.knows(submission)?;
                if is_new {
                    // Before the commit makes them visible, and due.
                    let first = submission.messages.iter();
                    let mut leases = self.engine.leases();
                    for message in first.take(lease.map_or(0, |lease| lease.count)) {
                        leases.pin(message.place.id);
                    }
                    drop(leases);
                    ledger.insert(submission)?;
                }
                Outcome::Stored { is_new }
            }
            Call::Settle { batch, .. } => {
                let settled = batch.iter().map(|settling| self.settle(settling, ledger));
                Outcome::Settled(settled.collect::<Result<_, _>>()?)
            }
            Call::Act {
                filter,
                page,
                action,
                now,
                ..
            } => Outcome::Acted(self.act(filter, *page, action, *now, ledger)?),
            Call::Suspend { change, now, .. } => {
                Outcome::Suspended(ledger.suspend(change, now.wall)?)
            }
            Call::SetAside {
                id, reason, place, ..
            } => {
                ledger.quarantine(*id, reason)?;
                if let Some(place) = place {
                    ledger.clear_place(place)?;
                }
                Outcome::SetAside
            }
        })
    }

    fn settle(&self, settling: &Settling, ledger: &mut Ledger<'_>) -> Result<Settled, redb::Error> {
        if !self.engine.leases().settle(settling.ticket)
            || !ledger.change(settling.ticket.id, &settling.change)?
        {
            return Ok(Settled::LeaseLost);
        }
        for notice in &settling.notices {
            if !ledger.knows(notice)? {
                ledger.insert(notice)?;
            }
        }
        Ok(Settled::Done)
    }

    fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
        now: Now,
        ledger: &mut Ledger<'_>,
    ) -> Result<Acted, redb::Error> {
        let view = |id| self.engine.leases().view(id, now);
        let selection = ledger.select(filter, page, view)?;
        let mut acted = Acted {
            next: selection.next,
            ..Acted::default()
        };
        for listed in selection.messages {
            let id = listed.message.id;
            {
                let mut leases = self.engine.leases();
                if !leases.is_free(id, now) {
                    acted.leased += 1;
                    continue;
                }
                leases.pin(id);
            }
            let changed = match action {
                Action::Delete => ledger.remove(id)?,
                action => {
                    let mut changed = listed.message;
                    let is_changed = action.apply(&mut changed);
                    self.engine.leases().moved(id, &changed.destination);
                    is_changed && ledger.edit(id, |message| *message = changed)?
                }
            };
            if changed {
                acted.changed.push(id);
            }
        }
        Ok(acted)
    }

    /// Leases first, so that nobody hears of a commit whose leases do not stand.
    fn answer(&self, batch: Vec<Call>, outcomes: Vec<Outcome>) {
        let mut leases = self.engine.leases();
        let mut granted = Vec::new();
        for (call, outcome) in batch.iter().zip(&outcomes) {
            match (call, outcome) {
                (
                    Call::Store {
                        submission,
                        lease: Some(lease),
                        owner,
                        now,
                        ..
                    },
                    Outcome::Stored { is_new: true },
                ) => {
                    let first = submission.messages.iter().take(lease.count);
                    let grants = first.map(|message| {
                        let place = &message.place;
                        let what = (place.id, place.destination.clone(), message.mark);
                        leases.grant(what, owner, lease.lease, *now)
                    });
                    granted.push(grants.collect::<Vec<Lease>>());
                }
                (
                    Call::Act {
                        action: Action::Delete,
                        ..
                    },
                    Outcome::Acted(acted),
                ) => {
                    for id in &acted.changed {
                        leases.forget(*id);
                    }
                }
                _ => {}
            }
        }
        leases.unpin_all();
        drop(leases);
        self.send(batch, outcomes, granted);
        self.engine.changed();
    }

    fn send(&self, batch: Vec<Call>, outcomes: Vec<Outcome>, granted: Vec<Vec<Lease>>) {
        let mut granted = granted.into_iter();
        for (call, outcome) in batch.into_iter().zip(outcomes) {
            match (call, outcome) {
                (Call::Store { lease, answer, .. }, Outcome::Stored { is_new }) => {
                    let leases = match (is_new, lease) {
                        (true, Some(_)) => granted.next().unwrap_or_default(),
                        _ => Vec::new(),
                    };
                    // Nobody is there to use them: the mail is due at once.
                    if let Err(Ok(unused)) = answer.send(Ok(leases)) {
                        let mut leases = self.engine.leases();
                        for lease in unused {
                            leases.end(lease.ticket());
                        }
                    }
                }
                (call @ Call::Store { .. }, Outcome::Full(why)) => {
                    call.refuse(StorageError::Full(why));
                }
                (Call::Settle { answer, .. }, Outcome::Settled(settled)) => {
                    let _ = answer.send(Ok(settled.into_iter().map(Ok).collect()));
                }
                (Call::Act { answer, .. }, Outcome::Acted(acted)) => {
                    let _ = answer.send(Ok(acted));
                }
                (Call::Suspend { answer, .. }, Outcome::Suspended(done)) => {
                    let _ = answer.send(Ok(done));
                }
                (Call::SetAside { answer, .. }, _) => {
                    let _ = answer.send(Ok(()));
                }
                (call, _) => call.refuse(StorageError::Closed),
            }
        }
    }

    /// Why no new mail is taken, if so. What settles needs room too, so new mail
    /// stops before the disk is full.
    fn is_full(&mut self, bytes: u64, now: Duration) -> Option<String> {
        let disk = &self.engine.disk;
        let least = self.engine.limits.free_bytes_min;
        let needed = least.saturating_add(bytes.saturating_mul(DISK_BYTES_PER_BYTE));
        match disk.free() {
            Ok(free) if free >= needed => {}
            Ok(free) => {
                let free = free.saturating_add(self.engine.free_within());
                if free < needed {
                    return Some(format!("{free} bytes are free, {needed} are needed"));
                }
            }
            Err(error) => return Some(format!("how much is free is unknown: {error}")),
        }
        if disk.has_reserve() {
            return None;
        }
        let wait = |at: Duration| now.saturating_sub(at) < RESTORE_INTERVAL;
        if !self.restored_at.is_some_and(wait) {
            self.restored_at = Some(now);
            if disk.restore_reserve() {
                return None;
            }
        }
        Some("the reserve is used up".to_owned())
    }
}
