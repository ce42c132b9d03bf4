//! A fixed script of everything that can be asked of a store, in chapters: each
//! begins by opening what the one before has left.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::{Destination, History, MessageId, Response, StoredMessage};
use slimta_core::storage::{
    Action, Change, Deferral, Filter, FirstLeases, Leased, Page, Session, Settled, Settlement,
    Storage, StorageError, Ticket,
};
use slimta_core::world::World;

use super::books::{Books, Effect, Seen};
use super::damage::flip_record;
use super::disk::SimDisk;
use super::{LEASE, LIMITS, Limits, START, mail};
use crate::embedded::Embedded;

/// The script has so many chapters of so many operations.
pub(super) const CHAPTERS: u64 = 20;
pub(super) const OPERATIONS: usize = 11;

const NAMES: [&str; 3] = ["a.example", "b.example", "c.example"];

/// What a chapter begins with.
#[derive(Clone)]
pub(super) struct Chapter {
    pub(super) number: u64,
    pub(super) image: Vec<u8>,
    pub(super) books: Books,
}

/// One who plays a chapter.
pub(super) struct Player {
    pub(super) books: Books,
    world: World,
    session: Arc<dyn Session>,
    leases: Vec<Leased>,
    /// Leases that were settled or given back.
    stale: Vec<Ticket>,
}

impl Chapter {
    /// Half of the chapters commit in two phases and are not audited, as big
    /// stores; in the others the room of a drained store is not given back.
    pub(super) fn limits(&self) -> Limits {
        match self.number / 2 % 2 {
            0 => Limits {
                quick_repair_bytes_min: 0,
                audit_file_bytes_max: 0,
                ..LIMITS
            },
            _ => Limits {
                quick_repair_bytes_min: u64::MAX,
                give_back_file_bytes_min: u64::MAX,
                ..LIMITS
            },
        }
    }

    /// All kinds of operations take two chapters.
    pub(super) fn operations(&self) -> std::ops::Range<usize> {
        match self.number % 2 {
            0 => 0..OPERATIONS,
            _ => OPERATIONS..2 * OPERATIONS,
        }
    }

    /// The same time and chance at every play.
    pub(super) fn world(&self) -> World {
        let start = START.after(Duration::from_secs(3600 * self.number));
        World::simulated(start, self.number)
    }

    /// A time at which all mail is due.
    pub(super) fn later() -> World {
        World::simulated(START.after(Duration::from_secs(86_400)), 1000)
    }

    pub(super) fn open(&self, disk: &Arc<SimDisk>) -> Result<Embedded, StorageError> {
        Embedded::on(disk.clone(), self.world(), self.limits())
    }

    pub(super) async fn player(&self, store: &Embedded) -> Player {
        Player {
            books: self.books.clone(),
            world: store.0.engine.world.clone(),
            session: store.connect().await.unwrap(),
            leases: Vec::new(),
            stale: Vec::new(),
        }
    }
}

/// The beginnings of all chapters, in order. Before each but the first a record
/// is damaged.
pub(super) async fn chapters() -> Vec<Chapter> {
    // A store gets its name only once it is whole, so none is ever half begun.
    let disk = Arc::new(SimDisk::default());
    drop(Embedded::on(disk.clone(), World::simulated(START, 0), LIMITS).unwrap());
    let mut next = Chapter {
        number: 0,
        image: disk.after_kill(),
        books: Books::default(),
    };
    let mut chapters = Vec::new();
    for number in 1..=CHAPTERS {
        let disk = Arc::new(SimDisk::holding(next.image.clone()));
        let store = next.open(&disk).unwrap();
        let mut player = next.player(&store).await;
        for operation in next.operations() {
            assert!(player.play(operation).await);
        }
        let mut books = player.books.clone();
        if let Some(victim) = player.free(|_| true).pop() {
            flip_record(&store, victim.id);
            books.known.insert(victim.id, Seen::Spoiled);
        }
        drop((player, store));
        let image = disk.after_kill();
        chapters.push(std::mem::replace(
            &mut next,
            Chapter {
                number,
                image,
                books,
            },
        ));
    }
    chapters
}

impl Player {
    /// One operation; false when the disk has failed it.
    pub(super) async fn play(&mut self, operation: usize) -> bool {
        let first = MessageId::MIN;
        match operation {
            0 => self.store(&NAMES[..1], 2_000, 1).await,
            1 => self.store(&NAMES, 100, 2).await,
            2 => self.store(&NAMES[1..2], 70_000, 0).await,
            3 => self.renew().await,
            4 => self.settle(1, |_| false, false).await,
            5 => self.settle(1, |_| true, false).await,
            6 => self.claim("a.example", 3).await,
            7 => self.settle(2, |number| number == 1, true).await,
            8 => self.unlock().await,
            9 => self.read().await,
            10 => {
                self.act_on_one(|m| m.held.is_none(), Action::Hold("why".to_owned()))
                    .await
            }
            11 => self.act_on_one(|m| m.held.is_some(), Action::Release).await,
            12 => {
                self.act_on_one(|_| true, Action::SetDue(self.world.now()))
                    .await
            }
            13 => self.act_on_one(|m| m.id > first, Action::Delete).await,
            14 => self.lock_and_remove().await,
            15 => self.store_again().await,
            16 => self.settle_stale().await,
            17 => {
                self.act_on("b.example", Action::Hold("all".to_owned()))
                    .await
            }
            18 => self.store(&NAMES[..2], 0, 0).await,
            19 => self.act_on("b.example", Action::Release).await,
            20 => self.claim("b.example", 2).await,
            _ => {
                self.settle(self.leases.len(), |number| number % 2 == 0, true)
                    .await
            }
        }
    }

    /// Messages that nobody has leased, in order.
    fn free(&self, fits: impl Fn(&StoredMessage) -> bool) -> Vec<StoredMessage> {
        let is_leased = |id| self.leases.iter().any(|leased| leased.lease.id() == id);
        let there = self.books.known.values().filter_map(|seen| match seen {
            Seen::There(message) => Some(message),
            _ => None,
        });
        let free = there.filter(|message| !is_leased(message.id) && fits(message));
        free.map(|message| (**message).clone()).collect()
    }

    /// Keeps the books of a call. The only failure is that of the disk.
    fn note<T>(&mut self, effects: Vec<Effect>, done: Result<T, StorageError>) -> Option<T> {
        self.books.note(effects, done.is_ok());
        let is_known = matches!(done, Ok(_) | Err(StorageError::Poisoned(_)));
        assert!(is_known, "{:?}", done.err());
        done.ok()
    }

    async fn store(&mut self, names: &[&str], size: usize, leased: usize) -> bool {
        let mail = mail(&self.world, names, vec![b'x'; size]);
        let effects = self.books.announce(&mail);
        let lease = FirstLeases {
            count: leased,
            lease: LEASE,
        };
        let done = self
            .session
            .store(mail, (leased > 0).then_some(lease))
            .await;
        let done = self.note(effects, done);
        let works = done.is_some();
        self.leases.extend(done.into_iter().flatten());
        works
    }

    /// What is there already is not stored again.
    async fn store_again(&mut self) -> bool {
        let Some(there) = self.free(|m| m.id == m.submission).pop() else {
            return true;
        };
        let mut again = mail(&self.world, &["a.example"], vec![b'y'; 10]);
        again.messages[0] = there;
        let lease = FirstLeases {
            count: 1,
            lease: LEASE,
        };
        let done = self.session.store(again, Some(lease)).await;
        self.note(Vec::new(), done)
            .is_some_and(|leased| leased.is_empty())
    }

    async fn renew(&mut self) -> bool {
        let tickets: Vec<Ticket> = self.leases.iter().map(|l| l.lease.ticket()).collect();
        let renewed = self.session.renew(&tickets, 2 * LEASE).await.unwrap();
        renewed.iter().all(|renewed| *renewed == Settled::Done)
    }

    async fn unlock(&mut self) -> bool {
        if let Some(leased) = self.leases.pop() {
            self.stale.push(leased.lease.ticket());
            assert_eq!(
                self.session.unlock(&leased.lease).await.unwrap(),
                Settled::Done
            );
        }
        true
    }

    /// Claims what is due; what cannot be read is set aside by that.
    async fn claim(&mut self, name: &str, limit: usize) -> bool {
        let claimed = self
            .session
            .claim(&Destination::new(name), limit, LEASE)
            .await;
        let claimed = self.note(Vec::new(), claimed);
        let works = claimed.is_some();
        self.leases.extend(claimed.into_iter().flatten());
        works
    }

    /// Settles so many attempts in one call.
    async fn settle(&mut self, count: usize, defers: impl Fn(usize) -> bool, notice: bool) -> bool {
        let count = count.min(self.leases.len());
        let (mut effects, mut batch) = (Vec::new(), Vec::new());
        for (number, leased) in self.leases.drain(..count).enumerate().collect::<Vec<_>>() {
            self.stale.push(leased.lease.ticket());
            let mut after = leased.message.clone();
            let change = match defers(number) {
                true => Change::Defer(deferral(&after, &self.world)),
                false => Change::Remove,
            };
            effects.push(match &change {
                Change::Defer(deferral) => {
                    deferral.apply(&mut after);
                    (after.id, Seen::there(&after))
                }
                Change::Remove => (after.id, Seen::Gone),
            });
            let notices = match notice && number == 0 {
                true => vec![mail(&self.world, &["home.example"], vec![b'n'; 300])],
                false => Vec::new(),
            };
            effects.extend(
                notices
                    .iter()
                    .flat_map(|notice| self.books.announce(notice)),
            );
            batch.push(Settlement {
                lease: leased.lease,
                change,
                notices,
            });
        }
        let done = self.session.settle(&batch).await;
        let done = self.note(effects, done);
        done.is_some_and(|settled| settled.iter().all(|settled| *settled == Ok(Settled::Done)))
    }

    /// A lease that was settled is worth nothing any more.
    async fn settle_stale(&mut self) -> bool {
        let Some(ticket) = self.stale.pop() else {
            return true;
        };
        let settlement = Settlement {
            lease: slimta_core::storage::Lease::granted(ticket.id, ticket.token, self.world.now()),
            change: Change::Remove,
            notices: vec![mail(&self.world, &["home.example"], vec![b'n'; 10])],
        };
        let done = self.session.settle(&[settlement]).await;
        self.note(Vec::new(), done)
            .is_some_and(|settled| settled == [Ok(Settled::LeaseLost)])
    }

    async fn lock_and_remove(&mut self) -> bool {
        let Some(message) = self.free(|_| true).into_iter().next() else {
            return true;
        };
        let leased = self.session.lock(message.id, LEASE).await.unwrap().unwrap();
        self.leases.insert(0, leased);
        self.settle(1, |_| false, true).await
    }

    async fn act_on_one(&mut self, fits: impl Fn(&StoredMessage) -> bool, action: Action) -> bool {
        let Some(message) = self.free(fits).into_iter().next() else {
            return true;
        };
        self.act(
            |other| other.id == message.id,
            &Filter::id(message.id),
            &action,
        )
        .await
    }

    async fn act_on(&mut self, name: &str, action: Action) -> bool {
        let destination = Some(Destination::new(name));
        let filter = Filter {
            destination: destination.clone(),
            ..Filter::default()
        };
        self.act(
            |other| Some(&other.destination) == destination.as_ref(),
            &filter,
            &action,
        )
        .await
    }

    async fn act(
        &mut self,
        is_meant: impl Fn(&StoredMessage) -> bool,
        filter: &Filter,
        action: &Action,
    ) -> bool {
        let mut effects = Vec::new();
        // An id means all messages of the submission that it begins.
        let is_meant = |m: &StoredMessage| is_meant(m) || filter.id == Some(m.submission);
        for mut message in self.free(is_meant) {
            match action {
                Action::Delete => effects.push((message.id, Seen::Gone)),
                action if action.apply(&mut message) => {
                    effects.push((message.id, Seen::there(&message)));
                }
                _ => {}
            }
        }
        let expected: Vec<MessageId> = effects.iter().map(|(id, _)| *id).collect();
        let done = self.session.act(filter, Page::first(1000), action).await;
        let done = self.note(effects, done);
        done.is_some_and(|acted| acted.changed == expected)
    }

    /// Reads; a page of a listing sets aside what it cannot read.
    async fn read(&mut self) -> bool {
        let page = Page::first(1000);
        let listing = self.session.list(&Filter::default(), page).await;
        let Some(listing) = self.note(Vec::new(), listing) else {
            return false;
        };
        for listed in &listing.messages {
            let content = self.session.contents(listed.message.id).await.unwrap();
            assert!(content.is_some());
        }
        self.session.stats().await.unwrap();
        true
    }
}

fn deferral(message: &StoredMessage, world: &World) -> Deferral {
    Deferral {
        recipients: message.envelope.recipients.clone(),
        attempts: message.attempts + 1,
        due: world.now().after(LEASE),
        response: Response::new(450, None, "later"),
        delay_told: false,
        history: History::default(),
    }
}
