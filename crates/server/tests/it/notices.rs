//! What senders are told, as the options and they themselves say.

use crate::rig::{Client, NextHop, Store, send, text};

/// The notice that waits, because its own next hop does not take it.
fn notice(store: &Store) -> String {
    let id = store.until_list("the notice, deferred", |list| match list {
        [one] if one["sender"] == "" && one["attempts"] == 1 => Some(text(one, "id").to_owned()),
        _ => None,
    });
    store.queue_ok(&["show", &id, "--content"])
}

#[test]
fn who_asked_is_told_that_mail_was_relayed_to_a_host_that_does_not_tell() {
    let hop = NextHop::answering(&["^a@=450 4.2.0 Later"]);
    let store = Store::new();
    let server = store.serve(&["--relay", &hop.url(), "--retry", "1h..;until=2d"]);
    let mut client = Client::connect(server.address).unwrap();
    for (line, code) in [
        ("MAIL FROM:<a@from.example> ENVID=order-7", "250"),
        ("RCPT TO:<rcpt@to.example> NOTIFY=SUCCESS,FAILURE", "250"),
        ("RCPT TO:<other@to.example>", "250"),
        ("DATA", "354"),
        ("Subject: A test\r\n\r\nHello.\r\n.", "250"),
    ] {
        client.ask(line, code).unwrap();
    }
    let notice = notice(&store);
    for line in [
        "Original-Envelope-Id: order-7",
        "Final-Recipient: rfc822; rcpt@to.example",
        "Action: relayed",
        "Subject: A test",
    ] {
        assert!(
            notice.contains(&format!("\r\n{line}\r\n")),
            "no {line}:\n{notice}"
        );
    }
    assert!(
        !notice.contains("other@to.example") && !notice.contains("Hello."),
        "{notice}"
    );
}

#[test]
fn templates_and_the_size_that_comes_back_are_options() {
    let hop = NextHop::answering(&["^rcpt@=550 5.1.1 Unknown", "^a@=450 4.2.0 Later"]);
    let options = ["--relay", &hop.url(), "--retry", "1h..;until=2d"];
    let store = Store::new();
    let server = store.serve(&[&options[..], &["--returned-bytes-max", "20"]].concat());
    send(server.address, "a@from.example", &["rcpt@to.example"]);
    let report = notice(&store);
    assert!(
        report.contains("Subject: A test") && !report.contains("Hello."),
        "{report}"
    );

    let store = Store::new();
    let header = store.path().with_extension("header");
    std::fs::write(&header, "Subject: Sorry ($(code))\n\nIt failed:\n\n").unwrap();
    let template = ["--bounce-header", header.to_str().unwrap()];
    let server = store.serve(&[&options[..], &template].concat());
    send(server.address, "a@from.example", &["rcpt@to.example"]);
    let bounce = notice(&store);
    assert!(bounce.contains("Subject: Sorry (550)\r\n"), "{bounce}");
    assert!(
        bounce.contains("\r\nIt failed:\r\n") && bounce.contains("Hello."),
        "{bounce}"
    );
}
