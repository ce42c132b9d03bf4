//! What the rules work with: an engine, a clock they move by hand, and mail.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::message::{
    Address, Client, Content, Destination, Envelope, History, MessageId, Priority, Recipient,
    Response, ReversePath, StoredMessage, Submission,
};
use crate::storage::{
    Change, Deferral, FirstLeases, Leased, Listed, Page, Session, Settled, Settlement, Storage,
};
use crate::world::{Clock, SeededRandom, Timestamp, Watched, World};

/// The lease that rules take unless they are about its length.
pub(super) const LEASE: Duration = Duration::from_secs(120);

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A clock that moves only when it is told to.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Watched<Duration>>);

impl ManualClock {
    /// A clock that stands.
    #[allow(clippy::new_without_default)] // it would hide that it makes a clock
    pub fn new() -> Self {
        ManualClock(Arc::new(Watched::new(Duration::ZERO)))
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.0.update(|passed| *passed += time);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        START.after(self.0.get())
    }

    fn monotonic(&self) -> Duration {
        self.0.get()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.0.clone();
        let end = clock.get() + duration;
        Box::pin(async move {
            clock.wait_for(|passed| passed >= end).await;
        })
    }
}

/// An engine under test with its clock.
#[derive(Debug)]
pub struct Bench {
    clock: ManualClock,
    world: World,
    storage: Option<Arc<dyn Storage>>,
    ids: AtomicU64,
}

impl Bench {
    /// A bench without an engine.
    #[allow(clippy::new_without_default)] // it would hide that it makes a clock
    pub fn new() -> Self {
        let clock = ManualClock::new();
        Bench {
            world: World::new(clock.clone(), SeededRandom::new(1)),
            clock,
            storage: None,
            ids: AtomicU64::new(1),
        }
    }

    /// What the engine is to be made with.
    pub fn world(&self) -> World {
        self.world.clone()
    }

    /// Puts an engine on the bench.
    #[must_use]
    pub fn with(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    pub(super) fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Moves the clock on.
    pub fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }

    pub(super) async fn session(&self) -> Arc<dyn Session> {
        let storage = self.storage.as_ref().expect("an engine is on the bench");
        storage.connect().await.unwrap()
    }

    /// Ids in order, so that listings can be foretold.
    pub(super) fn id(&self) -> MessageId {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut bytes = *b"\x01\x8f\x3c\x5e\x7a\x3b\x7c\x11\0\0\0\0\0\0\0\0";
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        MessageId::from_bytes(bytes)
    }

    /// A submission of one message, due now.
    pub fn mail(&self, destination: &str) -> Submission {
        self.mails(&[destination])
    }

    /// A submission of a message for each destination, due now.
    pub fn mails(&self, destinations: &[&str]) -> Submission {
        let content = Content::new("Subject: hello\r\n\r\nworld\r\n");
        let messages: Vec<StoredMessage> = destinations
            .iter()
            .map(|destination| self.message(destination, content.len() as u64))
            .collect();
        let submission = messages[0].id;
        let messages = messages.into_iter().map(|message| StoredMessage {
            submission,
            ..message
        });
        Submission {
            messages: messages.collect(),
            content,
        }
    }

    fn message(&self, destination: &str, size: u64) -> StoredMessage {
        let id = self.id();
        let sender = ReversePath::Mailbox("from@example.com".parse().unwrap());
        StoredMessage {
            id,
            submission: id,
            destination: Destination::new(destination),
            client: Client::default(),
            envelope: Envelope::new(sender, [address("a"), address("b")]),
            received: self.now(),
            size,
            priority: Priority::Normal,
            attempts: 0,
            due: self.now(),
            held: None,
            last_response: None,
            delay_told: false,
            history: History::default(),
        }
    }

    /// Stores one message, due now, and gives its id.
    pub(super) async fn stored(&self, session: &dyn Session, destination: &str) -> MessageId {
        let mail = self.mail(destination);
        let id = mail.messages[0].id;
        session.store(mail, None).await.unwrap();
        id
    }

    /// Stores one message and leases it.
    pub(super) async fn leased(&self, session: &dyn Session, destination: &str) -> Leased {
        let mail = self.mail(destination);
        let lease = FirstLeases {
            count: 1,
            lease: LEASE,
        };
        let mut leased = session.store(mail, Some(lease)).await.unwrap();
        leased.remove(0)
    }
}

pub(super) fn address(local_part: &str) -> Address {
    format!("{local_part}@example.org").parse().unwrap()
}

pub(super) fn removal(leased: Leased) -> Settlement {
    Settlement {
        lease: leased.lease,
        change: Change::Remove,
        notices: Vec::new(),
    }
}

/// Defers for all recipients that wait.
pub(super) fn deferral(leased: Leased, due: Timestamp) -> Settlement {
    Settlement {
        change: Change::Defer(Deferral {
            recipients: leased.message.envelope.recipients,
            attempts: leased.message.attempts + 1,
            due,
            response: Response::new(450, None, "not now"),
            delay_told: false,
            history: History::default(),
        }),
        lease: leased.lease,
        notices: Vec::new(),
    }
}

pub(super) fn recipient(local_part: &str) -> Recipient {
    Recipient::new(address(local_part))
}

/// Settles one attempt.
pub(super) async fn settle(session: &dyn Session, settlement: Settlement) -> Settled {
    let mut answers = session.settle(&[settlement]).await.unwrap();
    answers.remove(0).unwrap()
}

pub(super) async fn claim(
    session: &dyn Session,
    destination: &str,
    limit: usize,
) -> Vec<MessageId> {
    let destination = Destination::new(destination);
    let claimed = session.claim(&destination, limit, LEASE).await.unwrap();
    claimed.iter().map(|leased| leased.lease.id()).collect()
}

/// The names of the destinations that are due.
pub(super) async fn due(session: &dyn Session) -> Vec<String> {
    let due = session.due_destinations(None, 100).await.unwrap();
    due.iter().map(|d| d.destination.to_string()).collect()
}

/// Everything, page by page.
pub(super) async fn list_all(session: &dyn Session) -> Vec<Listed> {
    let mut all = Vec::new();
    let mut page = Page::first(3);
    loop {
        let listing = session.list(&Default::default(), page).await.unwrap();
        assert!(listing.unreadable.is_empty());
        all.extend(listing.messages);
        match listing.next {
            Some(next) => page.after = Some(next),
            None => return all,
        }
    }
}
