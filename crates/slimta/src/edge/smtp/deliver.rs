//! Hands a message that came in to the queue, and finds the reply.

use std::net::IpAddr;

use slimta_core::bus::BusError;
use slimta_smtp::server::{Received, Role};

use super::SmtpEdge;
use super::answers::{Parts, addresses, verdict};
use crate::message::{Message, Response};

impl SmtpEdge {
    /// What the client of address `ip` is told about its message: one response
    /// for all of it, or by LMTP one for each recipient. Takes no longer than the
    /// limit.
    pub(super) async fn deliver(&self, received: Received, ip: IpAddr) -> Vec<Response> {
        let delivering = self.hand_on(received, ip);
        let limit = self.limits.store_time_max;
        match self.world.timeout(limit, delivering).await {
            Some(responses) => responses,
            None => {
                tracing::warn!(%ip, "the queue gave no answer in time");
                vec![Response::transient(
                    3,
                    2,
                    "The queue is busy, try again later",
                )]
            }
        }
    }

    async fn hand_on(&self, received: Received, ip: IpAddr) -> Vec<Response> {
        let mut client = received.client;
        client.ip = Some(ip);
        let (envelope, content) = (received.envelope, received.content);
        let named = (self.role == Role::Lmtp).then(|| addresses(&envelope.recipients));
        let message = Message {
            priority: received.priority,
            ..Message::new(client, envelope, content, self.world.now())
        };
        if let Err(response) = self.validate_message(&message).await {
            return vec![response];
        }
        let messages = match self.policy.apply(message).await {
            Ok(messages) => messages,
            Err(response) => {
                tracing::info!(%ip, %response, "message refused by policy");
                return vec![response];
            }
        };
        if messages.is_empty() {
            tracing::info!(%ip, "message dropped by policy");
            return vec![Response::success(0, 0, "Message accepted")];
        }
        let parts = named.map(|named| Parts::find(&named, &messages));
        match self.bus.send(messages).await {
            Ok(responses) => match parts {
                Some(parts) => parts.answers(responses),
                None => vec![verdict(responses)],
            },
            Err(error) => {
                tracing::warn!(%ip, %error, "the queue gave no answer");
                vec![failure(error)]
            }
        }
    }
}

/// Whatever is wrong with the queue, the client may come again.
fn failure(error: BusError) -> Response {
    match error {
        BusError::Closed => Response::transient(3, 2, "The queue is not there, try again later"),
        _ => Response::transient(3, 0, "Error in processing"),
    }
}
