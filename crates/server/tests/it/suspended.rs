//! Mail that an operator keeps back by where it goes.

use serde_json::Value;

use crate::postgres::Server as Database;
use crate::rig::{NextHop, Store, send, stderr, text, until};

const SENDER: &str = "sender@from.example";

fn suspended(store: &Store) -> Vec<Value> {
    let all = store.queue_ok(&["destinations", "--json"]);
    let all = all
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut all: Vec<Value> = all.collect();
    all.retain(|one| !one["suspended"].is_null());
    all
}

#[test]
fn suspended_mail_waits_over_a_restart_and_goes_when_it_is_resumed() {
    let (store, next_hop) = (Store::new(), NextHop::answering(&[]));
    let relay = next_hop.url();
    let args = ["--relay", &relay, "--retry", "100ms..;until=1h"];
    let server = store.serve(&args);
    let said = store.queue_ok(&["suspend", &relay, "--reason", "they move"]);
    assert!(said.contains("they move"), "{said}");
    let id = send(server.address, SENDER, &["rcpt@to.example"]);
    for _ in 0..3 {
        send(server.address, SENDER, &["rcpt@to.example"]);
    }
    let waits = |store: &Store| {
        let explained = store.queue_ok(&["explain", &id]);
        let why = format!("mail for {relay} is suspended by an operator: they move");
        assert!(explained.contains(&why), "{explained}");
        let messages = store.list();
        assert_eq!(messages.len(), 4);
        assert!(messages.iter().all(|m| m["attempts"] == 0), "{messages:?}");
        let all = suspended(store);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(text(&all[0], "destination"), relay);
        assert_eq!(text(&all[0]["suspended"], "reason"), "they move");
        assert_eq!((&all[0]["waiting"], &all[0]["due"]), (&4.into(), &4.into()));
        assert_eq!(all[0]["more"], false);
    };
    waits(&store);
    server.stop();
    // Without a server too.
    waits(&store);
    let server = store.serve(&args);
    // What was there and what comes now.
    store.queue_ok(&["retry"]);
    waits(&store);

    store.queue_ok(&["resume", &relay]);
    store.until_empty();
    assert!(suspended(&store).is_empty());
    let again = store.queue(&["resume", &relay]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("slimta queue destinations"));
    let logged = store.logged();
    for line in ["suspended by operator", "resumed by operator"] {
        assert!(logged.contains(line), "no {line:?} in {logged}");
    }
    drop(server);
}

#[test]
fn mail_flows_again_when_a_suspension_ends_and_past_a_suspended_destination() {
    let (store, next_hop) = (Store::new(), NextHop::answering(&[]));
    let relay = next_hop.url();
    let server = store.serve(&["--relay", &relay]);
    // Another one says nothing of this one, and neither does what is over.
    store.queue_ok(&["suspend", "*.example.org", "--for", "1d"]);
    send(server.address, SENDER, &["rcpt@to.example"]);
    store.until_empty();
    let over = store.queue(&["suspend", &relay, "--until", "2020-01-01T00:00:00Z"]);
    assert_eq!(over.status.code(), Some(1));
    assert!(stderr(&over).contains("over"), "{}", stderr(&over));
    store.queue_ok(&["suspend", &relay, "--for", "2s"]);
    send(server.address, SENDER, &["rcpt@to.example"]);
    let held_back = store.list();
    assert!(held_back.iter().all(|m| m["attempts"] == 0));
    // Nobody does anything.
    store.until_empty();
    let all = suspended(&store);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(text(&all[0], "destination"), "*.example.org");
}

#[test]
fn servers_that_share_a_storage_hear_of_what_one_has_suspended() {
    let database = Database::with(&[]);
    let url = database.url();
    let next_hop = NextHop::answering(&[]);
    let relay = next_hop.url();
    let (one, other) = (Store::at(&url), Store::at(&url));
    let args = ["--relay", &relay];
    let (_first, second) = (one.serve(&args), other.serve(&args));
    one.queue_ok(&["suspend", &relay]);
    // Within seconds: until then mail may still go.
    until("the other server to hear of it", || {
        send(second.address, SENDER, &["rcpt@to.example"]);
        let waits = other.list();
        (!waits.is_empty() && !suspended(&other).is_empty()).then_some(())
    });
    let id = send(second.address, SENDER, &["rcpt@to.example"]);
    let explained = other.queue_ok(&["explain", &id]);
    assert!(explained.contains("suspended"), "{explained}");
    other.queue_ok(&["resume", &relay]);
    one.until_empty();
}

#[test]
fn all_mail_can_be_kept_back_at_once() {
    let (store, next_hop) = (Store::new(), NextHop::answering(&[]));
    let server = store.serve(&["--relay", &next_hop.url()]);
    store.queue_ok(&["suspend", "*", "--reason", "something is wrong"]);
    let id = send(server.address, SENDER, &["rcpt@to.example"]);
    store.queue_ok(&["retry"]);
    let explained = store.queue_ok(&["explain", &id]);
    assert!(explained.contains("something is wrong"), "{explained}");
    assert_eq!(store.list()[0]["attempts"], 0);
    store.queue_ok(&["resume", "*"]);
    store.until_empty();
}
