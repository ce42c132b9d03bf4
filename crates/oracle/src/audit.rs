//! The audit: from the events that a server logged, and from what is in its
//! store, it says what became of each message.
//!
//! A line of the log is written after the commit that it tells of. So a line
//! proves what it says, but what a server did just before it died may have no
//! line: that is told apart from what is lost.

use std::collections::BTreeMap;

mod message;

#[cfg(test)]
mod tests;

use crate::account;
use crate::fate::{Fate, Window};
use message::Message;

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
    /// The message was stored, for these recipients.
    Received(Id, Vec<String>),
    /// The next hop took it for a recipient.
    Delivered(Id, String),
    /// It was given up for a recipient, and this notice was stored, if any.
    Bounced(Id, String, Option<Id>),
    /// An operator removed it.
    Removed(Id),
    /// It could not be read and was kept aside.
    Quarantined(Id),
    /// The next hop took it for these recipients, and that could not be
    /// recorded: it goes there again, through this window.
    Unrecorded(Id, Vec<String>, Window),
    /// Something else happened to it, or to it for this recipient: it was there.
    Seen(Id, Option<String>),
}

/// What is to be said of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The message.
    pub id: Id,
    /// What became of it: the worst of its recipients' fates.
    pub fate: Fate,
    /// What became of each of its recipients; nobody has a name if no line and
    /// no store names one.
    pub recipients: BTreeMap<String, account::Verdict>,
    /// The notices that its sender was sent.
    pub notices: Vec<Id>,
    /// Deliveries that could not be recorded, and so may happen twice.
    pub unrecorded: u64,
    /// Why the message as such is not well; empty if it is.
    pub why: String,
}

impl Verdict {
    /// Whether there is nothing to be said of it but its fate.
    pub fn is_well(&self) -> bool {
        self.why.is_empty() && self.recipients.values().all(|one| one.why.is_empty())
    }
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
    messages: BTreeMap<Id, Message>,
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
        match event {
            Event::Started => {}
            Event::Cut => self.life(|life| life.is_cut = true),
            Event::Stopped => self.life(|life| life.is_over = true),
            Event::Received(id, recipients) => self.message(*id).receive(recipients),
            Event::Delivered(id, to) => self.message(*id).account(to).record_delivery(),
            Event::Bounced(id, to, notice) => {
                self.message(*id).account(to).record_bounce();
                if let Some(notice) = *notice {
                    self.message(*id).notices.push(notice);
                    // It was stored in the same commit.
                    self.message(notice).is_received = true;
                }
            }
            Event::Removed(id) => self.message(*id).is_removed = true,
            Event::Quarantined(id) => self.message(*id).is_quarantined = true,
            Event::Unrecorded(id, to, window) => self.message(*id).take(to, *window),
            Event::Seen(id, to) => {
                let message = self.message(*id);
                if let Some(to) = to {
                    message.account(to);
                }
            }
        }
    }

    /// The message is in the store for these recipients, or is not.
    pub fn stored(&mut self, id: Id, waiting: Option<Vec<String>>) {
        self.messages.entry(id).or_default().stored = waiting;
    }

    /// The message cannot be read in the store.
    pub fn unreadable(&mut self, id: Id) {
        self.messages.entry(id).or_default().is_quarantined = true;
    }

    /// Judges each message. `is_running` says that the server of the last life
    /// is alive: then it has not died, though no line says that it ended.
    pub fn judge(&self, is_running: bool) -> Vec<Verdict> {
        let messages = self.messages.iter();
        messages
            .map(|(id, message)| self.verdict(*id, message, is_running))
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

    fn message(&mut self, id: Id) -> &mut Message {
        let message = self.messages.entry(id).or_default();
        message.last_life = self.lives.len().saturating_sub(1);
        message
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

    fn verdict(&self, id: Id, message: &Message, is_running: bool) -> Verdict {
        let died = (message.last_life..self.lives.len()).any(|at| self.has_died(at, is_running));
        let recipients = message.judge(died);
        let worst = recipients.values().map(|one| one.fate).max();
        let mut verdict = Verdict {
            id,
            fate: worst.unwrap_or(Fate::Unexplained),
            recipients,
            notices: message.notices.clone(),
            unrecorded: message.unrecorded,
            why: String::new(),
        };
        let excused = message.is_received || self.may_lack_its_first_line(id, is_running);
        if !verdict.fate.is_fault() && !excused {
            verdict.fate = Fate::Unexplained;
            verdict.why = "no line says that it was received".to_owned();
        }
        verdict
    }
}

/// When an id was made.
fn made(id: Id) -> Millis {
    Millis::try_from(id >> 80).unwrap_or(Millis::MAX)
}
