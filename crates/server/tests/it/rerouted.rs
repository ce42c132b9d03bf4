//! Mail that waits for a next hop that is not there, sent another way.

use serde_json::Value;

use crate::rig::{KeepingSink, Server, Store, free_address, send, stderr, text};

const SENDER: &str = "sender@from.example";
const MESSAGES: usize = 3;

/// How often a sink has got the message for a recipient.
fn got(sink: &KeepingSink, recipient: &str) -> usize {
    let messages = sink.messages();
    messages.iter().filter(|m| m.contains(recipient)).count()
}

fn send_all(server: &Server) {
    for number in 0..MESSAGES {
        send(server.address, SENDER, &[&format!("r{number}@to.example")]);
    }
}

fn assert_each_once(sink: &KeepingSink) {
    for number in 0..MESSAGES {
        assert_eq!(got(sink, &format!("<r{number}@")), 1);
    }
}

/// All of it was tried, and waits for an hour.
fn until_deferred(store: &Store) {
    store.until_list("failures", |list| {
        let all = list.len() == MESSAGES && list.iter().all(|one| one["attempts"] == 1);
        all.then_some(())
    });
}

#[test]
fn mail_for_a_dead_smarthost_reaches_another_once() {
    let (store, other) = (Store::new(), KeepingSink::start());
    let dead = format!("smtp://{}", free_address());
    let flags = ["--relay", &dead, "--retry", "1h..;until=5d"];
    let server = store.serve(&flags);
    send_all(&server);
    until_deferred(&store);

    let from_dead = ["--destination", &dead];
    let to_other = ["reroute", "--to", &other.url()];
    let verb = [&to_other[..], &from_dead].concat();
    let counted = store.queue_ok(&[&verb[..], &["--dry-run", "--json"]].concat());
    let counted: Value = serde_json::from_str(&counted).unwrap();
    assert_eq!(counted["would_change"], MESSAGES);
    assert_eq!(other.messages().len(), 0);
    let done = store.queue_ok(&verb);
    assert!(done.contains("3 messages rerouted"), "{done}");
    store.until_empty();
    assert_each_once(&other);
    let logged = store.logged();
    assert_eq!(logged.matches("rerouted by operator").count(), MESSAGES);
    drop(server);
}

#[test]
fn rerouted_mail_keeps_its_way_over_restarts_and_can_go_back() {
    let (store, other) = (Store::new(), KeepingSink::start());
    let (dead, dead_too) = (free_address(), free_address());
    let relay = format!("smtp://{dead}");
    let flags = ["--relay", &relay, "--retry", "1h..;until=5d"];
    let server = store.serve(&flags);
    send_all(&server);
    until_deferred(&store);
    server.stop();
    // There, back, and on, without a server.
    for to in [&format!("smtp://{dead_too}"), &relay, &other.url()] {
        store.queue_ok(&["reroute", "--all", "--to", to]);
        let list = store.list();
        assert_eq!(list.len(), MESSAGES);
        assert!(list.iter().all(|one| text(one, "destination") == to));
    }
    let id = text(&store.list()[0], "id").to_owned();
    let story = store.queue_ok(&["explain", &id]);
    let way = format!("rerouted: from {relay} to smtp://{dead_too}");
    assert!(story.contains(&way), "{story}");
    let _server = store.serve(&flags);
    store.until_empty();
    assert_each_once(&other);
}

#[test]
fn mail_can_be_sent_to_a_server_that_delivers_into_mailboxes() {
    let (store, mailboxes) = (Store::new(), KeepingSink::start_lmtp());
    let dead = format!("smtp://{}", free_address());
    let server = store.serve(&["--relay", &dead, "--retry", "1h..;until=5d"]);
    send_all(&server);
    until_deferred(&store);
    let to = format!("lmtp://{}", mailboxes.address);
    store.queue_ok(&["reroute", "--all", "--to", &to]);
    store.until_empty();
    assert_each_once(&mailboxes);
    assert!(store.logged().contains(&to));
    server.stop();
}

#[test]
fn a_domain_is_reached_by_its_own_rule() {
    let (store, other) = (Store::new(), KeepingSink::start());
    let config = store.path().with_extension("toml");
    let rule = format!("[destination.'other.example']\nrelay = '{}'\n", other.url());
    std::fs::write(&config, rule).unwrap();
    let (dead, config) = (free_address(), config.display().to_string());
    let relay = format!("smtp://{dead}");
    let flags = ["--relay", &relay, "--config", &config];
    let server = store.serve(&[&flags[..], &["--retry", "1h..;until=5d"]].concat());
    send_all(&server);
    until_deferred(&store);
    store.queue_ok(&["reroute", "--all", "--to", "Other.Example"]);
    store.until_empty();
    assert_each_once(&other);
    drop(server);
}

#[test]
fn what_is_no_next_hop_is_refused_and_no_password_is_shown() {
    let store = Store::new();
    let _server = store.serve(&["--relay", "blackhole:"]);
    for (to, told) in [
        ("smtp://", "host and port"),
        ("smtps://:465", "host and port"),
        ("lmtp:socket", "whole path"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("pigeon:home", "name a domain"),
        ("smtp://u:hunter2@relay.example:25", "without a user"),
    ] {
        let refused = store.queue(&["reroute", "--all", "--to", to]);
        assert_eq!(refused.status.code(), Some(2), "{to}");
        let why = stderr(&refused);
        assert!(why.contains(told) && why.contains("--to"), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
    let nothing_said = store.queue(&["reroute", "--to", "example.org"]);
    assert_eq!(nothing_said.status.code(), Some(2));
}
