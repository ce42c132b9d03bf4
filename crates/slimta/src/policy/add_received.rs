//! Adds the trace of how a message came here (RFC 5321 section 4.4). Without
//! it a loop could not be found, so nothing a client says keeps it away.

use std::fmt::Write as _;
use std::net::IpAddr;

use async_trait::async_trait;

use super::{Policy, field, word};
use crate::message::{Client, Message, Priority, Response};

/// Puts a `Received` field on top (the original's `add_received_header`):
/// `from EHLO (host [ip]) by receiver (slimta VERSION) with PROTOCOL for
/// <recipient> PRIORITY number; date`, the number only for mail of a high or a low
/// priority (RFC 6710 section 7).
///
/// The recipient is named only if there is no other: a list would tell each of
/// them who else got a blind copy (RFC 5321 section 7.2).
#[derive(Clone, Debug)]
pub struct AddReceived {
    hostname: String,
}

impl AddReceived {
    /// Stamps of the host called `hostname`, where the edge does not say by
    /// which name it received the message.
    pub fn new(hostname: &str) -> Self {
        AddReceived {
            hostname: word(hostname),
        }
    }

    fn stamp(&self, message: &Message) -> String {
        let client = &message.client;
        let receiver = client.receiver.as_deref().map(word);
        let mut stamp = format!(
            "from {} by {} (slimta {})",
            origin(client),
            receiver.as_ref().unwrap_or(&self.hostname),
            env!("CARGO_PKG_VERSION"),
        );
        // Writing to a String does not fail.
        if !client.protocol.is_empty() {
            let _ = write!(stamp, " with {}", word(&client.protocol));
        }
        if let [only] = message.envelope.recipients.as_slice()
            && (message.envelope.smtputf8 || only.address.is_ascii())
        {
            let _ = write!(stamp, " for <{}>", only.address);
        }
        match message.priority {
            Priority::High => stamp += " PRIORITY 4",
            Priority::Normal => {}
            Priority::Low => stamp += " PRIORITY -4",
        }
        let _ = write!(stamp, "; {}", message.timestamp.rfc5322());
        stamp
    }
}

/// What the client called itself, and what is known of it.
fn origin(client: &Client) -> String {
    let name = |name: &Option<String>| match name.as_deref() {
        None | Some("") => "unknown".to_owned(),
        Some(name) => word(name),
    };
    let ehlo = name(&client.ehlo);
    match client.ip {
        Some(ip) => format!("{ehlo} ({} {})", name(&client.host), literal(ip)),
        None => ehlo,
    }
}

/// An address literal (RFC 5321 section 4.1.3).
fn literal(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

#[async_trait]
impl Policy for AddReceived {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        let received = field("Received", &self.stamp(&message))?;
        message.content.prepend(&received);
        Ok(vec![message])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{applied, message};
    use super::*;

    async fn stamped(client: Client, recipients: &[&str]) -> String {
        let mut message = message("A: 1\r\n\r\n", recipients);
        message.client = client;
        let text = applied(&AddReceived::new("mail.example.net"), message).await;
        let (stamp, rest) = text.split_once("\r\nA: 1\r\n").unwrap();
        assert_eq!(rest, "\r\n");
        assert!(stamp.split("\r\n").all(|line| line.len() <= 78), "{stamp}");
        let stamp = stamp.strip_prefix("Received: ").unwrap();
        let version = concat!("(slimta ", env!("CARGO_PKG_VERSION"), ")");
        stamp.replace("\r\n", "").replace(version, "(slimta)")
    }

    fn client() -> Client {
        Client {
            protocol: "ESMTPS".into(),
            ehlo: Some("client.example.com".into()),
            ip: Some("192.0.2.1".parse().unwrap()),
            ..Client::default()
        }
    }

    #[tokio::test]
    async fn one_recipient_is_named() {
        assert_eq!(
            stamped(client(), &["b@example.org"]).await,
            "from client.example.com (unknown [192.0.2.1]) by mail.example.net (slimta) \
             with ESMTPS for <b@example.org>; Tue, 24 Nov 2026 08:17:29 +0000"
        );
    }

    #[tokio::test]
    async fn of_several_none_is_named() {
        let client = Client {
            ip: Some("2001:db8::1".parse().unwrap()),
            host: Some("host.example.com".into()),
            receiver: Some("mx.example.net".into()),
            ..client()
        };
        assert_eq!(
            stamped(client, &["b@example.org", "c@example.org"]).await,
            "from client.example.com (host.example.com [IPv6:2001:db8::1]) by \
             mx.example.net (slimta) with ESMTPS; Tue, 24 Nov 2026 08:17:29 +0000"
        );
    }

    #[tokio::test]
    async fn a_client_can_neither_forge_nor_prevent_a_stamp() {
        let evil = Client {
            ehlo: Some("x (y [10.0.0.1])\r\nX-Evil: \u{e9}".into()),
            ..Client::default()
        };
        assert_eq!(
            stamped(evil, &[]).await,
            "from x??y?[10.0.0.1]???X-Evil:?? by mail.example.net (slimta); \
             Tue, 24 Nov 2026 08:17:29 +0000"
        );
    }

    #[tokio::test]
    async fn a_priority_that_somebody_asked_for_is_told() {
        for (priority, said) in [
            (Priority::High, " PRIORITY 4;"),
            (Priority::Normal, " for <b@example.org>;"),
            (Priority::Low, " PRIORITY -4;"),
        ] {
            let mut message = message("", &["b@example.org"]);
            message.priority = priority;
            let text = applied(&AddReceived::new("h"), message).await;
            let stamp = text.replace("\r\n", "");
            assert!(stamp.contains(said), "{stamp}");
        }
    }

    #[tokio::test]
    async fn an_endless_name_is_cut() {
        let mut message = message("", &[]);
        message.client.ehlo = Some("x".repeat(100_000));
        let text = applied(&AddReceived::new("h"), message).await;
        assert!(text.len() < 500);
    }
}
