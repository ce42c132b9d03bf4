//! Mail handed on by LMTP, to Postfix's sink, and taken by LMTP from its source
//! and swaks.

use std::net::SocketAddr;
use std::process::Command;

use crate::encryption::{only_message, swaks};
use crate::rig::{KeepingSink, Server, Store, free_address, postfix, run, send, stderr, stdout};

#[test]
fn a_domain_may_be_delivered_by_lmtp() {
    let sink = KeepingSink::start_lmtp();
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let table = format!(
        "[destination.'own.example']\nrelay = 'lmtp://{}'\n",
        sink.address
    );
    std::fs::write(&config, table).unwrap();
    let file = config.display().to_string();
    let server = store.serve(&["--relay", "blackhole:", "--config", &file]);
    let recipients = ["a@own.example", "b@own.example", "c@else.example"];
    for _ in 0..2 {
        send(server.address, "s@from.example", &recipients);
    }
    store.until_empty();
    let messages = sink.messages();
    assert_eq!(messages.len(), 2);
    for message in messages {
        for recipient in &recipients[..2] {
            assert!(message.contains(&format!("<{recipient}>")), "{message}");
        }
        assert!(!message.contains("X-Rcpt-Args: <c@"), "{message}");
    }
}

#[test]
fn lmtp_is_not_spoken_where_smtp_is() {
    for (url, why) in [
        ("lmtp://127.0.0.1:25", "RFC 2033"),
        ("lmtp://127.0.0.1", "lacks its host and port"),
        ("lmtp:lmtp.sock", "whole path"),
    ] {
        let said = run(&["serve", "--relay", url]);
        assert_eq!(said.status.code(), Some(2));
        assert!(stderr(&said).contains(why), "{}", stderr(&said));
    }
}

/// A server that stores what comes by LMTP for `own.example`.
fn serve_lmtp(store: &Store) -> (Server, SocketAddr) {
    let listen = free_address();
    let config = store.path().with_extension("toml");
    let table = format!(
        "[listener.lmtp]\naddress = '{listen}'\nrole = 'lmtp'\npermit = []\n\
         accept-domains = ['own.example']\nmessage-bytes-max = '10k'\n"
    );
    std::fs::write(&config, table).unwrap();
    let file = config.display().to_string();
    let server = store.serve(&["--relay", "none", "--config", &file]);
    (server, listen)
}

#[test]
fn swaks_and_postfix_hand_mail_in_by_lmtp() {
    let store = Store::new();
    let (server, address) = serve_lmtp(&store);
    let recipients = "a@own.example,b@to.example,c@own.example";
    let handed = swaks(address, &["--protocol", "LMTP", "--to", recipients]);
    let said = stdout(&handed);
    assert!(said.contains("250 2.6.0 Message queued as "), "{said}");
    assert!(said.contains("550 5.7.1 Relaying denied"), "{said}");
    let answers = said.matches("250 2.6.0 Message queued as ");
    assert_eq!(answers.count(), 2, "{said}");
    let content = only_message(&store);
    assert!(content.contains(" with LMTP;"), "{content}");

    // -L speaks LMTP, -r is how many recipients, -l the size of the message.
    let source = Command::new(postfix("smtp-source"))
        .args(["-L", "-r", "3", "-m", "2", "-l", "1000"])
        .args(["-f", "s@from.example", "-t", "x@own.example"])
        .arg(address.to_string())
        .output();
    let source = source.unwrap();
    assert!(source.status.success(), "{}", stderr(&source));
    assert_eq!(store.list().len(), 3);
    server.stop();
}

#[test]
fn each_recipient_hears_what_is_wrong_with_a_message() {
    let store = Store::new();
    let (server, address) = serve_lmtp(&store);
    let large = format!("Subject: large\\n\\n{}", "x".repeat(20_000));
    let handed = swaks(
        address,
        &[
            "--protocol",
            "LMTP",
            "--data",
            &large,
            "--to",
            "a@own.example,b@own.example",
        ],
    );
    let said = stdout(&handed);
    assert!(!handed.status.success());
    let answers = said.matches("552 5.3.4 Message exceeded size limit.");
    assert_eq!(answers.count(), 2, "{said}");
    let smtp = swaks(address, &[]);
    assert!(stdout(&smtp).contains("500 5.5.2 Command not recognized"));
    assert!(store.list().is_empty());
    server.stop();
}

/// What one server hands on by LMTP another takes.
#[test]
fn one_server_hands_mail_to_another_by_lmtp() {
    let (store, front) = (Store::new(), Store::new());
    let (server, address) = serve_lmtp(&store);
    let relay = format!("lmtp://{address}");
    let client = front.serve(&["--relay", &relay]);
    let recipients = ["a@own.example", "b@own.example"];
    send(client.address, "s@from.example", &recipients);
    front.until_empty();
    let content = only_message(&store);
    assert_eq!(content.matches("Received: ").count(), 2, "{content}");
    client.stop();
    server.stop();
}
