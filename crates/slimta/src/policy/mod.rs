//! Policies: what may change, split or refuse a message before the queue.
//!
//! They run once, between an edge and the queue; what they decide is stored.
//! [`standard`] is what a server that takes mail by SMTP needs.

mod add_date;
mod add_message_id;
mod add_received;
mod assign_tenant;
#[cfg(feature = "dkim")]
mod dkim;
#[cfg(feature = "forward")]
mod forward;
mod loop_check;
mod proxy;
#[cfg(feature = "spam-scan")]
mod spam;
#[cfg(feature = "verify")]
mod verify;

pub use add_date::AddDate;
pub use add_message_id::AddMessageId;
pub use add_received::AddReceived;
pub use assign_tenant::{AssignTenant, AssignTenantError};
#[cfg(all(feature = "dkim", feature = "verify"))]
pub use dkim::SealArc;
#[cfg(feature = "dkim")]
pub use dkim::{DkimError, DkimKey, SignDkim, SignedNotices};
#[cfg(feature = "forward")]
pub use forward::{Forward, ForwardError};
pub use loop_check::LoopCheck;
pub use proxy::proxy;
pub use slimta_core::policy::{Chain, Policy};
#[cfg(feature = "spam-scan")]
pub use spam::{
    OnScanFailure, ScanError, ScannerUrlError, SpamRules, SpamScan, SpamScanner, SpamVerdict,
    open_scanner,
};
#[cfg(feature = "verify")]
pub use verify::{VerifyRules, VerifySenders};

use crate::message::{NewField, Response};
use crate::world::World;

/// The policies of an ordinary server called `hostname`: refuses mail that goes
/// in circles, adds what a message must have, and on top the trace of how it
/// came here.
pub fn standard(hostname: &str, world: World) -> Chain {
    Chain::new()
        .then(LoopCheck::default())
        .then(AddDate)
        .then(AddMessageId::new(hostname, world))
        .then(AddReceived::new(hostname))
}

/// Longest word that is taken over from a client.
const WORD_BYTES_MAX: usize = 255;

/// A field for a header. What policies write fits; should it ever not, the
/// client keeps its message and comes again.
fn field(name: &str, value: &str) -> Result<NewField, Response> {
    NewField::new(name, value)
        .map_err(|_| Response::transient(3, 0, "The message cannot be stamped now"))
}

/// What a client or a configuration calls something, as a word that can end
/// neither its field nor a comment or an address in it.
fn word(text: &str) -> String {
    text.chars()
        .take(WORD_BYTES_MAX)
        .map(|c| match c {
            '(' | ')' | '<' | '>' | ';' | '"' | '\\' | ',' => '?',
            c if c.is_ascii_graphic() => c,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Client, Content, Envelope, Message, ReversePath};
    use crate::world::Timestamp;

    /// A message of these contents for these recipients.
    pub(super) fn message(content: &str, recipients: &[&str]) -> Message {
        Message::new(
            Client::default(),
            Envelope::new(
                ReversePath::Null,
                recipients.iter().map(|r| r.parse().unwrap()),
            ),
            Content::new(content.to_owned()),
            Timestamp::from_millis(1_795_508_249_123),
        )
    }

    /// What a policy makes of a message that it keeps whole.
    pub(super) async fn applied(policy: &dyn Policy, message: Message) -> String {
        let mut messages = policy.apply(message).await.unwrap();
        let content = messages.pop().unwrap().content;
        assert!(messages.is_empty());
        String::from_utf8(content.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_standard_chain_stamps_on_top_and_completes_below() {
        let world = World::simulated(Timestamp::EPOCH, 1);
        let chain = standard("mail.example.net", world);
        let text = applied(&chain, message("From: a\r\n\r\nbody", &["b@example.org"])).await;
        let names: Vec<_> = text
            .lines()
            .take_while(|line| !line.is_empty())
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(names, ["Received", "From", "Date", "Message-ID"]);
        assert!(text.ends_with("\r\n\r\nbody"));
    }
}
