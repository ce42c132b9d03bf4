//! What a client is told of a message that policies may have split: one answer
//! for all of it, or by LMTP one for each recipient (RFC 2033 section 4.2).

use crate::message::{Address, Message, Recipient, Response};

/// In which part each recipient of a message is.
pub(super) struct Parts(Vec<Option<usize>>);

impl Parts {
    /// Finds the recipients that the client named in what became of its
    /// message. A policy may have put others in their place.
    pub(super) fn find(recipients: &[Address], messages: &[Message]) -> Self {
        let is_in = |message: &Message, address: &Address| {
            let mut all = message.envelope.recipients.iter();
            all.any(|recipient| recipient.address == *address)
        };
        let part = |address| messages.iter().position(|message| is_in(message, address));
        Parts(recipients.iter().map(part).collect())
    }

    /// The answer for each recipient: that of its part, or else that of the
    /// whole.
    pub(super) fn answers(&self, responses: Vec<Response>) -> Vec<Response> {
        let own = |part: &Option<usize>| part.and_then(|part| responses.get(part)).cloned();
        let found: Vec<_> = self.0.iter().map(own).collect();
        let whole = verdict(responses);
        found
            .into_iter()
            .map(|own| own.unwrap_or_else(|| whole.clone()))
            .collect()
    }
}

/// The addresses of recipients.
pub(super) fn addresses(recipients: &[Recipient]) -> Vec<Address> {
    let addresses = recipients.iter().map(|recipient| recipient.address.clone());
    addresses.collect()
}

/// One reply for all parts of a message. If one of them is not stored the
/// client must come again, even if that brings others twice.
pub(super) fn verdict(responses: Vec<Response>) -> Response {
    let failed = responses.iter().position(|response| !response.is_success());
    let told = responses.into_iter().nth(failed.unwrap_or(0));
    told.unwrap_or_else(|| Response::transient(3, 0, "Error in processing"))
}

#[cfg(test)]
mod tests {
    use slimta_core::world::Timestamp;

    use super::*;
    use crate::message::{Client, Content, Envelope, ReversePath};

    #[test]
    fn the_first_failure_is_the_reply_or_else_the_first_success() {
        let code = |codes: &[u16]| {
            let responses = codes.iter().map(|code| Response::new(*code, None, ""));
            verdict(responses.collect()).code.get()
        };
        assert_eq!(code(&[250, 251]), 250);
        assert_eq!(code(&[250, 450, 550]), 450);
        assert_eq!(code(&[250, 354]), 354);
        assert_eq!(code(&[]), 451);
    }

    #[test]
    fn each_recipient_hears_of_its_part() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let part = |recipients: &[&str]| {
            let recipients = recipients.iter().copied().map(address);
            Message::new(
                Client::default(),
                Envelope::new(ReversePath::Null, recipients),
                Content::new(""),
                Timestamp::EPOCH,
            )
        };
        let named = ["a@b", "list@b", "c@d", "a@b"].map(address);
        let parts = Parts::find(&named, &[part(&["a@b", "x@y"]), part(&["c@d"])]);
        let told = |codes: &[u16]| {
            let responses = codes.iter().map(|code| Response::new(*code, None, ""));
            let answers = parts.answers(responses.collect());
            answers.iter().map(|r| r.code.get()).collect::<Vec<_>>()
        };
        assert_eq!(told(&[250, 452]), [250, 452, 452, 250]);
        assert_eq!(told(&[250, 250]), [250; 4]);
        assert_eq!(told(&[250]), [250; 4]);
        assert_eq!(told(&[]), [451; 4]);
    }
}
