//! The server says who it is to its smarthost, another slimta with users.

use std::fs;

use crate::auth::Users;
use crate::rig::{Store, free_address, run, send, stderr, until};

const SENDER: &str = "sender@from.example";
const SECRET: &str = "canary in a mine";

/// A file of a password beside a store.
struct Password(String);

impl Password {
    fn new(store: &Store, password: &str) -> Self {
        let file = store.path().with_extension("password");
        fs::write(&file, format!("{password}\n")).unwrap();
        Password(file.display().to_string())
    }

    fn options(&self) -> [&str; 4] {
        ["--relay-user", "ann", "--relay-password-file", &self.0]
    }
}

/// Neither as it is nor in base64, alone or in a message of PLAIN.
fn holds_secret(log: &str) -> bool {
    let encoded = ["Y2FuYXJ5IGluIGEgbWluZQ", "AGFubgBjYW5hcnkgaW4gYSBtaW5l"];
    log.contains(SECRET) || encoded.iter().any(|secret| log.contains(secret))
}

#[test]
fn a_smarthost_with_users_takes_mail_by_both_ways_of_tls() {
    let users = Users::with("ann", SECRET);
    let smarthost = Store::new();
    let encrypted = free_address();
    let hop = users.serve(&smarthost, &["--listen-tls", &encrypted.to_string()]);
    let store = Store::new();
    let password = Password::new(&store, SECRET);
    for (number, relay) in [
        format!("smtp://{}", hop.address),
        format!("smtps://{encrypted}"),
    ]
    .iter()
    .enumerate()
    {
        let options = ["--relay", relay, "--log-level", "trace"];
        let server = store.serve(&[&options[..], &password.options()].concat());
        send(server.address, SENDER, &["a@to.example"]);
        store.until_empty();
        server.stop();
        assert_eq!(smarthost.list().len(), number + 1);
    }
    assert!(!holds_secret(&store.logged()));
    hop.stop();
}

/// Nobody has to read bounces: all mail waits, the destination is left alone, and
/// the new password needs no restart.
#[test]
fn a_wrong_password_bounces_nothing_and_is_told() {
    let users = Users::with("ann", SECRET);
    let smarthost = Store::new();
    let hop = users.serve(&smarthost, &[]);
    let store = Store::new();
    let password = Password::new(&store, "wrong");
    let relay = format!("smtp://{}", hop.address);
    let options = ["--relay", &relay, "--retry", "1h..;until=1d"];
    let server = store.serve(&[&options[..], &password.options()].concat());
    let count = 6;
    let ids: Vec<_> = (0..count)
        .map(|_| {
            let id = send(server.address, SENDER, &["a@to.example"]);
            store.until_list("a message that failed", |list| {
                list.iter().all(|m| m["attempts"] == 1).then_some(())
            });
            id
        })
        .collect();
    let told = "4.7.8 The next hop did not let ann log in: 535 5.7.8";
    let explained = store.queue_ok(&["explain", &ids[0]]);
    assert!(explained.contains(told), "{explained}");
    assert!(store.logged().contains(told));
    // Five failures in a row: the sixth was not even tried.
    let refused = |store: &Store| store.logged().matches("authentication failed").count();
    until("five refusals", || (refused(&smarthost) == 5).then_some(()));
    let destinations = store.queue_ok(&["destinations"]);
    assert!(
        destinations.contains("did not let ann log in"),
        "{destinations}"
    );
    fs::write(&password.0, SECRET).unwrap();
    store.queue_ok(&["retry", "--all"]);
    store.until_empty();
    assert_eq!(smarthost.list().len(), count);
    assert!(!holds_secret(&store.logged()));
    server.stop();
    hop.stop();
}

/// A table says who this host is to its own relay; for other mail nothing is said,
/// although it goes to the same server.
#[test]
fn a_login_is_for_the_relay_beside_it() {
    let users = Users::with("ann", SECRET);
    let smarthost = Store::new();
    let hop = users.serve(&smarthost, &[]);
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let password = Password::new(&store, SECRET);
    let (url, file) = (format!("smtp://{}", hop.address), &password.0);
    let text = format!(
        "relay = '{url}'\n[destination.'to.example']\nrelay = '{url}'\nrelay-user = 'ann'\nrelay-password-file = '{file}'\n"
    );
    fs::write(&config, text).unwrap();
    let server = store.serve(&["--config", &config.display().to_string()]);
    send(server.address, SENDER, &["a@to.example"]);
    store.until_empty();
    assert_eq!(smarthost.list().len(), 1);
    send(server.address, SENDER, &["a@other.example"]);
    until("a refusal", || {
        store.logged().contains("Relaying denied").then_some(())
    });
    assert_eq!(smarthost.list().len(), 1);
    server.stop();
    hop.stop();
}

#[test]
fn what_cannot_be_used_is_named_at_the_start() {
    let store = Store::new();
    let password = Password::new(&store, "");
    let config = store.path().with_extension("toml");
    let file = &password.0;
    let user = format!("relay-user = 'ann'\nrelay-password-file = '{file}'\n");
    let cases = [
        (format!("relay = 'smtp://h'\n{user}"), "cannot be sent"),
        (
            "relay = 'smtp://h'\nrelay-user = 'ann'\n".to_owned(),
            "needs its relay-password-file",
        ),
        (
            "relay-auth-in-clear = true\n".to_owned(),
            "needs a relay-user",
        ),
        (user.clone(), "smtp:// or smtps://, beside it"),
        (
            format!("relay = 'smtp://h'\n[destination.'x']\n{user}"),
            ":3:1: destination.\"x\".relay-user: it needs a relay of its own",
        ),
        (
            "relay = 'smtp://h'\nrelay-user = 'ann'\nrelay-password-file = '/nowhere/x'\n"
                .to_owned(),
            "cannot be read from /nowhere/x",
        ),
    ];
    for (text, why) in cases {
        fs::write(&config, &text).unwrap();
        let path = config.display().to_string();
        let said = run(&["serve", "--storage", &store.url(), "--config", &path]);
        assert_eq!(said.status.code(), Some(78), "{text}");
        assert!(stderr(&said).contains(why), "{text}: {}", stderr(&said));
    }
}
