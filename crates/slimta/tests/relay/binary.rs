//! Mail of any octets (BINARYMIME) at next hops that take it, and at others.

use std::sync::Arc;
use std::time::Duration;

use slimta::message::{BodyType, Class, StoredMessage};
use slimta::relay::{Delivery, LeaseSignal, Relay};
use slimta::world::World;

use crate::hop::{Do, Hop, Met};
use crate::mail::{codes, delivery_of};
use crate::smtp::relay;

/// A message with what DATA cannot carry.
pub(crate) const OCTETS: &str = "MIME-Version: 1.0\r\nContent-Type: image/x-odd\r\n\
    Content-Transfer-Encoding: binary\r\n\r\n\0\r\n.\r\nQUIT\r\n\n.\n\r";
const OFFER: &str = "250-hop\r\n250-PIPELINING\r\n250-BINARYMIME\r\n250 CHUNKING";

pub(crate) fn binary(text: &str, recipients: &[&str]) -> Delivery {
    declared(delivery_of(text, recipients, LeaseSignal::unleased()))
}

fn declared(delivery: Delivery) -> Delivery {
    let mut message = StoredMessage::clone(&delivery.message);
    message.envelope.body = BodyType::BinaryMime;
    Delivery {
        message: Arc::new(message),
        ..delivery
    }
}

fn is_ehlo(met: Met<'_>) -> bool {
    matches!(met, Met::Command(line) if line.starts_with("EHLO"))
}

async fn takes_binary() -> Hop {
    Hop::start(|met| match is_ehlo(met) {
        true => Do::Say(OFFER),
        false => Do::Fine,
    })
    .await
}

#[tokio::test]
async fn any_octets_go_in_a_chunk_and_nothing_in_them_is_a_command() {
    let hop = takes_binary().await;
    let relay = relay(&hop);
    let large = format!("{OCTETS}{}", "\0.\n".repeat(100_000));
    for text in [OCTETS, &large] {
        let report = relay.attempt(binary(text, &["a@to.example"])).await;
        assert_eq!(codes(&report), [250]);
        assert!(hop.log().iter().any(|met| met == text));
    }
    let log = hop.log();
    assert_eq!(hop.count("connection"), 1);
    assert_eq!((hop.count("DATA"), hop.count("QUIT")), (0, 0), "{log:?}");
    assert_eq!(
        hop.count("MAIL FROM:<from@from.example> BODY=BINARYMIME"),
        2
    );
    assert_eq!(hop.count(&format!("BDAT {} LAST", OCTETS.len())), 1);
}

#[tokio::test]
async fn a_hop_that_lacks_either_extension_gets_base64() {
    for offer in [
        "250-hop\r\n250 CHUNKING",
        "250-hop\r\n250 BINARYMIME",
        "250-hop\r\n250 8BITMIME",
    ] {
        let hop = Hop::start(move |met| match is_ehlo(met) {
            true => Do::Say(offer),
            false => Do::Fine,
        })
        .await;
        let report = relay(&hop).attempt(binary(OCTETS, &["a@to.example"])).await;
        assert_eq!(codes(&report), [250]);
        let log = hop.log();
        let sent = log.iter().find(|met| met.starts_with("MIME-Version"));
        let sent = sent.unwrap();
        assert!(
            sent.contains("Content-Transfer-Encoding: base64\r\n"),
            "{sent}"
        );
        assert!(sent.is_ascii() && !sent.contains('\0'), "{sent}");
        assert_eq!((hop.count("BDAT"), hop.count("DATA")), (0, 1), "{log:?}");
        assert!(
            log.contains(&"MAIL FROM:<from@from.example>".to_owned()),
            "{log:?}"
        );
    }
}

#[tokio::test]
async fn what_is_signed_goes_back_and_never_by_data() {
    let hop = Hop::start(|_| Do::Fine).await;
    let text = format!("DKIM-Signature: v=1\r\n{OCTETS}");
    let report = relay(&hop).attempt(binary(&text, &["a@to.example"])).await;
    let said = report.responses[0].to_string();
    assert!(said.starts_with("554 5.6.3 "), "{said}");
    assert_eq!((hop.count("MAIL"), hop.count("DATA")), (0, 0));
}

#[tokio::test]
async fn a_lease_that_ends_within_a_chunk_keeps_its_end_back() {
    for size in [OCTETS.len(), 300_000] {
        let world = World::system();
        let lease = LeaseSignal::until(world.clone(), Duration::MAX / 2);
        let ending = lease.clone();
        let hop = Hop::start(move |met| match met {
            Met::Command(line) if line.starts_with("EHLO") => Do::Say(OFFER),
            Met::Command(line) if line.starts_with("RCPT") => {
                ending.extend(Duration::ZERO);
                Do::Fine
            }
            _ => Do::Fine,
        })
        .await;
        let text = format!("{OCTETS}{}", "x".repeat(size - OCTETS.len()));
        let delivery = declared(delivery_of(&text, &["a@to.example"], lease));
        assert_eq!(codes(&relay(&hop).attempt(delivery).await), [451]);
        // The connection is given up: what the next hop has is no message.
        while hop.count("cut short") + hop.count("end") == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(hop.count("MIME-Version"), 0, "{size}");
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_behind_a_chunk_proves_nothing() {
    let hop = Hop::start(|met| match met {
        Met::Contents(_) => Do::Close,
        met if is_ehlo(met) => Do::Say(OFFER),
        _ => Do::Fine,
    })
    .await;
    let report = relay(&hop).attempt(binary(OCTETS, &["a@to.example"])).await;
    assert_eq!(report.responses[0].class(), Class::Transient);
    assert_eq!(hop.count("MIME-Version"), 1);
    assert_eq!(hop.count("connection"), 1);
}
