//! Bounces: what the sender of a failed message is told.
//!
//! A bounce is a pure function of the [`Failure`]: the same failure gives the
//! same bytes, so that a notice whose storing was cut short can be built again.
//! Nothing that a peer said can forge a header field or a part of it.

use super::clean::Charset;
use super::dsn::{self, Tells};
use super::returned::Returned;
use super::template::{Template, variable};
use super::{
    Address, BodyType, Client, Content, Envelope, Message, MessageId, NewField, OnSuccess,
    Recipient, Response, ReversePath,
};
use crate::world::Timestamp;

/// How much of a failed message is sent back unless told otherwise. Longer
/// ones come back as their header.
const RETURNED_BYTES_MAX: usize = 64 * 1024;

/// Builds the notice of a failure: the seed's `set_bounce_builder`.
pub trait BounceBuilder: Send + Sync {
    /// The notice, from the null reverse-path; none when nobody wants one.
    fn build(&self, failure: &Failure<'_>) -> Option<Message>;

    /// The notice that a message is late: that of its recipients all those in
    /// [`Failure::failed`] failed for now, and are tried again, if it is known
    /// how long, until `until`. Default: none.
    fn build_delay(&self, _delay: &Failure<'_>, _until: Option<Timestamp>) -> Option<Message> {
        None
    }

    /// The notice that all recipients in [`Failure::failed`] have the message,
    /// or that it was relayed to a host that does not tell; each with the reply
    /// that took it. Only who asked for it is told. Default: none.
    fn build_success(&self, _success: &Failure<'_>, _how: OnSuccess) -> Option<Message> {
        None
    }
}

/// What failed for good, for now, or not at all, for a [`BounceBuilder`].
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The failed message.
    pub id: MessageId,
    /// Who handed it in.
    pub client: &'a Client,
    /// Its envelope, with all recipients that still waited.
    pub envelope: &'a Envelope,
    /// Its contents.
    pub content: &'a Content,
    /// When it was received.
    pub received: Timestamp,
    /// The recipients that failed, each with the last response for it.
    pub failed: &'a [(Recipient, Response)],
    /// The next hop that said so, if one did.
    pub remote: Option<&'a str>,
    /// The name of this host.
    pub reporting: &'a str,
    /// When it failed.
    pub now: Timestamp,
}

/// Builds bounces as the seed says: from the null reverse-path, with the
/// client of the original. What they say is the report of RFC 3464, unless
/// there are templates.
#[derive(Clone, Debug)]
pub struct Bounce {
    sender: ReversePath,
    client: Option<Client>,
    templates: Option<(Template, Template)>,
    returned_bytes_max: usize,
}

impl Default for Bounce {
    fn default() -> Self {
        Bounce {
            sender: ReversePath::Null,
            client: None,
            templates: None,
            returned_bytes_max: RETURNED_BYTES_MAX,
        }
    }
}

impl Bounce {
    /// Sends bounces from another reverse-path than the null one. Who does so
    /// takes the notices about notices.
    #[must_use]
    pub fn with_sender(mut self, sender: ReversePath) -> Self {
        self.sender = sender;
        self
    }

    /// Gives bounces a client of their own in place of the original's.
    #[must_use]
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Writes bounces as header template, original contents, footer template
    /// (the original's `header_tmpl` and `footer_tmpl`). Line ends become CRLF.
    ///
    /// `$(boundary)`, `$(sender)`, `$(client_name)`, `$(client_ip)`,
    /// `$(dest_host)`, `$(dest_port)`, `$(protocol)`, `$(code)` and `$(message)`
    /// stand for what they name, or for `unknown`; code and message are those of
    /// the first recipient that failed. Other names are left as written. Date,
    /// Message-ID and Auto-Submitted are added if the template has none.
    #[must_use]
    pub fn with_templates(mut self, header: &str, footer: &str) -> Self {
        self.templates = Some((Template::new(header), Template::new(footer)));
        self
    }

    /// Sends back at most this much of a failed message, whatever its sender
    /// asked for: longer ones come back as their header.
    #[must_use]
    pub fn with_returned_bytes_max(mut self, bytes: usize) -> Self {
        self.returned_bytes_max = bytes;
        self
    }
}

impl BounceBuilder for Bounce {
    fn build(&self, failure: &Failure<'_>) -> Option<Message> {
        self.notice(failure, Tells::Failure)
    }

    fn build_delay(&self, delay: &Failure<'_>, until: Option<Timestamp>) -> Option<Message> {
        self.notice(delay, Tells::Delay { until })
    }

    fn build_success(&self, success: &Failure<'_>, how: OnSuccess) -> Option<Message> {
        self.notice(success, Tells::Success(how))
    }
}

impl Bounce {
    /// The notice, unless nobody wants it or it is about a notice.
    fn notice(&self, failure: &Failure<'_>, tells: Tells) -> Option<Message> {
        let ReversePath::Mailbox(to) = &failure.envelope.sender else {
            return None;
        };
        let reported: Vec<_> = failure
            .failed
            .iter()
            .filter(|(recipient, _)| tells.is_wanted(recipient))
            .collect();
        let (_, first_response) = reported.first()?;
        // A bounce that came back to the reverse-path it was sent from, too,
        // must not start again.
        if is_notice(failure.content) || self.sender.as_str() == to.as_str() {
            return None;
        }
        let returned = match tells {
            Tells::Failure => Returned::of(failure, self.returned_bytes_max),
            Tells::Delay { .. } | Tells::Success(_) => {
                Returned::header_of(failure, self.returned_bytes_max)
            }
        };
        let content = match (&self.templates, tells) {
            (Some(templates), Tells::Failure) => {
                from_templates(templates, failure, first_response, &returned)
            }
            _ => dsn::report(failure, tells, to, &reported, &returned),
        };
        Some(Message::new(
            self.client
                .clone()
                .unwrap_or_else(|| failure.client.clone()),
            Envelope {
                // What it tells of is as secret as the message.
                require_tls: failure.envelope.require_tls,
                ..self.envelope(to, &content)
            },
            content,
            failure.now,
        ))
    }

    fn envelope(&self, to: &Address, content: &Content) -> Envelope {
        let mut envelope = Envelope::new(self.sender.clone(), [to.clone()]);
        // The body of a report may hold UTF-8 without SMTPUTF8, as a part of
        // its own; addresses and header may not.
        envelope.smtputf8 = !to.is_ascii()
            || !self.sender.as_str().is_ascii()
            || !content.header_bytes().is_ascii();
        if envelope.smtputf8 || !content.body_bytes().is_ascii() {
            envelope.body = BodyType::EightBitMime;
        }
        envelope
    }
}

/// Whether the failed message is itself a report, which might otherwise go
/// back and forth for ever (RFC 5321 section 6.1, RFC 3834 section 2).
fn is_notice(content: &Content) -> bool {
    let automatic = content
        .field("Auto-Submitted")
        .is_some_and(|field| !field.value().eq_ignore_ascii_case("no"));
    automatic
        && content.field("Content-Type").is_some_and(|field| {
            let value = field.value().to_ascii_lowercase();
            value.starts_with("multipart/report")
        })
}

/// Header template, what is returned, footer template.
fn from_templates(
    (header, footer): &(Template, Template),
    failure: &Failure<'_>,
    response: &Response,
    returned: &Returned,
) -> Content {
    let charset = if failure.envelope.smtputf8 {
        Charset::Utf8
    } else {
        Charset::Ascii
    };
    let boundary = dsn::boundary(failure.id, &[&returned.bytes]);
    let value = |name: &str| variable(name, failure, response, &boundary, charset);
    let mut bytes = header.expand(value).into_bytes();
    bytes.extend_from_slice(&returned.bytes);
    bytes.extend_from_slice(footer.expand(value).as_bytes());
    let mut content = Content::new(bytes);
    for (name, value) in [
        ("Date", failure.now.rfc5322()),
        ("Message-ID", dsn::message_id(failure, Tells::Failure)),
        ("Auto-Submitted", "auto-replied".to_owned()),
    ] {
        if content.field(name).is_some() {
            continue;
        }
        // These values hold nothing that a field could not.
        if let Ok(field) = NewField::new(name, &value) {
            content.append(&field);
        }
    }
    content
}

#[cfg(test)]
#[path = "bounce_tests.rs"]
mod tests;
