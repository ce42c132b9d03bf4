//! Pools of source addresses, as the next hop sees them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::rig::{Store, run, send, stderr, text};

const POOLS: &str = "
ehlo-name = 'usual.example'
tenant = 'sender-domain'

[[source-pool.bulk]]
address = '127.0.0.2'
ehlo-name = 'bulk-2.example'

[[source-pool.bulk]]
address = ['127.0.0.3', '::1']
ehlo-name = 'bulk-3.example'
weight = 3

[[source-pool.acme]]
address = '127.0.0.4'

[tenants.'acme.example']
source-pool = 'acme'

[destination.'list.example']
relay = 'RELAY'
source-pool = 'bulk'

[destination.'named.example']
relay = 'RELAY'
ehlo-name = 'named.example'
";

#[test]
fn each_message_goes_by_the_pool_of_its_destination_or_tenant() {
    let (store, hop) = (Store::new(), Store::new());
    let next = hop.serve(&["--relay", "none"]);
    let relay = format!("smtp://{}", next.address);
    let config = store.path().with_extension("toml");
    fs::write(&config, POOLS.replace("RELAY", &relay)).unwrap();
    let path = config.display().to_string();
    let server = store.serve(&["--relay", &relay, "--config", &path]);
    let from = |sender: &str, recipient: &str| {
        send(server.address, sender, &[recipient]);
    };
    for number in 0..30 {
        from("a@from.example", &format!("r{number}@list.example"));
    }
    from("a@from.example", "r@other.example");
    from("a@acme.example", "r@other.example");
    from("a@from.example", "r@named.example");
    store.until_empty();
    let mut seen = BTreeSet::new();
    for listed in hop.list() {
        let id = text(&listed, "id");
        let shown: Value = serde_json::from_str(&hop.queue_ok(&["show", id, "--json"])).unwrap();
        let header = hop.queue_ok(&["show", id, "--content"]);
        let helo = header
            .lines()
            .find_map(|line| line.strip_prefix("Received: from "));
        let helo = helo.unwrap().split(' ').next().unwrap().to_owned();
        let recipient = text(&shown, "client_ip").to_owned();
        let domain = listed["recipients"][0].as_str().unwrap().split('@').nth(1);
        let of_acme = text(&listed, "sender").ends_with("acme.example");
        seen.insert((domain.unwrap().to_owned(), of_acme, recipient, helo));
    }
    let expected = [
        ("list.example", false, "127.0.0.2", "bulk-2.example"),
        ("list.example", false, "127.0.0.3", "bulk-3.example"),
        ("named.example", false, "127.0.0.1", "named.example"),
        ("other.example", false, "127.0.0.1", "usual.example"),
        ("other.example", true, "127.0.0.4", "usual.example"),
    ];
    let expected = expected
        .map(|(domain, acme, ip, helo)| (domain.to_owned(), acme, ip.to_owned(), helo.to_owned()));
    assert_eq!(seen, expected.into());
    server.stop();
    next.stop();
}

#[test]
fn a_pool_that_cannot_be_used_is_named_at_the_start() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let path = config.display().to_string();
    let pool = "[[source-pool.bulk]]\naddress = '127.0.0.2'\n";
    for (file, why) in [
        (
            "[destination.x]\nsource-pool = 'bulk'\n".to_owned(),
            "there is no [[source-pool.bulk]]",
        ),
        (
            format!("{pool}[destination.x]\nsource-pool = 'bulk'\nsource-address = '::1'\n"),
            "name one of them",
        ),
        (
            format!(
                "source-address = '::1'\n{}",
                pool.replace("bulk", "default")
            ),
            "name one of them",
        ),
        (
            "[[source-pool.default]]\naddress = '192.0.2.7'\n".to_owned(),
            "192.0.2.7 cannot be used",
        ),
        (
            format!("{pool}ehlo-name = 'a_b'\n[destination.x]\nsource-pool = 'bulk'\n"),
            "is not the name of a host",
        ),
        (
            "[[source-pool.bulk]]\naddress = '127.0.0.2'\nweigth = 2\n".to_owned(),
            "weigth",
        ),
    ] {
        fs::write(&config, &file).unwrap();
        let said = run(&[
            "serve",
            "--storage",
            &store.url(),
            "--relay",
            "mx",
            "--config",
            &path,
        ]);
        assert_eq!(said.status.code(), Some(78), "{file}: {}", stderr(&said));
        assert!(stderr(&said).contains(why), "{file}: {}", stderr(&said));
    }
}
