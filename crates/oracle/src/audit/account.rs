//! What is known of one message, and what follows from it.

use super::{Fate, Id};

/// What is known of one message.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// How many recipients it was stored for, if a line says so.
    pub(super) recipients: Option<u64>,
    pub(super) delivered: u64,
    pub(super) bounced: u64,
    pub(super) notices: Vec<Id>,
    pub(super) maybe_twice: u64,
    pub(super) is_removed: bool,
    pub(super) is_quarantined: bool,
    /// How many recipients it has in the store, if it is there.
    pub(super) waiting: Option<u64>,
    /// The life of the server in which something was last said of it.
    pub(super) last_life: usize,
}

impl Account {
    /// What became of it, and why that is not well. `died` says that the server
    /// died after the last line about it.
    pub(super) fn fate(&self, died: bool) -> (Fate, String) {
        let settled = self.delivered + self.bounced;
        let known = settled + self.waiting.unwrap_or(0);
        // Somebody must have been its recipient.
        let recipients = self.recipients.unwrap_or(known.max(1));
        let well = |fate| (fate, String::new());
        if known > recipients {
            let of = match self.waiting {
                Some(waiting) => format!("{settled} settled and {waiting} still stored"),
                None => format!("{settled} settled"),
            };
            return (Fate::Duplicated, format!("{of} of {recipients} recipients"));
        }
        if self.is_removed && self.waiting.is_some() {
            let why = "removed by an operator, and still stored".to_owned();
            return (Fate::Duplicated, why);
        }
        if self.is_quarantined {
            let why = "it cannot be read, and is kept aside".to_owned();
            return (Fate::Quarantined, why);
        }
        if self.is_removed {
            return well(Fate::Removed);
        }
        let missing = recipients - known;
        if missing > 0 {
            let of = format!("nothing is known of {missing} of {recipients} recipients");
            return match died {
                true => (
                    Fate::Unknown,
                    format!("{of}: the server died after the last line about it"),
                ),
                false => (Fate::Lost, of),
            };
        }
        well(match (self.waiting, self.bounced) {
            (Some(_), _) => Fate::Queued,
            (None, 0) => Fate::Delivered,
            (None, _) => Fate::Bounced,
        })
    }
}
