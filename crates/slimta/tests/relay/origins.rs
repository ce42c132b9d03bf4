//! Pools of source addresses: which way a message goes, and that it keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use slimta::message::Destination;
use slimta::queue::ByDestination;
use slimta::relay::{Delivery, Origin, OriginPool, Origins, Relay, Sources};

use crate::hop::{Do, Hop};
use crate::mail::{codes, delivery};
use crate::smtp;

/// A pool of these names, each at an address of its own.
fn pool(first: u8, names: &[&str]) -> OriginPool {
    let member = |(index, name): (usize, &&str)| {
        let last = first + u8::try_from(index).unwrap();
        let origin = Origin {
            addresses: Sources::new([[127, 0, 0, last].into()]).unwrap(),
            ehlo_name: Some((*name).to_owned()),
        };
        (origin, NonZeroU32::MIN)
    };
    OriginPool::new(names.iter().enumerate().map(member)).unwrap()
}

fn to(destination: &str) -> Delivery {
    let mut delivery = delivery(&["a@to.example"]);
    let mut message = (*delivery.message).clone();
    message.destination = Destination::new(destination);
    delivery.message = Arc::new(message);
    delivery
}

/// What this host calls itself for a message.
async fn name(hop: &Hop, origins: &Origins, delivery: &Delivery) -> String {
    let before = hop.log().len();
    let relay = smtp::relay(hop).with_origins(origins.clone());
    assert_eq!(codes(&relay.attempt(delivery.clone()).await), [250]);
    let said = hop.log().split_off(before);
    let ehlo = said.iter().find_map(|line| line.strip_prefix("EHLO "));
    ehlo.unwrap().to_owned()
}

#[tokio::test]
async fn a_message_keeps_its_way_and_all_ways_are_used() {
    let hop = Hop::start(|_| Do::Fine).await;
    let names = ["one.example", "two.example", "three.example"];
    let origins = Origins::default().with_rest(Some(pool(2, &names)));
    let mut used = BTreeSet::new();
    for _ in 0..40 {
        let delivery = to("to.example");
        let first = name(&hop, &origins, &delivery).await;
        assert_eq!(name(&hop, &origins, &delivery).await, first);
        used.insert(first);
    }
    assert_eq!(used.len(), names.len());
}

#[tokio::test]
async fn the_destinations_pool_comes_before_the_tenants() {
    let hop = Hop::start(|_| Do::Fine).await;
    let rule = |name: &str| name.parse().unwrap();
    let pools =
        ByDestination::new(None).with_rule(rule("own.example"), Some(pool(2, &["own.pool"])));
    let tenants = BTreeMap::from([("acme".parse().unwrap(), pool(3, &["acme.pool"]))]);
    let names = ByDestination::new(None)
        .with_rule(rule("named.example"), Some("named.us.example".to_owned()));
    let origins = Origins::default()
        .with_pools(pools)
        .with_tenants(tenants)
        .with_names(names);
    for (destination, expected) in [
        ("own.example#acme", "own.pool"),
        ("other.example#acme", "acme.pool"),
        ("named.example#acme", "acme.pool"),
        ("named.example", "named.us.example"),
        ("other.example", "us.example"),
    ] {
        assert_eq!(name(&hop, &origins, &to(destination)).await, expected);
    }
}

#[tokio::test]
async fn a_connection_is_not_used_by_another_name() {
    let hop = Hop::start(|_| Do::Fine).await;
    let rule = "named.example".parse().unwrap();
    let names = ByDestination::new(None).with_rule(rule, Some("named.us.example".to_owned()));
    let relay = smtp::relay(&hop).with_origins(Origins::default().with_names(names));
    for destination in ["named.example", "other.example", "named.example"] {
        assert_eq!(codes(&relay.attempt(to(destination)).await), [250]);
    }
    assert_eq!(hop.count("connection"), 2);
}
