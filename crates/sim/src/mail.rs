//! The mail of a run, and whose fate it tells.

use async_trait::async_trait;
use slimta_core::message::{Address, Content, Envelope, Message, Recipient, Response, ReversePath};
use slimta_core::policy::Policy;

/// A recipient of a message of the run, by the number of its copy.
pub(crate) type Key = slimta_oracle::Key<usize>;

/// The header field that carries a message's number through the run.
const NUMBER: &str = "X-Sim: ";

/// The contents of the copy of this number of the message of this mark.
pub(crate) fn content(number: usize, mark: usize) -> Content {
    let id = format!("Message-ID: <{mark}@client.example>");
    let text = format!("{NUMBER}{number}\r\n{id}\r\n{}", body(number));
    Content::new(text.into_bytes())
}

/// The envelope of the message of this mark.
pub(crate) fn envelope(mark: usize, recipients: &[String]) -> Envelope {
    let address = |text: &str| text.parse::<Address>().ok();
    let sender = address(&format!("from{mark}@sender.example"));
    let sender = sender.map_or(ReversePath::Null, ReversePath::Mailbox);
    let recipients = recipients.iter().filter_map(|r| address(r));
    Envelope::new(sender, recipients)
}

/// Gives most messages a tenant, by their number.
#[derive(Debug)]
pub(crate) struct Tenants;

#[async_trait]
impl Policy for Tenants {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        let tenant = number(&message.content).map(|number| ["", "a", "b", "c"][number % 4]);
        message.tenant = tenant.and_then(|name| name.parse().ok());
        Ok(vec![message])
    }
}

/// The number of the copy that contents are.
pub(crate) fn number(content: &Content) -> Option<usize> {
    let bytes = content.to_vec();
    let text = String::from_utf8_lossy(&bytes);
    let number = text.lines().find_map(|line| line.strip_prefix(NUMBER));
    number.and_then(|number| number.trim_end().parse().ok())
}

/// Their end, which stays as it is on the whole way. Some lines begin with a
/// dot.
pub(crate) fn body(number: usize) -> String {
    let line = format!(".This is message {number}, and it must arrive as it is.\r\n.\r\n");
    format!("\r\n{}", line.repeat(1 + number % 5))
}

/// Whose fate a message for `recipient` tells: of a message of the run that
/// recipient's, of a notice the failed recipients'.
pub(crate) fn keys(content: &Content, envelope: &Envelope, recipient: &Recipient) -> Vec<Key> {
    let Some(number) = number(content) else {
        return Vec::new();
    };
    if !envelope.sender.is_null() {
        return vec![(number, recipient.address.as_str().to_owned())];
    }
    let bytes = content.to_vec();
    let text = String::from_utf8_lossy(&bytes);
    text.lines()
        .filter_map(|line| line.strip_prefix("Final-Recipient: rfc822;"))
        .map(|address| (number, address.trim().to_owned()))
        .collect()
}
