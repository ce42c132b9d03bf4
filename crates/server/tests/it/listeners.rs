//! Listeners with roles, each with rules of its own, as tables of the file say
//! them.

use std::net::SocketAddr;

use crate::auth::{LOGIN, Users};
use crate::encryption::{only_message, swaks};
use crate::rig::{Client, Server, Store, free_address, run, stderr, stdout, until};

/// A message that says nothing of itself.
const BARE: [&str; 2] = ["--data", r"Subject: bare\n\nHello."];

/// A host with listeners for users and for other hosts.
struct Host {
    store: Store,
    server: Server,
    mx: SocketAddr,
    submission: SocketAddr,
    submissions: SocketAddr,
}

impl Host {
    fn start() -> Self {
        let (mx, submission, submissions) = (free_address(), free_address(), free_address());
        let store = Store::new();
        let config = store.path().with_extension("toml");
        let text = format!(
            "[listener.mx]\naddress = '{mx}'\nauth = false\n\
             accept-domains = ['own.example', '*.below.example']\n\
             message-bytes-max = '1k'\nrecipients-max = 1\n\
             [listener.submission]\naddress = ['{submission}']\nrole = 'submission'\n\
             [listener.submissions]\naddress = '{submissions}'\nrole = 'submission'\n\
             tls = 'implicit'\n"
        );
        std::fs::write(&config, text).unwrap();
        let file = config.display().to_string();
        let server = Users::new().serve(&store, &["--config", &file]);
        Host {
            store,
            server,
            mx,
            submission,
            submissions,
        }
    }
}

#[test]
fn who_submits_says_who_they_are_and_their_mail_is_completed() {
    for (way, words) in [
        ("--tls", "submission, STARTTLS"),
        ("--tls-on-connect", "submissions"),
    ] {
        let host = Host::start();
        let address = match way {
            "--tls" => host.submission,
            _ => host.submissions,
        };
        let line = format!("listening on {address} ({words})");
        until("a line of the log", || {
            host.store.logged().contains(&line).then_some(())
        });
        let stranger = swaks(address, &[&[way], &BARE[..]].concat());
        let said = stdout(&stranger);
        assert!(!stranger.status.success(), "{said}");
        assert!(said.contains("530 5.7.0 Authentication required"), "{said}");
        let own = swaks(address, &[&[way], &BARE[..], &LOGIN].concat());
        assert!(own.status.success(), "{}{}", stdout(&own), stderr(&own));
        let content = only_message(&host.store);
        for part in [
            " with ESMTPSA ",
            "\r\nFrom: <a@from.example>\r\n",
            "\r\nDate: ",
            "\r\nMessage-ID: <",
        ] {
            assert!(content.contains(part), "{part}: {content}");
        }
        host.server.stop();
    }
    let host = Host::start();
    let clear = swaks(host.submission, &[]);
    let said = stdout(&clear);
    assert!(
        said.contains("530 5.7.0 Must issue a STARTTLS command first"),
        "{said}"
    );
    assert!(!clear.status.success());
    host.server.stop();
}

#[test]
fn other_hosts_hand_in_mail_for_own_domains_and_it_stays_as_it_was() {
    let host = Host::start();
    let mut client = Client::connect(host.mx).unwrap();
    let offers = client.ask("EHLO client.test.example", "250").unwrap();
    assert!(
        !offers.contains("AUTH") && offers.contains("250-SIZE 1024\r\n"),
        "{offers}"
    );
    client.ask("AUTH PLAIN", "502 5.5.1 ").unwrap();
    client
        .ask("MAIL FROM:<a@from.example> SIZE=1025", "552 ")
        .unwrap();
    client.ask("MAIL FROM:<a@from.example>", "250").unwrap();
    for elsewhere in [
        "b@to.example",
        "b@below.example",
        "b@own.example.to.example",
    ] {
        let denied = "550 5.7.1 Relaying denied";
        client
            .ask(&format!("RCPT TO:<{elsewhere}>"), denied)
            .unwrap();
    }
    client.ask("RCPT TO:<b@Deep.Below.example>", "250").unwrap();
    client.ask("RCPT TO:<b@own.example>", "452 4.5.3 ").unwrap();
    client.ask("DATA", "354").unwrap();
    client
        .ask("Subject: bare\r\n\r\nHello.\r\n.", "250")
        .unwrap();
    let content = only_message(&host.store);
    assert!(
        content.starts_with("Received: from client.test.example "),
        "{content}"
    );
    assert!(
        content.contains("\r\nSubject: bare\r\n\r\nHello."),
        "{content}"
    );
    for field in ["From:", "Date:", "Message-ID:"] {
        assert!(!content.contains(&format!("\r\n{field}")), "{content}");
    }
    host.server.stop();
}

/// TLS is as each of them says, whatever the others do.
#[test]
fn one_listener_needs_tls_and_another_has_none() {
    let (closed, open) = (free_address(), free_address());
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let text = format!(
        "[listener.closed]\naddress = '{closed}'\ntls = 'required'\n\
         [listener.open]\naddress = '{open}'\ntls = 'off'\npermit = ['127.0.0.0/8']\n"
    );
    std::fs::write(&config, text).unwrap();
    let file = config.display().to_string();
    let server = Users::new().serve(&store, &["--config", &file]);
    for (address, offers, told) in [
        (server.address, true, "250"),
        (open, false, "250"),
        (closed, true, "530 5.7.0 "),
    ] {
        let mut client = Client::connect(address).unwrap();
        let said = client.ask("EHLO client.test.example", "250").unwrap();
        assert_eq!(said.contains("250-STARTTLS\r\n"), offers, "{said}");
        client.ask("MAIL FROM:<a@from.example>", told).unwrap();
    }
    let mut client = Client::connect(closed).unwrap();
    client
        .ask("AUTH PLAIN AGFubgB3cm9uZw==", "530 5.7.0 ")
        .unwrap();
    // Only this one permits this machine.
    assert!(swaks(open, &[]).status.success());
    assert!(!swaks(server.address, &[]).status.success());
    server.stop();
}

/// Where the flags say nothing, the tables are all there is.
#[test]
fn tables_take_the_place_of_the_default() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let table = "[listener.a]\naddress = '127.0.0.1:0'\n";
    std::fs::write(&config, table).unwrap();
    let (file, url) = (config.display().to_string(), store.url());
    // `sendmail` looks for the first of them, and finds that it has no port yet.
    let sent = run(&["sendmail", "-C", &file, "b@to.example"]);
    assert_eq!(sent.status.code(), Some(78), "{}", stderr(&sent));
    assert!(stderr(&sent).contains("any port that is free"));
    let missing = ["serve", "--relay", "none", "--storage", &url];
    let config = format!("{table}[listener.b]\naddress = '192.0.2.1:1'\n");
    std::fs::write(&file, config).unwrap();
    let said = run(&[&missing[..], &["--config", &file]].concat());
    let why = "cannot listen on 192.0.2.1:1 ([listener.b])";
    assert!(stderr(&said).contains(why), "{}", stderr(&said));
}

#[test]
fn a_listener_that_makes_no_sense_is_named_at_the_start() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let (file, url) = (config.display().to_string(), store.url());
    for (lines, why) in [
        ("role = 'relay'", "a listener needs an address"),
        ("address = 'localhost:25'", "IP:PORT"),
        ("address = '127.0.0.1:0'\nrole = 'mx'", "`submission`"),
        ("address = '127.0.0.1:0'\nports = 5", "ports"),
        (
            "address = '127.0.0.1:0'\ntls = 'offered'",
            "tls-certificate",
        ),
        (
            "address = '127.0.0.1:0'\nauth = true",
            "name it as credentials",
        ),
        (
            "address = ['127.0.0.1:24', '127.0.0.1:25']\nrole = 'lmtp'",
            "RFC 2033",
        ),
        (
            "address = '127.0.0.1:0'\naccept-domains = ['a@b']",
            "such as example.org",
        ),
        (
            "address = '127.0.0.1:0'\naccept-domains = ['a.example']\nrecipients = '/missing'",
            "/missing cannot be read",
        ),
    ] {
        std::fs::write(&config, format!("[listener.mx]\n{lines}\n")).unwrap();
        let said = run(&["serve", "--storage", &url, "--config", &file]);
        let told = stderr(&said);
        assert!(!said.status.success(), "{lines}");
        assert!(told.contains(why), "{lines}: {told}");
    }
}
