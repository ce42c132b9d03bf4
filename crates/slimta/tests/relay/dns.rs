//! Next hops by MX, as a real DNS server tells them.

use std::sync::Arc;

use slimta::relay::{AnswerOrigin, Dns, Exchanger, LookupError, MxRelay, Relay, Resolver};
use slimta::world::World;

use crate::dnsmasq::DnsServer;
use crate::hop::{Do, Hop};
use crate::mail::{codes, delivery};

/// Waits until it answers.
async fn ready(server: &DnsServer) -> Dns {
    for _ in 0..200 {
        let dns = Dns::at(server.address).unwrap();
        if dns.addresses("up.example").await.is_ok() {
            return dns;
        }
    }
    panic!("dnsmasq does not answer");
}

const RECORDS: [&str; 7] = [
    "--host-record=up.example,127.0.0.1",
    "--mx-host=d.example,mx2.example,20",
    "--mx-host=d.example,MX1.example,10",
    "--host-record=mx1.example,127.0.0.2",
    "--host-record=mx2.example,127.0.0.1",
    "--host-record=plain.example,127.0.0.1",
    "--mx-host=xn--bcher-kva.example,mx.xn--bcher-kva.example,10",
];

#[tokio::test]
async fn records_are_told_from_their_absence() {
    let server = DnsServer::start(&RECORDS);
    let dns = ready(&server).await;
    let mut exchangers = dns.exchangers("d.example").await.unwrap().records;
    exchangers.sort_by_key(|exchanger| exchanger.preference);
    let exchanger = |preference, host: &str| Exchanger {
        preference,
        host: host.to_owned(),
    };
    assert_eq!(
        exchangers,
        [exchanger(10, "mx1.example"), exchanger(20, "mx2.example")]
    );
    // Certificates and other hosts know no other form of it (RFC 6531 section 3.7).
    let found = dns.exchangers("b\u{fc}cher.example").await.unwrap();
    let names = (&*found.name, &*found.records[0].host);
    assert_eq!(names, ("xn--bcher-kva.example", "mx.xn--bcher-kva.example"));
    let found = dns.addresses("mx1.example").await.unwrap();
    assert_eq!(
        (found.records.len(), found.origin),
        (1, AnswerOrigin::Insecure)
    );
    assert_eq!(
        dns.exchangers("plain.example").await,
        Err(LookupError::NoRecords)
    );
    assert_eq!(
        dns.exchangers("no.such.example").await,
        Err(LookupError::NoSuchName)
    );
    // It knows nothing of other names, which proves nothing.
    let unknown = dns.exchangers("elsewhere.net").await;
    assert!(
        matches!(unknown, Err(LookupError::Failed(_))),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn the_next_exchanger_is_tried_when_one_is_down() {
    let server = DnsServer::start(&RECORDS);
    let dns = ready(&server).await;
    // It listens on 127.0.0.1 only: at 127.0.0.2 nobody answers.
    let hop = Hop::start(|_| Do::Fine).await;
    let relay = MxRelay::new(dns, "us.example", World::system()).with_port(hop.address.port());
    let report = relay.attempt(delivery(&["a@d.example"])).await;
    assert_eq!(codes(&report), [250]);
    assert_eq!(report.remote.as_deref(), Some("mx2.example"));
    let report = relay.attempt(delivery(&["a@plain.example"])).await;
    assert_eq!(report.remote.as_deref(), Some("plain.example"));
    let mut of_tenant = delivery(&["a@plain.example"]);
    let acme = "acme".parse().unwrap();
    let message = Arc::make_mut(&mut of_tenant.message);
    message.destination = message.destination.of_tenant(&acme);
    let report = relay.attempt(of_tenant).await;
    assert_eq!(report.remote.as_deref(), Some("plain.example"));
    let report = relay.attempt(delivery(&["a@no.such.example"])).await;
    assert_eq!(codes(&report), [550]);
    let report = relay.attempt(delivery(&["a@[127.0.0.1]"])).await;
    assert_eq!(codes(&report), [250]);
}
