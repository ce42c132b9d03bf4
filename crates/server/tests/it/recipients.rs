//! Recipients that are known, and what becomes of others.

use std::fs;
use std::net::SocketAddr;

use crate::rig::{Client, Server, Store, run, stderr, until};

const UNKNOWN: &str = "550 5.1.1 No such user here";
const DENIED: &str = "550 5.7.1 Relaying denied";

/// A server for `own.example` whose mailboxes are in a file.
fn serve(store: &Store, permit: &str, recipients: &str) -> Server {
    let file = file(store);
    fs::write(&file, recipients).unwrap();
    store.serve(&[
        "--relay",
        "none",
        "--permit",
        permit,
        "--accept-domains",
        "own.example",
        "--recipients",
        &file,
    ])
}

fn file(store: &Store) -> String {
    let path = store.path().with_extension("recipients");
    path.display().to_string()
}

/// Whether the reply to each recipient begins as expected.
#[track_caller]
fn told(address: SocketAddr, expected: &[(&str, &str)]) {
    let mut client = Client::connect(address).unwrap();
    client.ask("MAIL FROM:<>", "250").unwrap();
    for (recipient, reply) in expected {
        client
            .ask(&format!("RCPT TO:<{recipient}>"), reply)
            .unwrap();
    }
}

#[test]
fn unknown_recipients_are_refused_before_their_mail_is_there() {
    let store = Store::new();
    let table = "# mailboxes\nann@own.example\nodd%one@own.example\n";
    let server = serve(&store, "192.0.2.0/24", table);
    told(
        server.address,
        &[
            ("ann@own.example", "250"),
            ("Ann@OWN.example", "250"),
            ("\"ann\"@own.example", "250"),
            ("odd%one@own.example", "250"),
            ("Postmaster@own.example", "250"),
            ("postmaster", "250"),
            ("bob@own.example", UNKNOWN),
            ("ann%to.example@own.example", UNKNOWN),
            ("ann@to.example", DENIED),
            ("ann@mx.own.example", DENIED),
        ],
    );
    assert!(store.logged().contains("recipient unknown ip=127.0.0.1"));
    server.stop();

    // Nor does a client that may relay make bounces of them.
    let server = serve(&store, "127.0.0.0/8", "@own.example\n");
    told(server.address, &[("anybody@own.example", "250")]);
    fs::write(file(&store), "ann@own.example\n").unwrap();
    until("a line of the log", || {
        let mut client = Client::connect(server.address).unwrap();
        client.ask("MAIL FROM:<>", "250").unwrap();
        let asked = client.ask("RCPT TO:<anybody@own.example>", UNKNOWN);
        asked.ok()
    });
    told(
        server.address,
        &[("ann@own.example", "250"), ("ann@to.example", "250")],
    );
    assert!(store.list().is_empty());
    server.stop();
}

#[test]
fn a_file_that_has_become_useless_is_not_used() {
    let store = Store::new();
    let server = serve(&store, "192.0.2.0/24", "ann@own.example\n");
    fs::write(file(&store), "bob@own.example\nnobody\n").unwrap();
    let why = format!("{} line 2: \"nobody\" is neither", file(&store));
    until("a line of the log", || {
        told(
            server.address,
            &[("ann@own.example", "250"), ("bob@own.example", UNKNOWN)],
        );
        // The log quotes what it tells.
        store
            .logged()
            .replace('\\', "")
            .contains(&why)
            .then_some(())
    });
    server.stop();

    fs::write(file(&store), "ann\n").unwrap();
    let (url, file) = (store.url(), file(&store));
    let start = [
        "serve",
        "--relay",
        "none",
        "--storage",
        &url,
        "--recipients",
        &file,
    ];
    let said = run(&[&start[..], &["--accept-domains", "own.example"]].concat());
    assert_eq!(said.status.code(), Some(2));
    assert!(
        stderr(&said).contains(" line 1: \"ann\" is neither"),
        "{}",
        stderr(&said)
    );
    let said = run(&start);
    assert!(
        stderr(&said).contains("accept-domains"),
        "{}",
        stderr(&said)
    );
}
