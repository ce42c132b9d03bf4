//! Proxies that say whom they speak for, as swaks does it.

use crate::auth::Users;
use crate::encryption::{only_message, swaks};
use crate::rig::{Client, Store, stdout};

/// The proxy is on this machine, and none of its clients is, nor may it relay
/// itself.
const PROXY: [&str; 6] = [
    "--relay",
    "none",
    "--xclient-from",
    "127.0.0.1",
    "--permit",
    "192.0.2.0/24",
];
const DENIED: &str = "550 5.7.1 Relaying denied";

#[test]
fn whose_mail_is_taken_goes_by_whom_a_proxy_speaks_for() {
    let store = Store::new();
    let server = store.serve(&PROXY);
    let told = [
        "--xclient",
        "NAME=client.permitted.example ADDR=192.0.2.7 PORT=12345 HELO=helo.example PROTO=SMTP",
    ];
    let handed = swaks(server.address, &told);
    let said = stdout(&handed);
    assert!(handed.status.success(), "{said}");
    assert!(said.contains("250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"));
    let content = only_message(&store);
    let from = "from helo.example (client.permitted.example [192.0.2.7])";
    assert!(
        content.contains(from) && content.contains(" with SMTP "),
        "{content}"
    );
    for stranger in [
        "ADDR=198.51.100.7",
        "ADDR=IPV6:2001:db8::7",
        "ADDR=[UNAVAILABLE]",
        "HELO=x",
    ] {
        let refused = swaks(server.address, &["--xclient", stranger]);
        assert!(!refused.status.success());
        assert!(
            stdout(&refused).contains(DENIED),
            "{stranger}: {}",
            stdout(&refused)
        );
    }
    assert_eq!(store.list().len(), 1);
    server.stop();
}

#[test]
fn a_client_has_not_the_rights_of_its_proxy() {
    let store = Store::new();
    // The proxy is permitted, as all of this machine.
    let server = store.serve(&["--relay", "none", "--xclient-from", "127.0.0.1"]);
    let told = ["--xclient", "ADDR=198.51.100.7"];
    let refused = swaks(server.address, &told);
    assert!(!refused.status.success());
    assert!(stdout(&refused).contains(DENIED), "{}", stdout(&refused));
    // Nor may it have mail held.
    assert!(
        !stdout(&refused)
            .split("XCLIENT ADDR")
            .nth(1)
            .unwrap()
            .contains("FUTURERELEASE")
    );
    assert!(store.list().is_empty());
    server.stop();
}

#[test]
fn nobody_else_is_believed() {
    let store = Store::new();
    let elsewhere = ["--relay", "none", "--xclient-from", "127.0.0.9"];
    // Neither who may not relay, nor who may.
    for permit in ["192.0.2.0/24", "127.0.0.0/8"] {
        let server = store.serve(&[&elsewhere[..], &["--permit", permit]].concat());
        let mut client = Client::connect(server.address).unwrap();
        for told in ["ADDR=192.0.2.7", "LOGIN=ann"] {
            let refused = client.ask(&format!("XCLIENT {told}"), "550 5.7.0 ");
            refused.unwrap();
        }
        client.ask("MAIL FROM:<a@from.example>", "250").unwrap();
        let relays = if permit == "127.0.0.0/8" {
            "250 "
        } else {
            DENIED
        };
        client.ask("RCPT TO:<b@to.example>", relays).unwrap();
        let offered = swaks(server.address, &["--quit-after", "EHLO"]);
        assert!(!stdout(&offered).contains("XCLIENT"));
        drop(client);
        server.stop();
    }
    assert!(store.list().is_empty());
}

/// nginx asks for the password itself, and tells who it is.
#[test]
fn a_proxy_says_who_has_authenticated() {
    let users = Users::new();
    let store = Store::new();
    let server = users.serve(
        &store,
        &["--xclient-from", "127.0.0.1", "--auth-in-clear", "true"],
    );
    let told = ["--xclient", "ADDR=198.51.100.7 LOGIN=ann"];
    let handed = swaks(server.address, &told);
    assert!(handed.status.success(), "{}", stdout(&handed));
    assert!(only_message(&store).contains(" with ESMTPA "));
    server.stop();
}

#[test]
fn whom_a_proxy_speaks_for_is_counted_and_the_proxy_is_not() {
    let store = Store::new();
    let few = ["--connections-per-address-max", "2"];
    let server = store.serve(&[&PROXY[..], &few].concat());
    let speak_for = |ip: &str| {
        let mut client = Client::connect(server.address).unwrap();
        let told = client.ask(&format!("XCLIENT ADDR={ip}"), "");
        (client, told.unwrap())
    };
    let clients = ["198.51.100.7", "198.51.100.7", "198.51.100.8"].map(speak_for);
    assert!(clients.iter().all(|(_, told)| told.starts_with("220 ")));
    let (_, told) = speak_for("198.51.100.7");
    let crowded = "421 4.7.0 Too many connections from your address";
    assert!(told.starts_with(crowded), "{told}");
    drop(clients);
    server.stop();
}
