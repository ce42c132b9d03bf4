//! The local addresses that next hops are connected to from.

use serde_json::Value;

use crate::rig::{Store, run, send, stderr, text};

const SENDER: &str = "sender@from.example";

#[test]
fn the_next_hop_sees_the_source_address_that_was_named() {
    let (store, hop) = (Store::new(), Store::new());
    let next = hop.serve(&["--relay", "none"]);
    let relay = format!("smtp://{}", next.address);
    let config = store.path().with_extension("toml");
    let path = config.display().to_string();
    let rule = |value: &str| format!("[destination.'{relay}']\nsource-address = {value}\n");
    // What the file says of all or of one, the flag, and who is seen.
    let cases = [
        (String::new(), None, "127.0.0.1"),
        (String::new(), Some("127.0.0.2"), "127.0.0.2"),
        (
            "source-address = '127.0.0.3'\n".to_owned(),
            None,
            "127.0.0.3",
        ),
        // Only IPv6 has one: the system chooses.
        (String::new(), Some("::1"), "127.0.0.1"),
        (rule("'127.0.0.4'"), Some("127.0.0.2"), "127.0.0.4"),
        (rule("['::1', '127.0.0.5']"), Some("127.0.0.2"), "127.0.0.5"),
        (rule("[]"), Some("127.0.0.2"), "127.0.0.1"),
    ];
    for (number, (file, flag, seen)) in cases.iter().enumerate() {
        std::fs::write(&config, file).unwrap();
        let mut args = vec!["--relay", &relay, "--config", &path];
        args.extend(
            flag.iter()
                .flat_map(|address| ["--source-address", *address]),
        );
        let server = store.serve(&args);
        let rcpt = format!("case{number}@to.example");
        send(server.address, SENDER, &[&rcpt]);
        store.until_empty();
        let list = hop.list();
        let came = |message: &&Value| message["recipients"][0] == rcpt.as_str();
        let id = text(list.iter().find(came).unwrap(), "id");
        let shown = hop.queue_ok(&["show", id, "--json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(text(&shown, "client_ip"), *seen, "{file} {flag:?}");
        server.stop();
    }
}

#[test]
fn a_source_address_that_cannot_be_used_is_named_at_the_start() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let path = config.display().to_string();
    for (file, place, why) in [
        (
            "source-address = '192.0.2.7'",
            "1:1: source-address: ",
            "192.0.2.7 cannot be used",
        ),
        (
            "[destination.'example.org']\nsource-address = '192.0.2.7'",
            "2:1: destination.\"example.org\".source-address: ",
            "192.0.2.7 cannot be used",
        ),
        (
            "source-address = ['127.0.0.2', '127.0.0.3']",
            "1:1: source-address: ",
            "127.0.0.2 and 127.0.0.3 are of one family",
        ),
        (
            "[destination.'example.org']\nsource-address = ['::1', '::2']",
            "2:18: destination.\"example.org\".source-address: ",
            "::1 and ::2 are of one family",
        ),
        (
            "source-address = 'mx.example'",
            "1:18: source-address: ",
            "is not an IP address",
        ),
    ] {
        std::fs::write(&config, format!("{file}\n")).unwrap();
        let storage = store.url();
        let relay = "smtp://127.0.0.1:1";
        let said = run(&[
            "serve",
            "--storage",
            &storage,
            "--relay",
            relay,
            "--config",
            &path,
        ]);
        assert_eq!(said.status.code(), Some(78), "{file}");
        let said = stderr(&said);
        let named = said.starts_with(&format!("{path}:{place}"));
        assert!(named && said.contains(why), "{file}: {said}");
    }
}
