//! Limits of some destinations, by the file.

use serde_json::{Value, json};

use crate::rig::{Client, NextHop, Store, run, send, stderr, text, until};

const SENDER: &str = "sender@from.example";

fn first_destination(store: &Store) -> Value {
    let shown = store.queue_ok(&["destinations", "--json"]);
    serde_json::from_str(shown.lines().next().unwrap()).unwrap()
}

#[test]
fn mail_for_a_destination_waits_for_its_rate_and_says_so() {
    let (store, hop) = (Store::new(), NextHop::answering(&[]));
    let relay = hop.url();
    let config = store.path().with_extension("toml");
    let table = format!("[destination.'{relay}']\nrate = '2/h'\nattempts-max = 3\n");
    std::fs::write(&config, table).unwrap();
    let config = config.display().to_string();
    let server = store.serve(&["--relay", &relay, "--config", &config]);
    for _ in 0..5 {
        send(server.address, SENDER, &["rcpt@to.example"]);
    }
    // Two come at once; the next one would come half an hour later.
    store.until_list("three that wait", |list| (list.len() == 3).then_some(()));
    let explained = |part: &str| {
        until("the reason", || {
            let list = store.list();
            let explained = store.queue_ok(&["explain", text(&list[0], "id")]);
            explained.contains(part).then_some(())
        });
    };
    explained("its destination gets 2/h, and the next one in 17");
    let one = first_destination(&store);
    assert_eq!(text(&one, "destination"), relay);
    assert_eq!(text(&one, "rate"), "2/h");
    assert!(one["rate_wait_ms"].as_u64().unwrap() > 1_700_000, "{one}");
    assert_eq!(one["attempts_allowed"], 3);
    // Three at two an hour.
    assert_eq!(
        (&one["per_hour"], &one["drain_seconds"]),
        (&json!(2), &json!(5400))
    );
    let table = store.queue_ok(&["destinations"]);
    assert!(
        table.contains("its rate allows the next attempt in"),
        "{table}"
    );
    assert!(table.contains("  2/h       1 h  smtp:"), "{table}");
    store.queue_ok(&["suspend", &relay]);
    assert_eq!(first_destination(&store)["drain_seconds"], Value::Null);
    store.queue_ok(&["resume", &relay]);
    server.stop();

    let _server = store.serve(&["--relay", &relay, "--rate-per-destination", "1000/s"]);
    store.until_empty();
}

#[test]
fn a_limit_without_sense_is_refused_with_what_is_allowed() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let path = config.display().to_string();
    for (line, allowed) in [
        (
            "rate = '100'",
            "2:8: destination.\"example.org\".rate: \"100\" is not a rate: it is a number from 1 to 1000000 and its time, such as 5/s, 100/min or 1000/h; or none",
        ),
        ("attempts-max = 0", "above zero"),
        ("messages-per-connection = 'all'", "above zero"),
        ("rates = '5/s'", "`rate`"),
    ] {
        std::fs::write(&config, format!("[destination.'example.org']\n{line}\n")).unwrap();
        let said = run(&["serve", "--relay", "none", "--config", &path]);
        assert_eq!(said.status.code(), Some(78), "{line}");
        let why = stderr(&said);
        let named = why.contains(&path) && why.contains(allowed);
        assert!(named, "{line}: {why}");
    }
}

#[test]
fn a_client_says_what_goes_first_and_the_next_hop_hears_it() {
    let (store, hop) = (Store::new(), Store::new());
    let next = hop.serve(&["--relay", "none"]);
    let relay = format!("smtp://{}", next.address);
    let server = store.serve(&["--relay", &relay]);
    let mut client = Client::connect(server.address).unwrap();
    for (said, answer, known) in [
        ("4", "250 2.1.0 ", "high"),
        ("-9", "250 2.3.6 -4 ", "low"),
        ("-1", "250 2.3.6 0 ", "normal"),
    ] {
        let mail = format!("MAIL FROM:<{known}@from.example> MT-PRIORITY={said}");
        client.ask(&mail, answer).unwrap();
        client.ask("RCPT TO:<b@to.example>", "250").unwrap();
        client.ask("DATA", "354").unwrap();
        client.ask("Subject: x\r\n\r\nHello.\r\n.", "250").unwrap();
    }
    store.until_empty();
    let list = hop.list();
    assert_eq!(list.len(), 3);
    for message in &list {
        let sender = format!("{}@from.example", text(message, "priority"));
        assert_eq!(text(message, "sender"), sender);
    }
    let log = hop.logged();
    for (told, times) in [("high", 1), ("low", 1), ("normal", 0)] {
        let told = format!(" priority={told}");
        assert_eq!(log.matches(&told).count(), times, "{log}");
    }
}
