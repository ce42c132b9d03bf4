//! The queue from outside: the ancestor's six scenarios, and those that mail
//! needs beside them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::audit::all_is_delivered;
use crate::rig::{KeepingSink, NextHop, Store, postfix, send, text, until, until_after};

const SENDER: &str = "sender@from.example";
/// Far enough away that no test waits for it.
const LATER: &str = "1h..;until=1d";
/// How long thousands of messages may take on a slow machine.
const LARGE_RUN_PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn store_only() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let id = send(server.address, SENDER, &["rcpt@to.example"]);
    let list = store.list();
    assert_eq!(list.len(), 1);
    let message = &list[0];
    assert_eq!(text(message, "id"), id);
    assert_eq!(text(message, "submission"), id);
    assert_eq!(text(message, "sender"), SENDER);
    assert_eq!(message["recipients"], json!(["rcpt@to.example"]));
    assert_eq!(text(message, "state"), "active");
    assert_eq!(message["attempts"], 0);
    assert!(message["last_response"].is_null());
    assert!(text(message, "received_at").ends_with('Z'));
    let stats = store.stats();
    assert_eq!(
        (&stats["messages"], &stats["active"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(stats["bytes"], message["size"]);
}

#[test]
fn store_and_relay() {
    let (store, sink) = (Store::new(), KeepingSink::start());
    let server = store.serve(&["--relay", &sink.url()]);
    send(server.address, SENDER, &["rcpt@to.example"]);
    // The sink may still be writing its file.
    let parts = [SENDER, "rcpt@to.example", "Subject: A test", "Hello."];
    until("the whole message", || {
        let is_whole = |message: &String| parts.iter().all(|part| message.contains(part));
        sink.messages().iter().any(is_whole).then_some(())
    });
    store.until_empty();
}

#[test]
fn refused_for_good_bounces_from_the_null_reverse_path() {
    // The bounce is kept where it can be looked at.
    let (store, sink) = (
        Store::new(),
        NextHop::answering(&["^rcpt@=550 5.1.1 Unknown", "^sender@=450"]),
    );
    let server = store.serve(&["--relay", &sink.url(), "--retry", LATER]);
    let id = send(server.address, SENDER, &["rcpt@to.example"]);
    let bounce = store.until_list("only the bounce, deferred", |list| match list {
        [bounce] if bounce["sender"] == "" && bounce["attempts"] == 1 => Some(bounce.clone()),
        _ => None,
    });
    assert_ne!(text(&bounce, "id"), id);
    assert_eq!(bounce["recipients"], json!([SENDER]));
    let whole = store.queue_ok(&["show", text(&bounce, "id"), "--content"]);
    assert!(
        whole.contains("rcpt@to.example") && whole.contains("5.1.1"),
        "{whole}"
    );
}

#[test]
fn deferred_waits_with_its_attempt_counted() {
    let (store, sink) = (
        Store::new(),
        NextHop::answering(&["^rcpt@=450 4.2.0 Greylisted"]),
    );
    let server = store.serve(&["--relay", &sink.url(), "--retry", LATER]);
    let id = send(server.address, SENDER, &["rcpt@to.example"]);
    let message = store.until_list("a deferred message", |list| match list {
        [message] if message["state"] == "deferred" => Some(message.clone()),
        _ => None,
    });
    assert_eq!(text(&message, "id"), id);
    assert_eq!(message["attempts"], 1);
    assert!(
        text(&message, "last_response").contains("450 4.2.0 Greylisted"),
        "{message}"
    );
    assert!(text(&message, "next_attempt_at") > text(&message, "received_at"));
    let stats = store.stats();
    assert_eq!(
        (&stats["messages"], &stats["deferred"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn deferred_is_delivered_when_retried_now() {
    let (store, sink) = (
        Store::new(),
        NextHop::answering(&["^rcpt@=450x1 4.2.0 Greylisted"]),
    );
    let server = store.serve(&["--relay", &sink.url(), "--retry", LATER]);
    let id = send(server.address, SENDER, &["rcpt@to.example"]);
    store.until_list("a deferred message", |list| {
        list.iter()
            .any(|message| message["state"] == "deferred")
            .then_some(())
    });
    store.queue_ok(&["retry", &id]);
    store.until_empty();
}

#[test]
fn deferred_is_delivered_later_by_itself() {
    let (store, sink) = (
        Store::new(),
        NextHop::answering(&["^rcpt@=450x2 4.2.0 Mailbox busy"]),
    );
    let server = store.serve(&["--relay", &sink.url(), "--retry", "100ms,200ms"]);
    let id = send(server.address, SENDER, &["rcpt@to.example"]);
    until("its delivery", || {
        store.logged().contains("delivered").then_some(())
    });
    store.until_empty();
    let log = store.logged();
    let deferred = log
        .lines()
        .filter(|line| line.contains("deferred") && line.contains(&id));
    assert_eq!(deferred.count(), 2, "{log}");
}

#[test]
fn given_up_when_the_schedule_ends() {
    let (store, sink) = (
        Store::new(),
        NextHop::answering(&["^rcpt@=450 4.2.0 Mailbox busy", "^sender@=450"]),
    );
    let server = store.serve(&["--relay", &sink.url(), "--retry", "100ms"]);
    send(server.address, SENDER, &["rcpt@to.example"]);
    // The bounce itself is given up soon: only the log is sure to tell of it.
    let is_bounce = |line: &str| {
        ["bounced id=", "4.2.0", "notice="]
            .iter()
            .all(|p| line.contains(p))
    };
    let line = || {
        let logged = store.logged();
        logged
            .lines()
            .find(|line| is_bounce(line))
            .map(str::to_owned)
    };
    let bounced = until("the bounce", line);
    assert!(bounced.contains("recipient=rcpt@to.example"), "{bounced}");
}

#[test]
fn each_recipient_has_its_own_outcome() {
    let (store, sink) = (
        Store::new(),
        NextHop::answering(&[
            "^refused@=550 5.1.1 Unknown",
            "^later@=450 4.2.0 Greylisted",
            "^sender@=450",
        ]),
    );
    let server = store.serve(&["--relay", &sink.url(), "--retry", LATER]);
    let to = ["refused@to.example", "later@to.example", "taken@to.example"];
    let id = send(server.address, SENDER, &to);
    let list = store.until_list("the deferred one and the bounce", |list| {
        let settled = list.len() == 2 && list.iter().all(|message| message["attempts"] == 1);
        settled.then(|| list.to_vec())
    });
    let original = list
        .iter()
        .find(|message| text(message, "id") == id)
        .unwrap();
    assert_eq!(original["recipients"], json!(["later@to.example"]));
    let bounce = list.iter().find(|message| message["sender"] == "").unwrap();
    assert_eq!(bounce["recipients"], json!([SENDER]));
    let whole = store.queue_ok(&["show", text(bounce, "id"), "--content"]);
    assert!(whole.contains("refused@to.example"), "{whole}");
    assert!(
        !whole.contains("later@to.example") && !whole.contains("taken@to.example"),
        "{whole}"
    );
}

#[test]
fn nobody_is_told_when_a_bounce_is_refused() {
    let (store, sink) = (Store::new(), NextHop::answering(&["@=550 5.1.1 Unknown"]));
    let server = store.serve(&["--relay", &sink.url()]);
    send(server.address, "", &["rcpt@to.example"]);
    store.until_empty();
    assert!(
        store.logged().contains("double bounce"),
        "{}",
        store.logged()
    );
}

/// Each recipient of `smtp-source -N` begins with a number of its own, and each
/// body is the same, so that losses, doubles and damage all show.
#[test]
fn a_large_run_arrives_complete() {
    const MESSAGES: usize = 10_000;
    const SIZE: usize = 10 * 1024;
    let store = Store::new();
    let maildir = store.path().with_file_name("maildir");
    let relay = format!("maildir:{}", maildir.display());
    let server = store.serve(&["--relay", &relay, "--log-format", "json"]);
    let sent = std::process::Command::new(postfix("smtp-source"))
        .args(["-N", "-s", "20", "-m", &MESSAGES.to_string()])
        .args(["-l", &SIZE.to_string()])
        .args(["-f", SENDER, "-t", "rcpt@to.example"])
        .arg(server.address.to_string())
        .status();
    assert!(sent.unwrap().success());
    until_after("an empty queue", LARGE_RUN_PATIENCE, || {
        (store.stats()["messages"] == 0).then_some(())
    });
    all_is_delivered(&store, MESSAGES as u64);
    let mut recipients = BTreeSet::new();
    let mut bodies = BTreeSet::new();
    let mut arrived = 0;
    for entry in std::fs::read_dir(maildir.join("new")).unwrap() {
        let message = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let (header, body) = message.split_once("\r\n\r\n").unwrap();
        let recipient = header
            .lines()
            .find(|line| line.starts_with("Delivered-To:"));
        recipients.insert(recipient.unwrap().to_owned());
        bodies.insert(body.to_owned());
        arrived += 1;
    }
    assert_eq!((arrived, recipients.len()), (MESSAGES, MESSAGES));
    assert_eq!(bodies.len(), 1, "all bodies are sent alike");
    let body = bodies.first().unwrap();
    assert!((SIZE..=SIZE + 2).contains(&body.len()), "{}", body.len());
    let lines = (1..).zip(body.lines());
    for (number, line) in lines.filter(|(_, line)| !line.starts_with('X')) {
        assert!(
            line.starts_with(&(number % 10).to_string()),
            "{number}: {line}"
        );
    }
}
