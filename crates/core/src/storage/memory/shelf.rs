//! The messages and what orders them. A message stands in one place at a time:
//! waiting in the order of its destination, leased, or held.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use super::Now;
use crate::message::{Content, Destination, MessageId, Priority, StoredMessage, Submission};
use crate::storage::{Due, LeaseView, Leased, Listed, Owner, State, Stats};
use crate::storage::{Lease, Ticket};
use crate::world::Timestamp;

/// All that the engine keeps.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    records: BTreeMap<MessageId, Record>,
    /// By submission.
    contents: BTreeMap<MessageId, SharedContent>,
    /// What could be claimed once due, by destination.
    waiting: BTreeMap<Destination, Waiting>,
    /// The first due time of each destination that has anything waiting.
    heads: BTreeSet<Due>,
    /// Leases in force, by their end on the monotonic clock.
    leases: BTreeSet<(Duration, MessageId)>,
    received: BTreeSet<(Timestamp, MessageId)>,
    stats: Stats,
    last_token: u64,
    /// Who manages, and until when on the monotonic clock.
    managers: BTreeMap<Owner, Duration>,
}

#[derive(Debug)]
struct Record {
    message: StoredMessage,
    /// The last lease, unless it was given back. It can be settled with until
    /// another is taken, even if it has run out.
    lease: Option<Held>,
    place: Place,
}

#[derive(Debug)]
struct Held {
    owner: Owner,
    token: u64,
    end: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Waiting,
    Leased,
    Held,
}

#[derive(Debug)]
struct SharedContent {
    content: Content,
    sharers: BTreeSet<MessageId>,
}

/// One destination's waiting messages by due time, for each priority.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<Priority, BTreeSet<(Timestamp, MessageId)>>);

impl Waiting {
    fn head(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|due| Some(due.first()?.0)).min()
    }

    /// Those due, at most so many: by priority, then the longest due; or `by_age`
    /// the longest due of all.
    fn due(&self, now: Timestamp, limit: usize, by_age: bool) -> Vec<MessageId> {
        let of_each = self.0.values().flat_map(|waiting| {
            let due = waiting.iter().take_while(|(due, _)| *due <= now);
            due.take(limit)
        });
        let mut due: Vec<_> = of_each.collect();
        if by_age {
            due.sort_unstable();
        }
        due.into_iter().take(limit).map(|(_, id)| *id).collect()
    }
}

// --- what the calls are made of ----------------------------------------------

impl Shelf {
    /// Whether any part of the submission is there.
    pub(super) fn knows(&self, submission: &Submission) -> bool {
        let mut messages = submission.messages.iter();
        messages
            .any(|m| self.records.contains_key(&m.id) || self.contents.contains_key(&m.submission))
    }

    pub(super) fn insert(&mut self, submission: Submission) {
        let Submission { messages, content } = submission;
        let Some(id) = messages.first().map(|m| m.submission) else {
            return;
        };
        self.stats.bytes += content.len() as u64;
        let sharers = messages.iter().map(|m| m.id).collect();
        self.contents.insert(id, SharedContent { content, sharers });
        for message in messages {
            self.received.insert((message.received, message.id));
            self.put(Record {
                message,
                lease: None,
                place: Place::Waiting,
            });
        }
    }

    pub(super) fn remove(&mut self, id: MessageId) {
        let Some(record) = self.take(id) else {
            return;
        };
        let message = record.message;
        self.received.remove(&(message.received, id));
        if let Some(shared) = self.contents.get_mut(&message.submission) {
            shared.sharers.remove(&id);
            if shared.sharers.is_empty() {
                self.stats.bytes -= shared.content.len() as u64;
                self.contents.remove(&message.submission);
            }
        }
    }

    /// Changes a message; the orders follow.
    pub(super) fn edit(&mut self, id: MessageId, edit: impl FnOnce(&mut StoredMessage)) {
        if let Some(mut record) = self.take(id) {
            edit(&mut record.message);
            self.put(record);
        }
    }

    /// Takes a lease, unless one is in force or there is no such message.
    pub(super) fn lease(
        &mut self,
        id: MessageId,
        owner: &Owner,
        lease: Duration,
        now: Now,
    ) -> Option<Leased> {
        if self.is_leased(id) {
            return None;
        }
        let mut record = self.take(id)?;
        self.last_token += 1;
        let token = self.last_token;
        record.lease = Some(Held {
            owner: owner.clone(),
            token,
            end: now.monotonic.saturating_add(lease),
        });
        record.place = Place::Leased;
        let message = record.message.clone();
        self.put(record);
        Some(Leased {
            lease: Lease::granted(id, token, now.wall.after(lease)),
            message,
        })
    }

    pub(super) fn renew(&mut self, ticket: Ticket, lease: Duration, now: Now) -> bool {
        if !self.holds(ticket) {
            return false;
        }
        if let Some(mut record) = self.take(ticket.id) {
            if let Some(held) = &mut record.lease {
                held.end = now.monotonic.saturating_add(lease);
            }
            record.place = Place::Leased;
            self.put(record);
        }
        true
    }

    /// Ends a lease before its time.
    pub(super) fn release(&mut self, id: MessageId) {
        if let Some(mut record) = self.take(id) {
            record.lease = None;
            record.place = Place::Waiting;
            self.put(record);
        }
    }

    /// Whether nobody else has taken the message since.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        let record = self.records.get(&ticket.id);
        record
            .and_then(|record| record.lease.as_ref())
            .is_some_and(|held| held.token == ticket.token)
    }

    pub(super) fn is_leased(&self, id: MessageId) -> bool {
        let record = self.records.get(&id);
        record.is_some_and(|record| record.place == Place::Leased)
    }

    /// Puts back what was leased until now or before.
    pub(super) fn end_leases(&mut self, now: Duration) {
        while let Some(&(end, id)) = self.leases.first() {
            if end > now {
                return;
            }
            let Some(mut record) = self.take(id) else {
                self.leases.remove(&(end, id));
                continue;
            };
            record.place = Place::Waiting;
            self.put(record);
        }
    }
}

// --- reads ----------------------------------------------------------------------

impl Shelf {
    pub(super) fn manage(&mut self, owner: &Owner, lasting: Duration, now: Now) -> Vec<Owner> {
        let until = now.monotonic.saturating_add(lasting);
        self.managers.insert(owner.clone(), until);
        self.managers.retain(|_, until| *until > now.monotonic);
        self.managers.keys().cloned().collect()
    }

    pub(super) fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
        now: Timestamp,
    ) -> Vec<Due> {
        let from = after.map_or(Unbounded, Excluded);
        let heads = self.heads.range::<Due, _>((from, Unbounded));
        let due = heads.take_while(|head| head.since <= now);
        due.take(limit).cloned().collect()
    }

    pub(super) fn due(
        &self,
        destination: &Destination,
        limit: usize,
        by_age: bool,
        now: Timestamp,
    ) -> Vec<MessageId> {
        let waiting = self.waiting.get(destination);
        waiting.map_or_else(Vec::new, |waiting| waiting.due(now, limit, by_age))
    }

    pub(super) fn load(&self, id: MessageId, now: Now) -> Option<Listed> {
        let record = self.records.get(&id)?;
        let lease = match (&record.lease, record.place) {
            (Some(held), Place::Leased) => Some(LeaseView {
                owner: held.owner.clone(),
                end: now.wall.after(held.end.saturating_sub(now.monotonic)),
            }),
            _ => None,
        };
        Some(Listed {
            message: record.message.clone(),
            lease,
        })
    }

    pub(super) fn contents(&self, id: MessageId) -> Option<Content> {
        let record = self.records.get(&id)?;
        let shared = self.contents.get(&record.message.submission)?;
        Some(shared.content.clone())
    }

    /// Ids behind `after`, in order; only those that `id` can mean, if given.
    pub(super) fn ids(
        &self,
        after: Option<MessageId>,
        id: Option<MessageId>,
    ) -> Box<dyn Iterator<Item = MessageId> + '_> {
        let from = after.map_or(Unbounded, Excluded);
        let Some(id) = id else {
            let all = self.records.range((from, Unbounded));
            return Box::new(all.map(|(id, _)| *id));
        };
        let mut meant: BTreeSet<MessageId> = match self.contents.get(&id) {
            Some(shared) => shared.sharers.clone(),
            None => BTreeSet::new(),
        };
        meant.insert(id);
        Box::new(meant.into_iter().filter(move |id| {
            self.records.contains_key(id) && after.is_none_or(|after| *id > after)
        }))
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            oldest: self.received.first().map(|(received, _)| *received),
            ..self.stats
        }
    }

    pub(super) fn next_due(&self, now: Now) -> Option<Timestamp> {
        let lease_end = self.leases.first().map(|(end, _)| {
            let left = end.saturating_sub(now.monotonic);
            now.wall.after(left)
        });
        let head = self.heads.first().map(|head| head.since);
        head.into_iter().chain(lease_end).min()
    }
}

// --- places: the only two doors in and out of the orders -------------------------

impl Shelf {
    fn take(&mut self, id: MessageId) -> Option<Record> {
        let record = self.records.remove(&id)?;
        *self.count(&record) -= 1;
        self.stats.messages -= 1;
        match record.place {
            Place::Held => {}
            Place::Leased => {
                let end = record
                    .lease
                    .as_ref()
                    .map_or(Duration::ZERO, |held| held.end);
                self.leases.remove(&(end, id));
            }
            Place::Waiting => {
                self.reorder(&record.message, |due, key| {
                    due.remove(&key);
                });
            }
        }
        Some(record)
    }

    /// Whatever is not leased stands where its message says.
    fn put(&mut self, mut record: Record) {
        let id = record.message.id;
        if record.place != Place::Leased {
            record.place = match record.message.held {
                Some(_) => Place::Held,
                None => Place::Waiting,
            };
        }
        match (record.place, &record.lease) {
            (Place::Leased, Some(held)) => {
                self.leases.insert((held.end, id));
            }
            (Place::Waiting, _) => self.reorder(&record.message, |due, key| {
                due.insert(key);
            }),
            _ => {}
        }
        *self.count(&record) += 1;
        self.stats.messages += 1;
        self.records.insert(id, record);
    }

    /// Changes the order of one destination, and its head with it.
    fn reorder(
        &mut self,
        message: &StoredMessage,
        change: impl FnOnce(&mut BTreeSet<(Timestamp, MessageId)>, (Timestamp, MessageId)),
    ) {
        let destination = &message.destination;
        let waiting = self.waiting.entry(destination.clone()).or_default();
        let before = waiting.head();
        let of_priority = waiting.0.entry(message.priority).or_default();
        change(of_priority, (message.due, message.id));
        let after = waiting.head();
        if after.is_none() {
            self.waiting.remove(destination);
        }
        let head = |since| Due {
            since,
            destination: destination.clone(),
        };
        if before != after {
            before.map(|since| self.heads.remove(&head(since)));
            after.map(|since| self.heads.insert(head(since)));
        }
    }

    fn count(&mut self, record: &Record) -> &mut u64 {
        let state = match record.place {
            Place::Leased => State::Active,
            Place::Held => State::Held,
            Place::Waiting if record.message.attempts == 0 => State::Active,
            Place::Waiting => State::Deferred,
        };
        match state {
            State::Active => &mut self.stats.active,
            State::Deferred => &mut self.stats.deferred,
            State::Held => &mut self.stats.held,
        }
    }
}
