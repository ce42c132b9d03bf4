//! The books of a run with blows: what was sent, answered and taken by the next
//! hop, and when the server was hit. The account says of each message whether
//! it was lost or altered, and of each copy too many which window let it through
//! (the crash windows W1 to W6 of the reliability design).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

/// The order in which things were noted; no clock is needed.
type Tick = u64;

/// How a server was hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hit {
    Killed,
    Paused,
}

/// Which copy of which message: one that was not answered is sent again, with
/// the same mark as the next copy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Copy {
    pub(crate) mark: String,
    pub(crate) number: u32,
}

#[derive(Clone, Debug)]
struct Arrival {
    copy: Copy,
    /// When the next hop heard MAIL, read the final dot, and had said 250.
    begun: Tick,
    taken: Tick,
    replied: Option<Tick>,
}

#[derive(Default)]
struct Books {
    now: Tick,
    sent: BTreeMap<Copy, (Tick, u32)>,
    answered: BTreeSet<String>,
    arrivals: Vec<Arrival>,
    altered: Vec<String>,
    hits: Vec<(Tick, Hit)>,
}

impl Books {
    fn tick(&mut self) -> Tick {
        self.now += 1;
        self.now
    }

    /// When the server was hit so for the first time within these bounds.
    fn hit(&self, hit: Hit, after: Tick, before: Tick) -> Option<Tick> {
        let within = |tick: &Tick| after < *tick && *tick < before;
        let ticks = self.hits.iter().filter(|(_, how)| *how == hit);
        ticks.map(|(tick, _)| *tick).find(within)
    }
}

/// The books, open to all who take part.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Books>);

impl Ledger {
    /// A client sends this now, with contents of this checksum.
    pub(crate) fn sent(&self, copy: &Copy, checksum: u32) {
        let mut books = self.0.lock().unwrap();
        let tick = books.tick();
        books.sent.insert(copy.clone(), (tick, checksum));
    }

    /// A client has read 250.
    pub(crate) fn answered(&self, mark: &str) {
        self.0.lock().unwrap().answered.insert(mark.to_owned());
    }

    pub(crate) fn count_answered(&self) -> usize {
        self.0.lock().unwrap().answered.len()
    }

    /// The next hop hears MAIL.
    pub(crate) fn begun(&self) -> Tick {
        self.0.lock().unwrap().tick()
    }

    /// The next hop has read the final dot; gives what [`Ledger::replied`] wants.
    pub(crate) fn taken(&self, begun: Tick, copy: Copy, checksum: u32) -> usize {
        let mut books = self.0.lock().unwrap();
        let taken = books.tick();
        if books.sent.get(&copy).map(|(_, sum)| *sum) != Some(checksum) {
            books.altered.push(copy.mark.clone());
        }
        books.arrivals.push(Arrival {
            copy,
            begun,
            taken,
            replied: None,
        });
        books.arrivals.len() - 1
    }

    /// The next hop has said 250.
    pub(crate) fn replied(&self, arrival: usize) {
        let mut books = self.0.lock().unwrap();
        let tick = books.tick();
        books.arrivals[arrival].replied = Some(tick);
    }

    pub(crate) fn has_arrived(&self, copy: &Copy) -> bool {
        let books = self.0.lock().unwrap();
        books.arrivals.iter().rev().any(|one| one.copy == *copy)
    }

    /// The server is dead, or is about to go on after a pause.
    pub(crate) fn hit(&self, hit: Hit) {
        let mut books = self.0.lock().unwrap();
        let tick = books.tick();
        books.hits.push((tick, hit));
    }

    pub(crate) fn account(&self) -> Account {
        let books = self.0.lock().unwrap();
        let mut by_mark: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
        for arrival in &books.arrivals {
            by_mark.entry(&arrival.copy.mark).or_default().push(arrival);
        }
        let mut account = Account {
            answered: books.answered.len(),
            altered: books.altered.clone(),
            ..Account::default()
        };
        let lost = |mark: &&String| !by_mark.contains_key(mark.as_str());
        account.lost = books.answered.iter().filter(lost).cloned().collect();
        for (mark, arrivals) in by_mark {
            account.twice += usize::from(arrivals.len() > 1);
            for at in 1..arrivals.len() {
                match books.window(&arrivals[..at], arrivals[at]) {
                    Some(window) => *account.windows.entry(window).or_default() += 1,
                    None => account.unexplained.push(mark.to_owned()),
                }
            }
        }
        account
    }
}

impl Books {
    /// The window through which this came, though these had come before.
    fn window(&self, before: &[&Arrival], this: &Arrival) -> Option<&'static str> {
        let same = before.iter().rev().find(|one| one.copy == this.copy);
        let Some(earlier) = same else {
            return self.sent_again(&this.copy).then_some("W1");
        };
        if let Some(killed) = self.hit(Hit::Killed, earlier.taken, this.taken) {
            let heard = earlier.replied.is_some_and(|replied| replied < killed);
            return Some(if heard { "W3" } else { "W2" });
        }
        let paused = self.hit(Hit::Paused, earlier.begun, this.taken);
        paused.map(|_| "W4")
    }

    /// Whether a kill kept the answer to another copy from the client. The copies
    /// may arrive in any order.
    fn sent_again(&self, copy: &Copy) -> bool {
        let sent = |(copy, (tick, _)): (&Copy, &(Tick, u32))| (copy.number, *tick);
        let all: Vec<_> = self
            .sent
            .iter()
            .filter(|(other, _)| other.mark == copy.mark)
            .map(sent)
            .collect();
        let killed = |pair: &[(u32, Tick)]| self.hit(Hit::Killed, pair[0].1, pair[1].1).is_some();
        all.len() > 1 && all.windows(2).all(killed)
    }
}

/// What became of all messages.
#[derive(Default, Debug)]
pub(crate) struct Account {
    pub(crate) answered: usize,
    pub(crate) lost: Vec<String>,
    pub(crate) altered: Vec<String>,
    twice: usize,
    windows: BTreeMap<&'static str, usize>,
    pub(crate) unexplained: Vec<String>,
}

impl Account {
    #[track_caller]
    pub(crate) fn must_balance(&self) {
        assert!(self.lost.is_empty(), "lost: {:?}", self.lost);
        assert!(self.altered.is_empty(), "altered: {:?}", self.altered);
        let unexplained = &self.unexplained;
        assert!(
            unexplained.is_empty(),
            "sent twice for no reason: {unexplained:?}"
        );
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, altered) = (self.lost.len(), self.altered.len());
        write!(f, "{} answered 250, {lost} lost, ", self.answered)?;
        write!(f, "{altered} altered, {} arrived twice", self.twice)?;
        let mut between = ": ";
        for (window, times) in &self.windows {
            write!(f, "{between}{window} {times}")?;
            between = ", ";
        }
        if !self.unexplained.is_empty() {
            write!(f, "{between}unexplained {}", self.unexplained.len())?;
        }
        Ok(())
    }
}
