//! Mail of any octets (BINARYMIME, RFC 3030): from one slimta to the next as it is,
//! and to other hosts in base64, which a stranger reads.

use std::path::Path;
use std::process::Command;

use crate::postfix::Postfix;
use crate::rig::{Client, KeepingSink, Store, stderr, stdout, text, until};

const SENDER: &str = "sender@from.example";
/// What stands above the octets of a picture, and behind them.
const TOP: &str = "From: sender@from.example\r\nSubject: octets\r\n\
    Date: Fri, 27 Nov 2026 08:17:29 +0000\r\nMessage-ID: <one@from.example>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n\
    --b\r\nContent-Type: text/plain\r\n\r\nSee the picture.\r\n\
    --b\r\nContent-Type: image/x-odd\r\nContent-Transfer-Encoding: binary\r\n\r\n";
const END: &str = "\r\n--b--\r\n";

/// All octets, and what some hosts take for the end of a message.
fn picture() -> Vec<u8> {
    let mut octets: Vec<u8> = (0..=255).rev().cycle().take(70_000).collect();
    octets.extend_from_slice(b"\r\n.\r\nMAIL FROM:<smuggled@from.example>\r\n\n.\n\r.\r");
    octets
}

fn message(above: &str) -> Vec<u8> {
    [above.as_bytes(), TOP.as_bytes(), &picture(), END.as_bytes()].concat()
}

/// The octets of the picture in a file, as Python's parser reads them.
#[track_caller]
fn picture_in(file: &Path) -> Vec<u8> {
    let read = "import email, sys\n\
        message = email.message_from_binary_file(open(sys.argv[1], 'rb'))\n\
        part = [p for p in message.walk() if p.get_content_type() == 'image/x-odd'][0]\n\
        assert part['Content-Transfer-Encoding'] == 'base64', part.items()\n\
        print(part.get_payload(decode=True).hex())";
    let mut command = Command::new("python3");
    let read = command.args(["-c", read]).arg(file).output().unwrap();
    assert!(read.status.success(), "{}", stderr(&read));
    let hex = stdout(&read);
    let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.trim().len()).step_by(2).map(octet).collect()
}

/// What waits on a store, when something does.
#[track_caller]
fn waiting(store: &Store) -> Vec<u8> {
    let id = store.until_list("the message", |list| {
        list.first().map(|message| text(message, "id").to_owned())
    });
    store.queue(&["show", &id, "--content"]).stdout
}

#[test]
fn octets_go_from_one_server_to_the_next_as_they_are() {
    let [first, second] = [Store::new(), Store::new()];
    let end = second.serve(&["--relay", "none"]);
    let server = first.serve(&["--relay", &format!("smtp://{}", end.address)]);
    let mut client = Client::connect(server.address).unwrap();
    let hello = client.ask("EHLO client.example", "250").unwrap();
    assert!(hello.contains("250-BINARYMIME\r\n"), "{hello}");
    client
        .ask("MAIL FROM:<a@from.example> BODY=BINARYMIME", "250")
        .unwrap();
    client.ask("RCPT TO:<b@to.example>", "250").unwrap();
    client.ask("DATA", "503").unwrap();
    client.ask("RSET", "250").unwrap();
    let message = message("");
    client
        .send_binary(SENDER, "b@to.example", &message)
        .unwrap();
    let came = waiting(&second);
    assert!(came.ends_with(&message), "{}", came.len());
    let stamps = String::from_utf8_lossy(&came[..came.len() - message.len()]).into_owned();
    assert_eq!(stamps.matches("Received: ").count(), 2, "{stamps}");
    first.until_empty();
    // It is no way around the rules for text.
    let mut client = Client::connect(end.address).unwrap();
    client.ask("MAIL FROM:<a@from.example>", "250").unwrap();
    client.ask("RCPT TO:<b@to.example>", "250").unwrap();
    client.say("BDAT 7 LAST\r\nA: 1\r\n\0").unwrap();
    client.expect("550").unwrap();
}

#[test]
fn a_host_that_takes_lines_gets_base64_and_what_is_signed_goes_back() {
    let sink = KeepingSink::start();
    let store = Store::new();
    let server = store.serve(&["--relay", &sink.url()]);
    let mut client = Client::connect(server.address).unwrap();
    let signed = message("DKIM-Signature: v=1\r\n");
    for (to, message) in [("a@to.example", message("")), ("b@to.example", signed)] {
        client.send_binary(SENDER, to, &message).unwrap();
    }
    let all = until("the mail and the report", || {
        let messages = sink.messages();
        (messages.len() == 2 && store.list().is_empty()).then_some(messages)
    });
    assert!(all.iter().all(|message| message.is_ascii()));
    let with = |what: &str| all.iter().find(|m| m.contains(what)).unwrap();
    let file = store.path().with_extension("eml");
    // The sink writes the envelope above the message.
    let sent = with("<a@to.example>");
    std::fs::write(&file, &sent[sent.find("Received: ").unwrap()..]).unwrap();
    assert!(picture_in(&file) == picture());
    assert!(sent.contains("See the picture."), "text stays text");
    let back = with("Status: 5.6.3");
    assert!(back.contains("text/rfc822-headers") && !back.contains("image/x-odd"));
}

#[test]
fn postfix_passes_on_what_it_gets_in_base64() {
    let end = Store::new();
    let last = end.serve(&["--relay", "none"]);
    let Some(peer) = Postfix::start(last.address) else {
        return;
    };
    let store = Store::new();
    let server = store.serve(&["--relay", &peer.url()]);
    let mut client = Client::connect(server.address).unwrap();
    client
        .send_binary(SENDER, "b@to.example", &message(""))
        .unwrap();
    let file = end.path().with_extension("eml");
    std::fs::write(&file, waiting(&end)).unwrap();
    assert!(picture_in(&file) == picture(), "{}", peer.log());
}
