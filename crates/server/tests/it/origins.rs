//! What the clients of one address may do together, by the options of the
//! server.

use std::io::Read;
use std::net::TcpStream;

use crate::encryption::swaks;
use crate::rig::{Client, PATIENCE, Store, run, stderr, stdout};

/// Nobody's address here: clients of the loopback interface are strangers.
const STRANGERS: [&str; 4] = ["--relay", "none", "--permit", "192.0.2.0/24"];
const CROWDED: &str = "421 4.7.0 Too many connections from your address";
const KNOCKS: usize = 200;

#[test]
fn a_crowd_from_one_address_keeps_no_other_out() {
    let store = Store::new();
    let few = ["--connections-per-address-max", "3"];
    let server = store.serve(&[&STRANGERS[..], &few].concat());
    let crowd = [(); 3].map(|()| Client::connect(server.address).unwrap());
    let refused = swaks(server.address, &[]);
    assert!(!refused.status.success());
    assert!(stdout(&refused).contains(CROWDED), "{}", stdout(&refused));
    let other = ["--local-interface", "127.0.0.2", "--quit-after", "EHLO"];
    let served = swaks(server.address, &other);
    assert!(served.status.success(), "{}", stdout(&served));
    // A thousand knocks are not a thousand lines of the log.
    for _ in 0..KNOCKS {
        let mut knock = TcpStream::connect(server.address).unwrap();
        knock.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut told = String::new();
        let _ = knock.read_to_string(&mut told);
        assert!(told.starts_with(CROWDED), "{told}");
    }
    let log = store.logged();
    let lines = log.matches("client refused: too many connections from its address");
    let lines = lines.count();
    assert!(lines > 0 && lines < KNOCKS, "{lines} lines");
    drop(crowd);
    server.stop();
}

#[test]
fn who_is_permitted_is_not_counted() {
    let store = Store::new();
    let few = [
        "--connections-per-address-max",
        "1",
        "--connection-rate-per-address",
        "1/h",
    ];
    let rates = [
        "--message-rate-per-address",
        "1/h",
        "--recipient-rate-per-address",
        "1/h",
    ];
    let server = store.serve(&[&["--relay", "none"], &few[..], &rates].concat());
    let clients = [(); 3].map(|()| Client::connect(server.address).unwrap());
    for mut client in clients {
        client
            .send("a@from.example", &["b@to.example"], "Hello")
            .unwrap();
    }
    assert_eq!(store.list().len(), 3);
    server.stop();
}

#[test]
fn a_rate_that_is_none_is_told_what_it_should_be() {
    let said = run(&["serve", "--connection-rate-per-address", "often"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(
        stderr(&said).contains("\"often\" is not a rate"),
        "{}",
        stderr(&said)
    );
}
