//! The books of a run in which somebody knows what happens, fact by fact.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use crate::account::{Account, Verdict};
use crate::fate::{Fate, Window};

/// A recipient of a message.
pub type Key<M> = (M, String);

/// The books of one run, whose messages are told apart by an `M`.
#[derive(Clone, Debug)]
pub struct Ledger<M> {
    accounts: BTreeMap<Key<M>, Account>,
    /// Rules that were broken, not by one recipient.
    faults: Vec<String>,
}

impl<M> Default for Ledger<M> {
    fn default() -> Self {
        Ledger {
            accounts: BTreeMap::new(),
            faults: Vec::new(),
        }
    }
}

impl<M: Ord + Clone + fmt::Debug> Ledger<M> {
    /// The account of a recipient, to which facts are told.
    pub fn account(&mut self, key: &Key<M>) -> &mut Account {
        self.accounts.entry(key.clone()).or_default()
    }

    /// A rule was seen broken, not by one recipient.
    pub fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// What is to be said of each recipient.
    pub fn judge(&self) -> impl Iterator<Item = (&Key<M>, Verdict)> {
        let judge = |(key, account): (_, &Account)| Some((key, account.judge(false)?));
        self.accounts.iter().filter_map(judge)
    }

    /// Counts.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (key, verdict) in self.judge() {
            let is_owed = self.accounts.get(key).is_some_and(Account::is_owed);
            tally.answered += u64::from(is_owed);
            tally.unanswered += u64::from(!is_owed);
            *tally.fates.entry(verdict.fate).or_default() += 1;
            for window in verdict.windows {
                *tally.windows.entry(window).or_default() += 1;
            }
        }
        tally
    }

    /// Closes the books: counts, or the rules that were broken.
    pub fn close(mut self) -> Result<Tally, Broken> {
        let tally = self.tally();
        let mut faults = std::mem::take(&mut self.faults);
        for (key, verdict) in self.judge().filter(|(_, v)| v.fate.is_fault()) {
            let (fate, why) = (verdict.fate.name(), verdict.why);
            faults.push(format!("{key:?} is {fate}: {why}"));
        }
        match faults.is_empty() {
            true => Ok(tally),
            false => Err(Broken(faults)),
        }
    }
}

/// How many recipients met which fate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Recipients of messages that were answered 250.
    pub answered: u64,
    /// Recipients of whom nobody was told, and who were served all the same.
    pub unanswered: u64,
    /// All of them, by fate.
    pub fates: BTreeMap<Fate, u64>,
    /// Times that somebody was served too often, by the window that explains it.
    pub windows: BTreeMap<Window, u64>,
}

impl Tally {
    /// How many met this fate.
    pub fn of(&self, fate: Fate) -> u64 {
        self.fates.get(&fate).copied().unwrap_or(0)
    }

    /// How often somebody was served too often, and a window explains it.
    pub fn duplicates(&self) -> u64 {
        self.windows.values().sum()
    }
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        for (fate, times) in &other.fates {
            *self.fates.entry(*fate).or_default() += times;
        }
        for (window, times) in &other.windows {
            *self.windows.entry(*window).or_default() += times;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, unanswered) = (self.answered, self.unanswered);
        write!(f, "{answered} recipients answered 250, {unanswered} not")?;
        for fate in Fate::ALL {
            // That nothing was lost or came for no reason is what one looks for.
            if self.of(fate) > 0 || fate.is_fault() {
                write!(f, ", {} {}", self.of(fate), fate.name())?;
            }
        }
        let mut between = "; too many: ";
        for (window, times) in &self.windows {
            write!(f, "{between}{} {times}", window.name())?;
            between = ", ";
        }
        Ok(())
    }
}

/// The rules that a run broke.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken(pub Vec<String>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}
