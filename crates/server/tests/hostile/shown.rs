//! What next hops and operators say, wherever it is shown: it starts no line
//! and no field of a notice or of the log.

use std::io::Write;

use serde_json::Value;

use crate::hop::{Hop, LineEnds, Taken};
use crate::rig::{Store, text, until};
use crate::wire::Wire;

/// What a next hop says of a recipient: ends of lines and fields, escape
/// sequences, what turns the reading direction.
const REFUSAL: &[u8] = b"550-5.1.1 one\rX-Evil: cr\x1b[2J\x1b]0;title\x07\x7f\0\tFinal-Recipient: x\r\n\
    550-5.1.1 \xe2\x80\xaetwo\xe2\x80\xa8X-Evil: ls \xc2\x9b2J\xc2\x85X-Evil: nel\xe2\x81\xa6 \xff\r\n\
    550-Status: 2.0.0\r\n\
    550 5.1.1 recipient=evil@example \"evil=1\" evil=2, 00:00:00 INFO evil\r\n";
const SENDER: &str = "s\u{202e}r@from.example";
const RECIPIENT: &str = "r\u{202e}t@to.example";
const REASON: &str =
    "no\r\nX-Evil: reason\u{1b}[2J\u{7f}\u{9b}\u{202e} \"evil=3\" evil=4\n2026 INFO evil";

/// What steers a terminal or reorders what is read on it.
pub(crate) fn steers(c: char) -> bool {
    let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\t') || reorders || matches!(c, '\u{2028}' | '\u{2029}')
}

/// No line of it can do harm.
#[track_caller]
pub(crate) fn is_harmless(lines: &str) {
    for line in lines.lines() {
        assert!(!line.contains(steers), "{line:?}");
    }
}

fn refusing(command: &str, stream: &mut std::net::TcpStream) -> bool {
    let is_refused = command.starts_with("RCPT TO:<r");
    if is_refused {
        stream.write_all(REFUSAL).unwrap();
    }
    is_refused
}

/// Hands a message in for [`RECIPIENT`].
pub(crate) fn submit(client: &mut Wire) {
    client.ask(
        &format!("MAIL FROM:<{SENDER}> SMTPUTF8 ENVID=\\x{{202E}}id"),
        "250 ",
    );
    client.ask(
        &format!("RCPT TO:<{RECIPIENT}> ORCPT=utf-8;o\u{202e}t@to.example"),
        "250 ",
    );
    client.ask("DATA", "354 ");
    client.ask("Subject: x\r\n\r\nx\r\n.", "250 2.6.0 ");
}

#[test]
fn a_refusal_starts_no_field_of_the_notice() {
    let (hop, store) = (Hop::scripted(LineEnds::Lenient, refusing), Store::new());
    let server = store.serve(&["--relay", &hop.url()]);
    submit(&mut Wire::greeted(server.address));
    let notice = until("the notice", || hop.taken().into_iter().next());
    assert_eq!(notice.envelope.len(), 2, "{notice:?}");
    notice_is_sound(&notice);
}

#[test]
fn the_reason_of_an_operator_starts_no_field_of_the_notice() {
    let (hop, store) = (Hop::scripted(LineEnds::Lenient, refusing), Store::new());
    let server = store.serve(&["--relay", "none"]);
    submit(&mut Wire::greeted(server.address));
    store.queue_ok(&["bounce", "--all", "--reason", REASON]);
    server.stop();
    let _server = store.serve(&["--relay", &hop.url()]);
    let notice = until("the notice", || hop.taken().into_iter().next());
    notice_is_sound(&notice);
}

#[track_caller]
fn notice_is_sound(notice: &Taken) {
    let content = String::from_utf8(notice.content()).unwrap();
    // Addresses stand as they are.
    let shown = content.replace(SENDER, "").replace(RECIPIENT, "");
    is_harmless(&shown);
    assert!(!content.contains("\r\nX-Evil"), "{content}");
    let fields = |name: &str| {
        let begins = |line: &&str| line.starts_with(name);
        content.lines().filter(begins).count()
    };
    for name in ["Final-Recipient:", "Status:", "Diagnostic-Code:", "Action:"] {
        assert_eq!(fields(name), 1, "{name} {content}");
    }
}

/// A server whose next hop refuses, and an operator who says odd things.
fn log(format: &str) -> String {
    let (hop, store) = (Hop::scripted(LineEnds::Strict, refusing), Store::new());
    let options = ["--log-format", format, "--log-level", "debug", "--relay"];
    let server = store.serve(&[&options[..], &[&hop.url()]].concat());
    submit(&mut Wire::greeted(server.address));
    until("the notice", || hop.taken().into_iter().next());
    server.stop();
    let server = store.serve(&[&options[..], &["none"]].concat());
    submit(&mut Wire::greeted(server.address));
    store.queue_ok(&["hold", "--all", "--reason", REASON]);
    store.queue_ok(&["bounce", "--all", "--reason", REASON]);
    server.stop();
    store.logged()
}

#[test]
fn no_line_and_no_field_of_the_log_is_forged() {
    let log = log("human");
    is_harmless(&log);
    assert!(log.contains("evil=4"), "{log}");
    for line in log.lines() {
        let time = line.split('T').next().unwrap();
        assert!(time.len() == 10 && time.starts_with("20"), "{line}");
        assert!(!unquoted(line).contains("evil"), "{line}");
    }
}

/// A line without the values that stand in quotes.
fn unquoted(line: &str) -> String {
    let (mut bare, mut is_quoted, mut is_escaped) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            c if !is_quoted => bare.push(c),
            _ => {}
        }
    }
    assert!(!is_quoted, "{line}");
    bare
}

#[test]
fn no_line_and_no_field_of_the_json_log_is_forged() {
    let log = log("json");
    is_harmless(&log);
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["evil"].is_null() && event["timestamp"].is_string());
    }
    let said = |field: &str| {
        let events = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        events
            .filter_map(|event| event[field].as_str().map(str::to_owned))
            .next_back()
    };
    // What was said is told as it was.
    assert_eq!(said("reason").as_deref(), Some(REASON));
}

/// Deferred, so that the reply stays in the store.
#[test]
fn a_reply_is_kept_as_one_line() {
    let deferring = |command: &str, stream: &mut std::net::TcpStream| {
        let is_asked = command.starts_with("RCPT");
        if is_asked {
            stream.write_all(&for_now(REFUSAL)).unwrap();
        }
        is_asked
    };
    let (hop, store) = (Hop::scripted(LineEnds::Strict, deferring), Store::new());
    let server = store.serve(&["--relay", &hop.url(), "--retry", "1h..;until=1d"]);
    submit(&mut Wire::greeted(server.address));
    let message = store.until_list("a deferred message", |list| match list {
        [message] if message["attempts"] == 1 => Some(message.clone()),
        _ => None,
    });
    let last = text(&message, "last_response");
    assert!(!last.contains(char::is_control), "{last:?}");
    assert!(last.starts_with("450 4.1.1 one X-Evil: cr"), "{last:?}");
}

/// The same refusal with other codes.
fn for_now(refusal: &[u8]) -> Vec<u8> {
    let lines = refusal.split_inclusive(|b| *b == b'\n');
    let deferred = |line: &[u8]| {
        let (sign, text) = (&line[3..4], &line[4..]);
        let text = match text.strip_prefix(b"5.") {
            Some(rest) => [b"4.", rest].concat(),
            None => text.to_vec(),
        };
        [b"450", sign, &text].concat()
    };
    lines.flat_map(deferred).collect()
}
