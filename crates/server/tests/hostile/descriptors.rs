//! File descriptors: clients may take many, but not those of the store and the
//! relay; and when none is left, the server waits for some.

use std::process::Command;

use crate::hop::{Hop, LineEnds};
use crate::rig::{Server, Store, until};
use crate::wire::Wire;

const TOO_MANY: &str = "421 4.7.0 Too many connections\r\n";

#[test]
fn a_low_soft_limit_is_raised() {
    let store = Store::new();
    let server = store.serve_under("-S -n 64", &["--relay", "none"]);
    let clients: Vec<_> = (0..300).map(|_| Wire::greeted(server.address)).collect();
    assert_eq!(clients.len(), 300);
}

/// Far more clients than the hard limit has room for.
#[test]
fn clients_leave_descriptors_for_the_relay() {
    let (hop, store) = (Hop::taking(LineEnds::Strict), Store::new());
    let args = ["--relay", &hop.url(), "--attempts-max", "20"];
    let server = store.serve_under("-n 256", &args);
    let mut served = Vec::new();
    let mut refused = 0;
    for _ in 0..400 {
        let mut client = Wire::connect(server.address);
        match &*client.next() {
            TOO_MANY => refused += 1,
            banner => {
                assert!(banner.starts_with("220 "), "{banner}");
                served.push(client);
            }
        }
    }
    // 256 without two an attempt and 64.
    assert_eq!((served.len(), refused), (152, 248));
    assert!(store.logged().contains("not enough file descriptors"));
    for client in &mut served {
        client.ask("EHLO client.test.example", "250");
        client.deliver("a@from.example", "b@to.example");
    }
    until("all messages", || (hop.taken().len() == 152).then_some(()));
    let log = store.logged();
    assert!(
        !log.contains("deferred") && !log.contains("no connection can"),
        "{log}"
    );
}

/// Sets how many descriptors the running server may have.
fn limit(server: &Server, soft: usize) {
    let limited = Command::new("prlimit")
        .arg(format!("--pid={}", server.pid()))
        .arg(format!("--nofile={soft}:"))
        .status();
    assert!(limited.unwrap().success());
}

/// The number that its next descriptor would have.
fn next_descriptor(server: &Server) -> usize {
    let path = format!("/proc/{}/fd", server.pid());
    let is_free = |number: &usize| !std::fs::exists(format!("{path}/{number}")).unwrap();
    (0..).find(is_free).unwrap()
}

#[test]
fn without_descriptors_the_store_goes_on_and_the_rest_waits() {
    let (hop, store) = (Hop::taking(LineEnds::Strict), Store::new());
    let server = store.serve(&["--relay", &hop.url(), "--retry", "100ms..;until=1d"]);
    let mut early = Wire::greeted(server.address);
    limit(&server, next_descriptor(&server));
    let mut late: Vec<_> = (0..20).map(|_| Wire::connect(server.address)).collect();
    until("a warning", || {
        store
            .logged()
            .contains("no connection can be accepted")
            .then_some(())
    });
    for _ in 0..50 {
        early.deliver("a@from.example", "b@to.example");
    }
    until("attempts in vain", || {
        store.logged().contains("deferred").then_some(())
    });
    limit(&server, 1000);
    for client in &mut late {
        client.reply("220 ");
        client.ask("EHLO client.test.example", "250");
        client.deliver("a@from.example", "b@to.example");
    }
    until("all messages", || (hop.taken().len() == 70).then_some(()));
    server.stop();
    let paused = store.logged().contains("destination paused");
    assert!(!paused, "the want was this machine's, not the next hop's");
}
