//! Domains with a relay of their own.

use crate::rig::{KeepingSink, Store, run, send, stderr, text};

#[test]
fn a_domain_with_a_relay_of_its_own_goes_there_and_all_else_where_it_went() {
    let (own, others) = (KeepingSink::start(), KeepingSink::start());
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let rule = |pattern: &str| format!("[destination.'{pattern}']\nrelay = '{}'\n", own.url());
    std::fs::write(&config, rule("own.example") + &rule("*.below.example")).unwrap();
    let config = config.display().to_string();
    let _server = {
        let server = store.serve(&["--relay", &others.url(), "--config", &config]);
        let all = ["a@own.example", "b@deep.below.example", "c@below.example"];
        send(server.address, "s@from.example", &all);
        server
    };
    store.until_empty();
    let went = |sink: &KeepingSink, recipient: &str| {
        let messages = sink.messages();
        messages.iter().filter(|m| m.contains(recipient)).count()
    };
    for (recipient, expected) in [("<a@", (1, 0)), ("<b@", (1, 0)), ("<c@", (0, 1))] {
        assert_eq!((went(&own, recipient), went(&others, recipient)), expected);
    }
}

#[test]
fn mail_that_waits_follows_a_new_route() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let write = |url: &str| {
        std::fs::write(
            &config,
            format!("[destination.'to.example']\nrelay = '{url}'\n"),
        )
        .unwrap();
    };
    write("smtp://127.0.0.1:1");
    let file = config.display().to_string();
    let server = store.serve(&["--relay", "blackhole:", "--config", &file]);
    send(server.address, "s@from.example", &["a@to.example"]);
    store.until_list("a failure", |list| match list {
        [one] => (one["attempts"] == 1 && text(one, "destination") == "to.example").then_some(()),
        _ => None,
    });
    server.stop();
    let sink = KeepingSink::start();
    write(&sink.url());
    let _server = store.serve(&["--relay", "blackhole:", "--config", &file]);
    store.queue_ok(&["retry"]);
    store.until_empty();
    assert_eq!(sink.messages().len(), 1);
}

#[test]
fn a_relay_that_cannot_be_is_named_with_its_table() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let file = config.display().to_string();
    let refused = |url: &str, relay: &str| {
        let table = format!("[destination.'a.example']\nrelay = '{url}'\n");
        std::fs::write(&config, table).unwrap();
        let said = run(&["serve", "--relay", relay, "--config", &file]);
        assert_eq!(said.status.code(), Some(78));
        stderr(&said)
    };
    for (url, relay, named) in [
        ("pigeon:", "mx", "pigeon:"),
        ("none", "mx", "hold its mail"),
        ("blackhole:", "none", "only stores"),
    ] {
        let why = refused(url, relay);
        assert!(why.contains(named) && why.contains("a.example"), "{why}");
    }
}

#[test]
fn a_domain_may_be_refused_and_all_others_have_a_way() {
    let sink = KeepingSink::start();
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let text = format!(
        "relay = 'blackhole:'\n\
         [destination.'gone.example']\nrelay = 'reject:550 5.1.2 We left that house'\n\
         [destination.'*.gone.example']\nrelay = 'blackhole:'\n\
         [destination.'*']\nrelay = '{}'\n",
        sink.url()
    );
    std::fs::write(&config, text).unwrap();
    let server = store.serve(&["--config", &config.display().to_string()]);
    let all = ["a@gone.example", "b@sub.gone.example", "c@else.example"];
    send(server.address, "s@from.example", &all);
    store.until_empty();
    let messages = sink.messages();
    let with = |text: &str| messages.iter().filter(|m| m.contains(text)).count();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(with("X-Rcpt-Args: <c@else.example>"), 1, "{messages:?}");
    assert_eq!(with("We left that house"), 1, "{messages:?}");
}

#[test]
fn mail_that_waits_for_a_smarthost_follows_when_there_is_none_any_more() {
    let sink = KeepingSink::start();
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let file = config.display().to_string();
    std::fs::write(&config, "relay = 'smtp://127.0.0.1:1'\n").unwrap();
    let server = store.serve(&["--config", &file]);
    send(
        server.address,
        "s@from.example",
        &["a@one.example", "b@two.example"],
    );
    store.until_list("a failure", |list| match list {
        [one] => (one["attempts"] == 1).then_some(()),
        _ => None,
    });
    let text = format!(
        "relay = 'blackhole:'\n[destination.'one.example']\nrelay = '{}'\n",
        sink.url()
    );
    std::fs::write(&config, text).unwrap();
    let said = store.operate(&["reload"]);
    assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
    store.queue_ok(&["retry"]);
    store.until_empty();
    let messages = sink.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("<a@one.example>"), "{messages:?}");
    server.stop();
}
