//! Sends mail for one address to another: forward rules (the original's forward
//! policy).

mod merge;
mod rule;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use super::Policy;
use crate::message::{Address, EnhancedCode, Message, OriginalRecipient, Recipient, Response};
use merge::merged;
use rule::Rule;

pub use rule::ForwardError;

/// Rewrites recipients by rules, the first of which that matches a recipient is
/// the only one for it. Who matches none stays as it is.
///
/// Only the envelope changes. Header and body keep each byte, so a signature
/// that came with the mail still holds; so does the reverse-path, where notices
/// go. What the sender asked about notices stays with its recipient, and notices
/// name the address that the sender knows (ORCPT, RFC 3461 section 5.2). Of
/// recipients that have become the same address one is left, with the wishes of
/// all.
///
/// If a rule makes something of a recipient that is no address, the client
/// hears `451 4.3.5` and keeps its message.
#[derive(Clone, Debug, Default)]
pub struct Forward {
    rules: Vec<Rule>,
}

impl Forward {
    /// No rules.
    pub fn new() -> Self {
        Forward::default()
    }

    /// Adds a rule behind the others: what `pattern` matches goes to `to`.
    ///
    /// The pattern is a regular expression of the crate `regex`, whose time is
    /// linear in the length of an address. It speaks of the whole address, and
    /// upper and lower case are alike unless it says otherwise. In `to`, `$1`,
    /// `${1}` and `${name}` stand for what a group of the pattern matched, and
    /// `$$` for a dollar.
    ///
    /// ```
    /// # use slimta::policy::{Forward, ForwardError};
    /// # fn example() -> Result<Forward, ForwardError> {
    /// Forward::new()
    ///     .with_rule(r"sales@example\.org", "ann@example.com")?
    ///     .with_rule(r"(.+)@old\.example", "$1@new.example")
    /// # }
    /// # assert!(example().is_ok());
    /// ```
    pub fn with_rule(mut self, pattern: &str, to: &str) -> Result<Self, ForwardError> {
        self.rules.push(Rule::new(pattern, to)?);
        Ok(self)
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where mail for this address goes instead; none if no rule matches.
    fn forwarded(&self, address: &Address) -> Result<Option<Address>, Response> {
        let rewritten = self
            .rules
            .iter()
            .find_map(|rule| Some((rule, rule.rewrite(address)?)));
        let Some((rule, rewritten)) = rewritten else {
            return Ok(None);
        };
        rewritten.map(Some).map_err(|error| {
            tracing::error!(%address, %rule, %error, "a forward rule gives no address; the client keeps its message");
            let mistaken = EnhancedCode::new(4, 3, 5);
            let text = "A recipient cannot be forwarded now";
            Response::new(451, Some(mistaken), text)
        })
    }
}

#[async_trait]
impl Policy for Forward {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        let mut is_changed = false;
        for recipient in &mut message.envelope.recipients {
            if let Some(address) = self.forwarded(&recipient.address)? {
                tracing::debug!(from = %recipient.address, to = %address, "recipient forwarded");
                forward(recipient, address);
                is_changed = true;
            }
        }
        if is_changed {
            message.envelope.recipients = merged(message.envelope.recipients);
        }
        Ok(vec![message])
    }
}

/// Gives a recipient its new address, and keeps the one that the sender knows.
fn forward(recipient: &mut Recipient, address: Address) {
    let known = std::mem::replace(&mut recipient.address, address);
    recipient.original.get_or_insert_with(|| OriginalRecipient {
        kind: if known.is_ascii() { "rfc822" } else { "utf-8" }.to_owned(),
        address: known.into(),
    });
}
