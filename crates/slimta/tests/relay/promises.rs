//! What a sender asked of its message, towards next hops of all kinds.

use std::sync::Arc;
use std::time::Duration;

use slimta::message::{ByMode, Class, DeliverBy, OnSuccess};
use slimta::relay::{Delivery, LeaseSignal, LmtpRelay, Relay, SmtpRelay, Tls, TlsLevel};
use slimta::world::World;
use tokio_rustls::rustls::ServerConfig;

use crate::certificates::Authority;
use crate::hop::{Do, Hop, Met};
use crate::mail::{codes, delivery, delivery_of};
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

/// A next hop that offers STARTTLS, and this under TLS.
pub(crate) async fn encrypts(config: Arc<ServerConfig>, offer: &'static str) -> Hop {
    Hop::start(move |met| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say("250-hop\r\n250 STARTTLS"),
        Met::Command("STARTTLS") => Do::Tls(config.clone()),
        Met::Encrypted(line) if line.starts_with("EHLO") => Do::Say(offer),
        _ => Do::Fine,
    })
    .await
}

pub(crate) const REQUIRETLS: &str = "250-hop\r\n250 REQUIRETLS";

/// A delivery to this domain whose sender requires TLS.
pub(crate) fn secret_to(domain: &str) -> Delivery {
    let mut delivery = delivery(&[&format!("a@{domain}")]);
    Arc::make_mut(&mut delivery.message).envelope.require_tls = true;
    delivery
}

fn secret() -> Delivery {
    secret_to("to.example")
}

/// A relay whose destinations ask for no more than TLS where it can be had.
fn lenient(hop: &Hop, root: &Authority) -> SmtpRelay {
    relay(hop).with_tls(Tls::new(TlsLevel::Opportunistic).with_roots(root.roots()))
}

#[tokio::test]
async fn mail_that_requires_tls_goes_to_a_known_host_that_promises_the_same() {
    let root = Authority::new();
    let hop = encrypts(root.host("127.0.0.1"), REQUIRETLS).await;
    let relay = lenient(&hop, &root);
    // A connection that was not verified is not used for it, nor the other way round.
    for _ in 0..2 {
        assert!(relay.attempt(delivery(&["a@to.example"])).await.responses[0].is_success());
        assert!(relay.attempt(secret()).await.responses[0].is_success());
    }
    assert_eq!(hop.count("connection"), 2);
    assert_eq!(hop.count("MAIL FROM:<from@from.example> REQUIRETLS"), 2);
    assert_eq!(hop.count("MAIL"), 4);
}

#[tokio::test]
async fn mail_that_requires_tls_goes_back_where_it_would_not_be_safe() {
    let root = Authority::new();
    let stranger = Authority::new().host("127.0.0.1");
    let no_promise = "550 5.7.30 REQUIRETLS support required: ";
    let unsafe_way = "550 5.7.10 Encryption needed (REQUIRETLS): ";
    for (what, hop, begin, why) in [
        (
            "no promise",
            encrypts(root.host("127.0.0.1"), "250 hop").await,
            no_promise,
            "127.0.0.1 does not offer it",
        ),
        (
            "no TLS",
            offers(REQUIRETLS).await,
            unsafe_way,
            "STARTTLS not available",
        ),
        (
            "a stranger",
            encrypts(stranger, REQUIRETLS).await,
            unsafe_way,
            "trusted here",
        ),
    ] {
        let report = lenient(&hop, &root).attempt(secret()).await;
        let said = report.responses[0].to_string();
        assert!(said.starts_with(begin), "{what}: {said}");
        assert!(said.contains(why), "{what}: {said}");
        assert_eq!((hop.count("MAIL"), hop.count("Subject")), (0, 0), "{what}");
        // Who was not even shown a good certificate hears nothing more.
        if what != "a stranger" {
            until_left(&hop).await;
        }
    }
}

/// Waits until a hop has heard the farewell, which nobody waits for.
async fn until_left(hop: &Hop) {
    for _ in 0..10_000 {
        if hop.count("QUIT") == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("no QUIT: {:?}", hop.log());
}

/// What may be well later is tried later: nothing of that says that the host
/// promises less.
#[tokio::test]
async fn mail_that_requires_tls_waits_while_a_host_has_trouble() {
    let root = Authority::new();
    let busy = Hop::start(|met| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say("250-hop\r\n250 STARTTLS"),
        Met::Command("STARTTLS") => Do::Say("454 4.7.0 Not now"),
        _ => Do::Fine,
    });
    let cut = Hop::start(|met| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say("250-hop\r\n250 STARTTLS"),
        Met::Command("STARTTLS") => Do::SayLast("220 Go"),
        _ => Do::Fine,
    });
    for hop in [busy.await, cut.await] {
        let report = lenient(&hop, &root).attempt(secret()).await;
        assert_eq!(report.responses[0].class(), Class::Transient);
        assert_eq!((hop.count("MAIL"), hop.count("connection")), (0, 1));
    }
}

/// A mailbox of this machine is the end of the way.
#[tokio::test]
async fn mail_that_requires_tls_may_end_in_a_mailbox() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lmtp");
    let hop = Hop::start_at_socket(&path, |_| Do::Fine);
    let address = format!("lmtp:{}", path.display()).parse().unwrap();
    let relay = LmtpRelay::new(address, "us.example", World::system());
    assert!(relay.attempt(secret()).await.responses[0].is_success());
    assert_eq!(hop.count("MAIL"), 1);
}

#[tokio::test]
async fn the_limits_that_a_next_hop_names_are_kept() {
    let hop = offers("250-hop\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2 MAILMAX=3").await;
    let relay = relay(&hop);
    let names = [
        "a@to.example",
        "b@to.example",
        "c@to.example",
        "d@to.example",
        "e@to.example",
    ];
    for _ in 0..2 {
        let report = relay.attempt(delivery(&names)).await;
        assert_eq!(codes(&report), [250; 5]);
    }
    // Two, two and one recipient, three such a connection.
    assert_eq!(
        (
            hop.count("MAIL"),
            hop.count("RCPT"),
            hop.count("connection")
        ),
        (6, 10, 2)
    );
    let mut in_one = 0;
    for line in hop.log() {
        in_one = if line.starts_with("RCPT") {
            in_one + 1
        } else {
            0
        };
        assert!(in_one <= 2);
    }
}

#[tokio::test]
async fn a_connection_has_no_more_domains_than_its_next_hop_wants() {
    let hop = offers("250-hop\r\n250-PIPELINING\r\n250 LIMITS RCPTDOMAINMAX=2").await;
    let relay = relay(&hop);
    let names = [
        "a@one.example",
        "b@two.example",
        "c@ONE.example",
        "d@three.example",
        "e@two.example",
        "f@four.example",
    ];
    let report = relay.attempt(delivery(&names)).await;
    assert_eq!(codes(&report), [250; 6]);
    let log = hop.log();
    let of_session: Vec<usize> = log
        .split(|line| line.starts_with("connection"))
        .map(|session| session.iter().filter(|l| l.starts_with("RCPT")).count())
        .collect();
    // One, two and one again; three and two; four.
    assert_eq!(of_session, [0, 3, 2, 1], "{log:?}");
    // The last connection has room for one more, and is used for it.
    let report = relay
        .attempt(delivery(&["g@four.example", "h@five.example"]))
        .await;
    assert_eq!(codes(&report), [250; 2]);
    assert_eq!(hop.count("connection"), 3);
    let report = relay.attempt(delivery(&["i@six.example"])).await;
    assert_eq!(codes(&report), [250]);
    assert_eq!(hop.count("connection"), 4);
}

#[tokio::test]
async fn a_next_hop_without_8bitmime_gets_mail_without_octets_above_127() {
    let text = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\u{fc}\u{df}e von hier\r\n";
    for (offer, heard) in [
        (
            "250-hop\r\n250 8BITMIME",
            "Gr\u{fc}\u{df}e von hier\r\n.\r\n",
        ),
        ("250 hop", "Gr=C3=BC=C3=9Fe von hier\r\n.\r\n"),
    ] {
        let hop = offers(offer).await;
        let relay = relay(&hop);
        let delivery = delivery_of(text, &["a@to.example"], LeaseSignal::unleased());
        assert!(relay.attempt(delivery).await.responses[0].is_success());
        let contents = hop
            .log()
            .into_iter()
            .find(|line| line.starts_with("MIME-Version"));
        assert!(contents.unwrap().ends_with(heard), "{:?}", hop.log());
    }
}
