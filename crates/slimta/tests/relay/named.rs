//! Servers that an envelope names, whatever the relay.

use std::sync::Arc;

use slimta::message::NextHop;
use slimta::relay::{Delivery, LmtpRelay, MxRelay, Relay, SmtpLogin, SmtpRelay, Tls, TlsLevel};
use slimta::world::World;

use crate::certificates::shown_by_itself;
use crate::hop::{Do, Hop, Met};
use crate::mail::{codes, delivery};

/// Nobody listens there.
const NOWHERE: u16 = 1;

/// Relays of each kind, none of which leads to the server that is named.
fn relays() -> [Box<dyn Relay>; 3] {
    let (us, world) = ("us.example", World::system);
    let off = || Tls::new(TlsLevel::Off);
    let lmtp = format!("lmtp://127.0.0.1:{NOWHERE}").parse().unwrap();
    let dns = slimta::relay::Dns::at(([127, 0, 0, 1], NOWHERE).into()).unwrap();
    [
        Box::new(SmtpRelay::new("127.0.0.1", NOWHERE, us, world()).with_tls(off())),
        Box::new(LmtpRelay::new(lmtp, us, world()).with_tls(off())),
        Box::new(MxRelay::new(dns, us, world()).with_tls(off())),
    ]
}

fn naming(relayer: Option<&str>, host: &str, port: Option<u16>) -> Delivery {
    let mut named = delivery(&["a@to.example"]);
    Arc::make_mut(&mut named.message).envelope.next_hop = Some(NextHop {
        relayer: relayer.map(str::to_owned),
        host: Some(host.to_owned()),
        port,
    });
    named
}

async fn begins_with_tls() -> Hop {
    let config = shown_by_itself("x.example").config;
    let script = move |met: Met<'_>| match met {
        Met::Connection(_) => Do::Tls(config.clone()),
        _ => Do::Fine,
    };
    Hop::start(script).await
}

#[tokio::test]
async fn it_is_talked_to_as_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for (number, relay) in relays().into_iter().enumerate() {
        let hop = Hop::start(|_| Do::Fine).await;
        let port = Some(hop.address.port());
        let report = relay.attempt(naming(None, "127.0.0.1", port)).await;
        assert_eq!(codes(&report), [250]);
        let report = relay.attempt(naming(Some("lmtp"), "127.0.0.1", port)).await;
        assert_eq!(codes(&report), [250]);
        assert_eq!((hop.count("EHLO"), hop.count("LHLO")), (1, 1));

        let path = directory.path().join(number.to_string());
        let hop = Hop::start_at_socket(&path, |_| Do::Fine);
        let report = relay
            .attempt(naming(Some("lmtp"), &path.display().to_string(), None))
            .await;
        assert_eq!(codes(&report), [250]);
        assert_eq!(hop.count("LHLO us.example"), 1);

        // Also where all other mail goes in clear.
        let hop = begins_with_tls().await;
        let port = Some(hop.address.port());
        let report = relay
            .attempt(naming(Some("smtps"), "127.0.0.1", port))
            .await;
        assert_eq!(codes(&report), [250]);
        assert_eq!(hop.count("TLS"), 1);
    }
}

/// It goes there as all mail does, with the password, unless that were less safe than
/// it is named.
#[tokio::test]
async fn the_relays_own_server_is_known_by_its_name() {
    let hop = begins_with_tls().await;
    let (host, port) = ("127.0.0.1", hop.address.port());
    let world = World::system;
    let own = SmtpRelay::new(host, port, "us.example", world()).with_implicit_tls();
    for relayer in [None, Some("smtps")] {
        let report = own.attempt(naming(relayer, host, Some(port))).await;
        assert_eq!(codes(&report), [250], "{relayer:?}");
    }
    // The connection was used again: all of it is of one server.
    assert_eq!(hop.count("TLS"), 1);
    let login = SmtpLogin::with_password_file("ann", "/nowhere").even_in_clear();
    let in_clear = SmtpRelay::new(host, port, "us.example", world()).with_login(login);
    let report = in_clear
        .attempt(naming(Some("smtps"), host, Some(port)))
        .await;
    assert_eq!(codes(&report), [250]);
    assert_eq!(hop.count("TLS"), 2);
}
