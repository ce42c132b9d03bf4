//! What the log and the store say of one message.

use std::collections::BTreeMap;

use super::Id;
use crate::account::{Account, Verdict};
use crate::fate::{Fate, Window};

/// What is known of one message.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Whether a line says that it was stored.
    pub(super) is_received: bool,
    /// Whether that line names its recipients.
    is_named: bool,
    accounts: BTreeMap<String, Account>,
    pub(super) notices: Vec<Id>,
    pub(super) unrecorded: u64,
    pub(super) is_removed: bool,
    pub(super) is_quarantined: bool,
    /// For whom it is in the store, if it is there.
    pub(super) stored: Option<Vec<String>>,
    /// The life of the server in which something was last said of it.
    pub(super) last_life: usize,
}

impl Message {
    pub(super) fn account(&mut self, recipient: &str) -> &mut Account {
        self.accounts.entry(recipient.to_owned()).or_default()
    }

    /// It was stored for these recipients.
    pub(super) fn receive(&mut self, recipients: &[String]) {
        self.is_received = true;
        self.is_named = true;
        for recipient in recipients {
            self.account(recipient).owe();
        }
    }

    /// The next hop took it for these, and no record says so.
    pub(super) fn take(&mut self, recipients: &[String], window: Window) {
        for recipient in recipients {
            self.account(recipient).deliver_unrecorded(window);
            self.unrecorded += 1;
        }
    }

    /// Judges each recipient. `died` says that the server died after the last
    /// line about the message.
    pub(super) fn judge(&self, died: bool) -> BTreeMap<String, Verdict> {
        let mut accounts = self.accounts.clone();
        for recipient in self.stored.iter().flatten() {
            accounts.entry(recipient.clone()).or_default().wait();
        }
        if accounts.is_empty() {
            // Somebody must have been its recipient.
            accounts.insert(String::new(), Account::default());
        }
        let judge = |(recipient, account): (String, Account)| {
            let verdict = self.complete(account).judge(died)?;
            Some((recipient, verdict))
        };
        accounts.into_iter().filter_map(judge).collect()
    }

    /// What is known of the message is known of its recipient, too.
    fn complete(&self, mut account: Account) -> Account {
        if self.is_removed {
            account.remove();
        }
        if self.is_quarantined {
            account.quarantine();
        }
        if self.is_named && !account.is_owed() {
            let why = "no line says that it was received for this recipient";
            account.spoil(Fate::Unexplained, why.to_owned());
        }
        if !self.is_named {
            // As often as its envelope must have named it.
            for _ in 0..account.held().max(1) {
                account.owe();
            }
        }
        account
    }
}
