//! What a domain's records mean for its mail.

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;

use super::super::resolver::{Answer, AnswerOrigin, Exchanger, LookupError};
use super::super::smtp::Hosts;
use super::*;

/// A DNS of a few names; others do not exist.
#[derive(Default)]
struct Zone {
    exchangers: BTreeMap<&'static str, Result<Vec<Exchanger>, LookupError>>,
    addresses: BTreeMap<&'static str, Result<Vec<IpAddr>, LookupError>>,
}

#[async_trait]
impl Resolver for Zone {
    async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        let found = self.exchangers.get(domain).cloned();
        answer(domain, found.unwrap_or(Err(LookupError::NoSuchName)))
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, LookupError> {
        let found = self.addresses.get(host).cloned();
        answer(host, found.unwrap_or(Err(LookupError::NoSuchName)))
    }
}

/// Names that begin with `signed` are.
fn answer<T>(name: &str, found: Result<Vec<T>, LookupError>) -> Result<Answer<T>, LookupError> {
    Ok(Answer {
        records: found?,
        name: name.to_owned(),
        origin: match name.starts_with("signed") {
            true => AnswerOrigin::Secure,
            false => AnswerOrigin::Insecure,
        },
    })
}

fn mx(hosts: &[&str]) -> Result<Vec<Exchanger>, LookupError> {
    let record = |(index, host): (usize, &&str)| Exchanger {
        preference: 10 * index as u16,
        host: (*host).to_owned(),
    };
    Ok(hosts.iter().enumerate().map(record).collect())
}

fn ip(text: &str) -> Result<Vec<IpAddr>, LookupError> {
    Ok(vec![text.parse().unwrap()])
}

fn broken<T>() -> Result<T, LookupError> {
    Err(LookupError::Failed("SERVFAIL".to_owned()))
}

/// The hosts of `d.example` as `name address`, or the code that says why none.
async fn hosts(zone: Zone) -> Result<Vec<String>, String> {
    let world = World::system();
    let looking = Exchangers::of("d.example", &zone, "us.example", 25, &world);
    let own = OwnAddresses::new(vec!["198.51.100.7:25".parse().unwrap()]);
    let found = match looking.await {
        Ok(exchangers) => exchangers.with_own_addresses(own).find(None).await,
        Err(why) => Err(why),
    };
    match found {
        Ok(hosts) => Ok(hosts
            .iter()
            .map(|host| format!("{} {}", host.name, host.endpoint))
            .collect()),
        Err(why) => Err(why
            .to_string()
            .split(' ')
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")),
    }
}

#[tokio::test]
async fn exchangers_are_tried_in_order_and_those_without_address_left_out() {
    let zone = Zone {
        exchangers: [("d.example", mx(&["gone", "a", "b"]))].into(),
        addresses: [("a", ip("192.0.2.1")), ("b", ip("2001:db8::1"))].into(),
    };
    let expected = ["a 192.0.2.1:25", "b [2001:db8::1]:25"];
    assert_eq!(hosts(zone).await.unwrap(), expected);
}

#[tokio::test]
async fn a_domain_without_exchangers_takes_its_mail_itself() {
    let zone = || Zone {
        exchangers: [("d.example", Err(LookupError::NoRecords))].into(),
        ..Zone::default()
    };
    let mut with_address = zone();
    with_address.addresses = [("d.example", ip("192.0.2.1"))].into();
    assert_eq!(
        hosts(with_address).await.unwrap(),
        ["d.example 192.0.2.1:25"]
    );
    assert_eq!(hosts(zone()).await.unwrap_err(), "550 5.1.2");
    let mut in_trouble = zone();
    in_trouble.addresses = [("d.example", broken())].into();
    assert_eq!(hosts(in_trouble).await.unwrap_err(), "451 4.4.3");
}

#[tokio::test]
async fn only_what_the_dns_is_certain_of_bounces() {
    assert_eq!(hosts(Zone::default()).await.unwrap_err(), "550 5.1.2");
    let with = |exchangers, addresses: &[(&'static str, Result<Vec<IpAddr>, LookupError>)]| Zone {
        exchangers: [("d.example", exchangers)].into(),
        addresses: addresses.iter().cloned().collect(),
    };
    assert_eq!(hosts(with(broken(), &[])).await.unwrap_err(), "451 4.4.3");
    assert_eq!(
        hosts(with(mx(&["a"]), &[("a", broken())]))
            .await
            .unwrap_err(),
        "451 4.4.3"
    );
    assert_eq!(
        hosts(with(mx(&["gone"]), &[])).await.unwrap_err(),
        "451 4.4.4"
    );
    assert_eq!(hosts(with(mx(&[""]), &[])).await.unwrap_err(), "556 5.1.10");
    assert_eq!(
        hosts(with(mx(&["us.example"]), &[])).await.unwrap_err(),
        "554 5.4.6"
    );
}

/// Whatever it is called there (RFC 5321 section 5.1).
#[tokio::test]
async fn an_exchanger_at_an_address_of_this_host_is_this_host() {
    const OWN: &str = "198.51.100.7";
    let with = |records: &[(u16, &str)], addresses: &[(&'static str, &str)]| {
        let records = records.iter().map(|(preference, host)| Exchanger {
            preference: *preference,
            host: (*host).to_owned(),
        });
        Zone {
            exchangers: [("d.example", Ok(records.collect()))].into(),
            addresses: addresses.iter().map(|(name, at)| (*name, ip(at))).collect(),
        }
    };
    let addresses = [("a", "192.0.2.1"), ("b", "192.0.2.2"), ("own", OWN)];
    let found = hosts(with(&[(10, "a"), (20, "b"), (20, "own")], &addresses)).await;
    assert_eq!(found.unwrap(), ["a 192.0.2.1:25"]);
    for records in [
        &[(10, "own")][..],
        &[(10, "own"), (20, "a")],
        &[(10, "a"), (10, "own"), (10, "b")],
    ] {
        let found = hosts(with(records, &addresses)).await;
        assert_eq!(found.unwrap_err(), "554 5.4.6", "{records:?}");
    }
    // The preferred one may be back later.
    let found = hosts(with(&[(10, "gone"), (20, "own")], &addresses)).await;
    assert_eq!(found.unwrap_err(), "451 4.4.4");
    let mut broken_first = with(&[(10, "a"), (20, "own")], &addresses);
    broken_first.addresses.insert("a", broken());
    assert_eq!(hosts(broken_first).await.unwrap_err(), "451 4.4.3");
    let itself = Zone {
        exchangers: [("d.example", Err(LookupError::NoRecords))].into(),
        addresses: [("d.example", ip(OWN))].into(),
    };
    assert_eq!(hosts(itself).await.unwrap_err(), "554 5.4.6");
}

/// Sites are alike if their exchangers are, in the same order.
#[tokio::test]
async fn a_site_is_named_by_all_exchangers_in_their_order() {
    let record = |preference, host: &str| Exchanger {
        preference,
        host: host.to_owned(),
    };
    let site = async |records: Vec<Exchanger>| {
        let zone = Zone {
            exchangers: [("d.example", Ok(records))].into(),
            ..Zone::default()
        };
        let world = World::system();
        let found = Exchangers::of("d.example", &zone, "us.example", 25, &world);
        found.await.ok().map(|found| found.site().to_string())
    };
    let expected = Some("mx.example then a.example,b.example".to_owned());
    let named = [
        vec![
            record(1, "mx.example"),
            record(5, "a.example"),
            record(5, "b.example"),
        ],
        vec![
            record(20, "B.example"),
            record(20, "a.example"),
            record(10, "MX.example"),
        ],
    ];
    for records in named {
        assert_eq!(site(records).await, expected);
    }
    for records in [
        vec![record(1, "mx.example"), record(5, "a.example")],
        vec![
            record(1, "mx.example"),
            record(5, "a.example"),
            record(6, "b.example"),
        ],
    ] {
        assert_ne!(site(records).await, expected);
    }
    assert_eq!(site(Vec::new()).await, Some("d.example".to_owned()));
    assert_eq!(site(vec![record(1, "us.example")]).await, None);
}

#[test]
fn address_literals_need_no_dns() {
    assert_eq!(address_literal("[192.0.2.1]"), "192.0.2.1".parse().ok());
    assert_eq!(
        address_literal("[ipv6:2001:db8::1]"),
        "2001:db8::1".parse().ok()
    );
    assert_eq!(address_literal("192.0.2.1"), None);
    assert_eq!(address_literal("[x]"), None);
}

/// Which hosts of a domain DNSSEC vouches for the way to.
async fn vouched(domain: &str, zone: &Zone) -> Vec<(String, Option<Vec<String>>)> {
    let world = World::system();
    let found = Exchangers::of(domain, zone, "us.example", 25, &world).await;
    let exchangers = found.ok().unwrap();
    let hosts = exchangers.find(Some(zone)).await.unwrap().into_iter();
    hosts
        .map(|host| (host.name, host.dane.map(|names| names.bases)))
        .collect()
}

#[tokio::test]
async fn a_host_is_vouched_for_if_its_own_name_and_its_exchangers_are_signed() {
    let hosts = &["signed-a", "b"];
    let zone = Zone {
        exchangers: [
            ("signed.example", mx(hosts)),
            ("d.example", mx(hosts)),
            ("signed-itself.example", Err(LookupError::NoRecords)),
        ]
        .into(),
        addresses: [
            ("signed-a", ip("192.0.2.1")),
            ("b", ip("192.0.2.2")),
            ("signed-itself.example", ip("192.0.2.3")),
        ]
        .into(),
    };
    let some = |name: &str| Some(vec![name.to_owned()]);
    let expected = [
        ("signed-a".to_owned(), some("signed-a")),
        ("b".to_owned(), None),
    ];
    assert_eq!(vouched("signed.example", &zone).await, expected);
    let expected = ["signed-a", "b"].map(|name| (name.to_owned(), None));
    assert_eq!(vouched("d.example", &zone).await, expected);
    let itself = "signed-itself.example";
    let expected = [(itself.to_owned(), some(itself))];
    assert_eq!(vouched(itself, &zone).await, expected);
}
