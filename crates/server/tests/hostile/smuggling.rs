//! SMTP smuggling (CVE-2023-51764, -51765, -51766): whatever looks like the end
//! of a message to some host must make neither two messages here nor two behind
//! the next hop, by DATA or BDAT, however TCP cuts it. Where a body may hold such
//! octets (BINARYMIME) they reach a next hop that takes lines in none.

use crate::hop::{Hop, LineEnds, Taken};
use crate::rig::{Server, Store, until};
use crate::wire::Wire;

const LINE_ENDS: &str = "550 5.5.2 Message has bare CR or LF\r\n";
const NULS: &str = "550 5.6.0 Message has NUL characters\r\n";

/// What must not end a message, and what it is answered with.
const SEQUENCES: &[(&[u8], &str)] = &[
    (b"\n.\n", LINE_ENDS),
    (b"\n.\r\n", LINE_ENDS),
    (b"\r\n.\n", LINE_ENDS),
    (b"\r.\r", LINE_ENDS),
    (b"\r\n.\r", LINE_ENDS),
    (b"\r.\r\n", LINE_ENDS),
    (b"\r\n.\r\r\n", LINE_ENDS),
    (b"\r\r\n.\r\r\n", LINE_ENDS),
    (b"\r\n\0.\r\n", NULS),
    (b"\r\n.\0\r\n", NULS),
];
const ENVELOPE: &[u8] = b"MAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\n";
/// What a smuggler puts behind the false end.
const SECOND: &[u8] = b"MAIL FROM:<smuggled@from.example>\r\nRCPT TO:<smuggled@to.example>\r\n\
    DATA\r\nSubject: smuggled\r\n\r\nsmuggled";

fn contents(sequence: &[u8]) -> Vec<u8> {
    [b"Subject: outer\r\n\r\nbefore", sequence, SECOND].concat()
}

fn by_data(contents: &[u8]) -> Vec<u8> {
    [ENVELOPE, b"DATA\r\n", contents, b"\r\n.\r\n"].concat()
}

fn by_bdat(contents: &[u8]) -> Vec<u8> {
    let command = format!("BDAT {} LAST\r\n", contents.len());
    [ENVELOPE, command.as_bytes(), contents].concat()
}

/// Every conversation, with the replies to it.
fn conversations() -> Vec<(Vec<u8>, Vec<&'static str>)> {
    let mut all = Vec::new();
    for (sequence, refusal) in SEQUENCES {
        let contents = contents(sequence);
        all.push((by_data(&contents), vec!["250 ", "250 ", "354 ", refusal]));
        all.push((by_bdat(&contents), vec!["250 ", "250 ", refusal]));
    }
    all
}

/// A message that looks like its own end wherever that is allowed.
const TRAPS: &str = "Subject: traps\r\n\r\n.\r\n..\r\nMAIL FROM:<smuggled@from.example>\r\n.\r\n\
    RCPT TO:<smuggled@to.example>\r\n.\r\n...\r\n. \r\n.";

fn behind(line_ends: LineEnds) -> (Hop, Store, Server) {
    let (hop, store) = (Hop::taking(line_ends), Store::new());
    let server = store.serve(&["--relay", &hop.url()]);
    (hop, store, server)
}

#[test]
fn nothing_is_smuggled_past_a_strict_next_hop() {
    nothing_is_smuggled_past(LineEnds::Strict);
}

#[test]
fn nothing_is_smuggled_past_a_lenient_next_hop() {
    nothing_is_smuggled_past(LineEnds::Lenient);
}

fn nothing_is_smuggled_past(line_ends: LineEnds) {
    let (hop, store, server) = behind(line_ends);
    let conversations = conversations();
    let longest = conversations.iter().map(|(wire, _)| wire.len()).max();
    let mut clients: Vec<_> = (0..longest.unwrap())
        .map(|_| Wire::greeted(server.address))
        .collect();
    for (wire, replies) in &conversations {
        in_two_pieces(&mut clients, wire, replies);
        octet_by_octet(&mut clients[0], wire, replies);
    }
    assert_eq!(store.stats()["messages"], 0, "{}", store.logged());
    assert_eq!(hop.taken(), []);
    server.stop();
    assert!(!store.logged().contains("received"), "{}", store.logged());
}

/// Each client cuts it at another place. All send their first piece before any
/// sends its second, so that the server meets the cut.
fn in_two_pieces(clients: &mut [Wire], wire: &[u8], replies: &[&str]) {
    let mut clients: Vec<_> = (1..wire.len()).zip(clients).collect();
    for (cut, client) in &mut clients {
        client.send(&wire[..*cut]);
    }
    for (cut, client) in &mut clients {
        client.send(&wire[*cut..]);
    }
    for (_, client) in clients {
        answered(client, replies);
    }
}

fn octet_by_octet(client: &mut Wire, wire: &[u8], replies: &[&str]) {
    for octet in wire {
        client.send([*octet]);
    }
    answered(client, replies);
}

/// These replies and no other.
#[track_caller]
fn answered(client: &mut Wire, replies: &[&str]) {
    for reply in replies {
        client.reply(reply);
    }
    client.ask("NOOP", "250 2.0.0 Ok\r\n");
}

#[test]
fn octets_smuggle_nothing_past_a_strict_next_hop() {
    octets_smuggle_nothing_past(LineEnds::Strict);
}

#[test]
fn octets_smuggle_nothing_past_a_lenient_next_hop() {
    octets_smuggle_nothing_past(LineEnds::Lenient);
}

fn octets_smuggle_nothing_past(line_ends: LineEnds) {
    let (hop, store, server) = behind(line_ends);
    let mut client = Wire::greeted(server.address);
    let envelope = b"MAIL FROM:<a@from.example> BODY=BINARYMIME\r\nRCPT TO:<b@to.example>\r\n";
    for (sequence, refusal) in SEQUENCES {
        let text = contents(sequence);
        let command = format!("BDAT {} LAST\r\n", text.len());
        client.send([&envelope[..], command.as_bytes(), &text].concat());
        answered(&mut client, &["250 ", "250 ", "250 2.6.0 "]);
        // The same where some would still read the header.
        let early = [b"Subject: outer", *sequence, SECOND].concat();
        let command = format!("BDAT {} LAST\r\n", early.len());
        client.send([&envelope[..], command.as_bytes(), &early].concat());
        answered(&mut client, &["250 ", "250 ", refusal]);
        let by_data = [&envelope[..], b"DATA\r\n"].concat();
        client.send(by_data);
        answered(&mut client, &["250 ", "250 ", "503 5.5.1 "]);
        client.ask("RSET", "250 ");
    }
    store.until_empty();
    let taken = hop.taken();
    assert_eq!(taken.len(), SEQUENCES.len());
    for message in taken {
        assert_eq!(message.envelope.len(), 2, "{message:?}");
        let mail = &message.envelope[0];
        assert!(mail.starts_with("MAIL FROM:<a@from.example>"), "{mail}");
        assert!(!mail.contains("BODY=BINARYMIME"), "{mail}");
        let content = String::from_utf8(message.content()).unwrap();
        assert!(
            content.contains("Content-Transfer-Encoding: base64\r\n"),
            "{content}"
        );
        assert!(!content.contains("smuggled"), "{content}");
    }
}

#[test]
fn lone_dots_reach_a_strict_next_hop_as_text() {
    lone_dots_are_text(LineEnds::Strict);
}

#[test]
fn lone_dots_reach_a_lenient_next_hop_as_text() {
    lone_dots_are_text(LineEnds::Lenient);
}

fn lone_dots_are_text(line_ends: LineEnds) {
    let (hop, store, server) = behind(line_ends);
    let mut client = Wire::greeted(server.address);
    let stuffed = TRAPS.replace("\r\n.", "\r\n..");
    client.send(by_data(stuffed.as_bytes()));
    answered(&mut client, &["250 ", "250 ", "354 ", "250 2.6.0 "]);
    for cut in 0..=TRAPS.len() {
        let (first, last) = TRAPS.split_at(cut);
        let (a, b) = (first.len(), last.len());
        let chunks = format!("BDAT {a}\r\n{first}BDAT {b} LAST\r\n{last}");
        client.send([ENVELOPE, chunks.as_bytes()].concat());
        answered(&mut client, &["250 ", "250 ", "250 ", "250 2.6.0 "]);
    }
    let sent = TRAPS.len() + 2;
    until("all messages", || (hop.taken().len() >= sent).then_some(()));
    store.until_empty();
    assert_eq!(hop.taken().len(), sent);
    for message in hop.taken() {
        arrived_whole(&message);
    }
}

#[track_caller]
fn arrived_whole(message: &Taken) {
    let [mail, rcpt] = message.envelope.as_slice() else {
        panic!("{message:?}")
    };
    assert!(mail.starts_with("MAIL FROM:<a@from.example>"), "{mail}");
    assert!(rcpt.starts_with("RCPT TO:<b@to.example>"), "{rcpt}");
    // The edge has put its stamps into the header.
    let content = String::from_utf8(message.content()).unwrap();
    let (_, arrived) = content.split_once("\r\n\r\n").unwrap();
    let (_, sent) = TRAPS.split_once("\r\n\r\n").unwrap();
    assert_eq!(arrived, format!("{sent}\r\n"));
}
