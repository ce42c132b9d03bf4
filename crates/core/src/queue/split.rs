//! Splits a message by destination: one stored message each, which share one
//! copy of the contents and one submission id.

use std::collections::BTreeMap;

use crate::message::{
    ByMode, Destination, Envelope, History, Message, MessageId, Recipient, StoredMessage,
    Submission,
};
use crate::relay::Router;
use crate::world::{Timestamp, World};

/// What is stored for `message`: due at `now`, by the storage's clock, or when
/// its sender wants it released; split as `router` says. None when it has no
/// recipients.
pub fn split(
    message: Message,
    router: &dyn Router,
    world: &World,
    now: Timestamp,
) -> Option<Submission> {
    let release = message.envelope.release;
    let due = release.map_or(now, |release| release.of(now));
    let by = message.envelope.deliver_by;
    let by = by.map(|by| by.moved(message.timestamp, now));
    // Whoever passed it on late has told of that.
    let delay_told = by.is_some_and(|by| by.mode == ByMode::Notify && by.is_over(now));
    let parts = by_destination(&message.envelope, router);
    let submission = MessageId::new(world);
    let stored = |(index, (destination, recipients)): (usize, (Destination, Vec<Recipient>))| {
        StoredMessage {
            id: match index {
                0 => submission,
                _ => MessageId::new(world),
            },
            submission,
            destination: match &message.tenant {
                Some(tenant) => destination.of_tenant(tenant),
                None => destination,
            },
            client: message.client.clone(),
            envelope: Envelope {
                recipients,
                deliver_by: by,
                ..without_recipients(&message.envelope)
            },
            received: message.timestamp,
            size: message.content.len() as u64,
            priority: message.priority,
            attempts: 0,
            due,
            held: None,
            last_response: None,
            delay_told,
            history: History::default(),
        }
    };
    let messages: Vec<_> = parts.into_iter().enumerate().map(stored).collect();
    (!messages.is_empty()).then_some(Submission {
        messages,
        content: message.content,
    })
}

/// Recipients grouped by destination; both in the order of the envelope.
fn by_destination(envelope: &Envelope, router: &dyn Router) -> Vec<(Destination, Vec<Recipient>)> {
    let mut parts: Vec<(Destination, Vec<Recipient>)> = Vec::new();
    let mut index = BTreeMap::new();
    for recipient in &envelope.recipients {
        let destination = router.destination(envelope, recipient);
        let at = *index.entry(destination.clone()).or_insert(parts.len());
        match parts.get_mut(at) {
            Some((_, recipients)) => recipients.push(recipient.clone()),
            None => parts.push((destination, vec![recipient.clone()])),
        }
    }
    parts
}

fn without_recipients(envelope: &Envelope) -> Envelope {
    Envelope {
        sender: envelope.sender.clone(),
        recipients: Vec::new(),
        body: envelope.body,
        smtputf8: envelope.smtputf8,
        ret: envelope.ret,
        envid: envelope.envid.clone(),
        next_hop: envelope.next_hop.clone(),
        release: envelope.release,
        deliver_by: envelope.deliver_by,
        require_tls: envelope.require_tls,
    }
}

/// The default router: the destination is the recipient's domain in lower
/// case, or the host that the envelope names.
#[derive(Clone, Debug)]
pub struct ByDomain {
    /// What a recipient without a domain (`postmaster`) belongs to.
    pub local_domain: String,
}

impl Router for ByDomain {
    fn destination(&self, envelope: &Envelope, recipient: &Recipient) -> Destination {
        let fixed = envelope
            .next_hop
            .as_ref()
            .and_then(|hop| hop.host.as_deref());
        let domain = fixed.or(recipient.address.domain());
        Destination::new(domain.unwrap_or(&self.local_domain).to_lowercase())
    }
}
