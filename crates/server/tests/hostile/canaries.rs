//! Characters that end lines, hide text or steer terminals, in every field that
//! a client can fill: where one could do harm, the command is refused.

use std::fmt::Write as _;

use crate::rig::Store;
use crate::wire::Wire;

/// C0, DEL and C1 controls, and what some take for the end of a line.
const EVIL: &[&str] = &[
    "\r",
    "\0",
    "\t",
    "\u{7}",
    "\u{8}",
    "\u{b}",
    "\u{c}",
    "\u{1b}",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{9b}",
    "\u{2028}",
    "\u{2029}",
];
/// Each stands where `{}` is.
const COMMANDS: &[&str] = &[
    "EHLO client{}.example",
    "HELO client{}.example",
    "EHLO client.example {}",
    "MAIL FROM:<a{}b@from.example> SMTPUTF8",
    "MAIL FROM:<\"a{}b\"@from.example> SMTPUTF8",
    "MAIL FROM:<\"a\\{}b\"@from.example> SMTPUTF8",
    "MAIL FROM:<a@from{}.example> SMTPUTF8",
    "MAIL FROM:<@route{}.example:a@from.example> SMTPUTF8",
    "MAIL FROM:<a@from.example> SMTPUTF8 ENVID=a{}b",
    "MAIL FROM:<a@from.example> SMTPUTF8 RET=FULL{}",
    "RCPT TO:<a{}b@to.example>",
    "RCPT TO:<\"a{}b\"@to.example>",
    "RCPT TO:<\"a\\{}b\"@to.example>",
    "RCPT TO:<a@to{}.example>",
    "RCPT TO:<@route{}.example:a@to.example>",
    "RCPT TO:<a@to.example> ORCPT=rfc822;a{}b@to.example",
    "RCPT TO:<a@to.example> ORCPT=utf-8;a{}b@to.example",
    "RCPT TO:<a@to.example> ORCPT=rfc{}822;a@to.example",
    "RCPT TO:<a@to.example> NOTIFY={}NEVER",
];

/// A client in the state in which a command would be taken.
fn client_before(command: &str, store_address: std::net::SocketAddr) -> Wire {
    let mut client = Wire::greeted(store_address);
    if command.starts_with("RCPT") {
        client.ask("MAIL FROM:<a@from.example> SMTPUTF8", "250 ");
    }
    client
}

#[test]
fn no_control_character_is_taken_in_any_field() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none", "--log-level", "debug"]);
    for command in COMMANDS {
        let mut client = client_before(command, server.address);
        for evil in EVIL {
            let line = command.replace("{}", evil);
            let reply = client.ask(&line, "501 5.");
            assert!(reply.is_ascii() && reply.lines().count() == 1, "{reply:?}");
            if client.errors() > 8 {
                client = client_before(command, server.address);
            }
        }
        // A line feed ends the line, and the session.
        client.send(command.replace("{}", "\n") + "\r\n");
        let refused = client.next();
        assert!(refused.starts_with("500 5.5.2 Lines end"), "{refused}");
        assert_eq!(client.next(), "");
    }
    assert_eq!(store.stats()["messages"], 0);
}

/// CVE-2020-28026: what is encoded may not decode to the end of a line in the
/// store, a notice or the command to the next hop.
#[test]
fn no_control_character_is_taken_in_xtext() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let fields = [
        "MAIL FROM:<a@from.example> ENVID=a{}b",
        "RCPT TO:<a@to.example> ORCPT=rfc822;a{}b@to.example",
        "RCPT TO:<a@to.example> ORCPT=utf-8;a{}b@to.example",
    ];
    let raw = (0..32)
        .chain([127])
        .map(|octet: u32| format!("+{octet:02X}"));
    let encoded = EVIL.iter().map(|evil| {
        evil.bytes().fold(String::new(), |mut text, octet| {
            let _ = write!(text, "+{octet:02X}");
            text
        })
    });
    let embedded = EVIL.iter().map(|evil| {
        let number = u32::from(evil.chars().next().unwrap());
        format!("\\x{{{number:02X}}}")
    });
    let (encoded, embedded): (Vec<String>, Vec<String>) =
        (raw.chain(encoded).collect(), embedded.collect());
    for field in fields {
        let mut client = client_before(field, server.address);
        // Elsewhere a character by its number is text like any other.
        let by_number = embedded.iter().filter(|_| field.contains("=utf-8;"));
        for evil in encoded.iter().chain(by_number) {
            client.ask(&field.replace("{}", evil), "501 5.5.4 ");
            if client.errors() > 8 {
                client = client_before(field, server.address);
            }
        }
    }
}

/// Octets beyond ASCII: not without SMTPUTF8, and never what is no UTF-8.
#[test]
fn eight_bit_is_taken_where_it_was_agreed_upon() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let mut client = Wire::greeted(server.address);
    client.ask("EHLO cli\u{e9}nt.example", "501 5.5.4 ");
    for character in ["\u{e9}", "\u{202e}", "\u{200f}", "\u{feff}"] {
        let sender = format!("MAIL FROM:<a{character}b@from.example>");
        client.ask(&sender, "550 5.6.7 ");
        client.ask(&format!("{sender} SMTPUTF8"), "250 ");
        client.ask("RSET", "250 ");
    }
    let mut client = Wire::greeted(server.address);
    for line in [
        &b"MAIL FROM:<a\xe9b@from.example> SMTPUTF8\r\n"[..],
        b"MAIL FROM:<\"a\xc0\x8ab\"@from.example> SMTPUTF8\r\n",
        b"MAIL FROM:<a@from.example> ENVID=\xed\xa0\x80 SMTPUTF8\r\n",
    ] {
        client.send(line);
        client.reply("501 5.");
    }
}
