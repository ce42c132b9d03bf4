//! The queue as Postfix's `mailq` and `postqueue` show it, which scripts read.

use jiff::tz::TimeZone;
use serde::Serialize;
use slimta_core::world::Timestamp;

use crate::admin::MessageView;
use crate::output::harmless;

/// An id, and the sign behind it.
const ID_COLUMNS: usize = 37;
/// Where a reason ends, if it is not longer.
const REASON_COLUMNS: usize = 76;
/// What stands for the null reverse-path.
const NULL_SENDER: &str = "MAILER-DAEMON";

/// The head of the list.
pub(super) const HEAD: &str =
    "-Queue ID-                            --Size-- ----Arrival Time---- -Sender/Recipient-------";

/// What there is instead of a list.
pub(super) const EMPTY: &str = "Mail queue is empty";

/// The line below all: how many bytes in how many messages.
pub(super) fn total(bytes: u64, messages: u64) -> String {
    let plural = if messages == 1 { "" } else { "s" };
    format!("-- {} Kbytes in {messages} Request{plural}.", bytes / 1024)
}

/// One message: a line, the reason why it waits, and its recipients. The time is
/// that of `zone`.
pub(super) fn entry(message: &MessageView, received: Timestamp, zone: &TimeZone) -> String {
    let mark = match message.state.as_str() {
        "active" => "*",
        "held" => "!",
        _ => "",
    };
    let mut text = format!(
        "{:<ID_COLUMNS$} {:>8} {:<20} {}",
        format!("{}{mark}", harmless(&message.id)),
        message.size,
        local(received, zone),
        harmless(sender(message)),
    );
    if let Some(reason) = reason(message) {
        let reason = format!("({reason})");
        // The brackets do not count.
        text += &format!("\n{reason:>width$}", width = REASON_COLUMNS + 2);
    }
    for recipient in &message.recipients {
        text += &format!(
            "\n{:<width$} {}",
            "",
            harmless(recipient),
            width = ID_COLUMNS + 30
        );
    }
    text
}

/// `Thu Nov 26 10:00:00`, as asctime(3) begins.
fn local(time: Timestamp, zone: &TimeZone) -> String {
    let time = jiff::Timestamp::from_millisecond(time.as_millis());
    let zoned = time
        .unwrap_or(jiff::Timestamp::MAX)
        .to_zoned_datetime(zone.clone());
    zoned.strftime("%a %b %e %H:%M:%S").to_string()
}

fn sender(message: &MessageView) -> &str {
    match message.sender.as_str() {
        "" => NULL_SENDER,
        sender => sender,
    }
}

/// What deferred it, else why it is held.
fn reason(message: &MessageView) -> Option<String> {
    let reason = message.last_response.as_ref();
    reason
        .or(message.hold_reason.as_ref())
        .map(|reason| harmless(reason))
}

/// A message as `postqueue -j` prints it.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    queue_name: &'static str,
    queue_id: &'a str,
    /// Seconds since the Unix epoch.
    arrival_time: i64,
    /// Bytes.
    message_size: u64,
    forced_expire: bool,
    sender: &'a str,
    recipients: Vec<Waiting<'a>>,
}

#[derive(Serialize)]
struct Waiting<'a> {
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_reason: Option<&'a str>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(message: &'a MessageView, received: Timestamp) -> Self {
        let delay_reason = message.last_response.as_deref();
        let waiting = |address: &'a String| Waiting {
            address,
            delay_reason,
        };
        Entry {
            queue_name: match message.state.as_str() {
                "active" => "active",
                "held" => "hold",
                _ => "deferred",
            },
            queue_id: &message.id,
            arrival_time: received.as_secs(),
            message_size: message.size,
            forced_expire: false,
            sender: sender(message),
            recipients: message.recipients.iter().map(waiting).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "018f3c5e-7a3b-7c11-9d2e-5b8a4f6c1d20";

    fn message() -> MessageView {
        let json = serde_json::json!({
            "id": ID, "submission": ID, "sender": "a@b", "recipients": ["c@d", "e@d"],
            "destination": "d", "size": 1234, "state": "deferred", "attempts": 1,
            "received_at": "2026-11-06T08:17:29.123Z", "next_attempt_at": null,
            "last_response": "450 4.2.0 Greylisted", "hold_reason": null,
            "locked_until": null, "client_ip": null,
        });
        serde_json::from_value(json).unwrap()
    }

    fn shown(message: &MessageView) -> String {
        let received = message.received_at.parse().unwrap();
        entry(message, received, &TimeZone::UTC)
    }

    #[test]
    fn a_message_is_shown_as_by_postfix() {
        let (reason, indent) = ("(450 4.2.0 Greylisted)", " ".repeat(68));
        let expected = [
            format!("{ID}      1234 Fri Nov  6 08:17:29  a@b"),
            format!("{reason:>78}"),
            format!("{indent}c@d"),
            format!("{indent}e@d"),
        ];
        assert_eq!(shown(&message()), expected.join("\n"));
        let mut held = message();
        held.state = "held".to_owned();
        held.sender.clear();
        held.last_response = None;
        held.hold_reason = Some("odd\n\u{1b}".to_owned());
        let shown = shown(&held);
        assert!(shown.starts_with(&format!("{ID}!     1234 ")), "{shown}");
        assert!(shown.contains(" MAILER-DAEMON\n"), "{shown}");
        assert!(shown.contains(" (odd??)\n"), "{shown}");
    }

    #[test]
    fn head_and_total_are_those_of_postfix() {
        assert!(HEAD.starts_with("-Queue ID-  "));
        assert!(HEAD.ends_with(" --Size-- ----Arrival Time---- -Sender/Recipient-------"));
        let column = |line: &str, word: &str| line.find(word).unwrap();
        let line = shown(&message());
        assert_eq!(column(HEAD, "-Sender"), column(&line, "a@b"));
        assert_eq!(total(1023, 1), "-- 0 Kbytes in 1 Request.");
        assert_eq!(total(2048, 2), "-- 2 Kbytes in 2 Requests.");
    }

    #[test]
    fn json_has_the_keys_of_postfix() {
        let message = message();
        let received = message.received_at.parse().unwrap();
        let entry = serde_json::to_value(Entry::new(&message, received)).unwrap();
        let reason = "450 4.2.0 Greylisted";
        let expected = serde_json::json!({
            "queue_name": "deferred", "queue_id": ID, "arrival_time": 1_793_953_049,
            "message_size": 1234, "forced_expire": false, "sender": "a@b",
            "recipients": [
                { "address": "c@d", "delay_reason": reason },
                { "address": "e@d", "delay_reason": reason },
            ],
        });
        assert_eq!(entry, expected);
    }
}
