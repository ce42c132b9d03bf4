//! What was answered, and what may be found of the rest: a call that was not
//! answered has happened wholly or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slimta_core::message::{Content, MessageId, StoredMessage, Submission};
use slimta_core::storage::{Session, State, Storage};
use slimta_core::world::World;

use super::disk::SimDisk;
use super::{LEASE, Limits, list};
use crate::embedded::Embedded;

/// A message as it is found.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Seen {
    Gone,
    There(Box<StoredMessage>),
    /// Its record was damaged: it is shown as unreadable, and kept.
    Spoiled,
}

impl Seen {
    pub(super) fn there(message: &StoredMessage) -> Self {
        Seen::There(Box::new(message.clone()))
    }
}

/// What a call makes of a message.
pub(super) type Effect = (MessageId, Seen);

#[derive(Clone, Default)]
pub(super) struct Books {
    pub(super) known: BTreeMap<MessageId, Seen>,
    /// By submission.
    contents: BTreeMap<MessageId, Content>,
    submissions: BTreeMap<MessageId, MessageId>,
    /// Calls that were not answered.
    pub(super) open: Vec<Vec<Effect>>,
}

impl Books {
    /// A submission that is about to be stored, and what that will do.
    pub(super) fn announce(&mut self, mail: &Submission) -> Vec<Effect> {
        let submission = mail.messages[0].id;
        self.contents.insert(submission, mail.content.clone());
        let there = mail.messages.iter().map(|message| {
            self.submissions.insert(message.id, submission);
            (message.id, Seen::there(message))
        });
        there.collect()
    }

    /// What a call does, and whether it was answered.
    pub(super) fn note(&mut self, effects: Vec<Effect>, answered: bool) {
        match answered {
            true => self.known.extend(effects),
            false => self.open.push(effects),
        }
    }

    /// A message that shares its contents and is due.
    pub(super) fn shared_and_due(&self) -> StoredMessage {
        let shares = |m: &StoredMessage| {
            let others = self.submissions.iter().filter(|(_, s)| **s == m.submission);
            m.held.is_none() && others.count() > 1
        };
        let mut there = self.known.values().filter_map(|seen| match seen {
            Seen::There(message) => Some(message),
            _ => None,
        });
        (**there.find(|message| shares(message)).unwrap()).clone()
    }

    /// Something is found under another id.
    pub(super) fn move_submission(&mut self, from: MessageId, to: MessageId) {
        if let Some(submission) = self.submissions.remove(&from) {
            self.submissions.insert(to, submission);
        }
    }

    /// Whether a message was stored with these contents.
    pub(super) fn is_content_of(&self, id: MessageId, content: &Content) -> bool {
        let submission = self.submissions.get(&id);
        submission.and_then(|submission| self.contents.get(submission)) == Some(content)
    }

    /// What must be found, given what is: each open call wholly or not at all.
    fn expected(&self, found: &BTreeMap<MessageId, Seen>) -> BTreeMap<MessageId, Seen> {
        let mut expected = self.known.clone();
        for call in &self.open {
            let is_found = |(id, after): &Effect| found.get(id).unwrap_or(&Seen::Gone) == after;
            if call.iter().all(is_found) {
                expected.extend(call.iter().cloned());
            }
        }
        expected.retain(|_, seen| *seen != Seen::Gone);
        expected
    }

    /// What the next process finds.
    pub(super) async fn check(&self, session: &dyn Session, at: &str) {
        let listing = list(session).await;
        assert_eq!(listing.next, None, "{at}");
        let spoiled = listing
            .unreadable
            .into_iter()
            .map(|u| (u.id, Seen::Spoiled));
        let mut found: BTreeMap<_, _> = spoiled.collect();
        for listed in &listing.messages {
            found.insert(listed.message.id, Seen::there(&listed.message));
        }
        let expected = self.expected(&found);
        for (id, seen) in &expected {
            assert_eq!(found.get(id), Some(seen), "{at}");
        }
        assert_eq!(found.len(), expected.len(), "{at}: {found:?}");
        self.check_counts(session, &found, at).await;
        self.check_contents(session, &found, at).await;
        self.check_order(session, &found, at).await;
    }

    async fn check_counts(
        &self,
        session: &dyn Session,
        found: &BTreeMap<MessageId, Seen>,
        at: &str,
    ) {
        let stats = session.stats().await.unwrap();
        let count = |state: Option<State>| {
            let of = |seen: &&Seen| match seen {
                Seen::There(message) if message.held.is_some() => state == Some(State::Held),
                Seen::There(message) if message.attempts > 0 => state == Some(State::Deferred),
                Seen::There(_) => state == Some(State::Active),
                _ => state.is_none(),
            };
            found.values().filter(of).count() as u64
        };
        assert_eq!(stats.active, count(Some(State::Active)), "{at}: active");
        assert_eq!(
            stats.deferred,
            count(Some(State::Deferred)),
            "{at}: deferred"
        );
        assert_eq!(stats.held, count(Some(State::Held)), "{at}: held");
        assert_eq!(stats.quarantined, count(None), "{at}: quarantined");
        let submissions = found.keys().filter_map(|id| self.submissions.get(id));
        let submissions: BTreeSet<_> = submissions.collect();
        let bytes = |submission| self.contents.get(submission).map_or(0, Content::len) as u64;
        let bytes: u64 = submissions.into_iter().map(bytes).sum();
        assert_eq!(stats.bytes, bytes, "{at}: bytes");
    }

    async fn check_contents(
        &self,
        session: &dyn Session,
        found: &BTreeMap<MessageId, Seen>,
        at: &str,
    ) {
        for seen in found.values() {
            if let Seen::There(message) = seen {
                let content = session.contents(message.id).await.unwrap();
                let expected = self.contents.get(&message.submission);
                assert!(content.as_ref() == expected, "{at}: contents");
            }
        }
    }

    /// Everything but the held can be claimed: the due order has all of it.
    async fn check_order(
        &self,
        session: &dyn Session,
        found: &BTreeMap<MessageId, Seen>,
        at: &str,
    ) {
        tokio::time::advance(2 * LEASE).await;
        let mut claimed = BTreeSet::new();
        for due in session.due_destinations(None, 100).await.unwrap() {
            let destination = &due.destination;
            let leased = session.claim(destination, 10_000, LEASE).await.unwrap();
            // A damaged message keeps its place until it is claimed.
            let is_known = !leased.is_empty() || found.values().any(|seen| *seen == Seen::Spoiled);
            assert!(is_known, "{at}: {destination} is due for nothing");
            claimed.extend(leased.iter().map(|leased| leased.lease.id()));
        }
        let is_due = |seen: &Seen| matches!(seen, Seen::There(message) if message.held.is_none());
        let due = found.iter().filter(|(_, seen)| is_due(seen));
        let due: BTreeSet<_> = due.map(|(id, _)| *id).collect();
        assert_eq!(claimed, due, "{at}: not all is due");
    }
}

/// Opens an image of a disk, which must work.
pub(super) fn reopen(image: Vec<u8>, world: &World, limits: Limits, at: &str) -> Embedded {
    let disk = Arc::new(SimDisk::holding(image));
    match Embedded::on(disk, world.clone(), limits) {
        Ok(store) => store,
        Err(error) => panic!("{at}: {error}"),
    }
}

/// What a process finds that opens an image of a disk.
pub(super) async fn check_image(
    image: Vec<u8>,
    world: &World,
    limits: Limits,
    books: &Books,
    at: &str,
) {
    let store = reopen(image, world, limits, at);
    let session = store.connect().await.unwrap();
    books.check(&*session, at).await;
}
