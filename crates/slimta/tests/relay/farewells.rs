//! Connections that are kept are ended in good order.

use std::time::Duration;

use slimta::relay::{Farewells, Relay, SmtpRelay, Tls, TlsLevel};
use slimta::world::World;

use crate::hop::{Do, Hop, Met};
use crate::mail::{codes, delivery};

const LONG: Duration = Duration::from_secs(60);

fn relay(hop: &Hop, farewells: &Farewells) -> SmtpRelay {
    let address = hop.address;
    let relay = SmtpRelay::new("127.0.0.1", address.port(), "us.example", World::system());
    relay.with_farewells(farewells.clone())
}

async fn send(relay: &SmtpRelay) {
    let report = relay.attempt(delivery(&["a@d.example"])).await;
    assert_eq!(codes(&report), [250]);
}

#[tokio::test]
async fn goodbye_is_said_on_connections_that_are_kept() {
    let (first, second) = (
        Hop::start(|_| Do::Fine).await,
        Hop::start(|_| Do::Fine).await,
    );
    let farewells = Farewells::default();
    let (one, other) = (relay(&first, &farewells), relay(&second, &farewells));
    for relay in [&one, &one, &other] {
        send(relay).await;
    }
    assert_eq!((first.count("QUIT"), second.count("QUIT")), (0, 0));
    assert_eq!(farewells.end_all(&World::system(), LONG).await, (2, 0));
    assert_eq!((first.count("QUIT"), second.count("QUIT")), (1, 1));
    // What is used later is not kept.
    send(&one).await;
    assert_eq!(farewells.end_all(&World::system(), LONG).await.1, 0);
    assert_eq!(first.count("QUIT"), 2);
    assert_eq!(first.count("connection"), 2);
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let hop = Hop::start(|met| match met {
        Met::Command("QUIT") => Do::Hang,
        _ => Do::Fine,
    });
    let (hop, farewells) = (hop.await, Farewells::default());
    let relay = relay(&hop, &farewells);
    send(&relay).await;
    let moment = Duration::from_millis(50);
    assert_eq!(farewells.end_all(&World::system(), moment).await, (1, 1));
}

#[tokio::test]
async fn relays_that_come_later_go_on() {
    let (hop, farewells) = (Hop::start(|_| Do::Fine).await, Farewells::default());
    let old = relay(&hop, &farewells);
    send(&old).await;
    let replaced = farewells.of_now();
    let new = relay(&hop, &farewells);
    send(&new).await;
    replaced.end();
    // An attempt that had begun before.
    send(&old).await;
    send(&new).await;
    assert_eq!(hop.count("connection"), 3);
    assert_eq!(farewells.end_all(&World::system(), LONG).await.1, 0);
    assert_eq!(hop.count("QUIT"), 3);
}

/// RFC 5321 section 4.1.1.10: also where the session is of no use.
#[tokio::test]
async fn a_next_hop_that_is_given_up_hears_it() {
    let without_tls = Hop::start(|_| Do::Fine).await;
    let refuses = Hop::start(|met| match met {
        Met::Connection(_) => Do::Say("554 Not you"),
        _ => Do::Fine,
    });
    for hop in [without_tls, refuses.await] {
        let relay = relay(&hop, &Farewells::default()).with_tls(Tls::new(TlsLevel::Required));
        let report = relay.attempt(delivery(&["a@d.example"])).await;
        assert_eq!(codes(&report), [451]);
        let heard = async {
            while hop.count("QUIT") == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, heard).await.unwrap();
        assert_eq!((hop.count("connection"), hop.count("QUIT")), (1, 1));
    }
}
