//! DANE where the name of a host is an alias (RFC 7672 section 2.1.3).

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use slimta::relay::{
    Answer, AnswerOrigin, Dns, Exchanger, LookupError, MxRelay, Relay, Resolver, SmtpRelay, Tls,
    TlsLevel, Tlsa,
};
use slimta::world::World;

use crate::certificates::shown_by_itself;
use crate::dane::{Came, Case, came, right, wrong};
use crate::dnssec::Validated;
use crate::knot::Signed;
use crate::mail::delivery;

/// A name server that follows aliases from zone to zone, which that of the tests does
/// not.
struct Following(Dns);

#[async_trait]
impl Resolver for Following {
    async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        self.0.exchangers(domain).await
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, LookupError> {
        match self.0.alias(host).await {
            Ok(alias) => {
                let mut found = self.0.addresses(&alias.records[0]).await?;
                if alias.origin == AnswerOrigin::Insecure {
                    found.origin = AnswerOrigin::Insecure;
                }
                Ok(found)
            }
            Err(_) => self.0.addresses(host).await,
        }
    }

    async fn alias(&self, host: &str) -> Result<Answer<String>, LookupError> {
        self.0.alias(host).await
    }

    async fn tlsa(&self, host: &str, port: u16) -> Result<Answer<Tlsa>, LookupError> {
        self.0.tlsa(host, port).await
    }
}

/// The zone of a host that is an alias of `real.plain`.
fn zone(case: &Case) -> String {
    case.zone().replace(" A 127.0.0.1", " CNAME real.plain.")
}

/// The answer to a message for `DOMAIN` at the level, and how it came.
async fn attempt(case: &Case, dns: &Validated, level: TlsLevel, domain: &str) -> (String, Came) {
    let relay = MxRelay::new(Following(dns.dns()), "us.example", World::system());
    let tls = Tls::new(level).with_trusted_dns(Arc::new(Following(dns.dns())));
    let relay = relay.with_port(case.hop.address.port()).with_tls(tls);
    let report = relay.attempt(delivery(&[&format!("a@{domain}")])).await;
    (report.responses[0].to_string(), came(&case.hop))
}

#[tokio::test]
async fn an_alias_counts_itself_where_its_end_is_not_signed() {
    let own = || shown_by_itself("x.example");
    let good = Case::new("good", own(), &[right(3, 1, 1)]).await;
    let bad = Case::new("bad", own(), &[wrong(3, 1, 1)]).await;
    let signed = zone(&good) + &zone(&bad) + "far MX 10 mx.bad.plain.\n";
    let dns = Validated::start(&[
        ("signed", Signed::Nsec, &signed),
        ("plain", Signed::Not, &(zone(&bad) + "real A 127.0.0.1\n")),
    ]);
    let (answer, came) = attempt(&good, &dns, TlsLevel::DaneOnly, "good.signed").await;
    assert_eq!(came, Came::Encrypted, "{answer}");
    // It is asked for by the name whose records these are.
    let asked = "TLS Some(Full) Some(\"mx.good.signed\")";
    assert_eq!(good.hop.count(asked), 1, "{:?}", good.hop.log());
    let (answer, came) = attempt(&bad, &dns, TlsLevel::Dane, "bad.signed").await;
    assert!(answer.contains("fits none of its TLSA records"), "{answer}");
    assert_eq!(came, Came::Not);
    // What of an alias is not signed says nothing.
    let (answer, came) = attempt(&bad, &dns, TlsLevel::Dane, "far.signed").await;
    assert_eq!(came, Came::Encrypted, "{answer}");
}

#[tokio::test]
async fn a_smarthost_that_is_an_alias_counts_itself_too() {
    let good = Case::new("good", shown_by_itself("x.example"), &[right(3, 1, 1)]).await;
    let dns = Validated::start(&[
        ("signed", Signed::Nsec, &zone(&good)),
        ("plain", Signed::Not, "real A 127.0.0.1\n"),
    ]);
    let port = good.hop.address.port();
    let relay = SmtpRelay::new("mx.good.signed", port, "us.example", World::system());
    let tls = Tls::new(TlsLevel::DaneOnly).with_trusted_dns(Arc::new(Following(dns.dns())));
    let report = relay
        .with_tls(tls)
        .attempt(delivery(&["a@d.example"]))
        .await;
    assert_eq!(came(&good.hop), Came::Encrypted, "{report:?}");
}

/// Nobody knows then whether the host has records: it gets no mail for now.
#[tokio::test]
async fn an_alias_that_is_forged_gets_no_mail() {
    struct Forged(Dns);

    #[async_trait]
    impl Resolver for Forged {
        async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError> {
            self.0.exchangers(domain).await
        }

        async fn addresses(&self, _host: &str) -> Result<Answer<IpAddr>, LookupError> {
            self.0.addresses("real.plain").await
        }

        async fn alias(&self, _host: &str) -> Result<Answer<String>, LookupError> {
            self.0.alias("mx.d.forged").await
        }
    }

    let case = Case::new("d", shown_by_itself("x.example"), &[]).await;
    let dns = Validated::start(&[
        ("signed", Signed::Nsec, &zone(&case)),
        ("plain", Signed::Not, "real A 127.0.0.1\n"),
        ("forged", Signed::ByAnother, &zone(&case)),
    ]);
    let forged = || Forged(dns.dns());
    let relay = MxRelay::new(forged(), "us.example", World::system());
    let tls = Tls::new(TlsLevel::Dane).with_trusted_dns(Arc::new(forged()));
    let relay = relay.with_port(case.hop.address.port()).with_tls(tls);
    let report = relay.attempt(delivery(&["a@d.signed"])).await;
    let answer = report.responses[0].to_string();
    assert!(answer.starts_with("451 4.4.3 "), "{answer}");
    assert_eq!(came(&case.hop), Came::Not);
}
