//! What a sender asked of its message, towards next hops of all kinds.

use std::sync::Arc;

use slimta::message::{ByMode, DeliverBy, OnSuccess};
use slimta::relay::{Delivery, Relay};

use crate::hop::{Do, Hop, Met};
use crate::mail::delivery;
use crate::smtp::relay;

/// A next hop that offers this behind its name, in clear.
async fn offers(offer: &'static str) -> Hop {
    Hop::start(move |met| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say(offer),
        _ => Do::Fine,
    })
    .await
}

/// A delivery with so many seconds left.
fn by(seconds: i64, mode: ByMode, trace: bool) -> Delivery {
    let mut delivery = delivery(&["a@to.example"]);
    let message = Arc::make_mut(&mut delivery.message);
    let by = DeliverBy::within(seconds, mode, trace, delivery.now);
    message.envelope.deliver_by = Some(by);
    delivery
}

#[tokio::test]
async fn who_names_a_time_is_told_where_nobody_heeds_it_or_if_it_wants_to_be() {
    for (offer, trace, told) in [
        (
            "250-hop\r\n250-DSN\r\n250 DELIVERBY",
            false,
            OnSuccess::PassedOn,
        ),
        (
            "250-hop\r\n250-DSN\r\n250 DELIVERBY",
            true,
            OnSuccess::Traced,
        ),
        ("250-hop\r\n250 DELIVERBY", false, OnSuccess::Relayed),
        ("250-hop\r\n250 DSN", false, OnSuccess::Traced),
    ] {
        let hop = offers(offer).await;
        let report = relay(&hop).attempt(by(600, ByMode::Notify, trace)).await;
        assert!(report.responses[0].is_success());
        assert_eq!(report.on_success, told, "{offer}");
        let heard = hop.count("MAIL FROM:<from@from.example> BY=") == 1;
        assert_eq!(heard, offer.contains("DELIVERBY"), "{offer}");
    }
}
