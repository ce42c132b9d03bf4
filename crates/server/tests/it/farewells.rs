//! What next hops see of a server that stops or reads its settings anew.

use crate::postfix::Postfix;
use crate::rig::{KeepingSink, Store, send, until};

/// How many clients Postfix saw say goodbye, and how many that just went.
fn ends(postfix: &Postfix) -> (usize, usize) {
    let log = postfix.log();
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    (count(" quit=1 "), count("lost connection after "))
}

#[test]
fn next_hops_hear_goodbye_when_a_server_reloads_or_stops() {
    let sink = KeepingSink::start();
    let Some(postfix) = Postfix::start(sink.address) else {
        return;
    };
    let store = Store::new();
    let file = store.path().with_extension("toml");
    let text = format!("relay = '{}'\nconnection-idle-max = '1h'\n", postfix.url());
    std::fs::write(&file, text).unwrap();
    let server = store.serve(&["--config", &file.display().to_string()]);
    let deliver = || {
        send(server.address, "s@from.example", &["a@to.example"]);
        store.until_empty();
    };
    deliver();
    // The first look of the rig, to see whether it listens, says nothing.
    let (said, lost) = ends(&postfix);
    assert_eq!(said, 0);
    assert!(store.operate(&["reload"]).status.success());
    until("the end of the first", || {
        (ends(&postfix).0 == 1).then_some(())
    });
    deliver();
    server.stop();
    until("the end of the second", || {
        (ends(&postfix).0 == 2).then_some(())
    });
    assert_eq!(ends(&postfix), (2, lost));
    assert!(store.logged().contains("ended connections to next hops"));
}
