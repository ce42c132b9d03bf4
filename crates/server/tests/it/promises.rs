//! What a sender may ask beside delivery, as users and operators meet it.

use std::net::SocketAddr;
use std::process::Output;

use crate::encryption::{Certificates, openssl};
use crate::rig::{Client, KeepingSink, Store, free_address, run, stderr, stdout, text, until};

const SENDER: &str = "sender@from.example";

/// `slimta send` of a short message.
fn hand_in(server: &str, args: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "Subject: A test\n\nHello.\n").unwrap();
    let file = file.path().display().to_string();
    let whom = ["--from", SENDER, "--to", "a@to.example", &file];
    run(&[&["send", "--server", server], args, &whom[..]].concat())
}

#[test]
fn held_mail_waits_over_a_restart_and_operators_see_why() {
    let sink = KeepingSink::start();
    let store = Store::new();
    let relay = sink.url();
    let server = store.serve(&["--relay", &relay]);
    let handed = hand_in(&server.address.to_string(), &["--hold-for", "2h"]);
    assert!(handed.status.success(), "{}", stderr(&handed));
    server.kill();
    let server = store.serve(&["--relay", &relay]);
    // What is not held passes it.
    let handed = hand_in(&server.address.to_string(), &["--hold-for", "1ms"]);
    assert!(handed.status.success(), "{}", stderr(&handed));
    let held = store.until_list("the held message alone", |list| match list {
        [held] => Some(held.clone()),
        _ => None,
    });
    assert_eq!(sink.messages().len(), 1);
    assert_eq!(held["attempts"], 0);
    let (id, released) = (text(&held, "id"), text(&held, "released_at"));
    assert_eq!(&released[..19], &text(&held, "next_attempt_at")[..19]);
    let why = format!(
        "its sender asked that it is not sent before {}",
        &released[..19]
    );
    assert!(text(&held, "why").starts_with(&why), "{held}");
    let card = store.queue_ok(&["show", id]);
    assert!(
        card.contains(&format!("not before     {released}")),
        "{card}"
    );
    assert!(store.queue_ok(&["explain", id]).contains(&why));
    // Operators may have it sent all the same.
    store.queue_ok(&["retry", id]);
    store.until_empty();
    assert_eq!(sink.messages().len(), 2);
    server.stop();
}

#[test]
fn mail_is_held_for_those_whose_mail_is_taken_and_not_for_too_long() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none", "--hold-time-max", "1h"]);
    let mut client = Client::connect(server.address).unwrap();
    let offer = client.ask("EHLO c", "250").unwrap();
    assert!(offer.contains("250-FUTURERELEASE 3600 20"), "{offer}");
    for bad in [
        "HOLDFOR=3601",
        "HOLDFOR=0",
        "HOLDUNTIL=now",
        "HOLDFOR=1 HOLDFOR=1",
    ] {
        let mail = format!("MAIL FROM:<{SENDER}> {bad}");
        client.ask(&mail, "501 5.5.4 ").unwrap();
    }
    let address = server.address.to_string();
    let too_long = hand_in(&address, &["--hold-for", "2h"]);
    assert_eq!(too_long.status.code(), Some(1));
    let told = "holds mail back for 3600 s at most (FUTURERELEASE)";
    assert!(stderr(&too_long).contains(told), "{}", stderr(&too_long));
    server.stop();
    for args in [["--hold-time-max", "none"], ["--permit", "192.0.2.1"]] {
        let server = store.serve(&[&["--relay", "none"], &args[..]].concat());
        let refused = hand_in(&server.address.to_string(), &["--hold-for", "1m"]);
        assert_eq!(refused.status.code(), Some(1));
        let told = "holds no mail back (FUTURERELEASE) for this client";
        assert!(stderr(&refused).contains(told), "{}", stderr(&refused));
        server.stop();
    }
    assert!(store.list().is_empty());
}

/// What the sender of a message to `relay` is told for which MAIL said `by`.
fn told(relay: &str, by: &str) -> String {
    let sink = KeepingSink::start();
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let table = format!("[destination.'from.example']\nrelay = '{}'\n", sink.url());
    std::fs::write(&config, table).unwrap();
    let file = config.display().to_string();
    let server = store.serve(&["--relay", relay, "--config", &file]);
    let mut client = Client::connect(server.address).unwrap();
    let offer = client.ask("EHLO c", "250").unwrap();
    assert!(offer.contains("250-DELIVERBY\r\n"), "{offer}");
    client
        .ask(&format!("MAIL FROM:<{SENDER}> {by}"), "250")
        .unwrap();
    client.ask("RCPT TO:<a@to.example>", "250").unwrap();
    client.ask("DATA", "354").unwrap();
    client.ask("Subject: x\r\n\r\nHello.\r\n.", "250").unwrap();
    let notice = until("what the sender is told", || {
        let whole = |message: &String| message.contains("Final-Recipient");
        sink.messages().into_iter().find(whole)
    });
    server.stop();
    notice
}

#[test]
fn senders_are_told_when_the_time_is_over_that_they_named() {
    // Nobody is there.
    let absent = format!("smtp://{}", free_address());
    let back = told(&absent, "BY=1;R");
    assert!(back.contains("Status: 5.4.7"), "{back}");
    assert!(back.contains("Deliver-By-Date: "), "{back}");
    let late = told(&absent, "BY=1;N");
    assert!(
        late.contains("Action: delayed") && late.contains("Status: 4.4.7"),
        "{late}"
    );
}

/// Postfix's sink offers no DELIVERBY.
#[test]
fn a_next_hop_that_heeds_no_time_gets_mail_only_if_that_may_be_late() {
    let unheeding = KeepingSink::start();
    let back = told(&unheeding.url(), "BY=600;R");
    assert!(back.contains("Status: 5.3.3"), "{back}");
    assert!(unheeding.messages().is_empty());
    let passed_on = told(&unheeding.url(), "BY=600;N");
    assert!(passed_on.contains("Action: relayed"), "{passed_on}");
    assert_eq!(unheeding.messages().len(), 1);
}

/// OpenSSL hands in a message under TLS.
fn hand_in_secretly(address: SocketAddr, root: &str) -> String {
    let said = "EHLO c\nMAIL FROM:<sender@from.example> REQUIRETLS\n\
                RCPT TO:<a@to.example>\nDATA\nSubject: A test\n\nHello.\n.\nQUIT\n";
    let output = openssl(address, &["-starttls", "smtp", "-CAfile", root], said);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn mail_that_requires_tls_keeps_it_from_server_to_server_or_goes_back() {
    let certificates = Certificates::new();
    certificates.make("own", "localhost");
    let options = certificates.options(&["own"]);
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let root = certificates.path("own.pem");
    let (end, way) = (Store::new(), Store::new());
    let last = end.serve(&[&["--relay", "none"], &options[..]].concat());
    let relay = format!("smtp://localhost:{}", last.address.port());
    let trusting = ["--relay", &relay, "--tls-roots", &root];
    let first = way.serve(&[&trusting, &options[..]].concat());
    assert!(hand_in_secretly(first.address, &root).contains("250 2.6.0 Message queued"));
    let arrived = end.until_list("the message", |list| list.first().cloned());
    assert_eq!(arrived["requires_tls"], true);
    let card = end.queue_ok(&["show", text(&arrived, "id")]);
    assert!(card.contains("required on all of its way"), "{card}");
    way.until_empty();
    first.stop();
    last.stop();
    // A host that knows no TLS gets neither the message nor the report on it.
    let clear = KeepingSink::start();
    let first = way.serve(&[&["--relay", &clear.url()], &options[..]].concat());
    hand_in_secretly(first.address, &root);
    until("the end of the report, too", || {
        way.logged().contains("5.7.10").then_some(())
    });
    way.until_empty();
    assert!(clear.messages().is_empty());
    first.stop();
}

#[test]
fn a_host_that_takes_no_8bit_mail_gets_it_in_ascii_unless_it_is_signed() {
    let sink = KeepingSink::start_7bit();
    let store = Store::new();
    let server = store.serve(&["--relay", &sink.url()]);
    let mut client = Client::connect(server.address).unwrap();
    let text = |field: &str| {
        format!(
            "{field}MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nGr\u{fc}\u{df}e von hier"
        )
    };
    client.send(SENDER, &["a@to.example"], &text("")).unwrap();
    client
        .send(SENDER, &["b@to.example"], &text("DKIM-Signature: v=1\n"))
        .unwrap();
    let all = until("the mail and the report", || {
        let messages = sink.messages();
        (messages.len() == 2 && store.list().is_empty()).then_some(messages)
    });
    assert!(all.iter().all(|message| message.is_ascii()), "{all:?}");
    let whole = |to: &str| all.iter().find(|m| m.contains(&format!("<{to}>"))).unwrap();
    let converted = whole("a@to.example");
    assert!(
        converted.contains("Content-Transfer-Encoding: quoted-printable"),
        "{converted}"
    );
    assert!(
        converted.contains("Gr=C3=BC=C3=9Fe von hier"),
        "{converted}"
    );
    assert!(whole("b@to.example").contains("Status: 5.6.3"), "{all:?}");
    server.stop();
}
