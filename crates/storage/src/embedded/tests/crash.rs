//! Whatever fails, and whenever: what `store` and `settle` answered is so after
//! the next opening, and of the rest nothing is there by halves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slimta_core::message::{Content, MessageId, Response, StoredMessage, Submission};
use slimta_core::storage::{
    Change, Deferral, FirstLeases, Leased, Session, Settled, Settlement, Storage, StorageError,
};
use slimta_core::world::{Random, SeededRandom, World};

use super::disk::{Fault, SimDisk};
use super::{LEASE, LIMITS, Limits, list, mail, world};
use crate::embedded::Embedded;

const RUNS: u64 = 150;
const ROUNDS: usize = 12;
/// About how many steps of the disk a run without fault takes.
const STEPS: u64 = 300;

/// What is known of a message whose calls were answered.
#[derive(Clone, PartialEq, Debug)]
enum Known {
    /// As it must be found.
    There(Box<StoredMessage>),
    Gone,
    /// A call was under way: it may be found as either.
    Either(Vec<Option<StoredMessage>>),
}

#[derive(Default)]
struct Books {
    messages: BTreeMap<MessageId, Known>,
    contents: BTreeMap<MessageId, Content>,
    /// Each set was stored by one call that was not answered: all or none.
    unanswered: Vec<BTreeSet<MessageId>>,
}

struct Run {
    chance: SeededRandom,
    world: World,
    books: Books,
    leases: Vec<Leased>,
}

impl Run {
    fn pick(&self, below: u64) -> u64 {
        let mut bytes = [0; 8];
        self.chance.fill(&mut bytes);
        u64::from_le_bytes(bytes) % below
    }

    fn mail(&self) -> Submission {
        let names = ["a.example", "b.example", "c.example"];
        let count = 1 + self.pick(3) as usize;
        let size = match self.pick(8) {
            0 => 150_000,
            1 => 0,
            _ => 3_000,
        };
        let byte = self.pick(256) as u8;
        mail(&self.world, &names[..count], vec![byte; size])
    }

    /// Several calls at once, so that they are committed together. False when
    /// the disk has failed.
    async fn round(&mut self, session: &Arc<dyn Session>) -> bool {
        let lease = FirstLeases {
            count: 2,
            lease: LEASE,
        };
        let mails: Vec<Submission> = (0..self.pick(5)).map(|_| self.mail()).collect();
        let stores = mails.iter().map(|mail| {
            let (session, mail) = (session.clone(), mail.clone());
            tokio::spawn(async move { session.store(mail, Some(lease)).await })
        });
        let stores: Vec<_> = stores.collect();
        let settled = self.settle(session).await;
        let mut works = settled;
        for (store, mail) in stores.into_iter().zip(mails) {
            let stored = store.await.unwrap();
            works &= stored.is_ok();
            self.note_store(&mail, stored);
        }
        works
    }

    fn note_store(&mut self, mail: &Submission, stored: Result<Vec<Leased>, StorageError>) {
        for message in &mail.messages {
            let known = match &stored {
                Ok(_) => Known::There(Box::new(message.clone())),
                Err(_) => Known::Either(vec![None, Some(message.clone())]),
            };
            self.books.messages.insert(message.id, known);
        }
        let submission = mail.messages[0].id;
        self.books.contents.insert(submission, mail.content.clone());
        match stored {
            Ok(leased) => self.leases.extend(leased),
            Err(_) => {
                let all = mail.messages.iter().map(|m| m.id).collect();
                self.books.unanswered.push(all);
            }
        }
    }

    async fn settle(&mut self, session: &Arc<dyn Session>) -> bool {
        if self.leases.is_empty() {
            return true;
        }
        let leased = self
            .leases
            .swap_remove(self.pick(self.leases.len() as u64) as usize);
        let before = leased.message.clone();
        let notice = mail(&self.world, &["home.example"], vec![b'n'; 100]);
        let mut after = None;
        let change = match self.pick(2) {
            0 => Change::Remove,
            _ => {
                let mut message = before.clone();
                let deferral = Deferral {
                    recipients: before.envelope.recipients.clone(),
                    attempts: before.attempts + 1,
                    due: self.world.now().after(LEASE),
                    response: Response::new(450, None, "later"),
                };
                deferral.apply(&mut message);
                after = Some(message);
                Change::Defer(deferral)
            }
        };
        let settlement = Settlement {
            lease: leased.lease,
            change,
            notices: vec![notice.clone()],
        };
        let settled = session.settle(&[settlement]).await;
        let known = match (&settled, after) {
            (Ok(settled), after) => {
                assert_eq!(*settled, [Settled::Done]);
                after.map_or(Known::Gone, |after| Known::There(Box::new(after)))
            }
            (Err(_), after) => Known::Either(vec![Some(before.clone()), after]),
        };
        self.books.messages.insert(before.id, known);
        let stored = settled.map(|_| Vec::new());
        let works = stored.is_ok();
        self.note_store(&notice, stored);
        works
    }

    /// What the next process finds.
    async fn check(&self, session: &dyn Session, run: &str) {
        let found = list(session).await;
        assert!(found.unreadable.is_empty(), "{run}");
        assert_eq!(found.next, None, "{run}");
        let mut found: BTreeMap<MessageId, StoredMessage> = found
            .messages
            .into_iter()
            .map(|listed| (listed.message.id, listed.message))
            .collect();
        let stats = session.stats().await.unwrap();
        assert_eq!(stats.messages, found.len() as u64, "{run}");
        self.check_contents(session, &found, stats.bytes, run).await;
        let there: BTreeSet<MessageId> = found.keys().copied().collect();
        for (id, known) in &self.books.messages {
            let message = found.remove(id);
            match known {
                Known::There(expected) => assert_eq!(message, Some(*expected.clone()), "{run}"),
                Known::Gone => assert_eq!(message, None, "{run}"),
                Known::Either(either) => assert!(either.contains(&message), "{run}: {id}"),
            }
        }
        assert!(found.is_empty(), "{run}: {found:?}");
        for call in &self.books.unanswered {
            let count = call.intersection(&there).count();
            assert!(
                count == 0 || count == call.len(),
                "{run}: half a submission"
            );
        }
        self.check_order(session, there.len(), run).await;
    }

    async fn check_contents(
        &self,
        session: &dyn Session,
        found: &BTreeMap<MessageId, StoredMessage>,
        bytes: u64,
        run: &str,
    ) {
        let mut sizes = BTreeMap::new();
        for message in found.values() {
            let content = session.contents(message.id).await.unwrap();
            let expected = self.books.contents.get(&message.submission);
            assert!(content.as_ref() == expected, "{run}: contents");
            sizes.insert(message.submission, expected.map_or(0, Content::len) as u64);
        }
        assert_eq!(bytes, sizes.values().sum::<u64>(), "{run}: bytes");
    }

    /// Everything can be claimed: the due order has all of it.
    async fn check_order(&self, session: &dyn Session, count: usize, run: &str) {
        tokio::time::advance(2 * LEASE).await;
        let mut claimed = 0;
        for due in session.due_destinations(None, 100).await.unwrap() {
            let destination = &due.destination;
            let leased = session.claim(destination, 10_000, LEASE).await.unwrap();
            assert!(
                !leased.is_empty(),
                "{run}: {destination} is due for nothing"
            );
            claimed += leased.len();
        }
        assert_eq!(claimed, count, "{run}: not all is due");
    }
}

fn reopen(image: Vec<u8>, world: &World, limits: Limits, run: &str) -> Embedded {
    let disk = Arc::new(SimDisk::holding(image));
    match Embedded::on(disk, world.clone(), limits) {
        Ok(store) => store,
        Err(error) => panic!("{run}: {error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_outlives_every_fault() {
    for seed in 0..RUNS {
        let mut run = Run {
            chance: SeededRandom::new(seed),
            world: world(),
            books: Books::default(),
            leases: Vec::new(),
        };
        // Half of the runs commit in two phases, as big stores do.
        let limits = Limits {
            quick_repair_bytes_min: if seed % 2 == 0 { 0 } else { u64::MAX },
            ..LIMITS
        };
        let disk = Arc::new(SimDisk::default());
        let store = Embedded::on(disk.clone(), run.world.clone(), limits).unwrap();
        let step = 1 + run.pick(STEPS);
        let fault = match run.pick(2) {
            0 => Fault::Once(step),
            _ => Fault::From(step),
        };
        disk.fail(fault);
        let at = format!("seed {seed}, {fault:?}");
        let session = store.connect().await.unwrap();
        for _ in 0..ROUNDS {
            if !run.round(&session).await {
                // Nothing is written any more, until it is opened anew.
                let refused = session.store(run.mail(), None).await;
                assert!(matches!(refused, Err(StorageError::Poisoned(_))), "{at}");
                break;
            }
        }
        let power_cut = disk.after_power_cut(seed);
        drop((session, store));
        let images = [power_cut, disk.after_kill()];
        for image in images {
            recover_and_check(&run, image, limits, &at).await;
        }
    }
}

/// Opens after a crash, with another crash in between.
async fn recover_and_check(run: &Run, image: Vec<u8>, limits: Limits, at: &str) {
    let disk = Arc::new(SimDisk::holding(image));
    disk.fail(Fault::From(1 + run.pick(12)));
    drop(Embedded::on(disk.clone(), run.world.clone(), limits));
    let image = disk.after_power_cut(run.pick(u64::MAX));
    let store = reopen(image, &run.world, limits, at);
    let session = store.connect().await.unwrap();
    run.check(&*session, at).await;
    // And it is a store like any other.
    let mail = run.mail();
    session.store(mail.clone(), None).await.unwrap();
    let content = session.contents(mail.messages[0].id).await.unwrap();
    assert_eq!(content, Some(mail.content), "{at}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_holds_no_lease_and_tokens_grow_on() {
    let world = world();
    let directory = tempfile::tempdir().unwrap();
    let mut last_token = 0;
    for opening in 0..3 {
        let store = Embedded::open_with(directory.path(), world.clone(), LIMITS).unwrap();
        let session = store.connect().await.unwrap();
        if opening == 0 {
            let mail = mail(&world, &["a.example"], Vec::new());
            session.store(mail, None).await.unwrap();
        }
        let destination = slimta_core::message::Destination::new("a.example");
        let claimed = session.claim(&destination, 10, LEASE).await.unwrap();
        assert_eq!(claimed.len(), 1);
        let token = claimed[0].lease.ticket().token;
        assert!(token > last_token);
        last_token = token;
    }
}
