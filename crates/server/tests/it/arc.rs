//! Chains of ARC, verified by a stranger's program.

use std::process::Command;

use serde_json::Value;

use crate::dkim::{Keys, python};
use crate::rig::{Client, Store, run, stderr};
use crate::verify_senders::{MESSAGE, NameServer, RECORDS, published, serve_with};

/// What a stranger says of the chains of these messages.
#[track_caller]
fn verified(keys: &Keys, messages: &[Vec<u8>]) -> Vec<(String, u64)> {
    let files = messages.iter().enumerate().map(|(number, message)| {
        let file = keys.path(&format!("arc{number}"));
        std::fs::write(&file, message).unwrap();
        file
    });
    let mut command = Command::new(python());
    command
        .args(["-c", include_str!("verify_arc.py")])
        .arg(keys.path("records"));
    let output = command.args(files).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let seen: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let state = |one: &Value| one["state"].as_str().unwrap_or("ended").to_owned();
    seen.iter()
        .map(|one| (state(one), one["sets"].as_u64().unwrap()))
        .collect()
}

#[test]
fn what_is_passed_on_carries_a_chain_that_holds_as_long_as_nobody_breaks_it() {
    let keys = Keys::make();
    let dns = NameServer::publishing(&published(&keys, &RECORDS));
    let config = format!("{}\n", std::fs::read_to_string(keys.config()).unwrap());
    // Each host on the way has a name of its own, and the same keys.
    let pass = |host: &str, message: &[u8]| {
        let store = Store::new();
        let lines = format!("authserv-id = '{host}'\narc-seal = 'Example.org'");
        let server = serve_with(&store, &dns, &lines, &config);
        let mut client = Client::connect(server.address).unwrap();
        let said = client
            .send_octets("a@other.example", "b@to.example", message)
            .unwrap();
        let id = said.trim_end().rsplit(' ').next().unwrap();
        let content = store.queue(&["show", id, "--content"]).stdout;
        assert!(!store.logged().contains("ERROR"), "{}", store.logged());
        content
    };
    let signed = keys.signed_by_stranger(MESSAGE.as_bytes(), "rsa", "example.org");
    let first = pass("one.example", &signed);
    let shown = String::from_utf8_lossy(&first);
    assert!(
        shown.starts_with("ARC-Seal: i=1; a=rsa-sha256; d=example.org; s=rsa; "),
        "{shown}"
    );
    assert!(
        shown.contains("ARC-Authentication-Results: i=1; one.example; spf=fail"),
        "{shown}"
    );
    let second = pass("two.example", &first);
    assert!(String::from_utf8_lossy(&second).contains("arc=pass"));
    let mut broken = second.clone();
    broken.extend_from_slice(b"Your list footer.\r\n");
    let third = pass("three.example", &broken);
    assert!(String::from_utf8_lossy(&third).contains("cv=fail"));
    let fourth = pass("four.example", &third);
    let seen = verified(&keys, &[first, second, broken, third, fourth]);
    let states: Vec<_> = seen
        .iter()
        .map(|(state, sets)| (state.as_str(), *sets))
        .collect();
    assert_eq!(
        states,
        [
            ("pass", 1),
            ("pass", 2),
            ("fail", 2),
            ("ended", 3),
            ("ended", 3)
        ]
    );
}

#[test]
fn a_domain_without_keys_cannot_seal() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    std::fs::write(&config, "[verify-senders]\narc-seal = 'example.org'\n").unwrap();
    let said = run(&[
        "serve",
        "--relay",
        "none",
        "--config",
        &config.display().to_string(),
    ]);
    assert_eq!(said.status.code(), Some(78));
    let why = stderr(&said);
    assert!(
        why.contains("no keys for the domain \"example.org\"") && why.contains("arc-seal"),
        "{why}"
    );
}
