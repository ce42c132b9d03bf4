//! The story of a message as operators see it.

use serde::{Deserialize, Serialize};
use slimta_core::message::{History, Past, PastKind};
use slimta_core::world::Timestamp;

/// What became of the attempts of a message, and where it ends.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoryView {
    /// Its last attempts, the oldest first.
    pub(crate) history: Vec<PastView>,
    /// How many attempts came before those.
    pub(crate) earlier_attempts: u32,
    /// After which time it is tried no more; null if that is not known, or no
    /// server runs that would try it.
    pub(crate) gives_up_at: Option<String>,
}

/// An attempt, or several in a row that were put off.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct PastView {
    /// When it ended; of several, the last.
    pub(crate) at: String,
    /// `tried`; `put off`: not made, because its destination was left alone; or
    /// `rerouted`: none, an operator sent the message another way.
    pub(crate) what: String,
    /// How many attempts these are: one, unless they were put off; none, if it
    /// was rerouted.
    pub(crate) times: u32,
    /// When the first of several ended.
    pub(crate) since: String,
    /// How many recipients it was for.
    pub(crate) recipients: u32,
    /// For how many of them it failed for now.
    pub(crate) waiting: u32,
    /// Why, for the first of these: the first line of the reply; or where it went
    /// before it was rerouted, and where it goes.
    pub(crate) response: String,
    /// The next hop that answered, if one did.
    pub(crate) remote: Option<String>,
}

impl StoryView {
    pub(super) fn new(history: &History, gives_up_at: Option<Timestamp>) -> Self {
        StoryView {
            history: history.entries.iter().map(PastView::from).collect(),
            earlier_attempts: history.earlier,
            gives_up_at: gives_up_at.map(Timestamp::rfc3339),
        }
    }
}

impl From<&Past> for PastView {
    fn from(past: &Past) -> Self {
        let (what, since) = match past.kind {
            PastKind::Tried => ("tried", past.at),
            PastKind::PutOff { since, .. } => ("put off", since),
            PastKind::Rerouted => ("rerouted", past.at),
        };
        let response = match past.kind {
            PastKind::Rerouted => past.response.text.clone(),
            _ => past.response.to_string(),
        };
        PastView {
            at: past.at.rfc3339(),
            what: what.to_owned(),
            times: past.times(),
            since: since.rfc3339(),
            recipients: past.recipients,
            waiting: past.waiting,
            response,
            remote: past.remote.clone(),
        }
    }
}
