//! Tricks by which a stranger makes an open relay of a server (CONFORMANCE of
//! mail servers since the nineties): each recipient is refused, whatever it
//! looks like, and nothing is stored.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::rig::{self, Server, Store};
use crate::wire::Wire;

const DENIED: &str = "550 5.7.1 Relaying denied\r\n";
const NO_RECIPIENTS: &str = "554 5.5.1 No valid recipients\r\n";
/// `mx.test.example` is the server.
const SENDERS: &[&str] = &[
    "",
    "stranger@from.example",
    "victim@mx.test.example",
    "victim@localhost",
    "victim@[127.0.0.1]",
    "@mx.test.example:victim@mx.test.example",
];
const RECIPIENTS: &[&str] = &[
    "victim@to.example",
    "victim%to.example@mx.test.example",
    "victim%to.example@localhost",
    "victim%to.example@[127.0.0.1]",
    "to.example!victim@mx.test.example",
    "mx.test.example!to.example!victim@mx.test.example",
    "\"victim@to.example\"@mx.test.example",
    "\"victim%to.example\"@mx.test.example",
    "\"to.example!victim\"@mx.test.example",
    "@mx.test.example:victim@to.example",
    "@mx.test.example,@localhost:victim@to.example",
    "@[127.0.0.1]:victim@to.example",
    "victim@[192.0.2.1]",
    "victim@[127.0.0.1]",
    "victim@[IPv6:::1]",
    "victim@[IPv6:::ffff:192.0.2.1]",
    "victim@mx.test.example.to.example",
    "victim@MX.TEST.EXAMPLE",
    "postmaster",
    "postmaster@mx.test.example",
    "postmaster@to.example",
    "postmaster@[192.0.2.1]",
    "\"\"@to.example",
];
/// What is no mailbox at all. `\u{ff20}` and the like look like an `@` or a dot.
const NO_MAILBOXES: &[&str] = &[
    "victim",
    "\"victim@to.example\"",
    "victim@to.example@mx.test.example",
    "victim@to.example.",
    "victim@mx.test.example.",
    "victim@mx.test.example:25",
    "victim@192.0.2.1:25",
    "victim@",
    "@to.example",
    "victim@[to.example]",
    "<victim@to.example>",
];
const LOOK_ALIKES: &[&str] = &[
    "victim\u{ff20}to.example@mx.test.example",
    "victim@to\u{3002}example",
    "victim@mx\u{2024}test.example",
    "victim@mx.t\u{435}st.example",
    "p\u{3bf}stmaster@mx.test.example",
];
/// What would name another client, were it believed.
const SPOOFS: &[&str] = &[
    "PROXY TCP4 127.0.0.1 127.0.0.1 1 25",
    "XCLIENT ADDR=127.0.0.1 LOGIN=admin",
    "XFORWARD ADDR=127.0.0.1",
    "AUTH PLAIN AGFkbWluAGFkbWlu",
    "HELO localhost",
    "EHLO mx.test.example",
    "EHLO [127.0.0.1]",
];

/// No trick makes a server take mail from a client at `address`, but for the
/// recipients that it is for.
fn no_trick_works(store: &Store, address: SocketAddr, accepted: &[&str]) {
    let mut client = Wire::greeted(address);
    let offers = client.ask("EHLO client.test.example", "250");
    assert!(
        !offers.contains("XCLIENT") && !offers.contains("AUTH"),
        "{offers}"
    );
    for sender in SENDERS {
        client.ask(&format!("MAIL FROM:<{sender}> SMTPUTF8"), "250 ");
        let recipients = RECIPIENTS.iter().chain(LOOK_ALIKES);
        for recipient in recipients.filter(|recipient| !accepted.contains(recipient)) {
            client.ask(&format!("RCPT TO:<{recipient}>"), DENIED);
        }
        client.ask(
            "RCPT TO:<victim@to.example> NOTIFY=SUCCESS ORCPT=rfc822;x@mx.test.example",
            DENIED,
        );
        client.ask("DATA", NO_RECIPIENTS);
        client.send("BDAT 15 LAST\r\nSubject: x\r\n\r\nx");
        client.reply("503 5.5.1 ");
        if client.errors() > 8 {
            client = Wire::greeted(address);
        }
    }
    for recipient in NO_MAILBOXES {
        let mut client = Wire::greeted(address);
        client.ask("MAIL FROM:<>", "250 ");
        client.ask(&format!("RCPT TO:<{recipient}>"), "501 5.1.3 ");
        client.ask("DATA", NO_RECIPIENTS);
    }
    for spoof in SPOOFS {
        let mut client = Wire::greeted(address);
        client.send(format!("{spoof}\r\n"));
        client.next();
        client.ask("MAIL FROM:<stranger@from.example>", "250 ");
        client.ask("RCPT TO:<victim@to.example>", DENIED);
    }
    let mut client = Wire::connect(address);
    client.send("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<victim@to.example>\r\nDATA\r\nSubject: x\r\n.\r\nQUIT\r\n");
    while !matches!(&*client.next(), "" | "221 2.0.0 Bye\r\n") {}
    assert_eq!(store.stats()["messages"], 0);
}

#[test]
fn a_stranger_may_not_relay_by_any_trick() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none", "--permit", "192.0.2.0/24"]);
    no_trick_works(&store, server.address, &[]);
    server.stop();
    assert!(!store.logged().contains("received"), "{}", store.logged());
}

/// Nor of one that takes mail for its own domain from anybody: what names a way
/// to another host is not for it.
#[test]
fn a_host_for_one_domain_relays_to_no_other() {
    let store = Store::new();
    let listen = rig::free_address();
    let config = store.path().with_extension("toml");
    let table = format!(
        "[listener.mx]\naddress = '{listen}'\nrole = 'relay'\npermit = []\n\
         accept-domains = ['mx.test.example']\n"
    );
    std::fs::write(&config, table).unwrap();
    let config = config.display().to_string();
    let server = store.serve(&["--relay", "none", "--config", &config]);
    let accepted = [
        "victim@MX.TEST.EXAMPLE",
        "postmaster",
        "postmaster@mx.test.example",
        // A mailbox like others, whoever has it.
        "p\u{3bf}stmaster@mx.test.example",
    ];
    no_trick_works(&store, listen, &accepted);
    let mut client = Wire::greeted(listen);
    for sender in SENDERS {
        client.ask(&format!("MAIL FROM:<{sender}> SMTPUTF8"), "250 ");
        for recipient in accepted {
            client.ask(&format!("RCPT TO:<{recipient}>"), "250 2.1.5 ");
        }
        client.ask("RSET", "250 ");
    }
    client.deliver("a@from.example", "victim@mx.test.example");
    server.stop();
}

/// Nobody but this machine is permitted by default.
#[test]
fn the_default_permits_no_other_machine() {
    let Some(own) = own_address() else {
        println!("this machine has no address but loopback: not tried");
        return;
    };
    let store = Store::new();
    let server: Server = store.serve(&["--relay", "none", "--listen", "0.0.0.0:0"]);
    no_trick_works(&store, SocketAddr::new(own, server.address.port()), &[]);
    let mut client = Wire::greeted(SocketAddr::new(
        [127, 0, 0, 1].into(),
        server.address.port(),
    ));
    client.deliver("a@from.example", "b@to.example");
}

/// The address by which others know this machine: clients that connect to it
/// come from it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}
