//! Lines that are too long: of commands, and of messages.

use crate::hop::{Hop, LineEnds};
use crate::memory::stayed_below;
use crate::rig::{Store, until};
use crate::wire::Wire;

const TOO_LONG: &str = "500 5.5.2 Line too long\r\n";
const ENVELOPE: &str = "MAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\n";
/// Whatever is sent: lines are dropped as they come.
const MEMORY_MIB_MAX: u64 = 64;

#[test]
fn command_lines_are_taken_up_to_their_limit() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let mut client = Wire::greeted(server.address);
    for (bytes, reply) in [
        (2047, "250 "),
        (2048, "250 "),
        (2049, TOO_LONG),
        (4096, TOO_LONG),
    ] {
        let line = format!("NOOP {}", "x".repeat(bytes - 7));
        client.ask(&line, reply);
        client.ask("NOOP", "250 2.0.0 Ok\r\n");
    }
    // In the middle of a transaction, which goes on.
    client.ask("MAIL FROM:<a@from.example>", "250 ");
    client.ask(
        &format!("RCPT TO:<{}@to.example>", "x".repeat(2048)),
        TOO_LONG,
    );
    client.ask("RCPT TO:<b@to.example>", "250 ");
}

#[test]
fn a_command_line_of_a_hundred_megabytes_takes_no_memory() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    for verb in ["NOOP ", "AUTH PLAIN ", "MAIL FROM:<", "EHLO ", "BDAT ", ""] {
        let mut client = Wire::greeted(server.address);
        client.send(verb);
        let block = vec![b'='; 1 << 20];
        for _ in 0..100 {
            client.send(&block);
        }
        client.send("\r\n");
        client.reply(TOO_LONG);
        client.ask("NOOP", "250 2.0.0 Ok\r\n");
    }
    stayed_below(&server, MEMORY_MIB_MAX);
}

/// `how` is the command that carries the contents, and what follows them.
fn text_line(client: &mut Wire, contents: &str, is_bdat: bool, reply: &str) {
    client.send(ENVELOPE);
    client.reply("250 ");
    client.reply("250 ");
    if is_bdat {
        client.send(format!("BDAT {} LAST\r\n{contents}", contents.len()));
    } else {
        client.ask("DATA", "354 ");
        client.send(format!("{contents}.\r\n"));
    }
    client.reply(reply);
}

#[test]
fn text_lines_are_taken_up_to_their_limit_and_not_cut() {
    let (hop, store) = (Hop::taking(LineEnds::Strict), Store::new());
    let server = store.serve(&["--relay", &hop.url()]);
    let mut client = Wire::greeted(server.address);
    let longest = "y".repeat(64 << 10);
    for is_bdat in [false, true] {
        let taken = format!("Subject: x\r\n\r\n{longest}\r\n");
        text_line(&mut client, &taken, is_bdat, "250 2.6.0 ");
        let refused = format!("Subject: x\r\n\r\n{longest}y\r\n");
        text_line(
            &mut client,
            &refused,
            is_bdat,
            "500 5.6.0 Message has a line",
        );
    }
    until("both messages", || (hop.taken().len() >= 2).then_some(()));
    store.until_empty();
    let taken = hop.taken();
    assert_eq!(taken.len(), 2);
    for message in taken {
        assert_eq!(message.lines.last().unwrap(), longest.as_bytes());
    }
}

#[test]
fn a_text_line_of_a_hundred_megabytes_takes_no_memory() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none", "--message-bytes-max", "512m"]);
    for is_bdat in [false, true] {
        let contents = "y".repeat(100 << 20) + "\r\n";
        let mut client = Wire::greeted(server.address);
        text_line(
            &mut client,
            &contents,
            is_bdat,
            "500 5.6.0 Message has a line",
        );
        client.ask("NOOP", "250 2.0.0 Ok\r\n");
    }
    assert_eq!(store.stats()["messages"], 0);
    stayed_below(&server, MEMORY_MIB_MAX);
}
