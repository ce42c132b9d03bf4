//! Mail for one address that goes to another, from a client to the next hop.

use crate::dkim::Keys;
use crate::rig::{Client, KeepingSink, NextHop, Server, Store, run, send, stderr, text, until};

const RULES: &str = r"
[[forward]]
match = 'sales@a\.example'
to = 'ann@new.example'

[[forward]]
match = '(?<user>.+)@old\.example'
to = '${user}@new.example'

[[forward]]
match = '.*@broken\.example'
to = '$0$0'
";

/// A server with these rules of forwarding and this relay.
fn serve(store: &Store, rules: &str, relay: &str) -> Server {
    let config = store.path().with_extension("toml");
    std::fs::write(&config, rules).unwrap();
    store.serve(&["--relay", relay, "--config", &config.display().to_string()])
}

#[test]
fn mail_goes_elsewhere_with_its_signature_and_the_wishes_of_its_sender() {
    let (keys, store, sink) = (Keys::make(), Store::new(), KeepingSink::start());
    let server = serve(&store, RULES, &sink.url());
    let message = "From: A <a@example.org>\r\nTo: sales@a.example\r\nSubject:  odd \r\n\t folding\r\n\
        Date: Tue, 24 Nov 2026 08:17:29 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello.\r\n";
    let signed = keys.signed_by_stranger(message.as_bytes(), "rsa", "example.org");
    let mut client = Client::connect(server.address).unwrap();
    for command in [
        "MAIL FROM:<a@example.org>",
        "RCPT TO:<Ann@OLD.example> NOTIFY=SUCCESS",
        "RCPT TO:<sales@a.example> NOTIFY=NEVER ORCPT=rfc822;list@known.example",
        "RCPT TO:<tom@old.example>",
        "RCPT TO:<tom@x.example>",
        "RCPT TO:<ann@old.example> NOTIFY=FAILURE",
    ] {
        client.ask(command, "250").unwrap();
    }
    client.ask("DATA", "354").unwrap();
    let signed = String::from_utf8(signed).unwrap();
    client.ask(&format!("{signed}."), "250").unwrap();
    store.until_empty();
    let taken = sink.messages().remove(0);
    let recipients = taken
        .lines()
        .filter_map(|line| line.strip_prefix("X-Rcpt-Args: "));
    assert_eq!(
        recipients.collect::<Vec<_>>(),
        [
            "<Ann@new.example> NOTIFY=SUCCESS ORCPT=rfc822;Ann@OLD.example",
            "<ann@new.example> NOTIFY=FAILURE ORCPT=rfc822;list@known.example",
            "<tom@new.example> ORCPT=rfc822;tom@old.example",
            "<tom@x.example> ORCPT=rfc822;tom@x.example",
        ],
        "{taken}"
    );
    let file = keys.path("taken");
    std::fs::write(&file, &taken).unwrap();
    keys.all_hold(&[file], &["rsa-sha256"]);
}

#[test]
fn a_notice_names_the_address_that_its_sender_knows() {
    let hop = NextHop::answering(&[
        "^ann@new.example=550 5.1.1 Unknown",
        "^rcpt@=450 4.2.0 Later",
    ]);
    let store = Store::new();
    let server = serve(&store, RULES, &hop.url());
    send(server.address, "rcpt@from.example", &["sales@a.example"]);
    let notice = until("the notice", || {
        let list = store.list();
        let notice = list.iter().find(|message| message["sender"] == "")?;
        Some(store.queue_ok(&["show", text(notice, "id"), "--content"]))
    });
    for line in [
        "Original-Recipient: rfc822; sales@a.example",
        "Final-Recipient: rfc822; ann@new.example",
    ] {
        assert!(notice.contains(line), "{line}: {notice}");
    }
}

#[test]
fn what_would_be_no_address_stays_with_the_client() {
    let store = Store::new();
    let server = serve(&store, RULES, "none");
    let mut client = Client::connect(server.address).unwrap();
    let to = ["b@x.example", "a@broken.example"];
    let refused = client.send("a@from.example", &to, "Subject: a\n\nHello.");
    let said = refused.unwrap_err().to_string();
    assert!(said.starts_with("451 4.3.5"), "{said}");
    assert!(store.list().is_empty());
    let logged = store.logged();
    assert!(
        logged.contains("a@broken.example") && logged.contains("$0$0"),
        "{logged}"
    );

    let config = store.path().with_extension("toml");
    let path = config.display().to_string();
    std::fs::write(
        &config,
        "[[forward]]\nmatch = '(.*)@a'\nto = '$2@b.example'\n",
    )
    .unwrap();
    let said = run(&["serve", "--relay", "none", "--config", &path]);
    assert_eq!(said.status.code(), Some(78));
    let why = stderr(&said);
    assert!(why.contains(&path) && why.contains("the group 2"), "{why}");
}
