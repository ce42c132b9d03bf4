//! Mail that waits under the name of a smarthost which is none any more.
//!
//! Mail for a smarthost is stored under its URL, all domains together. If the
//! configuration says another way meanwhile, its recipients may part.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Delivery, NextHop, Relay};
use crate::message::{
    Destination, Envelope, OnSuccess, Recipient, Report, Response, StoredMessage,
};
use crate::routing::Router;

/// The recipients of one destination, each with its place in the envelope.
type Part = (Destination, Vec<(usize, Recipient)>);

/// Hands mail that was stored under the URL of a next hop to the destinations that
/// its recipients have now, each by an attempt of its own, one after the other.
/// Mail that was rerouted goes where it was sent.
pub fn regrouped(next_hop: NextHop) -> NextHop {
    let router: Arc<dyn Router> = next_hop.router.into();
    NextHop {
        relay: Box::new(Regrouped {
            relay: next_hop.relay,
            router: router.clone(),
        }),
        router: Box::new(router),
    }
}

struct Regrouped {
    relay: Box<dyn Relay>,
    router: Arc<dyn Router>,
}

impl Regrouped {
    /// The parts of a message that is to part; none if it goes as it is.
    fn parts(&self, message: &StoredMessage) -> Vec<Part> {
        let (envelope, own) = (&message.envelope, message.destination.next_hop());
        let mut parts: Vec<Part> = Vec::new();
        // No domain has a colon but an address in brackets.
        let is_url = own.contains(':') && !own.starts_with('[');
        if envelope.next_hop.is_some() || !is_url {
            return parts;
        }
        for (place, recipient) in envelope.recipients.iter().enumerate() {
            let to = self.router.destination(envelope, recipient);
            let recipient = (place, recipient.clone());
            match parts.iter_mut().find(|(known, _)| *known == to) {
                Some((_, recipients)) => recipients.push(recipient),
                None => parts.push((to, vec![recipient])),
            }
        }
        match parts.as_slice() {
            [(to, _)] if to.as_str() == own => Vec::new(),
            _ => parts,
        }
    }
}

#[async_trait]
impl Relay for Regrouped {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let message = delivery.message.clone();
        let parts = self.parts(&message);
        if parts.is_empty() {
            return self.relay.attempt(delivery).await;
        }
        // What no part answers for is not known.
        let unknown = Response::transient(3, 0, "The relay gave no answer");
        let mut whole = Report::all(unknown, message.envelope.recipients.len());
        let count = parts.len();
        let mut kinds = Vec::with_capacity(count);
        for (to, recipients) in parts {
            let (places, recipients): (Vec<_>, Vec<_>) = recipients.into_iter().unzip();
            let part = Delivery {
                message: Arc::new(part_of(&message, to, recipients)),
                ..delivery.clone()
            };
            let report = self.relay.attempt(part).await;
            for (place, response) in places.into_iter().zip(report.responses) {
                if let Some(answer) = whole.responses.get_mut(place) {
                    *answer = response;
                }
            }
            whole.remote = report.remote.filter(|_| count == 1);
            kinds.push(report.on_success);
        }
        let alike = kinds.iter().all(|kind| kinds.first() == Some(kind));
        let first = kinds.into_iter().next().filter(|_| alike);
        whole.on_success = first.unwrap_or(OnSuccess::Relayed);
        whole
    }

    /// Recipients part only at the attempt: until then they are as one.
    async fn site(&self, destination: &Destination) -> Option<Arc<str>> {
        self.relay.site(destination).await
    }
}

fn part_of(message: &StoredMessage, to: Destination, recipients: Vec<Recipient>) -> StoredMessage {
    StoredMessage {
        destination: match message.destination.tenant() {
            Some(tenant) => to.of_tenant(&tenant),
            None => to,
        },
        envelope: Envelope {
            recipients,
            ..message.envelope.clone()
        },
        ..message.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Content, Message, ReversePath};
    use crate::queue::split;
    use crate::relay::LeaseSignal;
    use crate::routing::{ByDomain, Smarthost};
    use crate::world::{Timestamp, World};

    /// Says of each recipient where it was sent.
    struct Told;

    #[async_trait]
    impl Relay for Told {
        async fn attempt(&self, delivery: Delivery) -> Report {
            let message = &delivery.message;
            let recipients = message.envelope.recipients.iter();
            let told = recipients.map(|recipient| {
                let text = format!("{} by {}", recipient.address, message.destination);
                Response::success(0, 0, text)
            });
            Report {
                responses: told.collect(),
                remote: Some(message.destination.to_string()),
                on_success: OnSuccess::Relayed,
            }
        }
    }

    async fn told(stored_for: &str, router: impl Router) -> Vec<String> {
        let relay = regrouped(NextHop {
            relay: Box::new(Told),
            router: Box::new(router),
        });
        let to = ["a@one.example", "b@two.example", "c@one.example"];
        let to = to.map(|address| address.parse().unwrap());
        let message = Message::new(
            Default::default(),
            Envelope::new(ReversePath::Null, to),
            Content::new("x".to_owned()),
            Timestamp::EPOCH,
        );
        let world = World::simulated(Timestamp::EPOCH, 1);
        let submission = split(
            message,
            &Smarthost::new(stored_for),
            &world,
            Timestamp::EPOCH,
        );
        let submission = submission.unwrap();
        let report = relay.relay.attempt(Delivery {
            message: Arc::new(submission.messages[0].clone()),
            content: submission.content,
            now: Timestamp::EPOCH,
            lease: LeaseSignal::unleased(),
        });
        let report = report.await;
        report
            .responses
            .into_iter()
            .map(|response| response.text)
            .collect()
    }

    #[tokio::test]
    async fn recipients_part_when_their_smarthost_is_gone() {
        let by_domain = ByDomain {
            local_domain: "here.example".to_owned(),
        };
        for old in ["smtp://old.example:25", "lmtp:/run/dovecot/lmtp"] {
            let expected = [
                "a@one.example by one.example",
                "b@two.example by two.example",
                "c@one.example by one.example",
            ];
            assert_eq!(told(old, by_domain.clone()).await, expected);
        }
        let literal = told("[IPv6:2001:db8::1]", by_domain).await;
        assert_eq!(literal[0], "a@one.example by [IPv6:2001:db8::1]");
        let same = told(
            "smtp://old.example:25",
            Smarthost::new("smtp://old.example:25"),
        )
        .await;
        assert_eq!(same[1], "b@two.example by smtp://old.example:25");
    }
}
