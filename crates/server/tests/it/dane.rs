//! Mail goes by DANE: zones that Knot DNS has signed, dnsmasq that validates, and
//! Postfix as the next hop.

use std::net::TcpListener;
use std::process::Command;

use crate::dnsmasq::DnsServer;
use crate::encryption::{self, Certificates};
use crate::knot::{Knot, Signed};
use crate::postfix::Postfix;
use crate::rig::{KeepingSink, Store, run, send, stderr, stdout, text, until};

const SENDER: &str = "sender@from.example";

#[test]
fn the_records_of_a_host_say_what_its_mail_needs() {
    let sink = KeepingSink::start();
    let Some(postfix) = Postfix::start(sink.address) else {
        return;
    };
    let port = postfix.port();
    let right = format!("3 0 1 {}", tlsa_of(&postfix.certificate()));
    let wrong = format!("3 0 1 {}", "0".repeat(64));
    let zone = format!(
        "right A 127.0.0.1\n_{port}._tcp.right TLSA {right}\n\
         wrong A 127.0.0.1\n_{port}._tcp.wrong TLSA {wrong}\n\
         none A 127.0.0.1\n"
    );
    let knot = Knot::start(&[
        ("signed", Signed::Nsec3, &zone),
        ("forged", Signed::ByAnother, &zone),
    ]);
    let dns = DnsServer::validating(&knot);
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let mut file = format!(
        "tls = 'dane'\ndns-servers = ['{}']\nrelay = 'smtp://right.signed:{port}'\n",
        dns.address
    );
    for (domain, host) in [
        ("wrong.example", "wrong.signed"),
        ("none.example", "none.signed"),
        ("forged.example", "right.forged"),
    ] {
        file += &format!("[destination.'{domain}']\nrelay = 'smtp://{host}:{port}'\n");
    }
    file += "[destination.'only.example']\ntls = 'dane-only'\n";
    file += &format!("relay = 'smtp://none.signed:{port}'\n");
    std::fs::write(&config, file).unwrap();
    let config = config.display().to_string();
    let server = store.serve(&["--config", &config]);

    // One by one, so that the log tells them apart.
    for (domain, session) in [
        ("to.example", "protection=dane by=\"TLSA records\""),
        (
            "none.example",
            "protection=encrypted by=\"level dane, but no TLSA records\"",
        ),
    ] {
        let rcpt = format!("a@{domain}");
        send(server.address, SENDER, &[&rcpt]);
        let came = until("the message behind Postfix", || {
            let whole = |message: &String| message.contains(&rcpt) && message.contains("Hello.");
            sink.messages().into_iter().find(whole)
        });
        assert!(came.contains("using TLSv1."), "{came}");
        let log = store.logged();
        assert!(log.contains(session), "{domain}: {log}");
    }
    store.until_empty();
    for (domain, why) in [
        (
            "wrong.example",
            "451 4.7.5 No TLS with wrong.signed: its certificate fits none of its TLSA records",
        ),
        (
            "forged.example",
            "451 4.4.3 right.forged could not be looked up: ",
        ),
        (
            "only.example",
            "451 4.7.5 none.signed is passed over by DANE: it has no TLSA records",
        ),
    ] {
        let rcpt = format!("a@{domain}");
        let id = send(server.address, SENDER, &[&rcpt]);
        store.until_list("a message that waits", |list| {
            let waits = |message: &&serde_json::Value| text(message, "id") == id;
            list.iter().find(waits)?["last_response"].as_str().map(drop)
        });
        let explained = store.queue_ok(&["explain", &id]);
        assert!(
            explained.contains(&format!("  tried: {why}")),
            "{explained}"
        );
        assert!(
            sink.messages()
                .iter()
                .all(|message| !message.contains(&rcpt))
        );
    }
    let log = store.logged();
    assert!(
        log.contains("passed over") && log.contains("host=none.signed"),
        "{log}"
    );
    assert!(!log.contains("validates"), "{log}");
    server.stop();
}

/// By `mx` hosts are connected to at port 25, at an address that is nobody else's.
const EXCHANGER: &str = "127.77.0.25";

#[test]
fn exchangers_are_judged_by_their_records_and_dead_ends_bounce_at_once() {
    let here = format!("{EXCHANGER}:25");
    if let Err(error) = TcpListener::bind(&here) {
        eprintln!("{here} cannot be used, {error}: not tried");
        return;
    }
    let certificates = Certificates::new();
    certificates.make("hop", "other.example");
    let right = tlsa_of(&certificates.path("hop.pem"));
    let wrong = "0".repeat(64);
    let knot = Knot::start(&[(
        "signed",
        Signed::Nsec,
        &format!(
            "right MX 10 mx.right\nmx.right A {EXCHANGER}\n_25._tcp.mx.right TLSA 3 0 1 {right}\n\
             wrong MX 10 mx.wrong\nmx.wrong A {EXCHANGER}\n_25._tcp.mx.wrong TLSA 3 0 1 {wrong}\n\
             null MX 0 .\nloop MX 10 mx.test.example.\n"
        ),
    )]);
    let dns = DnsServer::validating(&knot);
    let next = Store::new();
    let hop = encryption::serve(&next, &certificates.options(&["hop"]), &["--listen", &here]);
    let store = Store::new();
    let servers = dns.address.to_string();
    let server = store.serve(&["--relay", "mx", "--tls", "dane", "--dns-servers", &servers]);
    send(server.address, SENDER, &["a@right.signed"]);
    store.until_empty();
    let content = encryption::only_message(&next);
    assert!(content.contains(" with ESMTPS "), "{content}");
    for (domain, why) in [
        ("null.signed", "556 5.1.10 The domain takes no mail"),
        (
            "loop.signed",
            "554 5.4.6 mx.test.example is the best mail exchanger and this host itself",
        ),
    ] {
        send(server.address, SENDER, &[&format!("a@{domain}")]);
        until("a bounce", || {
            let log = store.logged();
            let mut lines = log.lines();
            lines.find(|line| {
                line.contains("bounced") && line.contains(domain) && line.contains(why)
            })?;
            Some(())
        });
    }
    let id = send(server.address, SENDER, &["a@wrong.signed"]);
    store.until_list("a message that waits", |list| {
        let waits = |message: &&serde_json::Value| text(message, "id") == id;
        list.iter().find(waits)?["last_response"].as_str().map(drop)
    });
    let explained = store.queue_ok(&["explain", &id]);
    let why = "451 4.7.5 No TLS with mx.wrong.signed: its certificate fits none";
    assert!(explained.contains(why), "{explained}");
    server.stop();
    hop.stop();
}

/// The data of a TLSA record: the whole certificate by SHA2-256.
fn tlsa_of(certificate: &str) -> String {
    let script = format!("openssl x509 -in {certificate} -outform DER | openssl dgst -sha256 -r");
    let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = stdout(&shell);
    said.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_name_server_that_does_not_validate_is_told_of() {
    // It only knows what is signed.
    let knot = Knot::start(&[("signed", Signed::Nsec, "")]);
    let store = Store::new();
    let servers = knot.address.to_string();
    let server = store.serve(&["--tls", "dane", "--dns-servers", &servers]);
    until("a warning", || {
        store
            .logged()
            .contains("no name server validates")
            .then_some(())
    });
    server.stop();
}

#[test]
fn a_name_server_elsewhere_is_believed_only_if_that_is_said() {
    let store = Store::new();
    let dane = ["--tls", "dane-only", "--dns-servers", "192.0.2.53"];
    let serve = [
        "serve",
        "--storage",
        &store.url(),
        "--listen",
        "127.0.0.1:0",
    ];
    let said = run(&[&serve[..], &dane].concat());
    assert_eq!(said.status.code(), Some(2));
    let said = stderr(&said);
    for part in [
        "dane-only",
        "192.0.2.53 is elsewhere",
        "dns-servers",
        "dns-trust",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // Other mail asks it for nothing that has to be believed.
    store.serve(&["--dns-servers", "192.0.2.53"]).stop();
    store
        .serve(&[&dane[..], &["--dns-trust", "ad-bit"]].concat())
        .stop();
}
