//! AUTH to a smarthost: who hears the password, and what a refusal means.

use std::sync::Arc;

use slimta::relay::{Relay, SmtpLogin, SmtpRelay, Tls, TlsLevel};
use tokio_rustls::rustls::ServerConfig;

use crate::certificates::Authority;
use crate::hop::{Do, Hop, Met};
use crate::mail::{codes, delivery};
use crate::smtp;

const OFFER: &str = "250-hop.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS";
const OFFER_IN_TLS: &str = "250-hop.example\r\n250 AUTH PLAIN LOGIN";
/// AUTH PLAIN with ann and her secret.
const SAID: &str = "AUTH PLAIN AGFubgBzZWNyZXQ=";

/// A smarthost that answers AUTH with this.
async fn smarthost(config: Arc<ServerConfig>, answer: &'static str) -> Hop {
    Hop::start(move |met| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say(OFFER),
        Met::Encrypted(line) if line.starts_with("EHLO") => Do::Say(OFFER_IN_TLS),
        Met::Command("STARTTLS") => Do::Tls(config.clone()),
        Met::Encrypted(line) | Met::Command(line) if line.starts_with("AUTH") => Do::Say(answer),
        _ => Do::Fine,
    })
    .await
}

fn host() -> Arc<ServerConfig> {
    Authority::new().host("127.0.0.1")
}

fn ann() -> SmtpLogin {
    SmtpLogin::new("ann", b"secret").unwrap()
}

async fn answer(relay: &SmtpRelay) -> String {
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    report.responses[0].to_string()
}

#[tokio::test]
async fn a_password_is_said_once_a_connection_and_in_tls_whatever_the_level() {
    for level in [TlsLevel::Off, TlsLevel::Opportunistic, TlsLevel::Required] {
        let hop = smarthost(host(), "235 Fine").await;
        let relay = smtp::relay(&hop)
            .with_tls(Tls::new(level))
            .with_login(ann());
        for _ in 0..2 {
            assert_eq!(answer(&relay).await, "250 Taken");
        }
        let log = hop.log();
        let place = |line: &str| log.iter().position(|l| l.starts_with(line)).unwrap();
        assert!(place("TLS") < place(SAID) && place(SAID) < place("MAIL"));
        assert_eq!((hop.count("AUTH"), hop.count("connection")), (1, 1));
    }
}

#[tokio::test]
async fn without_tls_no_password_is_said_unless_it_may_be() {
    let in_clear = |met: Met<'_>| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say(OFFER_IN_TLS),
        Met::Command(line) if line.starts_with("AUTH") => Do::Say("235 Fine"),
        _ => Do::Fine,
    };
    let hop = Hop::start(in_clear).await;
    let said = answer(&smtp::relay(&hop).with_login(ann())).await;
    assert!(said.starts_with("451 4.7.4 "), "{said}");
    assert_eq!((hop.count("AUTH"), hop.count("MAIL")), (0, 0));
    let relay = smtp::relay(&hop).with_login(ann().even_in_clear());
    assert_eq!(answer(&relay).await, "250 Taken");
    assert_eq!(hop.count(SAID), 1);
}

#[tokio::test]
async fn a_refusal_keeps_mail_and_says_nothing_of_the_message() {
    let refuses = |met: Met<'_>| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say(OFFER_IN_TLS),
        Met::Command(line) if line.starts_with("AUTH") => Do::Say("535 5.7.8 Wrong"),
        _ => Do::Fine,
    };
    let hop = Hop::start(refuses).await;
    let relay = smtp::relay(&hop).with_login(ann().even_in_clear());
    let report = relay
        .attempt(delivery(&["a@to.example", "b@to.example"]))
        .await;
    assert_eq!(codes(&report), [451, 451]);
    let said = report.responses[0].to_string();
    let expected = "451 4.7.8 The next hop did not let ann log in: 535 5.7.8 Wrong";
    assert_eq!(said, expected);
    assert_eq!((report.remote.clone(), hop.count("AUTH")), (None, 1));
    assert_eq!(hop.count("MAIL"), 0);
}

/// Only its own server hears it, never one that an envelope names.
#[tokio::test]
async fn a_host_that_an_envelope_names_hears_no_password() {
    let own = smarthost(host(), "235 Fine").await;
    let other = smarthost(host(), "235 Fine").await;
    let relay = smtp::relay(&own).with_login(ann());
    for hop in [&other, &own] {
        let mut named = delivery(&["a@to.example"]);
        let mut message = (*named.message).clone();
        message.envelope.next_hop = Some(slimta::message::NextHop {
            relayer: None,
            host: Some("127.0.0.1".to_owned()),
            port: Some(hop.address.port()),
        });
        named.message = Arc::new(message);
        assert_eq!(codes(&relay.attempt(named).await), [250]);
    }
    assert_eq!(other.count("AUTH"), 0);
    assert_eq!(own.count(SAID), 1, "who names the server goes as all do");
}

#[tokio::test]
async fn a_password_is_read_from_its_file_for_each_connection() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    let refuses_others = |met: Met<'_>| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say(OFFER_IN_TLS),
        Met::Command(line) if line == SAID => Do::Say("235 Fine"),
        Met::Command(line) if line.starts_with("AUTH") => Do::Say("535 5.7.8 Wrong"),
        _ => Do::Fine,
    };
    let hop = Hop::start(refuses_others).await;
    let login = SmtpLogin::with_password_file("ann", &file).even_in_clear();
    let relay = smtp::relay(&hop).with_login(login);
    // The file is not there: this host's own fault, and no name of a file is told.
    let said = answer(&relay).await;
    assert!(
        said.starts_with("451 4.3.0 This host has no password"),
        "{said}"
    );
    assert!(!said.contains("password\"") && !said.contains(&file.display().to_string()));
    assert_eq!(hop.count("connection"), 0);
    std::fs::write(&file, "wrong\n").unwrap();
    assert!(answer(&relay).await.starts_with("451 4.7.8 "));
    std::fs::write(&file, "secret\n").unwrap();
    assert_eq!(answer(&relay).await, "250 Taken");
}
