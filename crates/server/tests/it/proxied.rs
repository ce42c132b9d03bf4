//! Clients behind a proxy: HAProxy, and swaks that plays one.

use std::net::SocketAddr;

use crate::auth::{LOGIN, Users};
use crate::encryption::{only_message, swaks};
use crate::peers::Peer;
use crate::rig::{Client, Server, Store, free_address, stderr, stdout, until};

const DENIED: &str = "550 5.7.1 Relaying denied";

/// A server with a proxy on this machine, in front of two listeners: one that
/// begins in the clear, and one that begins with TLS. Beside them is one that
/// knows of no proxy.
struct Host {
    store: Store,
    server: Server,
    clear: SocketAddr,
    encrypted: SocketAddr,
}

impl Host {
    fn start() -> Self {
        let (clear, encrypted) = (free_address(), free_address());
        let store = Store::new();
        let config = store.path().with_extension("toml");
        let proxied = "proxy-from = ['127.0.0.1', '::1']\n";
        let text = format!(
            "[listener.clear]\naddress = '{clear}'\n{proxied}\
             [listener.encrypted]\naddress = '{encrypted}'\ntls = 'implicit'\n\
             role = 'submission'\n{proxied}"
        );
        std::fs::write(&config, text).unwrap();
        let file = config.display().to_string();
        // Permits 192.0.2.0/24.
        let server = Users::new().serve(&store, &["--config", &file]);
        Host {
            store,
            server,
            clear,
            encrypted,
        }
    }
}

/// What swaks says for a proxy that passes on a client.
fn passing_on<'a>(version: &'a str, source: &'a str) -> Vec<&'a str> {
    let family = match (version, source.contains(':')) {
        ("1", true) => "TCP6",
        ("1", false) => "TCP4",
        (_, true) => "AF_INET6",
        (_, false) => "AF_INET",
    };
    let own = if source.contains(':') {
        "::1"
    } else {
        "127.0.0.1"
    };
    vec![
        "--proxy-version",
        version,
        "--proxy-family",
        family,
        "--proxy-source",
        source,
        "--proxy-source-port",
        "4660",
        "--proxy-dest",
        own,
        "--proxy-dest-port",
        "25",
    ]
}

#[test]
fn the_client_counts_and_not_the_proxy() {
    for version in ["1", "2"] {
        let host = Host::start();
        let stranger = swaks(host.clear, &passing_on(version, "198.51.100.7"));
        assert!(stdout(&stranger).contains(DENIED), "{}", stdout(&stranger));
        let stranger = swaks(host.clear, &passing_on(version, "2001:db8::7"));
        assert!(stdout(&stranger).contains(DENIED), "{}", stdout(&stranger));
        let log = host.store.logged();
        for ip in ["198.51.100.7", "2001:db8::7"] {
            let line = format!("relaying denied ip={ip} ");
            assert!(log.contains(&line), "{line}: {log}");
        }
        let permitted = swaks(host.clear, &passing_on(version, "192.0.2.7"));
        let said = stdout(&permitted);
        assert!(permitted.status.success(), "{said}{}", stderr(&permitted));
        let content = only_message(&host.store);
        let trace = "Received: from client.test.example (unknown [192.0.2.7])";
        assert!(content.starts_with(trace), "{content}");
        host.server.stop();
    }
}

/// HAProxy looks whether the server is well, and says who the client is.
#[test]
fn haproxy_tells_whose_connections_it_passes_on() {
    for (how, looked) in [
        // By version 1 it names itself.
        (
            "send-proxy",
            "client connected by a proxy client=127.0.0.1:",
        ),
        (
            "send-proxy-v2",
            "a proxy connected for nobody proxy=127.0.0.1",
        ),
    ] {
        let listen = free_address();
        let store = Store::new();
        let config = store.path().with_extension("toml");
        let text = format!(
            "[listener.a]\naddress = '{listen}'\nproxy-from = ['127.0.0.1']\n\
             permit = ['127.0.0.77']\n"
        );
        std::fs::write(&config, text).unwrap();
        let file = config.display().to_string();
        let options = ["--relay", "none", "--log-level", "debug", "--config", &file];
        let server = store.serve(&options);
        let Some(peer) = Peer::haproxy(listen, how) else {
            return;
        };
        until("a look at the server", || {
            store.logged().contains(looked).then_some(())
        });
        let refused = swaks(peer.address, &[]);
        assert!(stdout(&refused).contains(DENIED), "{}", stdout(&refused));
        let handed = swaks(peer.address, &["--local-interface", "127.0.0.77"]);
        let said = stdout(&handed);
        assert!(handed.status.success(), "{said}{}", peer.log());
        let content = only_message(&store);
        assert!(content.contains("(unknown [127.0.0.77])"), "{content}");
        server.stop();
    }
}

/// Not a byte of TLS is read with the header.
#[test]
fn tls_begins_behind_the_header() {
    let host = Host::start();
    let proxy = passing_on("2", "198.51.100.7");
    let options = [&proxy[..], &["--tls-on-connect"], &LOGIN].concat();
    let handed = swaks(host.encrypted, &options);
    let said = stdout(&handed);
    assert!(handed.status.success(), "{said}{}", stderr(&handed));
    let content = only_message(&host.store);
    assert!(content.contains("[198.51.100.7]"), "{content}");
    let line = "client authenticated ip=198.51.100.7 user=ann";
    assert!(host.store.logged().contains(line));
    host.server.stop();
}

/// What claims to be a header is a bad command where no proxy is, and what is
/// none closes the connection where one is.
#[test]
fn headers_are_for_proxies_only() {
    let host = Host::start();
    let mut client = Client::connect(host.server.address).unwrap();
    let spoof = "PROXY TCP4 192.0.2.7 127.0.0.1 4660 25";
    client.ask(spoof, "500 5.5.2 ").unwrap();
    client.ask("MAIL FROM:<a@from.example>", "250").unwrap();
    client.ask("RCPT TO:<b@to.example>", DENIED).unwrap();

    // It says EHLO when it is greeted, and nothing before.
    let direct = swaks(host.clear, &["--timeout", "30"]);
    assert!(!direct.status.success(), "{}", stdout(&direct));
    assert!(!stdout(&direct).contains("220 "), "{}", stdout(&direct));
    let log = host.store.logged();
    assert!(log.contains("no header came in time"), "{log}");
    let wrong = swaks(host.clear, &["--proxy", "TCP4 192.0.2.07 127.0.0.1 1 25"]);
    assert!(!wrong.status.success() && !stdout(&wrong).contains("220 "));
    let nobody = swaks(host.clear, &["--proxy", "UNKNOWN"]);
    assert!(stdout(&nobody).contains(DENIED), "{}", stdout(&nobody));
    host.server.stop();
}
