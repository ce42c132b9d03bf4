//! Domains that share their mail exchangers share connections to them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use slimta::message::Destination;
use slimta::relay::{
    Answer, Exchanger, Keeping, LookupError, MxRelay, Relay, Resolver, SmtpLogin, SmtpRelay,
};
use slimta::world::World;

use crate::hop::{Do, Hop};
use crate::mail::{codes, delivery};
use crate::mta_sts::answer;

/// All names are at 127.0.0.1; which exchangers a domain has can be changed.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<Vec<Domain>>>);

/// Its name, and its exchangers with their preference.
type Domain = (String, Vec<(u16, String)>);

impl Zone {
    fn set(&self, domain: &str, exchangers: &[(u16, &str)]) {
        let named = exchangers.iter().map(|(p, host)| (*p, (*host).to_owned()));
        let mut zone = self.0.lock().unwrap();
        zone.retain(|(name, _)| name != domain);
        zone.push((domain.to_owned(), named.collect()));
    }
}

#[async_trait]
impl Resolver for Zone {
    async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        let zone = self.0.lock().unwrap();
        let (_, exchangers) = zone
            .iter()
            .find(|(name, _)| name == domain)
            .ok_or(LookupError::NoSuchName)?;
        let exchangers = exchangers.iter().map(|(preference, host)| Exchanger {
            preference: *preference,
            host: host.clone(),
        });
        Ok(answer(domain, exchangers.collect()))
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, LookupError> {
        Ok(answer(host, vec![[127, 0, 0, 1].into()]))
    }
}

fn relay(hop: &Hop, zone: &Zone) -> MxRelay {
    let relay = MxRelay::new(zone.clone(), "us.example", World::system());
    relay.with_port(hop.address.port())
}

async fn send(relay: &MxRelay, domain: &str) {
    let report = relay.attempt(delivery(&[&format!("a@{domain}")])).await;
    assert_eq!(codes(&report), [250]);
}

#[tokio::test]
async fn domains_of_one_site_share_a_connection_and_others_do_not() {
    let (hop, zone) = (Hop::start(|_| Do::Fine).await, Zone::default());
    let shared = [(10, "mx1.example"), (20, "mx2.example")];
    zone.set("a.example", &shared);
    zone.set("b.example", &[(1, "MX1.example"), (2, "mx2.example")]);
    zone.set("c.example", &shared[..1]);
    let relay = relay(&hop, &zone);
    for domain in ["a.example", "b.example", "a.example"] {
        send(&relay, domain).await;
    }
    assert_eq!(hop.count("connection"), 1);
    // Its mail would be refused at mx2.example, where one may be connected.
    send(&relay, "c.example").await;
    assert_eq!(hop.count("connection"), 2);
    // A domain that has moved is not where it was.
    zone.set("b.example", &[(10, "elsewhere.example")]);
    send(&relay, "b.example").await;
    assert_eq!(hop.count("connection"), 3);
}

#[tokio::test]
async fn the_queue_is_told_which_domains_share_a_site() {
    let (hop, zone) = (Hop::start(|_| Do::Fine).await, Zone::default());
    zone.set("a.example", &[(10, "mx.example")]);
    zone.set("b.example", &[(10, "mx.example")]);
    zone.set("c.example", &[(10, "other.example")]);
    let relay = relay(&hop, &zone);
    let site = async |name: &str| relay.site(&Destination::new(name)).await;
    assert_eq!(site("a.example").await.as_deref(), Some("mx.example"));
    assert_eq!(site("b.example#acme").await, site("a.example").await);
    assert_ne!(site("c.example").await, site("a.example").await);
    assert_eq!(site("nowhere.example").await, None);
    assert_eq!(site("[127.0.0.1]").await, None);
}

/// A password that is refused is not the trouble of who has another.
#[tokio::test]
async fn a_server_is_a_site_for_each_of_its_users() {
    let relay = || SmtpRelay::new("mx.example", 25, "us.example", World::system());
    let ann = SmtpLogin::new("ann", b"secret").unwrap();
    let any = Destination::new("to.example");
    let named = relay().site(&any).await;
    assert_eq!(named.as_deref(), Some("mx.example:25"));
    assert_eq!(relay().site(&Destination::new("b.example")).await, named);
    assert_ne!(relay().with_login(ann).site(&any).await, named);
}

#[tokio::test]
async fn a_connection_that_is_old_enough_is_not_used_again() {
    let (hop, zone) = (Hop::start(|_| Do::Fine).await, Zone::default());
    zone.set("a.example", &[(10, "mx.example")]);
    let none = std::time::Duration::ZERO;
    for keeping in [
        Keeping {
            idle_time_max: none,
            ..Keeping::default()
        },
        Keeping {
            age_max: none,
            ..Keeping::default()
        },
    ] {
        let before = hop.count("connection");
        let relay = relay(&hop, &zone).with_keeping(keeping);
        send(&relay, "a.example").await;
        send(&relay, "a.example").await;
        assert_eq!(hop.count("connection") - before, 2, "{keeping:?}");
    }
}
