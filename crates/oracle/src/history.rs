//! The story of a run with blows: what was sent, answered and taken by the next
//! hop, and when the server was hit. Nobody looks into the server, so which
//! window let a copy through follows from the order of things.

use std::collections::{BTreeMap, BTreeSet};

use crate::fate::{Fate, Window};
use crate::ledger::Ledger;

/// The order in which things were noted; no clock is needed.
pub type Tick = u64;

/// How a server was hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hit {
    /// It is dead.
    Killed,
    /// It was stopped for a while, and is about to go on.
    Paused,
}

/// Which copy of which message: one that was not answered is sent again, with
/// the same mark as the next copy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Copy {
    /// What all copies of a message have in common.
    pub mark: String,
    /// Which it is.
    pub number: u32,
}

#[derive(Clone, Debug)]
struct Arrival {
    copy: Copy,
    recipients: BTreeSet<String>,
    checksum: u32,
    /// When the next hop heard MAIL, read the final dot, and had said 250.
    begun: Tick,
    taken: Tick,
    replied: Option<Tick>,
}

/// What is known of a run.
#[derive(Debug, Default)]
pub struct History {
    now: Tick,
    sent: BTreeMap<Copy, (Tick, u32)>,
    answered: BTreeMap<String, BTreeSet<String>>,
    arrivals: Vec<Arrival>,
    arrived: BTreeSet<Copy>,
    hits: Vec<(Tick, Hit)>,
}

impl History {
    fn tick(&mut self) -> Tick {
        self.now += 1;
        self.now
    }

    /// A client is about to send contents of this checksum.
    pub fn sends(&mut self, copy: &Copy, checksum: u32) {
        let tick = self.tick();
        self.sent.insert(copy.clone(), (tick, checksum));
    }

    /// A client has read 250 for a message to these recipients.
    pub fn is_answered(&mut self, mark: &str, recipients: &[&str]) {
        let recipients = recipients.iter().map(|&recipient| recipient.to_owned());
        self.answered.insert(mark.to_owned(), recipients.collect());
    }

    /// How many messages were answered.
    pub fn answers(&self) -> usize {
        self.answered.len()
    }

    /// The next hop hears MAIL; gives what [`History::takes`] wants.
    pub fn begins(&mut self) -> Tick {
        self.tick()
    }

    /// The next hop has read the final dot; gives what [`History::replies`] wants.
    pub fn takes(
        &mut self,
        begun: Tick,
        copy: Copy,
        recipients: BTreeSet<String>,
        checksum: u32,
    ) -> usize {
        let taken = self.tick();
        self.arrived.insert(copy.clone());
        self.arrivals.push(Arrival {
            copy,
            recipients,
            checksum,
            begun,
            taken,
            replied: None,
        });
        self.arrivals.len() - 1
    }

    /// The next hop has said 250.
    pub fn replies(&mut self, arrival: usize) {
        let tick = self.tick();
        if let Some(arrival) = self.arrivals.get_mut(arrival) {
            arrival.replied = Some(tick);
        }
    }

    /// Whether the next hop has a copy.
    pub fn has_arrived(&self, copy: &Copy) -> bool {
        self.arrived.contains(copy)
    }

    /// The server was hit.
    pub fn hits(&mut self, hit: Hit) {
        let tick = self.tick();
        self.hits.push((tick, hit));
    }

    /// The books that follow from it.
    pub fn ledger(&self) -> Ledger<String> {
        let mut ledger = Ledger::default();
        for (mark, recipients) in &self.answered {
            for recipient in recipients {
                ledger.account(&(mark.clone(), recipient.clone())).owe();
            }
        }
        let mut before = BTreeMap::<_, Vec<&Arrival>>::new();
        for arrival in &self.arrivals {
            for recipient in &arrival.recipients {
                let key = (arrival.copy.mark.clone(), recipient.clone());
                let account = ledger.account(&key);
                account.deliver();
                if let Some((fate, why)) = self.wrong(arrival) {
                    account.spoil(fate, why);
                }
                let before = before.entry(key).or_default();
                match self.window(before, arrival) {
                    Some(window) => account.open(window),
                    None if before.is_empty() => {}
                    None => account.spoil(Fate::Unexplained, self.story(before, arrival)),
                }
                before.push(arrival);
            }
        }
        ledger
    }

    /// What is wrong with an arrival, wherever others of its copy are.
    fn wrong(&self, arrival: &Arrival) -> Option<(Fate, String)> {
        let Some((sent, checksum)) = self.sent.get(&arrival.copy) else {
            return Some((Fate::Unexplained, "nobody sent it".to_owned()));
        };
        if arrival.begun < *sent {
            let why = "the next hop heard of it before it was handed in";
            return Some((Fate::Early, why.to_owned()));
        }
        let is_altered = *checksum != arrival.checksum;
        is_altered.then(|| (Fate::Altered, "it is not what was sent".to_owned()))
    }

    /// The window through which this came, though these had come before.
    fn window(&self, before: &[&Arrival], this: &Arrival) -> Option<Window> {
        let same = before.iter().rev().find(|one| one.copy == this.copy);
        let Some(earlier) = same else {
            let is_again = !before.is_empty() && self.was_sent_again(before, this);
            return is_again.then_some(Window::Resent);
        };
        // The first death after an attempt began is that of its process. The next
        // hop may read the final dot later still.
        if let Some(killed) = self.hit(Hit::Killed, earlier.begun, this.begun) {
            let heard = earlier.replied.is_some_and(|replied| replied < killed);
            return Some(if heard {
                Window::Crash
            } else {
                Window::ReplyLost
            });
        }
        let paused = self.hit(Hit::Paused, earlier.begun, this.taken);
        paused.map(|_| Window::LeaseLost)
    }

    /// Whether a kill kept the answer to each copy that came from the client, so
    /// that it sent the next. They may come in any order.
    fn was_sent_again(&self, before: &[&Arrival], this: &Arrival) -> bool {
        let copies: BTreeSet<_> = before.iter().chain([&this]).map(|one| &one.copy).collect();
        let sent = |copy: &Copy| self.sent.get(copy).map(|(tick, _)| *tick);
        let ticks: Vec<_> = copies.into_iter().filter_map(sent).collect();
        let is_killed = |(sent, again): (&Tick, &Tick)| self.hit(Hit::Killed, *sent, *again);
        let mut pairs = ticks.iter().zip(ticks.iter().skip(1));
        ticks.len() > 1 && pairs.all(|pair| is_killed(pair).is_some())
    }

    /// What is known of a copy too many that nothing explains.
    fn story(&self, before: &[&Arrival], this: &Arrival) -> String {
        let mut story = "it came again for no reason".to_owned();
        for one in before.iter().chain([&this]) {
            let sent = self.sent.get(&one.copy).map(|(tick, _)| *tick);
            let (number, begun, taken) = (one.copy.number, one.begun, one.taken);
            story += &format!("; copy {number}: sent {sent:?}, begun {begun}, taken {taken}");
            story += &format!(", replied {:?}", one.replied);
        }
        let mut hits = self.hits.iter().filter(|(tick, _)| *tick < this.taken);
        story + &format!("; hit before: {:?}", hits.next_back())
    }

    /// When the server was hit so for the first time within these bounds.
    fn hit(&self, hit: Hit, after: Tick, before: Tick) -> Option<Tick> {
        let within = |tick: &Tick| after < *tick && *tick < before;
        let ticks = self.hits.iter().filter(|(_, how)| *how == hit);
        ticks.map(|(tick, _)| *tick).find(within)
    }
}
