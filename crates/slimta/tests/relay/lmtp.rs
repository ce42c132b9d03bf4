//! Delivery by LMTP: each recipient has its own answer.

use slimta::message::OnSuccess;
use slimta::relay::{LmtpRelay, Relay, Tls, TlsLevel};
use slimta::world::World;

use crate::hop::{Do, Hop, Met};
use crate::mail::{codes, delivery};

const THREE: [&str; 3] = ["a@to.example", "b@to.example", "c@to.example"];

fn relay(url: &str) -> LmtpRelay {
    LmtpRelay::new(url.parse().unwrap(), "us.example", World::system())
}

fn over_tcp(hop: &Hop) -> LmtpRelay {
    relay(&format!("lmtp://{}", hop.address))
}

/// What a polite server says, but for this answer to the contents.
fn answering(answer: &'static str) -> impl Fn(Met<'_>) -> Do + Send + Sync + 'static {
    move |met| match met {
        Met::Contents(_) => Do::Say(answer),
        _ => Do::Fine,
    }
}

#[tokio::test]
async fn each_recipient_is_settled_by_itself_and_the_connection_is_used_again() {
    let hop = Hop::start(answering(
        "250 2.0.0 a\r\n452 4.2.2 b is full\r\n550 5.2.1 c",
    ))
    .await;
    let relay = over_tcp(&hop);
    for _ in 0..2 {
        let report = relay.attempt(delivery(&THREE)).await;
        assert_eq!(codes(&report), [250, 452, 550]);
        assert_eq!(report.responses[1].to_string(), "452 4.2.2 b is full");
        assert_eq!(report.on_success, OnSuccess::Delivered);
        assert_eq!(report.remote.as_deref(), Some("127.0.0.1"));
    }
    assert_eq!(hop.count("LHLO us.example"), 1);
    assert_eq!((hop.count("connection"), hop.count("EHLO")), (1, 0));
    // A full mailbox is no reason to come again at once.
    assert_eq!(hop.count("DATA"), 2);
}

#[tokio::test]
async fn a_server_of_this_machine_is_reached_by_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lmtp");
    let script = answering("250 a\r\n250 b\r\n250 c");
    let hop = Hop::start_at_socket(&path, script);
    // It cannot be encrypted, and need not be.
    let tls = Tls::new(TlsLevel::Required);
    let relay = relay(&format!("lmtp:{}", path.display())).with_tls(tls);
    for _ in 0..2 {
        let report = relay.attempt(delivery(&THREE)).await;
        assert_eq!(codes(&report), [250, 250, 250]);
        assert_eq!(report.remote.as_deref(), Some("us.example"));
    }
    assert_eq!((hop.count("connection"), hop.count("LHLO")), (1, 1));
}

#[tokio::test]
async fn a_socket_that_nobody_listens_at_keeps_the_mail_waiting() {
    let report = relay("lmtp:/nowhere/lmtp").attempt(delivery(&THREE)).await;
    assert_eq!(codes(&report), [451, 451, 451]);
    let said = report.responses[0].to_string();
    assert!(
        said.contains("4.4.1") && said.contains("/nowhere/lmtp"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_answered_stays_when_the_connection_is_lost() {
    let hop = Hop::start(|met| match met {
        Met::Contents(_) => Do::SayLast("250 a"),
        _ => Do::Fine,
    })
    .await;
    let report = over_tcp(&hop).attempt(delivery(&THREE)).await;
    assert_eq!(codes(&report), [250, 451, 451]);
    assert_eq!(hop.count("DATA"), 1, "not again at once");
}

#[tokio::test]
async fn tls_over_tcp_is_as_its_level_says() {
    let hop = Hop::start(answering("250 a")).await;
    let relay = over_tcp(&hop).with_tls(Tls::new(TlsLevel::Required));
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    assert_eq!(codes(&report), [451]);
    assert_eq!(hop.count("MAIL"), 0);
}
