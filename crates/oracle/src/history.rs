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
    /// A client was not told what became of a message: it was put off, or gave up
    /// waiting.
    Unheard,
}

/// Which of several servers; none if there is one, or if it may be any.
type Server = Option<String>;

/// Whether a hit on one server can be what another has seen.
fn fits(one: &Server, other: &Server) -> bool {
    one.is_none() || other.is_none() || one == other
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
    /// Who brought it.
    server: Server,
}

/// A copy on its way into a queue.
#[derive(Clone, Debug)]
struct Sent {
    tick: Tick,
    checksum: u32,
    to: Server,
}

/// What is known of a run.
#[derive(Debug, Default)]
pub struct History {
    now: Tick,
    sent: BTreeMap<Copy, Sent>,
    answered: BTreeMap<String, BTreeSet<String>>,
    arrivals: Vec<Arrival>,
    arrived: BTreeSet<Copy>,
    hits: Vec<(Tick, Hit, Server)>,
}

impl History {
    fn tick(&mut self) -> Tick {
        self.now += 1;
        self.now
    }

    /// A client is about to send contents of this checksum.
    pub fn sends(&mut self, copy: &Copy, checksum: u32) {
        let (tick, to) = (self.tick(), None);
        let sent = Sent { tick, checksum, to };
        self.sent.insert(copy.clone(), sent);
    }

    /// The same, to one of several servers.
    pub fn sends_to(&mut self, server: &str, copy: &Copy, checksum: u32) {
        self.sends(copy, checksum);
        if let Some(sent) = self.sent.get_mut(copy) {
            sent.to = Some(server.to_owned());
        }
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
            server: None,
        });
        self.arrivals.len() - 1
    }

    /// It was one of several servers that brought it.
    pub fn comes_from(&mut self, server: &str, arrival: usize) {
        if let Some(arrival) = self.arrivals.get_mut(arrival) {
            arrival.server = Some(server.to_owned());
        }
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
        self.hits.push((tick, hit, None));
    }

    /// One of several servers was hit.
    pub fn hits_one(&mut self, server: &str, hit: Hit) {
        let tick = self.tick();
        self.hits.push((tick, hit, Some(server.to_owned())));
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
        let Some(sent) = self.sent.get(&arrival.copy) else {
            return Some((Fate::Unexplained, "nobody sent it".to_owned()));
        };
        if arrival.begun < sent.tick {
            let why = "the next hop heard of it before it was handed in";
            return Some((Fate::Early, why.to_owned()));
        }
        let is_altered = sent.checksum != arrival.checksum;
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
        if let Some(killed) = self.hit(Hit::Killed, &earlier.server, earlier.begun, this.begun) {
            let heard = earlier.replied.is_some_and(|replied| replied < killed);
            return Some(if heard {
                Window::Crash
            } else {
                Window::ReplyLost
            });
        }
        let paused = self.hit(Hit::Paused, &earlier.server, earlier.begun, this.taken);
        paused.map(|_| Window::LeaseLost)
    }

    /// Whether a hit kept the answer to each copy that came from the client, so
    /// that it sent the next. They may come in any order.
    fn was_sent_again(&self, before: &[&Arrival], this: &Arrival) -> bool {
        let copies: BTreeSet<_> = before.iter().chain([&this]).map(|one| &one.copy).collect();
        let sent: Vec<_> = copies
            .into_iter()
            .filter_map(|c| self.sent.get(c))
            .collect();
        let is_hit = |(first, again): (&&Sent, &&Sent)| {
            [Hit::Killed, Hit::Unheard]
                .into_iter()
                .any(|hit| self.hit(hit, &first.to, first.tick, again.tick).is_some())
        };
        let mut pairs = sent.iter().zip(sent.iter().skip(1));
        sent.len() > 1 && pairs.all(is_hit)
    }

    /// What is known of a copy too many that nothing explains.
    fn story(&self, before: &[&Arrival], this: &Arrival) -> String {
        let mut story = "it came again for no reason".to_owned();
        for one in before.iter().chain([&this]) {
            let sent = self.sent.get(&one.copy).map(|sent| sent.tick);
            let (number, begun, taken) = (one.copy.number, one.begun, one.taken);
            story += &format!("; copy {number}: sent {sent:?}, begun {begun}, taken {taken}");
            story += &format!(", replied {:?}, by {:?}", one.replied, one.server);
        }
        let mut hits = self.hits.iter().filter(|(tick, ..)| *tick < this.taken);
        story + &format!("; hit before: {:?}", hits.next_back())
    }

    /// When a server was hit so for the first time within these bounds.
    fn hit(&self, hit: Hit, server: &Server, after: Tick, before: Tick) -> Option<Tick> {
        let within = |tick: &Tick| after < *tick && *tick < before;
        let hits = self.hits.iter();
        let ticks = hits.filter(|(_, how, whom)| *how == hit && fits(whom, server));
        ticks.map(|(tick, ..)| *tick).find(within)
    }
}
