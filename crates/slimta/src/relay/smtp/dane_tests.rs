//! What mail may go to a host, whatever its TLSA records are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;
use slimta_smtp::client::Dialect;

use super::super::{Begin, Endpoint, Naming};
use super::*;
use crate::relay::resolver::{Answer, Exchanger};

type Lookup = Result<(AnswerOrigin, Vec<Tlsa>), LookupError>;

/// TLSA records of a few names; others have none.
struct Zone(BTreeMap<&'static str, Lookup>);

#[async_trait]
impl Resolver for Zone {
    async fn exchangers(&self, _domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        Err(LookupError::NoSuchName)
    }

    async fn addresses(&self, _host: &str) -> Result<Answer<IpAddr>, LookupError> {
        Err(LookupError::NoSuchName)
    }

    async fn tlsa(&self, host: &str, port: u16) -> Result<Answer<Tlsa>, LookupError> {
        assert_eq!(port, 587);
        let found = self.0.get(host).cloned();
        let (origin, records) = found.unwrap_or(Err(LookupError::NoSuchName))?;
        Ok(Answer {
            records,
            name: host.to_owned(),
            origin,
        })
    }
}

fn good() -> Vec<Tlsa> {
    vec![Tlsa {
        usage: 3,
        selector: 1,
        matching: 1,
        data: vec![7; 32],
    }]
}

fn unusable() -> Vec<Tlsa> {
    vec![Tlsa {
        usage: 1,
        ..good().remove(0)
    }]
}

fn secure(records: Vec<Tlsa>) -> Lookup {
    Ok((AnswerOrigin::Secure, records))
}

fn host(dane: Option<DaneNames>) -> Host {
    Host {
        name: "mx.example".to_owned(),
        endpoint: Endpoint::Tcp(([192, 0, 2, 1], 587).into()),
        dialect: Dialect::Smtp,
        begin: Begin::Clear,
        dane,
        policy: None,
        naming: Naming::Certain,
    }
}

fn domains() -> Vec<String> {
    vec!["d.example".to_owned()]
}

fn names() -> Option<DaneNames> {
    Some(DaneNames::of_host("mx.example", "mx.example", &domains()))
}

/// What is asked for, or the answer for the mail.
async fn asked(
    level: TlsLevel,
    dane: Option<DaneNames>,
    zone: &[(&'static str, Lookup)],
) -> String {
    let zone = Zone(zone.iter().cloned().collect());
    match asked_for(&host(dane), 587, level, &zone).await {
        Ok(tls) => match tls.need {
            Need::Authenticated(Authority::Dane(dane)) => {
                format!("dane {} {:?}", dane.base, dane.domains)
            }
            need => format!("{need:?} {}", tls.reason),
        },
        Err(why) => why.to_string(),
    }
}

#[tokio::test]
async fn records_that_can_be_used_have_to_be_met() {
    let some_good = [unusable(), good()].concat();
    for level in [TlsLevel::Dane, TlsLevel::DaneOnly] {
        for records in [good(), some_good.clone()] {
            let zone = [("mx.example", secure(records))];
            let expected = "dane mx.example [\"d.example\"]";
            assert_eq!(asked(level, names(), &zone).await, expected);
        }
    }
}

#[tokio::test]
async fn records_of_which_none_can_be_used_still_forbid_the_clear() {
    let zone = [("mx.example", secure(unusable()))];
    let asked_for = asked(TlsLevel::Dane, names(), &zone).await;
    assert_eq!(asked_for, "Encrypted TLSA records, none of them usable");
    let asked_for = asked(TlsLevel::DaneOnly, names(), &zone).await;
    assert!(
        asked_for.starts_with("451 4.7.5 mx.example is passed over"),
        "{asked_for}"
    );
}

#[tokio::test]
async fn without_records_that_count_mail_goes_as_it_would_without_dane() {
    let insecure = [("mx.example", Ok((AnswerOrigin::Insecure, good())))];
    let no_records = [("mx.example", Err(LookupError::NoRecords))];
    for (dane, zone, why) in [
        (names(), &[][..], "no TLSA records"),
        (names(), &no_records, "no TLSA records"),
        (names(), &insecure, "no TLSA records"),
        (None, &[("mx.example", secure(good()))], "not signed"),
    ] {
        let asked_for = asked(TlsLevel::Dane, dane.clone(), zone).await;
        assert!(
            asked_for.starts_with("Opportunistic ") && asked_for.contains(why),
            "{asked_for}"
        );
        let asked_for = asked(TlsLevel::DaneOnly, dane, zone).await;
        assert!(
            asked_for.starts_with("451 4.7.5 mx.example is passed over"),
            "{asked_for}"
        );
    }
}

#[tokio::test]
async fn a_host_whose_records_cannot_be_had_gets_no_mail() {
    let error = LookupError::Failed("SERVFAIL".to_owned());
    for level in [TlsLevel::Dane, TlsLevel::DaneOnly] {
        let asked_for = asked(level, names(), &[("mx.example", Err(error.clone()))]).await;
        assert!(
            asked_for.starts_with("451 4.7.0 mx.example is passed over"),
            "{asked_for}"
        );
    }
}

#[tokio::test]
async fn the_name_that_an_alias_stands_for_comes_first() {
    let alias = || Some(DaneNames::of_host("mx.example", "real.example", &domains()));
    let both = [
        ("mx.example", secure(good())),
        ("real.example", secure(good())),
    ];
    for (zone, base) in [(&both[..], "real.example"), (&both[..1], "mx.example")] {
        let expected = format!("dane {base} [\"d.example\"]");
        assert_eq!(asked(TlsLevel::Dane, alias(), zone).await, expected);
    }
    let unusable = [both[0].clone(), ("real.example", secure(unusable()))];
    let asked_for = asked(TlsLevel::Dane, alias(), &unusable).await;
    assert_eq!(asked_for, "Encrypted TLSA records, none of them usable");
    let failed = LookupError::Failed("no answer".to_owned());
    let failed = [both[0].clone(), ("real.example", Err(failed))];
    let asked_for = asked(TlsLevel::Dane, alias(), &failed).await;
    assert!(asked_for.starts_with("451 4.7.0"), "{asked_for}");
}
