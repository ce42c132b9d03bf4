//! The audit: from the events that a server logged, and from what is in its
//! store, it says what became of each message.
//!
//! A line of the log is written after the commit that it tells of. So a line
//! proves what it says, but what a server did just before it died may have no
//! line: that is told apart from what is lost.

use std::collections::BTreeMap;

mod account;

#[cfg(test)]
mod tests;

use account::Account;

/// A message's id: the 128 bits of a UUID of version 7, whose first 48 are the
/// milliseconds since 1970 at which it was made.
pub type Id = u128;

/// Milliseconds since 1970.
pub type Millis = u64;

/// What a line of the log says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The server began: what follows happened in a new life of it.
    Started,
    /// It could not wait for all its work, or its storage failed in a way that
    /// leaves open what was stored.
    Cut,
    /// It ended in good order.
    Stopped,
    /// The message was stored, for so many recipients.
    Received(Id, u64),
    /// The next hop took it for one recipient.
    Delivered(Id),
    /// It was given up for one recipient, and this notice was stored, if any.
    Bounced(Id, Option<Id>),
    /// An operator removed it.
    Removed(Id),
    /// It could not be read and was kept aside.
    Quarantined(Id),
    /// The next hop took it for so many recipients, and that could not be
    /// recorded: it goes there again.
    MaybeTwice(Id, u64),
    /// Something else happened to it: it was there.
    Seen(Id),
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    /// Delivered to all its recipients.
    Delivered,
    /// Given up, for some of its recipients at least.
    Bounced,
    /// Still in the store.
    Queued,
    /// Removed by an operator.
    Removed,
    /// Unreadable, and kept aside.
    Quarantined,
    /// The server died after the last that is known of it.
    Unknown,
    /// Received, and neither stored nor settled.
    Lost,
    /// Settled more often than it has recipients, or settled and still stored.
    Duplicated,
    /// There, and no line says that it was received.
    Unexplained,
}

impl Fate {
    /// All, from the best to the worst.
    pub const ALL: [Fate; 9] = [
        Fate::Delivered,
        Fate::Bounced,
        Fate::Queued,
        Fate::Removed,
        Fate::Quarantined,
        Fate::Unknown,
        Fate::Lost,
        Fate::Duplicated,
        Fate::Unexplained,
    ];

    /// Its name, as a word.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Delivered => "delivered",
            Fate::Bounced => "bounced",
            Fate::Queued => "queued",
            Fate::Removed => "removed",
            Fate::Quarantined => "quarantined",
            Fate::Unknown => "unknown",
            Fate::Lost => "lost",
            Fate::Duplicated => "duplicated",
            Fate::Unexplained => "unexplained",
        }
    }

    /// Whether a promise was broken, or the log and the store contradict each
    /// other.
    pub fn is_fault(self) -> bool {
        matches!(self, Fate::Lost | Fate::Duplicated | Fate::Unexplained)
    }
}

/// What is to be said of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The message.
    pub id: Id,
    /// What became of it.
    pub fate: Fate,
    /// Recipients for whom the next hop took it.
    pub delivered: u64,
    /// Recipients for whom it was given up.
    pub bounced: u64,
    /// Recipients that still wait in the store.
    pub waiting: u64,
    /// The notices that its sender was sent.
    pub notices: Vec<Id>,
    /// Deliveries that could not be recorded, and so may have happened twice.
    pub maybe_twice: u64,
    /// Why it is not well; empty if it is.
    pub why: String,
}

/// The time from one start of the server to the next.
#[derive(Clone, Copy, Debug)]
struct Life {
    begin: Millis,
    is_cut: bool,
    is_over: bool,
}

/// The books of a server.
#[derive(Debug, Default)]
pub struct Audit {
    accounts: BTreeMap<Id, Account>,
    lives: Vec<Life>,
    last: Millis,
}

impl Audit {
    /// Takes the next event of the log, and when it was written.
    pub fn tell(&mut self, at: Millis, event: &Event) {
        let life = Life {
            begin: at,
            is_cut: false,
            is_over: false,
        };
        if self.lives.is_empty() || *event == Event::Started {
            self.lives.push(life);
        }
        self.last = self.last.max(at);
        match *event {
            Event::Started => {}
            Event::Cut => self.life(|life| life.is_cut = true),
            Event::Stopped => self.life(|life| life.is_over = true),
            Event::Received(id, recipients) => self.account(id).recipients = Some(recipients),
            Event::Delivered(id) => self.account(id).delivered += 1,
            Event::Bounced(id, notice) => {
                self.account(id).bounced += 1;
                if let Some(notice) = notice {
                    self.account(id).notices.push(notice);
                    // It was stored in the same commit, for the sender alone.
                    self.account(notice).recipients.get_or_insert(1);
                }
            }
            Event::Removed(id) => self.account(id).is_removed = true,
            Event::Quarantined(id) => self.account(id).is_quarantined = true,
            Event::MaybeTwice(id, recipients) => self.account(id).maybe_twice += recipients,
            Event::Seen(id) => {
                self.account(id);
            }
        }
    }

    /// The message is in the store for so many recipients, or is not.
    pub fn stored(&mut self, id: Id, waiting: Option<u64>) {
        self.accounts.entry(id).or_default().waiting = waiting;
    }

    /// The message cannot be read in the store.
    pub fn unreadable(&mut self, id: Id) {
        self.accounts.entry(id).or_default().is_quarantined = true;
    }

    /// Judges each message. `is_running` says that the server of the last life
    /// is alive: then it has not died, though no line says that it ended.
    pub fn judge(&self, is_running: bool) -> Vec<Verdict> {
        let accounts = self.accounts.iter();
        accounts
            .map(|(id, account)| self.verdict(*id, account, is_running))
            .collect()
    }

    /// How often the server began, and how often it ended without a word.
    pub fn lives(&self, is_running: bool) -> (usize, usize) {
        let died = |at: &usize| self.has_died(*at, is_running);
        let deaths = (0..self.lives.len()).filter(died).count();
        (self.lives.len(), deaths)
    }

    fn life(&mut self, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.lives.last_mut() {
            change(life);
        }
    }

    fn account(&mut self, id: Id) -> &mut Account {
        let account = self.accounts.entry(id).or_default();
        account.last_life = self.lives.len().saturating_sub(1);
        account
    }

    /// Whether a life ended so that lines of it may be missing.
    fn has_died(&self, at: usize, is_running: bool) -> bool {
        let is_last = at + 1 == self.lives.len();
        let life = self.lives.get(at);
        life.is_some_and(|life| life.is_cut || !(life.is_over || is_last && is_running))
    }

    /// Whether there is a good reason that a message has no line that says it
    /// was received: it is older or younger than the log, or the life in which
    /// it was made ended with a death.
    fn may_lack_its_first_line(&self, id: Id, is_running: bool) -> bool {
        let made = made(id);
        let next = self.lives.partition_point(|life| life.begin <= made);
        match next.checked_sub(1) {
            None => true,
            Some(life) => made >= self.last || self.has_died(life, is_running),
        }
    }

    fn verdict(&self, id: Id, account: &Account, is_running: bool) -> Verdict {
        let died = (account.last_life..self.lives.len()).any(|at| self.has_died(at, is_running));
        let (mut fate, mut why) = account.fate(died);
        let excused = account.recipients.is_some() || self.may_lack_its_first_line(id, is_running);
        if !fate.is_fault() && !excused {
            fate = Fate::Unexplained;
            why = "no line says that it was received".to_owned();
        }
        Verdict {
            id,
            fate,
            delivered: account.delivered,
            bounced: account.bounced,
            waiting: account.waiting.unwrap_or(0),
            notices: account.notices.clone(),
            maybe_twice: account.maybe_twice,
            why,
        }
    }
}

/// When an id was made.
fn made(id: Id) -> Millis {
    Millis::try_from(id >> 80).unwrap_or(Millis::MAX)
}
