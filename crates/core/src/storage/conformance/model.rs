//! Any sequence of calls: the engine against a model that is too simple to be
//! wrong, a list that is searched from end to end.

use std::time::Duration;

use super::bench::{Bench, LEASE, deferral, list_all, removal};
use crate::message::{Content, Destination, MessageId, Priority, StoredMessage, Submission};
use crate::storage::{
    Action, Change, Due, Filter, FirstLeases, LeaseView, Leased, Listed, Page, Session, Settled,
    Settlement, State, Stats,
};
use crate::world::{Random, SeededRandom, Timestamp};

const RUNS: u64 = 12;
const CALLS: usize = 120;
const DESTINATIONS: [&str; 3] = ["a.example", "b.example", "c.example"];

/// Whatever is called, the engine gives what the model gives. A failure tells
/// the run and the call; runs are the same every time.
pub async fn any_sequence_of_calls_agrees_with_the_model(bench: &Bench) {
    let session = bench.session().await;
    for run in 0..RUNS {
        let mut play = Play {
            bench,
            session: &*session,
            chance: SeededRandom::new(run),
            model: Vec::new(),
            leases: Vec::new(),
            dues: 0,
        };
        for call in 0..CALLS {
            play.call().await;
            play.compare(&format!("run {run}, call {call}")).await;
        }
        play.clear().await;
    }
}

/// A message as the model has it.
struct Entry {
    message: StoredMessage,
    content: Content,
    /// Token and end of the last lease, unless it was given back.
    lease: Option<(u64, Timestamp)>,
}

struct Play<'a> {
    bench: &'a Bench,
    session: &'a dyn Session,
    chance: SeededRandom,
    model: Vec<Entry>,
    /// All leases that were ever granted and not given away, stale ones too.
    leases: Vec<Leased>,
    dues: u64,
}

impl Play<'_> {
    fn pick(&self, below: usize) -> usize {
        let mut bytes = [0; 8];
        self.chance.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % below.max(1) as u64).unwrap()
    }

    async fn call(&mut self) {
        match self.pick(12) {
            0..=2 => self.store().await,
            3 | 4 => self.claim().await,
            5 => self.lock().await,
            6 => self.unlock().await,
            7 => self.renew().await,
            8 | 9 => self.settle().await,
            10 => self.act().await,
            _ => {
                let millis = self.pick(90_000) as u64;
                self.bench.pass(Duration::from_millis(millis));
            }
        }
    }

    /// No two due times are the same, so that every order is one.
    fn due(&mut self) -> Timestamp {
        self.dues += 1;
        let offset = 2_000 * self.pick(120) as u64;
        let around = self.bench.now().before(Duration::from_secs(120));
        let millis = around.after(Duration::from_millis(offset)).as_millis();
        // The last digits, in thousandths of a due time, are its number.
        let number = i64::try_from(self.dues % 1_000).unwrap();
        Timestamp::from_millis(millis / 1_000 * 1_000 + number)
    }

    fn submission(&mut self) -> Submission {
        let count = 1 + self.pick(3);
        let destinations: Vec<&str> = (0..count)
            .map(|_| DESTINATIONS[self.pick(DESTINATIONS.len())])
            .collect();
        let mut mail = self.bench.mails(&destinations);
        let priorities = [Priority::High, Priority::Normal, Priority::Low];
        for message in &mut mail.messages {
            message.due = self.due();
            message.priority = priorities[self.pick(3)];
        }
        mail.content = Content::new(vec![b'x'; self.pick(300)]);
        mail
    }

    fn keep(&mut self, submission: &Submission) {
        let entries = submission.messages.iter().map(|message| Entry {
            message: message.clone(),
            content: submission.content.clone(),
            lease: None,
        });
        self.model.extend(entries);
        self.model.sort_by_key(|entry| entry.message.id);
    }

    fn entry(&mut self, id: MessageId) -> Option<&mut Entry> {
        self.model.iter_mut().find(|entry| entry.message.id == id)
    }

    /// Any message that is there, or an id that is not.
    fn any_id(&self) -> MessageId {
        let picked = self.pick(self.model.len() + 1);
        match self.model.get(picked) {
            Some(entry) => entry.message.id,
            None => self.bench.id(),
        }
    }

    fn in_force(&self, entry: &Entry) -> bool {
        entry.lease.is_some_and(|(_, end)| end > self.bench.now())
    }

    fn granted(&mut self, leased: Leased) {
        let ticket = leased.lease.ticket();
        let end = self.bench.now().after(LEASE);
        assert_eq!(leased.lease.end(), end);
        let entry = self.entry(ticket.id).expect("only what is there is leased");
        assert_eq!(leased.message, entry.message);
        assert!(entry.lease.is_none_or(|(token, _)| ticket.token > token));
        entry.lease = Some((ticket.token, end));
        self.leases.push(leased);
    }

    async fn store(&mut self) {
        let mail = self.submission();
        let lease = FirstLeases {
            count: self.pick(3),
            lease: LEASE,
        };
        let leased = self.session.store(mail.clone(), Some(lease)).await.unwrap();
        self.keep(&mail);
        assert_eq!(leased.len(), lease.count.min(mail.messages.len()));
        for leased in leased {
            self.granted(leased);
        }
    }

    async fn claim(&mut self) {
        let destination = Destination::new(DESTINATIONS[self.pick(DESTINATIONS.len())]);
        let limit = self.pick(4);
        let by_age = self.pick(3) == 0;
        let claimed = if by_age {
            self.session.claim_longest_due(&destination, limit, LEASE)
        } else {
            self.session.claim(&destination, limit, LEASE)
        };
        let claimed = claimed.await.unwrap();
        let mut expected: Vec<_> = self.claimable();
        expected.retain(|m| m.destination == destination && m.due <= self.bench.now());
        expected.sort_by_key(|m| ((!by_age).then_some(m.priority), m.due));
        expected.truncate(limit);
        let expected: Vec<MessageId> = expected.iter().map(|m| m.id).collect();
        let ids: Vec<MessageId> = claimed.iter().map(|l| l.lease.id()).collect();
        assert_eq!(ids, expected);
        for leased in claimed {
            self.granted(leased);
        }
    }

    fn claimable(&self) -> Vec<&StoredMessage> {
        let free = |entry: &&Entry| entry.message.held.is_none() && !self.in_force(entry);
        let claimable = self.model.iter().filter(free);
        claimable.map(|entry| &entry.message).collect()
    }

    async fn lock(&mut self) {
        let id = self.any_id();
        let locked = self.session.lock(id, LEASE).await.unwrap();
        let entry = self.model.iter().find(|entry| entry.message.id == id);
        let free = entry.is_some_and(|entry| !self.in_force(entry));
        assert_eq!(locked.is_some(), free);
        if let Some(leased) = locked {
            self.granted(leased);
        }
    }

    /// Any lease that was granted, with what using it must answer.
    fn any_lease(&mut self) -> Option<(Leased, Settled)> {
        let count = self.leases.len();
        (count > 0).then(|| {
            let leased = self.leases.swap_remove(self.pick(count));
            let ticket = leased.lease.ticket();
            let entry = self.entry(ticket.id).and_then(|entry| entry.lease);
            match entry {
                Some((token, _)) if token == ticket.token => (leased, Settled::Done),
                _ => (leased, Settled::LeaseLost),
            }
        })
    }

    async fn unlock(&mut self) {
        let Some((leased, expected)) = self.any_lease() else {
            return;
        };
        let unlocked = self.session.unlock(&leased.lease).await.unwrap();
        assert_eq!(unlocked, expected);
        if expected == Settled::Done {
            self.entry(leased.lease.id()).unwrap().lease = None;
        }
        self.leases.push(leased);
    }

    async fn renew(&mut self) {
        let Some((leased, expected)) = self.any_lease() else {
            return;
        };
        let ticket = leased.lease.ticket();
        let renewed = self.session.renew(&[ticket], LEASE).await.unwrap();
        assert_eq!(renewed, [expected]);
        if expected == Settled::Done {
            let end = self.bench.now().after(LEASE);
            self.entry(ticket.id).unwrap().lease = Some((ticket.token, end));
        }
        self.leases.push(leased);
    }

    async fn settle(&mut self) {
        let Some((leased, expected)) = self.any_lease() else {
            return;
        };
        let id = leased.lease.id();
        let notices: Vec<Submission> = (0..self.pick(2)).map(|_| self.submission()).collect();
        let remove = self.pick(2) == 0;
        let due = self.due();
        let settlement = Settlement {
            notices: notices.clone(),
            ..match remove {
                true => removal(leased),
                false => deferral(leased, due),
            }
        };
        let change = settlement.change.clone();
        let settled = self.session.settle(&[settlement]).await.unwrap();
        assert_eq!(settled, [Ok(expected)]);
        if expected == Settled::LeaseLost {
            return;
        }
        match change {
            Change::Remove => self.model.retain(|e| e.message.id != id),
            Change::Defer(deferral) => {
                let entry = self.entry(id).unwrap();
                entry.lease = None;
                deferral.apply(&mut entry.message);
            }
        }
        for notice in &notices {
            self.keep(notice);
        }
    }

    async fn act(&mut self) {
        let due = self.due();
        let action = match self.pick(7) {
            0 | 1 => Action::Hold("an operator".to_owned()),
            2 | 3 => Action::Release,
            4 => Action::SetDue(due),
            5 => {
                let to = DESTINATIONS[self.pick(DESTINATIONS.len())];
                Action::Reroute(to.parse().unwrap(), due)
            }
            _ => Action::Delete,
        };
        // A single message: giving all of them one due time would make ties.
        let filter = Filter::id(self.any_id());
        let page = Page::first(1);
        let acted = self.session.act(&filter, page, &action).await.unwrap();
        for id in acted.changed {
            let index = self.model.iter().position(|e| e.message.id == id).unwrap();
            assert!(!self.in_force(&self.model[index]));
            match action {
                Action::Delete => {
                    self.model.remove(index);
                }
                _ => assert!(action.apply(&mut self.model[index].message)),
            }
        }
    }

    fn listed(&self, entry: &Entry) -> Listed {
        let lease = entry.lease.filter(|(_, end)| *end > self.bench.now());
        Listed {
            message: entry.message.clone(),
            lease: lease.map(|(_, end)| LeaseView {
                owner: self.session.owner().clone(),
                end,
            }),
        }
    }

    fn stats(&self, listed: &[Listed]) -> Stats {
        let count = |state| listed.iter().filter(|l| l.state() == state).count() as u64;
        let mut contents: Vec<_> = self
            .model
            .iter()
            .map(|e| (e.message.submission, e.content.len() as u64))
            .collect();
        contents.sort_unstable();
        contents.dedup();
        Stats {
            messages: listed.len() as u64,
            active: count(State::Active),
            deferred: count(State::Deferred),
            held: count(State::Held),
            quarantined: 0,
            bytes: contents.iter().map(|(_, bytes)| bytes).sum(),
            oldest: listed.iter().map(|l| l.message.received).min(),
        }
    }

    async fn compare(&self, at: &str) {
        let expected: Vec<Listed> = self.model.iter().map(|e| self.listed(e)).collect();
        let found = list_all(self.session).await;
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{at}");
        }
        assert_eq!(found.len(), expected.len(), "{at}");
        let stats = self.session.stats().await.unwrap();
        assert_eq!(stats, self.stats(&expected), "{at}");

        let mut due: Vec<Due> = DESTINATIONS
            .iter()
            .filter_map(|destination| {
                let claimable = self.claimable().into_iter();
                let here = claimable.filter(|m| m.destination.as_str() == *destination);
                Some(Due {
                    since: here.map(|m| m.due).min()?,
                    destination: Destination::new(destination),
                })
            })
            .collect();
        due.sort();
        let heads = due.iter().map(|due| due.since);
        let ends = expected.iter().filter_map(|l| Some(l.lease.as_ref()?.end));
        let next = heads.chain(ends).min();
        assert_eq!(self.session.next_due().await.unwrap(), next, "{at}");
        due.retain(|due| due.since <= self.bench.now());
        let found = self.session.due_destinations(None, 10).await.unwrap();
        assert_eq!(found, due, "{at}");
        if let Some(entry) = self.model.get(self.pick(self.model.len())) {
            let content = self.session.contents(entry.message.id).await.unwrap();
            assert_eq!(content.as_ref(), Some(&entry.content), "{at}");
        }
    }

    async fn clear(self) {
        self.bench.pass(LEASE);
        let (filter, page) = (Filter::default(), Page::first(10_000));
        let acted = self.session.act(&filter, page, &Action::Delete).await;
        assert_eq!(acted.unwrap().changed.len(), self.model.len());
    }
}
