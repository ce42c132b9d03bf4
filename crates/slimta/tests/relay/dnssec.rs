//! Where answers come from, as a name server says that validates: zones that Knot
//! DNS has signed, and dnsmasq before them.

use slimta::relay::{AnswerOrigin, Dns, DnsTrust, LookupError, MxRelay, Relay, Resolver};
use slimta::world::World;

use crate::dnsmasq::DnsServer;
use crate::knot::{Knot, Signed};
use crate::mail::{codes, delivery};

const RECORDS: &str = "\
@ MX 10 mx
mx A 127.0.0.1
mx AAAA ::1
alias CNAME mx
null MX 0 .
loop MX 10 us.example.
*.any A 127.0.0.1
_25._tcp.mx TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
_25._tcp.far CNAME tlsa
tlsa TLSA 2 0 1 0000000000000000000000000000000000000000000000000000000000000000
";

/// The zones, and who validates them.
pub(crate) struct Validated {
    knot: Knot,
    dnsmasq: DnsServer,
}

impl Validated {
    pub(crate) fn start(zones: &[(&str, Signed, &str)]) -> Self {
        let knot = Knot::start(zones);
        let dnsmasq = DnsServer::validating(&knot);
        Validated { knot, dnsmasq }
    }

    /// Believes it.
    pub(crate) fn dns(&self) -> Dns {
        Dns::open(&[self.dnsmasq.address], DnsTrust::Servers).unwrap()
    }

    /// Asks it, and believes nobody.
    pub(crate) fn doubting_dns(&self) -> Dns {
        Dns::at(self.dnsmasq.address).unwrap()
    }
}

fn zones() -> Validated {
    Validated::start(&[
        ("signed", Signed::Nsec, RECORDS),
        ("hashed", Signed::Nsec3, RECORDS),
        ("plain", Signed::Not, RECORDS),
        ("forged", Signed::ByAnother, RECORDS),
    ])
}

#[tokio::test]
async fn a_signed_answer_is_told_from_one_that_is_not() {
    let zones = zones();
    let dns = zones.dns();
    // Twice: the second comes from the cache.
    for _ in 0..2 {
        for (zone, origin) in [
            ("signed", AnswerOrigin::Secure),
            ("hashed", AnswerOrigin::Secure),
            ("plain", AnswerOrigin::Insecure),
        ] {
            let found = dns.exchangers(zone).await.unwrap();
            let mx = format!("mx.{zone}");
            assert_eq!((&*found.records[0].host, found.origin), (&*mx, origin));
            let alias = format!("alias.{zone}");
            for (host, addresses) in [(&mx, 2), (&alias, 2), (&format!("a.any.{zone}"), 1)] {
                let found = dns.addresses(host).await.unwrap();
                assert_eq!(
                    (found.records.len(), found.origin),
                    (addresses, origin),
                    "{host}"
                );
                assert_eq!(&found.name, if *host == alias { &mx } else { host });
            }
            let found = dns.alias(&alias).await.unwrap();
            assert_eq!((&*found.records[0], found.origin), (&*mx, origin));
            assert_eq!(found.name, alias);
            assert_eq!(dns.alias(&mx).await, Err(LookupError::NoRecords));
            for (host, usage) in [(mx, 3), (format!("far.{zone}"), 2)] {
                let found = dns.tlsa(&host, 25).await.unwrap();
                assert_eq!(
                    (found.records[0].usage, found.origin),
                    (usage, origin),
                    "{host}"
                );
                assert_eq!(found.records[0].data.len(), 32);
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_is_forged() {
    let zones = zones();
    let dns = zones.dns();
    for zone in ["signed", "hashed", "plain"] {
        let nothing = dns.exchangers(&format!("gone.{zone}")).await;
        assert_eq!(nothing, Err(LookupError::NoSuchName), "{zone}");
        let nothing = dns.exchangers(&format!("mx.{zone}")).await;
        assert_eq!(nothing, Err(LookupError::NoRecords), "{zone}");
        let nothing = dns.tlsa(&format!("mx.{zone}"), 26).await;
        assert_eq!(nothing, Err(LookupError::NoSuchName), "{zone}");
    }
    for name in ["forged", "gone.forged"] {
        let forged = dns.exchangers(name).await;
        assert!(
            matches!(forged, Err(LookupError::Failed(_))),
            "{name}: {forged:?}"
        );
        let forged = dns.tlsa(name, 25).await;
        assert!(
            matches!(forged, Err(LookupError::Failed(_))),
            "{name}: {forged:?}"
        );
    }
}

#[tokio::test]
async fn who_is_not_to_be_believed_is_not() {
    let zones = zones();
    assert_eq!(zones.dns().validates().await, Ok(true));
    let dns = Dns::at(zones.dnsmasq.address).unwrap();
    assert_eq!(dns.validates().await, Ok(false));
    assert_eq!(
        dns.exchangers("signed").await.unwrap().origin,
        AnswerOrigin::Insecure
    );
    // One that does not validate never says so.
    let dns = Dns::open(&[zones.knot.address], DnsTrust::Servers).unwrap();
    assert_eq!(dns.validates().await, Ok(false));
    assert_eq!(
        dns.exchangers("signed").await.unwrap().origin,
        AnswerOrigin::Insecure
    );
}

#[tokio::test]
async fn a_domain_that_takes_no_mail_and_one_that_leads_back_bounce_at_once() {
    let zones = zones();
    let relay = MxRelay::new(zones.dns(), "us.example", World::system());
    let report = relay.attempt(delivery(&["a@null.signed"])).await;
    let answer = report.responses[0].to_string();
    assert_eq!(answer, "556 5.1.10 The domain takes no mail");
    let report = relay.attempt(delivery(&["a@loop.signed"])).await;
    let answer = report.responses[0].to_string();
    assert!(answer.starts_with("554 5.4.6 us.example is"), "{answer}");
    let report = relay.attempt(delivery(&["a@gone.signed"])).await;
    assert_eq!(codes(&report), [550]);
    // What is forged is no reason to bounce.
    for domain in ["forged", "gone.forged", "null.forged"] {
        let report = relay.attempt(delivery(&[&format!("a@{domain}")])).await;
        let answer = report.responses[0].to_string();
        assert!(answer.starts_with("451 4.4.3 "), "{answer}");
    }
}
