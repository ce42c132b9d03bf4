//! A store that fails to write: the server tells clients to come again, ends
//! with a failure, and what it had answered 250 is there when it is started anew.

use slimta_oracle::{Fate, Ledger};

use crate::rig::{Client, Store, text};

/// Largest file, in blocks of 512 bytes; and without the signal that would end
/// the process there, so that the write fails as on a broken disk.
const LIMIT: &str = "-f 65536 && trap '' XFSZ";
const TAKEN_MAX: u64 = 1000;
const RECIPIENT: &str = "rcpt@to.example";

#[test]
fn a_store_that_fails_to_write_ends_the_server_and_keeps_what_was_answered() {
    let store = Store::new();
    let server = store.serve_under(LIMIT, &["--relay", "none"]);
    let content = format!("Subject: large\n\n{}", "0123456789abcdef\n".repeat(4096));
    let mut client = Client::connect(server.address).unwrap();
    let mut ledger = Ledger::default();
    let refusal = loop {
        assert!(
            ledger.tally().answered < TAKEN_MAX,
            "more was taken than fits"
        );
        match client.send("sender@from.example", &[RECIPIENT], &content) {
            Ok(answer) => {
                let id = answer.trim_end().rsplit(' ').next().unwrap().to_owned();
                ledger.account(&(id, RECIPIENT.to_owned())).owe();
            }
            Err(error) => break error.to_string(),
        };
    };
    assert!(refusal.starts_with('4'), "{refusal}");
    let answered = ledger.tally().answered;
    assert!(answered > 0, "nothing was taken: {refusal}");
    let end = server.ended();
    assert!(!end.success(), "{end}");
    assert_eq!(end.code(), Some(1), "{end}\n{}", store.logged());

    let server = store.serve(&["--relay", "none"]);
    for message in store.list() {
        let id = text(&message, "id").to_owned();
        for recipient in message["recipients"].as_array().unwrap() {
            let recipient = recipient.as_str().unwrap().to_owned();
            ledger.account(&(id.clone(), recipient)).wait();
        }
    }
    // What was stored and not answered may be there, too.
    let tally = ledger.close().unwrap_or_else(|broken| panic!("{broken}"));
    assert!(tally.of(Fate::Queued) >= answered, "{tally}");
    client = Client::connect(server.address).unwrap();
    client
        .send("sender@from.example", &[RECIPIENT], &content)
        .unwrap();
    server.stop();
}
