//! Whatever fails, and whenever: what `store` and `settle` answered is so after
//! the next opening, and of the rest nothing is there by halves.

use std::sync::Arc;

use slimta_core::message::{History, Response, Submission};
use slimta_core::storage::{
    Change, Deferral, FirstLeases, Leased, Session, Settled, Settlement, Storage, StorageError,
};
use slimta_core::world::{Random, SeededRandom, World};

use super::books::{Books, Seen, reopen};
use super::disk::{Fault, SimDisk};
use super::{LEASE, LIMITS, Limits, mail, world};
use crate::embedded::Embedded;

const RUNS: u64 = 150;
const ROUNDS: usize = 12;
/// About how many steps of the disk a run without fault takes.
const STEPS: u64 = 300;

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
            let effects = self.books.announce(&mail);
            self.books.note(effects, stored.is_ok());
            self.leases.extend(stored.into_iter().flatten());
        }
        works
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
        let mut effects = self.books.announce(&notice);
        let change = match self.pick(2) {
            0 => {
                effects.push((before.id, Seen::Gone));
                Change::Remove
            }
            _ => {
                let mut after = before.clone();
                let deferral = Deferral {
                    recipients: before.envelope.recipients.clone(),
                    attempts: before.attempts + 1,
                    due: self.world.now().after(LEASE),
                    response: Response::new(450, None, "later"),
                    delay_told: false,
                    history: History::default(),
                };
                deferral.apply(&mut after);
                effects.push((after.id, Seen::there(&after)));
                Change::Defer(deferral)
            }
        };
        let settlement = Settlement {
            lease: leased.lease,
            change,
            notices: vec![notice],
        };
        let settled = session.settle(&[settlement]).await;
        self.books.note(effects, settled.is_ok());
        if let Ok(settled) = &settled {
            assert_eq!(*settled, [Ok(Settled::Done)]);
        }
        settled.is_ok()
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
    run.books.check(&*session, at).await;
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
