//! The mail of a run, and whose fate it tells.

use slimta_core::message::{Address, Client, Content, Envelope, Message, Recipient, ReversePath};
use slimta_core::world::Timestamp;

/// A recipient of a message of the run, by the number of that message.
pub(crate) type Key = slimta_oracle::Key<usize>;

/// The header field that carries a message's number through the run.
const NUMBER: &str = "X-Sim: ";

/// The message of this number.
pub(crate) fn message(number: usize, recipients: &[String], now: Timestamp) -> Message {
    let address = |text: &str| text.parse::<Address>().ok();
    let sender = address(&format!("from{number}@sender.example"));
    let sender = sender.map_or(ReversePath::Null, ReversePath::Mailbox);
    let recipients = recipients.iter().filter_map(|r| address(r));
    let envelope = Envelope::new(sender, recipients);
    Message::new(Client::default(), envelope, content(number), now)
}

/// The contents of the message of this number.
fn content(number: usize) -> Content {
    let text = format!("{NUMBER}{number}\r\nSubject: simulated\r\n{}", body(number));
    Content::new(text.into_bytes())
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
    let bytes = content.to_vec();
    let text = String::from_utf8_lossy(&bytes);
    let after = |prefix: &'static str| {
        text.lines()
            .filter_map(move |line| line.trim_end().strip_prefix(prefix))
    };
    let Some(number) = after(NUMBER).next().and_then(|n| n.parse().ok()) else {
        return Vec::new();
    };
    if !envelope.sender.is_null() {
        return vec![(number, recipient.address.as_str().to_owned())];
    }
    after("Final-Recipient: rfc822;")
        .map(|address| (number, address.trim().to_owned()))
        .collect()
}
