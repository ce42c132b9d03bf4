//! The words of the admin socket: one request and one answer a connection,
//! each one JSON object on one line. Contents follow their line as they are.
//!
//! It is a format on the wire: `docs/design/admin-socket.md` describes it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use slimta_core::message::{Destination, MessageId, Way};
use slimta_core::queue::DestinationPattern;
use slimta_core::storage::{Filter, State};
use slimta_core::world::Timestamp;

use super::view::{DestinationView, MessageView, StatsView, SuspensionView, shown_state};

/// The version of these words.
pub(super) const VERSION: u32 = 1;
/// Longest request.
pub(super) const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Longest line of an answer: one message may have very many recipients.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A request as it stands on the line.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) version: u32,
    pub(super) request: Request,
}

/// What can be asked.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// A page of messages, beginning behind an id.
    List {
        /// Which messages.
        which: Which,
        /// Begins behind this id.
        after: Option<MessageId>,
    },
    /// Counts.
    Stats,
    /// What the server has in hand, by destination.
    Destinations,
    /// Reads the configuration again.
    Reload,
    /// The contents of one message.
    Contents {
        /// Which message.
        id: MessageId,
        /// How much of them.
        part: Part,
    },
    /// Keeps the mail for some destinations back.
    Suspend {
        /// Which destinations.
        destinations: DestinationPattern,
        /// Why.
        reason: String,
        /// When it ends by itself.
        ends: Option<Ends>,
    },
    /// Lets it go again.
    Resume {
        /// As they were suspended.
        destinations: DestinationPattern,
    },
    /// Does something to a page of messages, beginning behind an id.
    Act {
        /// Which messages.
        which: Which,
        /// What to do.
        verb: Verb,
        /// Begins behind this id.
        after: Option<MessageId>,
        /// To how many messages at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
    /// Counts what [`Request::Act`] would do, and changes nothing.
    Preview {
        /// Which messages.
        which: Which,
        /// What would be done.
        verb: Verb,
        /// Begins behind this id.
        after: Option<MessageId>,
    },
}

/// When something ends, by the storage's clock.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ends {
    /// So many milliseconds from now.
    InMillis(u64),
    /// Then.
    At(Timestamp),
}

/// What operators do to messages.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Verb {
    /// Makes them due now.
    Retry,
    /// Holds them back.
    Hold {
        /// Why.
        reason: String,
    },
    /// Lets held ones go.
    Release,
    /// Sends them another way.
    Reroute {
        /// Which.
        to: Way,
    },
    /// Removes them without a notice.
    Delete,
    /// Gives them up and tells their senders.
    Bounce {
        /// What the senders are told.
        reason: String,
    },
}

/// How much of the contents.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Only the header.
    Header,
    /// All.
    Whole,
}

/// Which messages are meant: those that fit every part that is given. Given
/// none, all.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Which {
    /// The message of this id, or all of the submission of this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<MessageId>,
    /// `active`, `deferred` or `held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<StateName>,
    /// Where they go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination: Option<String>,
    /// Their reverse-path; empty for the null reverse-path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender: Option<String>,
    /// One of their waiting recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recipient: Option<String>,
}

impl Which {
    /// The message of this id, or all of the submission of this id.
    pub(crate) fn id(id: MessageId) -> Self {
        Which {
            id: Some(id),
            ..Which::default()
        }
    }

    pub(super) fn filter(&self) -> Filter {
        Filter {
            id: self.id,
            state: self.state.map(|state| state.0),
            destination: self.destination.as_deref().map(named),
            sender: self.sender.clone(),
            recipient: self.recipient.clone(),
            due_by: None,
        }
    }
}

/// A destination as operators type it: domains in any case.
fn named(destination: &str) -> Destination {
    match destination.contains("://") {
        true => Destination::new(destination),
        false => Destination::new(destination.to_lowercase()),
    }
}

/// A state, by name.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct StateName(pub(crate) State);

impl std::str::FromStr for StateName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const STATES: [State; 3] = [State::Active, State::Deferred, State::Held];
        let found = STATES.into_iter().find(|state| shown_state(*state) == text);
        found
            .map(StateName)
            .ok_or_else(|| format!("{text:?} is not a state: active, deferred or held"))
    }
}

impl TryFrom<String> for StateName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StateName> for String {
    fn from(state: StateName) -> String {
        shown_state(state.0).to_owned()
    }
}

/// An answer as it stands on the line.
#[derive(Serialize, Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Listed(Listed),
    Stats(StatsView),
    Destinations(Vec<DestinationView>),
    /// So many bytes follow the line.
    Contents {
        bytes: u64,
    },
    /// There is no message of that id.
    Missing,
    Acted(Acted),
    Previewed(Previewed),
    Suspended(SuspensionView),
    /// Whether there was something to resume.
    Resumed(bool),
    Reloaded(Reloaded),
    /// Why nothing, or not everything, was done.
    Failed(String),
}

/// What comes back when all went well.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Reply {
    /// To [`Request::List`].
    Listed(Listed),
    /// To [`Request::Stats`].
    Stats(StatsView),
    /// To [`Request::Destinations`].
    Destinations(Vec<DestinationView>),
    /// To [`Request::Contents`].
    Contents(Contents),
    /// To [`Request::Act`].
    Acted(Acted),
    /// To [`Request::Preview`].
    Previewed(Previewed),
    /// To [`Request::Suspend`].
    Suspended(SuspensionView),
    /// To [`Request::Resume`].
    Resumed(bool),
    /// To [`Request::Reload`].
    Reloaded(Reloaded),
    /// To [`Request::Reload`], if nothing changed: why.
    NotReloaded(String),
}

/// What is to be said of a configuration that was read again.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reloaded {
    /// Options that changed in it and count only when the server is started anew.
    pub(crate) later: Vec<String>,
    /// What works and is risky.
    pub(crate) warnings: Vec<String>,
}

/// Contents; none if there is no message of that id.
pub(crate) type Contents = Option<Vec<u8>>;

/// A page of messages.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug, Default)]
pub(crate) struct Listed {
    /// Those that fit, in the order of their ids.
    pub(crate) messages: Vec<MessageView>,
    /// Those that cannot be read.
    pub(crate) unreadable: Vec<Unread>,
    /// Behind which id the next page begins; none after the last.
    pub(crate) next: Option<MessageId>,
}

/// A record that cannot be read.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unread {
    /// Its id.
    pub(crate) id: MessageId,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// What was done to a page of messages.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Acted {
    /// Those that were changed.
    pub(crate) changed: Vec<MessageId>,
    /// How many are being attempted just now, and were left as they are.
    pub(crate) leased: u64,
    /// Behind which id the next page begins; none after the last.
    pub(crate) next: Option<MessageId>,
}

/// What would be done to a page of messages.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Previewed {
    /// How many would be changed.
    pub(crate) messages: u64,
    /// Their size.
    pub(crate) bytes: u64,
    /// Where they go.
    pub(crate) destinations: BTreeSet<String>,
    /// How many are being attempted just now.
    pub(crate) leased: u64,
    /// Behind which id the next page begins; none after the last.
    pub(crate) next: Option<MessageId>,
}
