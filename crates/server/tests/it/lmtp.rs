//! Mail handed on by LMTP, to Postfix's sink.

use crate::rig::{KeepingSink, Store, run, send, stderr};

#[test]
fn a_domain_may_be_delivered_by_lmtp() {
    let sink = KeepingSink::start_lmtp();
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let table = format!(
        "[destination.'own.example']\nrelay = 'lmtp://{}'\n",
        sink.address
    );
    std::fs::write(&config, table).unwrap();
    let file = config.display().to_string();
    let server = store.serve(&["--relay", "blackhole:", "--config", &file]);
    let recipients = ["a@own.example", "b@own.example", "c@else.example"];
    for _ in 0..2 {
        send(server.address, "s@from.example", &recipients);
    }
    store.until_empty();
    let messages = sink.messages();
    assert_eq!(messages.len(), 2);
    for message in messages {
        for recipient in &recipients[..2] {
            assert!(message.contains(&format!("<{recipient}>")), "{message}");
        }
        assert!(!message.contains("X-Rcpt-Args: <c@"), "{message}");
    }
}

#[test]
fn lmtp_is_not_spoken_where_smtp_is() {
    for (url, why) in [
        ("lmtp://127.0.0.1:25", "RFC 2033"),
        ("lmtp://127.0.0.1", "lacks its host and port"),
        ("lmtp:lmtp.sock", "whole path"),
    ] {
        let said = run(&["serve", "--relay", url]);
        assert_eq!(said.status.code(), Some(2));
        assert!(stderr(&said).contains(why), "{}", stderr(&said));
    }
}
