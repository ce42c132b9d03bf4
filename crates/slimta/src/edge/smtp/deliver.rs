//! Hands a message that came in to the queue, and finds the reply.

use std::net::IpAddr;

use slimta_core::bus::BusError;
use slimta_smtp::server::Received;

use super::SmtpEdge;
use crate::message::{Message, Response};

impl SmtpEdge {
    /// What the client of address `ip` is told about its message. Takes no
    /// longer than the limit.
    pub(super) async fn deliver(&self, received: Received, ip: IpAddr) -> Response {
        let delivering = self.hand_on(received, ip);
        let limit = self.limits.store_time_max;
        match self.world.timeout(limit, delivering).await {
            Some(response) => response,
            None => {
                tracing::warn!(%ip, "the queue gave no answer in time");
                Response::transient(3, 2, "The queue is busy, try again later")
            }
        }
    }

    async fn hand_on(&self, received: Received, ip: IpAddr) -> Response {
        let mut client = received.client;
        client.ip = Some(ip);
        let (envelope, content) = (received.envelope, received.content);
        let message = Message {
            priority: received.priority,
            ..Message::new(client, envelope, content, self.world.now())
        };
        if let Err(response) = self.validate_message(&message).await {
            return response;
        }
        let messages = match self.policy.apply(message).await {
            Ok(messages) => messages,
            Err(response) => {
                tracing::info!(%ip, %response, "message refused by policy");
                return response;
            }
        };
        if messages.is_empty() {
            tracing::info!(%ip, "message dropped by policy");
            return Response::success(0, 0, "Message accepted");
        }
        match self.bus.send(messages).await {
            Ok(responses) => verdict(responses),
            Err(error) => {
                tracing::warn!(%ip, %error, "the queue gave no answer");
                failure(error)
            }
        }
    }
}

/// One reply for all parts of a message. If one of them is not stored the
/// client must come again, even if that brings others twice.
fn verdict(responses: Vec<Response>) -> Response {
    let failed = responses.iter().position(|response| !response.is_success());
    let told = responses.into_iter().nth(failed.unwrap_or(0));
    told.unwrap_or_else(|| Response::transient(3, 0, "Error in processing"))
}

/// Whatever is wrong with the queue, the client may come again.
fn failure(error: BusError) -> Response {
    match error {
        BusError::Closed => Response::transient(3, 2, "The queue is not there, try again later"),
        _ => Response::transient(3, 0, "Error in processing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
