//! Next hops that answer without end.

use std::io::Write;
use std::net::TcpStream;

use crate::hop::{Hop, LineEnds};
use crate::memory::stayed_below;
use crate::rig::{Store, text, until};
use crate::wire::Wire;

const MEMORY_MIB_MAX: u64 = 64;
/// More than any relay should read.
const ENOUGH_BYTES: usize = 256 << 20;

/// Says this again and again, until nobody listens any more.
fn endlessly(words: &str, stream: &mut TcpStream) {
    let block = words.repeat((64 << 10) / words.len());
    for _ in 0..ENOUGH_BYTES / block.len() {
        if stream.write_all(block.as_bytes()).is_err() {
            return;
        }
    }
    panic!("all of it was read");
}

fn answer(command: &str, stream: &mut TcpStream) -> bool {
    let Some(recipient) = command.strip_prefix("RCPT TO:<") else {
        return false;
    };
    match recipient.split('@').next().unwrap() {
        "lines" => endlessly("550-5.1.1 No, and no, and no\r\n", stream),
        "line" => endlessly("550 5.1.1 No and no and no and no ", stream),
        "blanks" => endlessly("\r\n\r\n\r\n\r\n", stream),
        "octets" => endlessly("\0", stream),
        "megabyte" => {
            let line = format!("550 5.1.1 {}\r\n", "x".repeat(1 << 20));
            // It need not be read to its end.
            let _ = stream.write_all(line.as_bytes());
        }
        "hundred" => {
            let lines = format!("550-5.1.1 {}\r\n", "x".repeat(4000)).repeat(99);
            let _ = stream.write_all(format!("{lines}550 5.1.1 End\r\n").as_bytes());
        }
        _ => return false,
    }
    true
}

#[test]
fn a_reply_without_end_is_a_failure_for_now_and_takes_no_memory() {
    let (hop, store) = (Hop::scripted(LineEnds::Strict, answer), Store::new());
    let server = store.serve(&["--relay", &hop.url(), "--retry", "1h..;until=1d"]);
    let mut client = Wire::greeted(server.address);
    let replies = [
        ("lines", "451 4.5.0 the reply has too many lines"),
        ("line", "451 4.5.0 a line of the reply is too long"),
        ("blanks", "451 4.5.0 not an SMTP reply"),
        ("octets", "451 4.5.0 a line of the reply is too long"),
        ("megabyte", "451 4.5.0 a line of the reply is too long"),
    ];
    let recipients = replies.iter().map(|(name, _)| *name);
    for name in recipients.chain(["honest"]) {
        client.ask("MAIL FROM:<>", "250 ");
        client.ask(&format!("RCPT TO:<{name}@{name}.example>"), "250 ");
        client.ask("DATA", "354 ");
        client.ask("Subject: x\r\n\r\nx\r\n.", "250 2.6.0 ");
    }
    until("the honest one", || (hop.taken().len() == 1).then_some(()));
    let list = store.until_list("the others, deferred", |list| {
        let deferred = list.iter().filter(|message| message["state"] == "deferred");
        (deferred.count() == replies.len()).then(|| list.to_vec())
    });
    for (message, (name, reply)) in list.iter().zip(replies) {
        let last = text(message, "last_response");
        assert!(last.starts_with(reply), "{name}: {last}");
    }
    stayed_below(&server, MEMORY_MIB_MAX);
}

/// As long as a reply may be: it is told, but not all of it.
#[test]
fn a_long_reply_is_cut_in_the_notice() {
    let (hop, store) = (Hop::scripted(LineEnds::Strict, answer), Store::new());
    let server = store.serve(&["--relay", &hop.url()]);
    let mut client = Wire::greeted(server.address);
    client.ask("MAIL FROM:<a@from.example>", "250 ");
    client.ask("RCPT TO:<hundred@to.example>", "250 ");
    client.ask("DATA", "354 ");
    client.ask("Subject: x\r\n\r\nx\r\n.", "250 2.6.0 ");
    let bounce = until("the bounce", || hop.taken().into_iter().next());
    assert!(bounce.envelope[1].starts_with("RCPT TO:<a@from.example>"));
    assert!(bounce.content().len() < 10_000, "{bounce:?}");
    assert!(bounce.lines.iter().all(|line| line.len() <= 998));
    stayed_below(&server, MEMORY_MIB_MAX);
}
