//! A store that fails to write: the server tells clients to come again, ends
//! with a failure, and what it had answered 250 is there when it is started anew.

use std::collections::BTreeSet;

use crate::rig::{Client, Store, text};

/// Largest file, in blocks of 512 bytes; and without the signal that would end
/// the process there, so that the write fails as on a broken disk.
const LIMIT: &str = "-f 65536 && trap '' XFSZ";
const TAKEN_MAX: usize = 1000;

#[test]
fn a_store_that_fails_to_write_ends_the_server_and_keeps_what_was_answered() {
    let store = Store::new();
    let server = store.serve_under(LIMIT, &["--relay", "none"]);
    let content = format!("Subject: large\n\n{}", "0123456789abcdef\n".repeat(4096));
    let mut client = Client::connect(server.address).unwrap();
    let mut answered = BTreeSet::new();
    let refusal = loop {
        assert!(answered.len() < TAKEN_MAX, "more was taken than fits");
        match client.send("sender@from.example", &["rcpt@to.example"], &content) {
            Ok(answer) => answered.insert(answer.trim_end().rsplit(' ').next().unwrap().to_owned()),
            Err(error) => break error.to_string(),
        };
    };
    assert!(refusal.starts_with('4'), "{refusal}");
    assert!(!answered.is_empty(), "nothing was taken: {refusal}");
    let end = server.ended();
    assert!(!end.success(), "{end}");
    assert_eq!(end.code(), Some(1), "{end}\n{}", store.logged());

    let server = store.serve(&["--relay", "none"]);
    let there: BTreeSet<_> = store
        .list()
        .iter()
        .map(|one| text(one, "id").to_owned())
        .collect();
    let lost: Vec<_> = answered.difference(&there).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    client = Client::connect(server.address).unwrap();
    client
        .send("sender@from.example", &["rcpt@to.example"], &content)
        .unwrap();
    server.stop();
}
