//! Mail of any octets (BINARYMIME), made fit to be signed.

use slimta_smtp::client::downgraded;

use crate::message::{BodyType, Message};

/// Writes a message in ASCII, as RFC 6376 section 5.3 advises a signer. If it cannot
/// be said so it is left alone: false then, unless it is lines all the same.
pub(super) fn written_in_lines(message: &mut Message) -> bool {
    let declared = message.envelope.body;
    let Some(content) = downgraded(&message.content, declared, BodyType::SevenBit) else {
        return message.content.is_text();
    };
    message.content = content;
    message.envelope.body = BodyType::SevenBit;
    true
}
