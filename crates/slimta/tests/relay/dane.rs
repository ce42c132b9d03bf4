//! DANE (RFC 7672): what the TLSA records of a host, as a real name server
//! validates them, make of its mail.

use std::fmt::Write as _;
use std::sync::Arc;

use ring::digest::{SHA256, SHA512, digest};
use slimta::message::Destination;
use slimta::relay::{MxRelay, Relay, SmtpLogin, SmtpRelay, Tls, TlsLevel};
use slimta::world::World;

use crate::certificates::{Authority, Shown, shown_by_itself};
use crate::dnssec::Validated;
use crate::hop::{Do, Hop, Met};
use crate::knot::Signed;
use crate::mail::{codes, delivery};
use crate::tls::offers;

/// A TLSA record: of what, by which hash, and of another thing than it says.
#[derive(Clone, Copy)]
pub(crate) struct Record(u8, u8, u8, bool);

pub(crate) const fn right(usage: u8, selector: u8, matching: u8) -> Record {
    Record(usage, selector, matching, true)
}

pub(crate) const fn wrong(usage: u8, selector: u8, matching: u8) -> Record {
    Record(usage, selector, matching, false)
}

impl Record {
    fn text(self, shown: &Shown) -> String {
        let Record(usage, selector, matching, is_right) = self;
        let mut part = match selector {
            0 => shown.certificate.clone(),
            _ => shown.key.clone(),
        };
        if !is_right {
            *part.last_mut().unwrap() ^= 1;
        }
        let data = match matching {
            0 => part,
            1 => digest(&SHA256, &part).as_ref().to_vec(),
            _ => digest(&SHA512, &part).as_ref().to_vec(),
        };
        let data: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("TLSA {usage} {selector} {matching} {data}")
    }
}

/// A host at a port of its own, and what its zone says of it.
pub(crate) struct Case {
    name: String,
    pub(crate) hop: Hop,
    records: Vec<String>,
}

impl Case {
    /// `mx.NAME`, with these records.
    pub(crate) async fn new(name: &str, shown: Shown, records: &[Record]) -> Self {
        let config = shown.config.clone();
        Case {
            name: name.to_owned(),
            hop: Hop::start(offers(move || Do::Tls(config.clone()))).await,
            records: records.iter().map(|record| record.text(&shown)).collect(),
        }
    }

    /// The same for one that begins with TLS.
    async fn begins(name: &str, shown: Shown, records: &[Record]) -> Self {
        let config = shown.config.clone();
        let hop = Hop::start(move |met| match met {
            Met::Connection(_) => Do::Tls(config.clone()),
            _ => Do::Fine,
        });
        let case = Case::new(name, shown, records).await;
        Case {
            hop: hop.await,
            ..case
        }
    }

    /// One that does not offer STARTTLS.
    async fn in_clear(name: &str, records: &[Record]) -> Self {
        let hop = Hop::start(|_| Do::Fine).await;
        let case = Case::new(name, shown_by_itself("unused.example"), records).await;
        Case { hop, ..case }
    }

    pub(crate) fn zone(&self) -> String {
        let (name, port) = (&self.name, self.hop.address.port());
        let mut zone = format!("{name} MX 10 mx.{name}\nmx.{name} A 127.0.0.1\n");
        for record in &self.records {
            writeln!(zone, "_{port}._tcp.mx.{name} {record}").unwrap();
        }
        zone
    }

    /// The answer to a message for `NAME.zone`, and how it came.
    async fn attempt(&self, dns: &Validated, level: TlsLevel, zone: &str) -> (String, Came) {
        let relay = MxRelay::new(dns.dns(), "us.example", World::system());
        let tls = Tls::new(level).with_trusted_dns(Arc::new(dns.dns()));
        let relay = relay.with_port(self.hop.address.port()).with_tls(tls);
        let report = relay
            .attempt(delivery(&[&format!("a@{}.{zone}", self.name)]))
            .await;
        (report.responses[0].to_string(), came(&self.hop))
    }
}

/// How a message came to a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Came {
    Encrypted,
    Clear,
    Not,
}

pub(crate) fn came(hop: &Hop) -> Came {
    let log = hop.log();
    let position = |begin: &str| log.iter().position(|line| line.starts_with(begin));
    match (position("TLS"), position("MAIL")) {
        (_, None) => Came::Not,
        (Some(tls), Some(mail)) if tls < mail => Came::Encrypted,
        (_, Some(_)) => Came::Clear,
    }
}

pub(crate) fn zones(cases: &[&Case]) -> Validated {
    let zone: String = cases.iter().map(|case| case.zone()).collect();
    Validated::start(&[
        ("signed", Signed::Nsec3, &zone),
        ("plain", Signed::Not, &zone),
        ("forged", Signed::ByAnother, &zone),
    ])
}

#[tokio::test]
async fn a_host_gets_mail_whose_own_certificate_fits_whatever_else_it_says() {
    let own = || shown_by_itself("other.example");
    let mut cases = Vec::new();
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            let name = format!("ee{selector}{matching}");
            cases.push(Case::new(&name, own(), &[right(3, selector, matching)]).await);
        }
    }
    let several = [
        wrong(3, 1, 2),
        right(3, 1, 2),
        wrong(2, 0, 1),
        wrong(1, 0, 1),
    ];
    cases.push(Case::new("several", own(), &several).await);
    let dns = zones(&cases.iter().collect::<Vec<_>>());
    for case in &cases {
        let (answer, came) = case.attempt(&dns, TlsLevel::Dane, "signed").await;
        assert_eq!(came, Came::Encrypted, "{}: {answer}", case.name);
        let asked = format!("TLS Some(Full) Some(\"mx.{}.signed\")", case.name);
        assert_eq!(case.hop.count(&asked), 1, "{:?}", case.hop.log());
    }
}

#[tokio::test]
async fn a_host_gets_no_mail_whose_certificate_fits_no_record() {
    let own = || shown_by_itself("mx.other.signed");
    let cases = [
        Case::new("key", own(), &[wrong(3, 1, 1)]).await,
        Case::new("whole", own(), &[wrong(3, 0, 0), wrong(3, 0, 2)]).await,
        Case::new("issuer", own(), &[wrong(2, 0, 1)]).await,
        // The stronger hash counts alone.
        Case::new("strong", own(), &[right(3, 1, 1), wrong(3, 1, 2)]).await,
    ];
    let dns = zones(&cases.each_ref());
    for case in &cases {
        for level in [TlsLevel::Dane, TlsLevel::DaneOnly] {
            let (answer, came) = case.attempt(&dns, level, "signed").await;
            let why = format!(
                "451 4.7.5 No TLS with mx.{}.signed: its certificate ",
                case.name
            );
            assert!(answer.starts_with(&why), "{answer}");
            assert!(answer.contains("fits none of its TLSA records"), "{answer}");
            assert_eq!(came, Came::Not);
        }
    }
}

#[tokio::test]
async fn an_issuer_stands_for_hosts_of_the_right_name_and_age() {
    let root = Authority::new();
    let shows = |name: &str| root.host_with_root(name, true);
    let hides = |name: &str| root.host_with_root(name, false);
    let good = [
        Case::new("host", shows("mx.host.signed"), &[right(2, 0, 1)]).await,
        Case::new("domain", shows("domain.signed"), &[right(2, 1, 2)]).await,
        Case::new("whole", shows("mx.whole.signed"), &[right(2, 0, 0)]).await,
        Case::new("hidden", hides("mx.hidden.signed"), &[right(2, 0, 0)]).await,
        Case::new("bare", hides("mx.bare.signed"), &[right(2, 1, 0)]).await,
        Case::new("came", shows("mx.came.signed"), &[right(2, 1, 0)]).await,
    ];
    let old = root.host_of_old_with_root("mx.old.signed");
    let bad = [
        (
            Case::new("name", shows("mx.example"), &[right(2, 0, 1)]).await,
            "not for mx.name",
        ),
        (
            Case::new("old", old, &[right(2, 0, 1)]).await,
            "has expired",
        ),
        (
            Case::new("missing", hides("mx.missing.signed"), &[right(2, 0, 1)]).await,
            "fits none",
        ),
        (
            Case::new("another", hides("mx.another.signed"), &[wrong(2, 1, 0)]).await,
            "signed by nobody",
        ),
        (
            Case::new("elsewhere", hides("mx.example"), &[right(2, 1, 0)]).await,
            "not for mx.elsewhere",
        ),
    ];
    let all: Vec<_> = good
        .iter()
        .chain(bad.iter().map(|(case, _)| case))
        .collect();
    let dns = zones(&all);
    for case in &good {
        let (answer, came) = case.attempt(&dns, TlsLevel::Dane, "signed").await;
        assert_eq!(came, Came::Encrypted, "{}: {answer}", case.name);
    }
    for (case, why) in &bad {
        let (answer, came) = case.attempt(&dns, TlsLevel::Dane, "signed").await;
        assert!(
            answer.starts_with("451 4.7.5 ") && answer.contains(why),
            "{answer}"
        );
        assert_eq!(came, Came::Not);
    }
}

#[tokio::test]
async fn records_forbid_the_clear_even_if_none_can_be_used() {
    let unusable = [wrong(1, 1, 1), wrong(0, 0, 1)];
    let encrypts = Case::new("encrypts", shown_by_itself("x.example"), &unusable).await;
    let clear = Case::in_clear("clear", &unusable).await;
    let stripped = Case::in_clear("stripped", &[right(3, 1, 1)]).await;
    let dns = zones(&[&encrypts, &clear, &stripped]);
    let (answer, came) = encrypts.attempt(&dns, TlsLevel::Dane, "signed").await;
    assert_eq!(came, Came::Encrypted, "{answer}");
    for case in [&clear, &stripped] {
        let (answer, came) = case.attempt(&dns, TlsLevel::Dane, "signed").await;
        assert!(
            answer.starts_with("451 4.7.4 Required STARTTLS"),
            "{answer}"
        );
        assert_eq!(came, Came::Not);
    }
    let (answer, _) = encrypts.attempt(&dns, TlsLevel::DaneOnly, "signed").await;
    assert!(
        answer.contains("none of its TLSA records is usable"),
        "{answer}"
    );
}

#[tokio::test]
async fn where_there_is_no_dane_mail_goes_as_it_can() {
    let clear = Case::in_clear("clear", &[]).await;
    let encrypts = Case::new("encrypts", shown_by_itself("x.example"), &[]).await;
    let wrong = Case::new("wrong", shown_by_itself("x.example"), &[wrong(3, 1, 1)]).await;
    let dns = zones(&[&clear, &encrypts, &wrong]);
    for (case, zone, expected) in [
        (&clear, "signed", Came::Clear),
        (&clear, "plain", Came::Clear),
        (&encrypts, "signed", Came::Encrypted),
        // Who has not signed it may have been anybody.
        (&wrong, "plain", Came::Encrypted),
    ] {
        let before = case.hop.count("connection");
        let (answer, _) = case.attempt(&dns, TlsLevel::DaneOnly, zone).await;
        let why = format!("451 4.7.5 mx.{}.{zone} is passed over by DANE: ", case.name);
        assert!(answer.starts_with(&why), "{answer}");
        assert_eq!(case.hop.count("connection"), before);
        let (answer, came) = case.attempt(&dns, TlsLevel::Dane, zone).await;
        assert_eq!(came, expected, "{} {zone}: {answer}", case.name);
    }
}

#[tokio::test]
async fn what_is_forged_gets_no_mail() {
    let case = Case::new("d", shown_by_itself("x.example"), &[right(3, 1, 1)]).await;
    let (name, port) = (&case.name, case.hop.address.port());
    let zone = case.zone();
    // The host is signed, its records are another's, who is forged.
    let far = format!("{name} MX 10 mx\nmx A 127.0.0.1\n_{port}._tcp.mx CNAME {name}.forged.\n");
    let dns = Validated::start(&[
        ("signed", Signed::Nsec, &far),
        ("forged", Signed::ByAnother, &zone),
    ]);
    for (zone, why) in [
        ("forged", "451 4.4.3 The domain could not be looked up"),
        (
            "signed",
            "451 4.7.0 mx.signed is passed over by DANE: its TLSA records could not be",
        ),
    ] {
        let (answer, came) = case.attempt(&dns, TlsLevel::Dane, zone).await;
        assert!(answer.starts_with(why), "{answer}");
        assert_eq!(came, Came::Not);
    }
}

#[tokio::test]
async fn all_names_on_the_way_to_a_host_must_be_signed() {
    let case = Case::new("d", shown_by_itself("x.example"), &[wrong(3, 1, 1)]).await;
    let signed = format!("{}abroad MX 10 mx.d.plain.\n", case.zone());
    let plain = format!("{}abroad MX 10 mx.d.signed.\n", case.zone());
    let dns = Validated::start(&[
        ("signed", Signed::Nsec, &signed),
        ("plain", Signed::Not, &plain),
    ]);
    let (answer, _) = case.attempt(&dns, TlsLevel::Dane, "signed").await;
    assert!(answer.contains("fits none of its TLSA records"), "{answer}");
    let abroad = Case {
        name: "abroad".to_owned(),
        ..case
    };
    for zone in ["signed", "plain"] {
        let (answer, came) = abroad.attempt(&dns, TlsLevel::Dane, zone).await;
        assert_eq!(came, Came::Encrypted, "{zone}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_is_not_used_for_a_domain_that_asks_for_more() {
    let case = Case::new("d", shown_by_itself("x.example"), &[wrong(3, 1, 1)]).await;
    let dns = Validated::start(&[
        ("signed", Signed::Nsec, &case.zone()),
        // The same exchanger, which nobody has to believe.
        ("plain", Signed::Not, "d MX 10 mx.d.signed.\n"),
    ]);
    let relay = MxRelay::new(dns.doubting_dns(), "us.example", World::system());
    let tls = Tls::new(TlsLevel::Dane).with_trusted_dns(Arc::new(dns.dns()));
    let relay = relay.with_port(case.hop.address.port()).with_tls(tls);
    for (domain, code) in [("d.plain", 250), ("d.signed", 451), ("d.plain", 250)] {
        let report = relay.attempt(delivery(&[&format!("a@{domain}")])).await;
        assert_eq!(codes(&report), [code], "{domain}: {report:?}");
    }
    // The last went over the connection of the first.
    assert_eq!(case.hop.count("TLS"), 1);
}

#[tokio::test]
async fn the_next_exchanger_is_tried_where_one_is_passed_over() {
    let shown = shown_by_itself("x.example");
    let (config, record) = (shown.config.clone(), right(3, 1, 1).text(&shown));
    let begin = move || Do::Tls(config.clone());
    let first = Hop::start(offers(begin.clone())).await;
    let port = first.address.port();
    let second = Hop::start_at(([127, 0, 0, 2], port), offers(begin)).await;
    let zone = format!(
        "d MX 10 mx1\nd MX 20 mx2\nmx1 A 127.0.0.1\nmx2 CNAME real\nreal A 127.0.0.2\n\
         _{port}._tcp.mx1 CNAME gone.forged.\n_{port}._tcp.real {record}\n"
    );
    let dns = Validated::start(&[
        ("signed", Signed::Nsec, &zone),
        ("forged", Signed::ByAnother, ""),
    ]);
    let relay = MxRelay::new(dns.dns(), "us.example", World::system()).with_port(port);
    let tls = Tls::new(TlsLevel::Dane).with_trusted_dns(Arc::new(dns.dns()));
    let report = relay.with_tls(tls).attempt(delivery(&["a@d.signed"])).await;
    assert_eq!(codes(&report), [250], "{report:?}");
    assert_eq!(report.remote.as_deref(), Some("mx2.signed"));
    assert_eq!(first.count("connection"), 0);
    // It is asked for by the name whose records these are.
    assert_eq!(second.count("TLS Some(Full) Some(\"real.signed\")"), 1);
}

/// RFC 7672 section 3.2.2.
#[tokio::test]
async fn a_certificate_may_be_for_what_the_domain_is_an_alias_of() {
    let root = Authority::new();
    let shows = |name: &str| root.host_with_root(name, true);
    let issued = [right(2, 0, 1)];
    let mut zone = String::new();
    let mut cases = Vec::new();
    for (name, shown, expected) in [
        ("end", shows("real.end.signed"), Came::Encrypted),
        ("begin", shows("begin.signed"), Came::Encrypted),
        ("other", shows("far.other.signed"), Came::Not),
    ] {
        let case = Case::new(name, shown, &issued).await;
        let mx = format!("{name} MX 10 mx.{name}\n");
        let alias = format!("{name} CNAME real.{name}\nreal.{mx}");
        zone += &case.zone().replace(&mx, &alias);
        cases.push((case, expected));
    }
    let dns = Validated::start(&[("signed", Signed::Nsec, &zone)]);
    for (case, expected) in cases {
        let (answer, came) = case.attempt(&dns, TlsLevel::Dane, "signed").await;
        assert_eq!(came, expected, "{answer}");
    }
}

/// RFC 5890: on the wire and in certificates a name is written in ASCII (A-labels).
#[tokio::test]
async fn names_beyond_ascii_are_asked_for_and_judged_in_ascii() {
    let root = Authority::new();
    let shows = |name: &str| root.host_with_root(name, true);
    let issued = [right(2, 0, 1)];
    let cases = [
        Case::new("xn--mller-kva", shows("*.xn--mller-kva.signed"), &issued).await,
        // For the domain, not the host.
        Case::new("xn--strae-oqa", shows("xn--strae-oqa.signed"), &issued).await,
    ];
    let dns = zones(&cases.each_ref());
    for (case, domain) in cases
        .iter()
        .zip(["m\u{fc}ller.signed", "stra\u{df}e.signed"])
    {
        let relay = MxRelay::new(dns.dns(), "us.example", World::system());
        let tls = Tls::new(TlsLevel::Dane).with_trusted_dns(Arc::new(dns.dns()));
        let relay = relay.with_port(case.hop.address.port()).with_tls(tls);
        let mut delivery = delivery(&["a@d.example"]);
        Arc::make_mut(&mut delivery.message).destination = Destination::new(domain);
        let report = relay.attempt(delivery).await;
        assert_eq!(codes(&report), [250], "{report:?}");
        let asked = format!("TLS Some(Full) Some(\"mx.{}.signed\")", case.name);
        assert_eq!(case.hop.count(&asked), 1, "{:?}", case.hop.log());
    }
}

#[tokio::test]
async fn a_smarthost_is_judged_by_its_own_records() {
    let good = Case::new("good", shown_by_itself("x.example"), &[right(3, 1, 1)]).await;
    let bad = Case::new("bad", shown_by_itself("x.example"), &[wrong(3, 1, 1)]).await;
    let at_once = Case::begins("once", shown_by_itself("x.example"), &[right(3, 1, 1)]).await;
    let bad_at_once = Case::begins("bad1", shown_by_itself("x.example"), &[wrong(3, 1, 1)]).await;
    let dns = zones(&[&good, &bad, &at_once, &bad_at_once]);
    for (case, is_at_once, code) in [
        (&good, false, 250),
        (&bad, false, 451),
        (&at_once, true, 250),
        (&bad_at_once, true, 451),
    ] {
        let (host, port) = (format!("mx.{}.signed", case.name), case.hop.address.port());
        let mut relay = SmtpRelay::new(host, port, "us.example", World::system());
        if is_at_once {
            relay = relay.with_implicit_tls();
        }
        let tls = Tls::new(TlsLevel::Dane).with_trusted_dns(Arc::new(dns.dns()));
        let report = relay
            .with_tls(tls)
            .attempt(delivery(&["a@to.example"]))
            .await;
        assert_eq!(codes(&report), [code], "{report:?}");
    }
    let relay = SmtpRelay::new("mx.good.signed", 25, "us.example", World::system());
    let relay = relay.with_tls(Tls::new(TlsLevel::Dane));
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    assert_eq!(codes(&report), [451], "nobody to ask");
}

#[tokio::test]
async fn a_password_needs_no_less_than_the_records_ask() {
    let bad = Case::new("bad", shown_by_itself("x.example"), &[wrong(3, 1, 1)]).await;
    let clear = Case::in_clear("clear", &[]).await;
    let dns = zones(&[&bad, &clear]);
    for (case, why) in [
        (&bad, "451 4.7.5 No TLS with mx.bad.signed: "),
        (&clear, "451 4.7.4 "),
    ] {
        let (host, port) = (format!("mx.{}.signed", case.name), case.hop.address.port());
        let tls = Tls::new(TlsLevel::Dane).with_trusted_dns(Arc::new(dns.dns()));
        let relay = SmtpRelay::new(host, port, "us.example", World::system()).with_tls(tls);
        let relay = relay.with_login(SmtpLogin::new("ann", b"secret").unwrap());
        let report = relay.attempt(delivery(&["a@to.example"])).await;
        let answer = report.responses[0].to_string();
        assert!(answer.starts_with(why), "{answer}");
        assert_eq!((case.hop.count("AUTH"), case.hop.count("MAIL")), (0, 0));
    }
}
