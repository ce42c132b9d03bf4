//! Domains that share their mail exchangers, and ask for different things of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use slimta::message::{Destination, Report};
use slimta::relay::mta_sts::{FetchError, MtaSts, Policy, PolicySource, TextRecords};
use slimta::relay::{LookupError, MxRelay, Relay, Tls, TlsLevel};
use slimta::world::World;
use tokio_rustls::rustls::ServerConfig;

use crate::certificates::{Authority, self_signed};
use crate::hop::Hop;
use crate::mail::{codes, delivery};
use crate::mta_sts::{Zone, exchangers};

/// Enforced policies, all with the same id, by domain.
#[derive(Clone)]
struct Policies(BTreeMap<&'static str, &'static str>);

#[async_trait]
impl TextRecords for Policies {
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let domain = name.strip_prefix("_mta-sts.");
        match domain.is_some_and(|domain| self.0.contains_key(domain)) {
            true => Ok(vec!["v=STSv1; id=1".to_owned()]),
            false => Err(LookupError::NoSuchName),
        }
    }
}

#[async_trait]
impl PolicySource for Policies {
    async fn fetch(&self, domain: &str) -> Result<Policy, FetchError> {
        let text = format!(
            "version: STSv1\nmode: enforce\nmx: {}\nmax_age: 86400\n",
            self.0[domain]
        );
        Ok(Policy::parse(text.as_bytes()).unwrap())
    }
}

/// A relay to the two exchangers that all domains share, which show these
/// certificates.
async fn site(
    one: Arc<ServerConfig>,
    two: Arc<ServerConfig>,
    root: &Authority,
    policies: &[(&'static str, &'static str)],
) -> ([Hop; 2], MxRelay) {
    let hops = exchangers(Some(one), Some(two)).await;
    let policies = Policies(policies.iter().copied().collect());
    let finder = MtaSts::new(policies.clone(), policies, World::system());
    let relay = MxRelay::new(Zone::new("1"), "us.example", World::system())
        .with_port(hops[0].address.port())
        .with_tls(Tls::new(TlsLevel::Opportunistic).with_roots(root.roots()))
        .with_mta_sts(finder);
    (hops, relay)
}

async fn send(relay: &MxRelay, domain: &str) -> Report {
    relay.attempt(delivery(&[&format!("a@{domain}")])).await
}

#[tokio::test]
async fn who_asks_for_more_than_the_hosts_have_waits_alone() {
    let root = Authority::new();
    let bad = || self_signed("mx1.d.example");
    let asking = [("strict.example", "*.d.example")];
    let (hops, relay) = site(bad(), bad(), &root, &asking).await;
    let name = async |domain: &str| relay.site(&Destination::new(domain)).await;
    assert_eq!(name("strict.example").await, name("easy.example").await);
    // The connection that the one has left is none for the other.
    for (domain, code) in [
        ("easy.example", 250),
        ("strict.example", 451),
        ("easy.example", 250),
    ] {
        let report = send(&relay, domain).await;
        assert_eq!(codes(&report), [code], "{domain}: {report:?}");
    }
    let [first, second] = &hops;
    assert_eq!((first.count("MAIL"), second.count("MAIL")), (2, 0));
    // One for the one, which was used twice, and one that came to nothing.
    assert_eq!(first.count("connection"), 2);
}

#[tokio::test]
async fn a_connection_that_one_policy_let_pass_is_not_used_for_another() {
    let root = Authority::new();
    let good = |name: &str| root.host(name);
    let asking = [
        ("first.example", "mx1.d.example"),
        ("second.example", "mx2.d.example"),
        ("third.example", "mx1.d.example"),
        ("fourth.example", "mx.elsewhere.example"),
    ];
    let (one, two) = (good("mx1.d.example"), good("mx2.d.example"));
    let (hops, relay) = site(one, two, &root, &asking).await;
    for (domain, remote) in [
        ("easy.example", Some("mx1.d.example")),
        ("first.example", Some("mx1.d.example")),
        ("second.example", Some("mx2.d.example")),
        ("third.example", Some("mx1.d.example")),
        ("fourth.example", None),
        ("first.example", Some("mx1.d.example")),
    ] {
        let report = send(&relay, domain).await;
        assert_eq!(report.remote.as_deref(), remote);
        let code = remote.map_or(451, |_| 250);
        assert_eq!(codes(&report), [code], "{domain}: {report:?}");
    }
    let [first, second] = &hops;
    assert_eq!((first.count("MAIL"), second.count("MAIL")), (4, 1));
    assert_eq!(first.count("connection"), 3);
}
