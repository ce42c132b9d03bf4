//! Acting on many messages: counted first, slowly, and stopped halfway.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::rig::{Store, free_address, send, slimta, stderr, stdout, until};

const SENDER: &str = "sender@from.example";
const MESSAGES: u64 = 40;

/// A server that keeps so many messages, all of them suspended.
fn server_with(store: &Store, messages: u64) -> crate::rig::Server {
    let relay = format!("smtp://{}", free_address());
    let server = store.serve(&["--relay", &relay]);
    store.queue_ok(&["suspend", &relay]);
    for _ in 0..messages {
        send(server.address, SENDER, &["rcpt@to.example"]);
    }
    server
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text:?} is no JSON"))
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let store = Store::new();
    let _server = server_with(&store, 3);
    let before = store.list();
    let size: u64 = before.iter().map(|m| m["size"].as_u64().unwrap()).sum();
    let id = before[0]["id"].as_str().unwrap();
    for verb in ["retry", "hold", "delete", "bounce"] {
        let counted = json(&store.queue_ok(&[verb, "--all", "--dry-run", "--json"]));
        assert_eq!(counted["would_change"], 3, "{verb}");
        assert_eq!(counted["bytes"], size, "{verb}");
        assert_eq!(counted["destinations"], 1, "{verb}");
        let one = store.queue_ok(&[verb, id, "--dry-run"]);
        assert!(one.starts_with("1 message of "), "{one}");
    }
    let none = json(&store.queue_ok(&["release", "--all", "--dry-run", "--json"]));
    assert_eq!(none["would_change"], 0);
    assert_eq!(store.list(), before);
    // Not to say which is a mistake here, too.
    let all = store.queue(&["delete", "--dry-run"]);
    assert_eq!(all.status.code(), Some(2));

    store.queue_ok(&["hold", id, "--reason", "Looks odd"]);
    let counted = |args: &[&str]| json(&store.queue_ok(args))["would_change"].clone();
    assert_eq!(counted(&["release", "--all", "--dry-run", "--json"]), 1);
    let again = ["hold", "--all", "--reason", "Looks odd", "--dry-run"];
    assert_eq!(counted(&[&again[..], &["--json"]].concat()), 2);
}

#[test]
fn a_slow_release_stops_where_it_is_told_to() {
    let store = Store::new();
    let _server = server_with(&store, MESSAGES);
    store.queue_ok(&["hold", "--all"]);
    let held = || store.stats()["held"].as_u64().unwrap();
    assert_eq!(held(), MESSAGES);
    let odd = store.queue(&["release", "--all", "--rate", "fast"]);
    assert_eq!(odd.status.code(), Some(2));
    assert!(stderr(&odd).contains("50/s"), "{}", stderr(&odd));

    let url = store.url();
    let releasing = slimta(&["queue", "release", "--all", "--rate", "1/s"])
        .args(["--storage", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the first to be released", || {
        (held() < MESSAGES).then_some(())
    });
    let interrupt = ["-INT", &releasing.id().to_string()];
    assert!(
        Command::new("kill")
            .args(interrupt)
            .status()
            .unwrap()
            .success()
    );
    let stopped = releasing.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(1));
    let said = stdout(&stopped);
    assert!(said.contains("stopped before the end"), "{said}");
    let released: u64 = said.split(' ').next().unwrap().parse().unwrap();
    assert!((1..MESSAGES).contains(&released), "{said}");
    assert_eq!(held(), MESSAGES - released);

    // The rest goes on where it stopped.
    let rest = json(&store.queue_ok(&["release", "--all", "--json"]));
    assert_eq!(rest["changed"], MESSAGES - released);
}
