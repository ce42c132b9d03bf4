//! Messages that are too large, announced or not, and envelopes that are too
//! long.

use crate::hop::{Hop, LineEnds};
use crate::memory::stayed_below;
use crate::rig::{Server, Store, until};
use crate::wire::Wire;

const TOO_LARGE: &str = "552 5.3.4 Message exceeded size limit.\r\n";
const MESSAGE_BYTES_MAX: usize = 100_000;
const MEMORY_MIB_MAX: u64 = 64;

fn small_messages_only(store: &Store) -> Server {
    let limit = MESSAGE_BYTES_MAX.to_string();
    store.serve(&["--relay", "none", "--message-bytes-max", &limit])
}

/// Contents of so many bytes.
fn contents(bytes: usize) -> String {
    let line = "z".repeat(98) + "\r\n";
    let head = "Subject: x\r\n\r\n";
    let body = bytes - head.len() - 2;
    let last = "z".repeat(body % line.len());
    format!("{head}{}{last}\r\n", line.repeat(body / line.len()))
}

/// How contents are carried.
#[derive(Clone, Copy, Debug)]
enum By {
    Data,
    OneChunk,
    ManyChunks,
}

fn carried(contents: &str, by: By) -> String {
    match by {
        By::Data => format!("DATA\r\n{contents}.\r\n"),
        By::OneChunk => format!("BDAT {} LAST\r\n{contents}", contents.len()),
        By::ManyChunks => {
            let (first, rest) = contents.split_at(1000);
            let (second, last) = rest.split_at(50_000);
            let chunks = [first, second].map(|c| format!("BDAT {}\r\n{c}", c.len()));
            format!("{}BDAT {} LAST\r\n{last}", chunks.concat(), last.len())
        }
    }
}

/// Chunks behind a refusal are answered, too.
fn start_anew(client: &mut Wire) {
    client.send("RSET\r\n");
    loop {
        match &*client.next() {
            "250 2.0.0 Ok\r\n" => return,
            reply => assert!(
                reply.starts_with("55") || reply.starts_with("503 "),
                "{reply}"
            ),
        }
    }
}

#[test]
fn messages_are_taken_up_to_their_limit_whatever_was_announced() {
    let store = Store::new();
    let server = small_messages_only(&store);
    let mut client = Wire::greeted(server.address);
    let mut taken = 0;
    for by in [By::Data, By::OneChunk, By::ManyChunks] {
        // A size that is not kept to is no size (RFC 1870 section 6.2).
        for size in ["", " SIZE=0", " SIZE=1", " SIZE=100000"] {
            for over in [0, 1, 100_000] {
                let contents = contents(MESSAGE_BYTES_MAX + over);
                client.ask(&format!("MAIL FROM:<a@from.example>{size}"), "250 ");
                client.ask("RCPT TO:<b@to.example>", "250 ");
                client.send(carried(&contents, by));
                let mut reply = client.next();
                while reply.starts_with("354 ") || reply.starts_with("250 2.0.0 Chunk") {
                    reply = client.next();
                }
                let expected = if over == 0 { "250 2.6.0 " } else { TOO_LARGE };
                assert!(reply.starts_with(expected), "{by:?}{size} {over}: {reply}");
                taken += u64::from(over == 0);
                start_anew(&mut client);
            }
        }
    }
    assert_eq!(store.stats()["messages"], taken);
}

#[test]
fn sizes_over_the_limit_are_refused_before_the_message() {
    let store = Store::new();
    let server = small_messages_only(&store);
    let mut client = Wire::greeted(server.address);
    for size in [
        "100001",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999",
    ] {
        client.ask(
            &format!("MAIL FROM:<a@from.example> SIZE={size}"),
            TOO_LARGE,
        );
    }
    for size in [
        "",
        "-1",
        "+1",
        "1e3",
        "0x1",
        "1 SIZE=1",
        "100000000000000000000",
    ] {
        client.ask(
            &format!("MAIL FROM:<a@from.example> SIZE={size}"),
            "501 5.5.4 ",
        );
    }
}

/// Twenty gigabytes of chunks are promised, a part of them comes.
#[test]
fn a_chunk_that_never_ends_takes_no_memory() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let mut clients = Vec::new();
    for size in [1 << 34, 1 << 63, u64::MAX] {
        let mut client = Wire::greeted(server.address);
        client.ask("MAIL FROM:<a@from.example>", "250 ");
        client.ask("RCPT TO:<b@to.example>", "250 ");
        client.send(format!("BDAT 3\r\nA:\rBDAT {size} LAST\r\n"));
        client.reply("250 2.0.0 Chunk");
        let block = vec![b'z'; 1 << 20];
        for _ in 0..100 {
            client.send(&block);
        }
        clients.push(client);
    }
    let mut client = Wire::greeted(server.address);
    client.ask("MAIL FROM:<a@from.example>", "250 ");
    client.ask("RCPT TO:<b@to.example>", "250 ");
    // Nobody can say where the next command begins.
    client.ask("BDAT 18446744073709551616 LAST", "501 5.5.4 ");
    assert_eq!(client.next(), "");
    drop(clients);
    assert_eq!(store.stats()["messages"], 0);
    stayed_below(&server, MEMORY_MIB_MAX);
}

#[test]
fn what_many_clients_announce_takes_no_memory() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let mut clients: Vec<_> = (0..200).map(|_| Wire::greeted(server.address)).collect();
    for client in &mut clients {
        client.ask("MAIL FROM:<a@from.example> SIZE=50000000", "250 ");
        client.ask("RCPT TO:<b@to.example>", "250 ");
        client.ask("DATA", "354 ");
        client.send("Subject: x\r\n");
    }
    Wire::greeted(server.address).ask("NOOP", "250 ");
    stayed_below(&server, MEMORY_MIB_MAX);
}

/// Twelve million fields, as many as fit: nobody looks at each of them.
#[test]
fn a_header_of_millions_of_fields_is_refused() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let mut client = Wire::greeted(server.address);
    client.ask("MAIL FROM:<a@from.example>", "250 ");
    client.ask("RCPT TO:<b@to.example>", "250 ");
    client.ask("DATA", "354 ");
    client.send("a:\r\n".repeat(12_000_000));
    client.send("\r\n.\r\n");
    client.reply("552 5.3.4 Message header exceeded size limit\r\n");
    client.ask("NOOP", "250 2.0.0 Ok\r\n");
    // The message while it is received, and the memory that it outgrew.
    stayed_below(&server, 192);
}

#[test]
fn recipients_are_taken_up_to_their_limit() {
    let (hop, store) = (Hop::taking(LineEnds::Strict), Store::new());
    let server = store.serve(&["--relay", &hop.url()]);
    let mut client = Wire::greeted(server.address);
    client.ask("MAIL FROM:<a@from.example>", "250 ");
    for number in 0..1000 {
        client.ask(&format!("RCPT TO:<b{number}@to.example>"), "250 2.1.5 ");
    }
    for _ in 0..1000 {
        client.ask(
            "RCPT TO:<c@to.example>",
            "452 4.5.3 Too many recipients\r\n",
        );
    }
    client.ask("DATA", "354 ");
    client.ask("Subject: x\r\n\r\nx\r\n.", "250 2.6.0 ");
    let asked = || {
        let envelopes = hop.taken().into_iter().flat_map(|taken| taken.envelope);
        envelopes
            .filter(|line| line.starts_with("RCPT TO:<b"))
            .count()
    };
    until("all recipients", || (asked() >= 1000).then_some(()));
    store.until_empty();
    assert_eq!(asked(), 1000);
    stayed_below(&server, MEMORY_MIB_MAX);
}
