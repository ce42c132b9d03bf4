//! The report that a message could not be delivered, not yet, or that it was: a
//! `multipart/report` (RFC 6522) of three parts, one for people, one for
//! programs (RFC 3464), and the message or its header. Where an address or the
//! message is internationalised, its parts take the forms of RFC 6533.

use std::fmt::Write as _;

use super::bounce::Failure;
use super::clean::{Charset, clean};
use super::header::fold;
use super::returned::Returned;
use super::tls_required::TLS_REQUIRED;
use super::{
    Address, ByMode, Class, Content, EnhancedCode, MessageId, Notify, OnSuccess, Recipient,
    Response, Ret,
};
use crate::world::Timestamp;

/// Longest reply that is quoted; a peer may send a hundred lines.
const REPLY_BYTES_MAX: usize = 2000;
/// Longest of the names and addresses that are quoted.
const NAME_BYTES_MAX: usize = 800;

/// What a report tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tells {
    /// That recipients failed for good.
    Failure,
    /// That recipients still wait, until a time if it is known.
    Delay { until: Option<Timestamp> },
    /// That recipients have the message, or that it was relayed.
    Success(OnSuccess),
}

impl Tells {
    /// Whether the sender wants to be told this of a recipient.
    pub(super) fn is_wanted(self, recipient: &Recipient) -> bool {
        match self {
            Tells::Failure => recipient.wants_failure_notice(),
            Tells::Delay { .. } => recipient.wants_delay_notice(),
            Tells::Success(OnSuccess::Traced) => recipient.notify != Some(Notify::NEVER),
            Tells::Success(_) => recipient.wants_success_notice(),
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Tells::Failure => "Undelivered Mail Returned to Sender",
            Tells::Delay { .. } => "Delayed Mail (still being tried)",
            Tells::Success(OnSuccess::Delivered) => "Successful Mail Delivery Report",
            Tells::Success(_) => "Mail Relayed",
        }
    }

    /// What the third part is called.
    fn original(self) -> &'static str {
        match self {
            Tells::Failure | Tells::Delay { .. } => "Undelivered message",
            Tells::Success(_) => "Message",
        }
    }

    /// The value of Action (RFC 3464 section 2.3.3).
    fn action(self) -> &'static str {
        match self {
            Tells::Failure => "failed",
            Tells::Delay { .. } => "delayed",
            Tells::Success(OnSuccess::Delivered) => "delivered",
            Tells::Success(_) => "relayed",
        }
    }
}

/// Builds the report about the `reported` recipients.
pub(super) fn report(
    failure: &Failure<'_>,
    tells: Tells,
    to: &Address,
    reported: &[&(Recipient, Response)],
    returned: &Returned,
) -> Content {
    let charset = charset(failure, to, reported);
    let explanation = explanation(failure, tells, reported, charset);
    let status = status(failure, tells, reported, charset);
    let boundary = boundary(
        failure.id,
        &[explanation.as_bytes(), status.as_bytes(), &returned.bytes],
    );
    let mut body =
        Vec::with_capacity(explanation.len() + status.len() + returned.bytes.len() + 800);
    body.extend_from_slice(b"This is a MIME-encapsulated message.\r\n");
    let text = match charset {
        Charset::Ascii => "text/plain; charset=us-ascii",
        Charset::Utf8 => "text/plain; charset=utf-8",
    };
    let fields = match charset {
        Charset::Ascii => "message/delivery-status",
        Charset::Utf8 => "message/global-delivery-status",
    };
    let original = match (returned.extent, charset) {
        (Ret::Full, Charset::Ascii) => "message/rfc822",
        (Ret::Headers, Charset::Ascii) => "text/rfc822-headers",
        (Ret::Full, Charset::Utf8) => "message/global",
        (Ret::Headers, Charset::Utf8) => "message/global-headers",
    };
    part(
        &mut body,
        &boundary,
        "Notification",
        text,
        explanation.as_bytes(),
    );
    part(
        &mut body,
        &boundary,
        "Delivery report",
        fields,
        status.as_bytes(),
    );
    part(
        &mut body,
        &boundary,
        tells.original(),
        original,
        &returned.bytes,
    );
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let header = header(failure, tells, to, &boundary, encoding(&body));
    Content::from_parts(header, body)
}

/// Whether the report must be able to say what ASCII cannot.
fn charset(failure: &Failure<'_>, to: &Address, reported: &[&(Recipient, Response)]) -> Charset {
    let international = failure.envelope.smtputf8
        || !to.is_ascii()
        || reported.iter().any(|(recipient, _)| {
            let original = recipient.original.as_ref();
            !recipient.address.is_ascii() || original.is_some_and(|o| !o.address.is_ascii())
        });
    if international {
        Charset::Utf8
    } else {
        Charset::Ascii
    }
}

/// The header of the report, with the empty line behind it.
fn header(
    failure: &Failure<'_>,
    tells: Tells,
    to: &Address,
    boundary: &str,
    encoding: &str,
) -> String {
    let host = host(failure);
    let mut header = String::with_capacity(600);
    field(&mut header, "Date", &failure.now.rfc5322());
    field(
        &mut header,
        "From",
        &format!("Mail Delivery System <MAILER-DAEMON@{host}>"),
    );
    field(&mut header, "To", &format!("<{to}>"));
    field(&mut header, "Subject", tells.subject());
    field(&mut header, "Message-ID", &message_id(failure, tells));
    field(&mut header, "Auto-Submitted", "auto-replied");
    if !failure.envelope.require_tls && failure.content.is_tls_optional() {
        field(&mut header, TLS_REQUIRED, "No");
    }
    field(&mut header, "MIME-Version", "1.0");
    field(
        &mut header,
        "Content-Type",
        &format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\""),
    );
    field(&mut header, "Content-Transfer-Encoding", encoding);
    header.push_str("\r\n");
    header
}

/// What people read.
fn explanation(
    failure: &Failure<'_>,
    tells: Tells,
    reported: &[&(Recipient, Response)],
    charset: Charset,
) -> String {
    let mut text = format!("This is the mail system at host {}.\r\n\r\n", host(failure));
    text.push_str(match tells {
        Tells::Failure => {
            "Your message could not be delivered to one or more recipients. They are\r\n\
             listed below, each with the reason. No further attempt will be made.\r\n\
             The message, or its header, is attached.\r\n"
        }
        Tells::Delay { .. } => {
            "Your message could not yet be delivered to one or more recipients. They\r\n\
             are listed below, each with the last reason. You need not send it again:\r\n\
             this system goes on trying. The header of the message is attached.\r\n"
        }
        Tells::Success(OnSuccess::Delivered) => {
            "Your message was delivered to the recipients listed below.\r\n\
             The header of the message is attached.\r\n"
        }
        Tells::Success(_) => {
            "Your message was relayed to a system that does not report delivery, for\r\n\
             the recipients listed below. You may hear nothing more of it.\r\n\
             The header of the message is attached.\r\n"
        }
    });
    if let Tells::Delay { until: Some(until) } = tells {
        let line = format!(
            "If it is not delivered by {}, you are told.\r\n",
            until.rfc5322()
        );
        text.push_str(&line);
    }
    for (recipient, response) in reported {
        let reply = clean(&response.to_string(), charset, REPLY_BYTES_MAX);
        let line = match failure.remote {
            Some(remote) => {
                let remote = clean(remote, charset, NAME_BYTES_MAX);
                format!("<{}>: host {remote} said: {reply}", recipient.address)
            }
            None => format!("<{}>: {reply}", recipient.address),
        };
        text.push_str("\r\n");
        text.push_str(&fold(&line));
        text.push_str("\r\n");
    }
    text
}

/// What programs read: a block about the message, and one for each recipient
/// (RFC 3464 section 2.1).
fn status(
    failure: &Failure<'_>,
    tells: Tells,
    reported: &[&(Recipient, Response)],
    charset: Charset,
) -> String {
    let mut status = String::with_capacity(200 + 400 * reported.len());
    field(
        &mut status,
        "Reporting-MTA",
        &format!("dns; {}", host(failure)),
    );
    if let Some(envid) = &failure.envelope.envid {
        let envid = clean(envid, charset, NAME_BYTES_MAX);
        field(&mut status, "Original-Envelope-Id", &envid);
    }
    field(&mut status, "Arrival-Date", &failure.received.rfc5322());
    if let Some(by) = failure.envelope.deliver_by {
        field(&mut status, "Deliver-By-Date", &by.by.rfc5322());
    }
    if let Some(release) = failure.envelope.release {
        field(&mut status, "Future-Release-Request", &release.to_string());
    }
    for (recipient, response) in reported {
        status.push_str("\r\n");
        recipient_block(&mut status, failure, tells, (recipient, response), charset);
    }
    status
}

/// What happened to one recipient (RFC 3464 section 2.3).
fn recipient_block(
    status: &mut String,
    failure: &Failure<'_>,
    tells: Tells,
    (recipient, response): (&Recipient, &Response),
    charset: Charset,
) {
    if let Some(original) = &recipient.original {
        let kind = clean(&original.kind, Charset::Ascii, NAME_BYTES_MAX);
        let address = clean(&original.address, charset, NAME_BYTES_MAX);
        field(status, "Original-Recipient", &format!("{kind}; {address}"));
    }
    let kind = if recipient.address.is_ascii() {
        "rfc822"
    } else {
        "utf-8"
    };
    let address = &recipient.address;
    field(status, "Final-Recipient", &format!("{kind}; {address}"));
    field(status, "Action", tells.action());
    let code = match tells {
        // The time that its sender gave it is over (RFC 2852 section 4.1).
        Tells::Delay { .. } if is_late_by(failure) => EnhancedCode::new(4, 4, 7),
        _ => status_code(tells, response),
    };
    field(status, "Status", &code.to_string());
    if let Some(remote) = failure.remote {
        let remote = clean(remote, charset, NAME_BYTES_MAX);
        field(status, "Remote-MTA", &format!("dns; {remote}"));
    }
    let reply = clean(&response.to_string(), charset, REPLY_BYTES_MAX);
    field(status, "Diagnostic-Code", &format!("smtp; {reply}"));
    field(status, "Last-Attempt-Date", &failure.now.rfc5322());
    if let Tells::Delay { until: Some(until) } = tells {
        field(status, "Will-Retry-Until", &until.rfc5322());
    }
}

/// Whether its sender is told because the time is over that it named.
fn is_late_by(failure: &Failure<'_>) -> bool {
    let by = failure.envelope.deliver_by;
    by.is_some_and(|by| by.mode == ByMode::Notify && by.is_over(failure.now))
}

/// The status of a recipient that failed. A reply that said "for now" until the
/// queue gave up is a delivery time that ran out (RFC 3463 section 3.5), whose
/// class stays that of the reply. Of all others, the reply says why.
fn status_code(tells: Tells, response: &Response) -> EnhancedCode {
    let class = match tells {
        Tells::Failure => 5,
        Tells::Delay { .. } => 4,
        Tells::Success(_) => 2,
    };
    match (response.class(), response.enhanced) {
        (_, Some(enhanced)) if tells != Tells::Failure && enhanced.class == class => enhanced,
        _ if tells != Tells::Failure => EnhancedCode::new(class, 0, 0),
        (Class::Transient, _) => EnhancedCode::new(4, 4, 7),
        (Class::Permanent, Some(enhanced)) if enhanced.class == 5 => enhanced,
        _ => EnhancedCode::new(5, 0, 0),
    }
}

/// The name of this host, as it may stand in an address.
fn host<'a>(failure: &Failure<'a>) -> &'a str {
    let valid = failure.reporting.is_ascii()
        && Address::parse(&format!("MAILER-DAEMON@{}", failure.reporting)).is_ok();
    if valid {
        failure.reporting
    } else {
        "localhost"
    }
}

/// Made from what it reports, so that the same failure gives the same notice.
pub(super) fn message_id(failure: &Failure<'_>, tells: Tells) -> String {
    let (id, now) = (failure.id, failure.now.as_millis());
    let kind = match tells {
        Tells::Failure => "bounce",
        Tells::Delay { .. } => "delay",
        Tells::Success(_) => "success",
    };
    format!("<{kind}.{id}.{now}@{}>", host(failure))
}

/// A boundary that occurs in none of `parts`. Ids are random, so that the first
/// one nearly always does not.
pub(super) fn boundary(id: MessageId, parts: &[&[u8]]) -> String {
    let mut number = 0_u64;
    loop {
        // Neither base64 nor quoted-printable text ever holds `=_`.
        let boundary = format!("=_{id}.{number}");
        let finder = memchr::memmem::Finder::new(&boundary);
        if parts.iter().all(|part| finder.find(part).is_none()) {
            return boundary;
        }
        number += 1;
    }
}

/// Adds a part behind the others.
fn part(body: &mut Vec<u8>, boundary: &str, description: &str, kind: &str, bytes: &[u8]) {
    let mut head = format!("\r\n--{boundary}\r\n");
    field(&mut head, "Content-Description", description);
    field(&mut head, "Content-Type", kind);
    field(&mut head, "Content-Transfer-Encoding", encoding(bytes));
    head.push_str("\r\n");
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
}

fn encoding(bytes: &[u8]) -> &'static str {
    if bytes.is_ascii() { "7bit" } else { "8bit" }
}

/// Writes a folded field.
fn field(out: &mut String, name: &str, value: &str) {
    // Writing to a String does not fail.
    let _ = write!(out, "{}\r\n", fold(&format!("{name}: {value}")));
}
