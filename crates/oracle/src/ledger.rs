//! The oracle: from what clients were told, what next hops took, what was
//! bounced and what is left, it says what became of every recipient.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

/// A recipient of a submission, by the number of its message and its address.
pub type Key = (usize, String);

/// Why a delivery may happen again: the windows of the reliability page, as far
/// as they can open here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Window {
    /// W2: taken by the next hop, whose reply was lost.
    ReplyLost,
    /// W3: taken, and the manager crashed or lost its storage before that was
    /// recorded.
    Crash,
    /// W4: taken, and the lease was lost meanwhile.
    LeaseLost,
}

/// What is known of one recipient.
#[derive(Clone, Debug, Default)]
struct Account {
    accepted: bool,
    delivered: u32,
    bounced: u32,
    windows: Vec<Window>,
    waiting: u32,
    /// Struck from its message in a commit.
    struck: bool,
}

/// The books of one run.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: BTreeMap<Key, Account>,
    faults: Vec<String>,
}

/// What the books say at the end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Recipients of messages that were answered 250.
    pub accepted: u64,
    /// Of these, delivered.
    pub delivered: u64,
    /// Of these, bounced.
    pub bounced: u64,
    /// Notices or deliveries too many, each with a window that explains it.
    pub duplicates: u64,
    /// Recipients that nobody was told about, and yet went out.
    pub unreceipted: u64,
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.bounced += other.bounced;
        self.duplicates += other.duplicates;
        self.unreceipted += other.unreceipted;
    }
}

impl Ledger {
    fn account(&mut self, key: &Key) -> &mut Account {
        self.accounts.entry(key.clone()).or_default()
    }

    /// A client was told 250 for a message to `recipients`.
    pub fn accepted(&mut self, message: usize, recipients: &[String]) {
        for recipient in recipients {
            self.account(&(message, recipient.clone())).accepted = true;
        }
    }

    /// A next hop took a message for a recipient.
    pub fn delivered(&mut self, key: &Key) {
        let account = self.account(key);
        account.delivered += 1;
        if account.struck {
            self.fault(format!("{key:?} was delivered after it had been settled"));
        }
    }

    /// A notice about a recipient was delivered to its sender.
    pub fn bounced(&mut self, key: &Key) {
        self.account(key).bounced += 1;
    }

    /// A recipient left its message in a durable commit.
    pub fn struck(&mut self, key: &Key) {
        self.account(key).struck = true;
    }

    /// Something happened after which the recipient may be served again.
    pub fn window(&mut self, key: &Key, window: Window) {
        self.account(key).windows.push(window);
    }

    /// A recipient is still in the store.
    pub fn waiting(&mut self, key: &Key) {
        self.account(key).waiting += 1;
    }

    /// A rule was seen broken.
    pub fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// Closes the books.
    pub fn close(mut self) -> Result<Tally, Broken> {
        let mut tally = Tally::default();
        for (key, account) in &self.accounts {
            let outcomes = account.delivered + account.bounced;
            if account.waiting > 0 {
                self.faults
                    .push(format!("{key:?} is still queued: {account:?}"));
            }
            if account.accepted {
                tally.accepted += 1;
                tally.delivered += u64::from(account.delivered > 0);
                tally.bounced += u64::from(account.bounced > 0);
                if outcomes + account.waiting == 0 {
                    self.faults.push(format!("{key:?} is lost"));
                }
            } else {
                tally.unreceipted += u64::from(outcomes > 0);
            }
            let surplus = outcomes.saturating_sub(1);
            if usize::try_from(surplus).unwrap_or(usize::MAX) > account.windows.len() {
                self.faults.push(format!(
                    "{key:?} is doubled, and nothing explains it: {account:?}"
                ));
            }
            tally.duplicates += u64::from(surplus);
        }
        if self.faults.is_empty() {
            Ok(tally)
        } else {
            Err(Broken(self.faults))
        }
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
