//! A message as the queue keeps it.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Client, Envelope, History, MessageId, Response, Tenant};
use crate::world::Timestamp;

/// Stands between the next hop and the tenant.
const OF_TENANT: char = '#';

/// What the scheduler groups by: the next hop as the router names it, such as
/// a domain in lower case or the URL of a smarthost; and the tenant, if the message
/// has one: `example.org#acme`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Destination(Arc<str>);

impl Destination {
    /// A destination by name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Destination(name.as_ref().into())
    }

    /// The same for the mail of one tenant only.
    #[must_use]
    pub fn of_tenant(&self, tenant: &Tenant) -> Destination {
        Destination(format!("{self}{OF_TENANT}{tenant}").into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The next hop alone, as the router named it.
    pub fn next_hop(&self) -> &str {
        self.parts().0
    }

    /// Whose mail it is for, if it is for one tenant's only.
    pub fn tenant(&self) -> Option<Tenant> {
        self.parts().1.and_then(Tenant::named)
    }

    /// The same for everybody's mail.
    #[must_use]
    pub fn of_all(&self) -> Destination {
        match self.parts() {
            (next_hop, Some(_)) => Destination::new(next_hop),
            (_, None) => self.clone(),
        }
    }

    fn parts(&self) -> (&str, Option<&str>) {
        match self.0.rsplit_once(OF_TENANT) {
            Some((next_hop, name)) if Tenant::is_name(name) => (next_hop, Some(name)),
            _ => (&self.0, None),
        }
    }
}

/// Its name orders and finds it.
impl Borrow<str> for Destination {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<String> for Destination {
    fn from(name: String) -> Self {
        Destination(name.into())
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> String {
        destination.0.as_ref().to_owned()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Which messages of a destination go first when several are due.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Priority {
    /// Before all others.
    High,
    /// What mail has unless somebody says otherwise.
    #[default]
    Normal,
    /// When nothing else is due.
    Low,
}

/// Everything the queue knows of a message but its contents.
///
/// Fields that an attempt changes — recipients, attempts, due, last response,
/// history — are only ever changed through a settlement, under a lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredMessage {
    /// Its id, never used again.
    pub id: MessageId,
    /// The id of the first message of its submission, which is what the client
    /// was told. Messages of one submission share their contents.
    pub submission: MessageId,
    /// Where it goes.
    pub destination: Destination,
    /// Who handed it in.
    pub client: Client,
    /// Who it is from, and the recipients that are still waiting.
    pub envelope: Envelope,
    /// When it was received.
    pub received: Timestamp,
    /// Size of the contents in bytes.
    pub size: u64,
    /// Which goes first.
    pub priority: Priority,
    /// How many attempts have failed.
    pub attempts: u32,
    /// Not to be attempted before this time.
    pub due: Timestamp,
    /// Why an operator holds it back; none if nobody does.
    pub held: Option<String>,
    /// The response that deferred it last.
    pub last_response: Option<Response>,
    /// Whether its sender was told that it is late. Once is enough.
    #[serde(default)]
    pub delay_told: bool,
    /// What became of its attempts.
    #[serde(default)]
    pub history: History,
}

/// What is stored as one: the messages, one for each destination, that came
/// from one message taken in, and the contents they share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// One message a destination. All name one submission, which has the id of
    /// the first that was taken in.
    pub messages: Vec<StoredMessage>,
    /// Their contents.
    pub content: super::Content,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_names_its_next_hop_and_its_tenant() {
        let acme: Tenant = "acme".parse().unwrap();
        for next_hop in [
            "example.org",
            "smtp://relay.example:25",
            "a#b@example.org",
            "",
        ] {
            let all = Destination::new(next_hop);
            let one = all.of_tenant(&acme);
            assert_eq!((all.next_hop(), all.tenant()), (next_hop, None));
            assert_eq!(
                (one.next_hop(), one.tenant()),
                (next_hop, Some(acme.clone()))
            );
            assert_eq!(one.of_all(), all);
            assert_eq!(one.as_str(), format!("{next_hop}#acme"));
        }
    }
}
