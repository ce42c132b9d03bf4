//! A disk that fills up: clients are told to come again, and the mail that is
//! there goes on its way.

use crate::audit::all_is_delivered;
use crate::rig::{Client, NextHop, Store, free_address, until_after};
use std::time::Duration;

const DISK_MIB: u64 = 160;
/// Far enough away that no test waits for it.
const LATER: &str = "1h..;until=1d";
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_full_disk_refuses_new_mail_for_now_and_relays_the_rest() {
    let next_hop = free_address();
    let store = Store::new();
    let relay = format!("smtp://{next_hop}");
    let server = store.serve_on_small_disk(
        DISK_MIB,
        &["--relay", &relay, "--retry", LATER, "--log-format", "json"],
    );
    let content = format!("Subject: large\n\n{}", "0123456789abcdef\n".repeat(8192));
    let send = || {
        let mut client = Client::connect(server.address).unwrap();
        client.send("sender@from.example", &["rcpt@to.example"], &content)
    };
    let mut taken = 0;
    let refusal = loop {
        assert!(taken < DISK_MIB * 8, "more was taken than fits");
        match send() {
            Ok(_) => taken += 1,
            Err(error) => break error.to_string(),
        }
    };
    assert!(refusal.starts_with("452 4.3.1 "), "{refusal}");
    assert!(taken > 10, "only {taken} fit");
    let stats = store.stats();
    assert_eq!(stats["messages"], taken, "{}", store.logged());
    let _sink = NextHop::at(next_hop);
    store.queue_ok(&["retry", "--all"]);
    until_after("an empty queue", DRAIN_PATIENCE, || {
        (store.stats()["messages"] == 0).then_some(())
    });
    until_after("room for new mail", DRAIN_PATIENCE, || send().ok());
    store.until_empty();
    all_is_delivered(&store, taken + 1);
    server.stop();
}
