//! A next hop that is not there: it is left alone, operators see why, and it
//! gets its mail when it is back.

use serde_json::Value;

use crate::rig::{NextHop, Store, free_address, send, text, until};

const MESSAGES: usize = 20;
const SENDER: &str = "sender@from.example";

#[test]
fn an_absent_next_hop_is_left_alone_and_gets_its_mail_when_it_is_back() {
    let (store, next_hop) = (Store::new(), free_address());
    let relay = format!("smtp://{next_hop}");
    let server = store.serve(&[
        "--relay",
        &relay,
        "--retry",
        "500ms..;until=1h",
        "--backoff-min",
        "1s",
        "--backoff-max",
        "2s",
    ]);
    for _ in 0..MESSAGES {
        send(server.address, SENDER, &["rcpt@to.example"]);
    }
    let one = until("a destination that is left alone", || {
        let all = store.queue_ok(&["destinations", "--json"]);
        let all = all.lines().map(|line| serde_json::from_str(line).unwrap());
        all.into_iter()
            .find(|one: &Value| !one["paused_seconds"].is_null())
    });
    assert_eq!(text(&one, "destination"), relay);
    assert!(one["failures"].as_u64().unwrap() >= 5, "{one}");
    let last = text(&one, "last_response");
    assert!(last.contains("4.4.1") && last.contains("refused"), "{last}");

    let messages = store.list();
    assert_eq!(messages.len(), MESSAGES);
    let id = text(&messages[0], "id");
    let explained = store.queue_ok(&["explain", id]);
    for part in [id, "last response", "\nnow "] {
        assert!(explained.contains(part), "no {part:?} in {explained}");
    }

    let _sink = NextHop::at(next_hop);
    store.until_empty();
    until("a line of log", || {
        let logged = store.logged();
        let both = logged.contains("destination paused") && logged.contains("destination resumed");
        both.then_some(())
    });
    let gone = store.queue(&["explain", id]);
    assert!(!gone.status.success());
}
