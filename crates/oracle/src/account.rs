//! What is known of one recipient of a message, and what follows from it. The
//! rules are here and nowhere else.

use crate::fate::{Fate, Window};

/// What is known of one recipient of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// How often somebody relies on it: an envelope may name it more than once.
    owed: u64,
    /// How often the next hop took it, or took the notice about it.
    delivered: u64,
    bounced: u64,
    /// How often a commit recorded that.
    settled: u64,
    /// How often it was delivered after that.
    late: u64,
    /// How often it is in the store.
    waiting: u64,
    is_removed: bool,
    is_quarantined: bool,
    windows: Vec<Window>,
    /// What somebody saw go wrong.
    wrong: Vec<(Fate, String)>,
}

/// What is to be said of one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What became of it.
    pub fate: Fate,
    /// The windows that let it through more often than it was owed.
    pub windows: Vec<Window>,
    /// Why it is not well; empty if it is.
    pub why: String,
}

impl Account {
    /// Somebody was told that it is safe.
    pub fn owe(&mut self) {
        self.owed += 1;
    }

    /// A next hop takes it just now. Of a recipient that its envelope names once,
    /// this must not come after it was settled.
    pub fn deliver(&mut self) {
        self.delivered += 1;
        self.late += u64::from(self.settled > 0);
    }

    /// A notice about it was taken.
    pub fn bounce(&mut self) {
        self.bounced += 1;
    }

    /// It left its message in a durable commit.
    pub fn settle(&mut self) {
        self.settled += 1;
    }

    /// A next hop took it at some time, which could not be recorded: so it goes
    /// there again, through this window.
    pub fn deliver_unrecorded(&mut self, window: Window) {
        self.delivered += 1;
        self.windows.push(window);
    }

    /// A record says that a next hop took it.
    pub fn record_delivery(&mut self) {
        self.delivered += 1;
        self.settled += 1;
    }

    /// A record says that it was given up.
    pub fn record_bounce(&mut self) {
        self.bounced += 1;
        self.settled += 1;
    }

    /// It is in the store.
    pub fn wait(&mut self) {
        self.waiting += 1;
    }

    /// An operator removed it, if it was not settled before.
    pub fn remove(&mut self) {
        self.is_removed = true;
    }

    /// It cannot be read and is kept aside, if it was not settled before.
    pub fn quarantine(&mut self) {
        self.is_quarantined = true;
    }

    /// Something happened after which it may be served again.
    pub fn open(&mut self, window: Window) {
        self.windows.push(window);
    }

    /// It was seen to go wrong.
    pub fn spoil(&mut self, fate: Fate, why: String) {
        self.wrong.push((fate, why));
    }

    /// Whether somebody relies on it.
    pub fn is_owed(&self) -> bool {
        self.owed > 0
    }

    /// How often it is settled or in the store.
    pub fn held(&self) -> u64 {
        self.settled + self.waiting
    }

    /// Judges. `is_silent` says that what is not known may have happened all the
    /// same. Nothing is to be said of what was neither owed nor served.
    pub fn judge(&self, is_silent: bool) -> Option<Verdict> {
        let surplus = self.surplus();
        let verdict = |fate, why: &str| {
            Some(Verdict {
                fate,
                windows: self.windows.iter().copied().take(surplus).collect(),
                why: why.to_owned(),
            })
        };
        if let Some((fate, why)) = self.fault(surplus) {
            return verdict(fate, &why);
        }
        let known = self.delivered + self.bounced + self.waiting;
        if self.owed > known || known == 0 {
            return match self {
                _ if self.is_quarantined => {
                    verdict(Fate::Quarantined, "it cannot be read, and is kept aside")
                }
                _ if self.is_removed => verdict(Fate::Removed, ""),
                _ if self.owed == 0 => None,
                _ if is_silent => verdict(Fate::Unknown, "nothing more is known"),
                _ => verdict(Fate::Lost, "nothing is known of it"),
            };
        }
        match self {
            _ if surplus > 0 => verdict(Fate::Duplicated, "served more than once"),
            _ if self.waiting > 0 => verdict(Fate::Queued, ""),
            _ if self.bounced > 0 => verdict(Fate::Bounced, ""),
            _ => verdict(Fate::Delivered, ""),
        }
    }

    /// How often it was served too often.
    fn surplus(&self) -> usize {
        let surplus = (self.delivered + self.bounced).saturating_sub(self.owed.max(1));
        usize::try_from(surplus).unwrap_or(usize::MAX)
    }

    /// The worst that is wrong with it, but for a loss.
    fn fault(&self, surplus: usize) -> Option<(Fate, String)> {
        if let Some(worst) = self.wrong.iter().max_by_key(|(fate, _)| *fate) {
            return Some(worst.clone());
        }
        let unexplained = |why: String| Some((Fate::Unexplained, why));
        let again = self.windows.iter().filter(|w| w.settles_again()).count() as u64;
        if self.late > again {
            return unexplained("delivered after it had been settled".to_owned());
        }
        if self.held() > self.owed.max(1) + again {
            let (settled, waiting) = (self.settled, self.waiting);
            return unexplained(match waiting {
                0 => format!("settled {settled} times"),
                _ => format!("settled {settled} times, and still stored"),
            });
        }
        if self.is_removed && self.waiting > 0 {
            return unexplained("removed by an operator, and still stored".to_owned());
        }
        if surplus > self.windows.len() {
            let (delivered, bounced) = (self.delivered, self.bounced);
            return unexplained(format!(
                "delivered {delivered} times and bounced {bounced} times, and nothing explains it"
            ));
        }
        None
    }
}
