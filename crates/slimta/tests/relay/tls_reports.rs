//! Reports on TLS: what is seen of real sessions is told to who wants to know.

use std::future::Future;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;
use slimta::bus;
use slimta::message::{Content, Message, Response};
use slimta::policy::Chain;
use slimta::relay::mta_sts::TextRecords;
use slimta::relay::tls_reports::{ReportOptions, ReportSender, TlsReports};
use slimta::relay::{LookupError, MxRelay, Relay, Tls, TlsLevel};
use slimta::world::{Clock, SeededRandom, Timestamp, World};

use crate::certificates::{Authority, self_signed, shown_by_itself};
use crate::dane::{Case, right, wrong, zones};
use crate::mail::delivery;
use crate::mta_sts::{ENFORCE, Web, Zone, attempt, exchangers, finder, relay, shown};

/// A clock that a test sets, on which all waits are short.
#[derive(Clone, Debug)]
struct Hands(Arc<Mutex<Timestamp>>, Instant);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.1.elapsed()
    }

    fn sleep(&self, _duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(Duration::from_millis(1)))
    }
}

/// Says who wants reports, besides what a zone knows.
#[derive(Clone)]
struct Wanted(Zone, String);

#[async_trait]
impl TextRecords for Wanted {
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        match name {
            name if name.starts_with("_smtp._tls.") => Ok(vec![self.1.clone()]),
            name => self.0.texts(name).await,
        }
    }
}

/// Counts of a day, which is over when the test says so.
struct Counting {
    hands: Hands,
    reports: TlsReports,
}

impl Counting {
    fn new() -> Self {
        let noon = Timestamp::from_secs(1_795_521_600);
        let hands = Hands(Arc::new(Mutex::new(noon)), Instant::now());
        let world = World::new(hands.clone(), SeededRandom::new(1));
        let reports = TlsReports::new(world);
        Counting { hands, reports }
    }

    /// What is told of the day to a web server, once it is over.
    async fn told(&self, zone: &Zone, web: &Web, root: &Authority) -> Value {
        self.told_of(1, zone, web, root).await.remove(0)
    }

    /// The same of so many domains, in the order of their names.
    async fn told_of(
        &self,
        domains: usize,
        zone: &Zone,
        web: &Web,
        root: &Authority,
    ) -> Vec<Value> {
        let port = web.address.port();
        let rua = format!("v=TLSRPTv1; rua=https://mta-sts.d.example:{port}/v1/reports");
        let options = ReportOptions {
            hostname: "us.example".to_owned(),
            contact: "tls@us.example".parse().unwrap(),
            organization: "Us".to_owned(),
        };
        let (_queue, client) = bus::local::<Message, Response>(1);
        let sender = ReportSender::new(
            options,
            Wanted(zone.clone(), rua),
            zone.clone(),
            Tls::default().with_roots(root.roots()),
            Chain::new(),
            Arc::new(client),
            World::system(),
        );
        *self.hands.0.lock().unwrap() = Timestamp::from_secs(1_795_521_600 + 86_400);
        let told = async {
            loop {
                let bodies = web.bodies.lock().unwrap().clone();
                if bodies.len() == domains {
                    return bodies;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let bodies = tokio::select! {
            () = self.reports.run(&sender) => unreachable!(),
            bodies = told => bodies,
        };
        let read = |body: &Vec<u8>| {
            let mut text = String::new();
            let mut unpacked = flate2::read::GzDecoder::new(body.as_slice());
            unpacked.read_to_string(&mut text).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        bodies.iter().map(read).collect()
    }
}

#[tokio::test]
async fn a_policy_that_is_tested_delivers_and_tells() {
    let root = Authority::new();
    let zone = Zone::new("1");
    let testing = ENFORCE.replace("enforce", "testing");
    let web = Web::start(root.host("mta-sts.d.example"), &shown(&testing)).await;
    let counting = Counting::new();
    let finder = finder(&zone, web.address, &root, None);
    for certificate in [
        Some(root.host("mx1.d.example")),
        Some(self_signed("mx1.d.example")),
        Some(root.host("other.example")),
        Some(root.host_of_old("mx1.d.example")),
        None,
    ] {
        let hops = exchangers(certificate, None).await;
        let port = hops[0].address.port();
        let level = TlsLevel::Opportunistic;
        let relay = relay(&zone, port, &root, &finder, level);
        let relay = relay.with_tls_reports(counting.reports.clone());
        for _ in 0..2 {
            // One session carries both.
            let (answer, remote) = attempt(&relay).await;
            assert_eq!(remote.as_deref(), Some("mx1.d.example"), "{answer}");
        }
    }
    let told = counting.told(&zone, &web, &root).await;
    let heard = web.heard.lock().unwrap().pop().unwrap();
    assert!(
        heard.starts_with("POST /v1/reports HTTP/1.1\r\n"),
        "{heard}"
    );
    assert!(
        heard.contains("\r\nContent-Type: application/tlsrpt+gzip\r\n"),
        "{heard}"
    );
    assert_eq!(told["policies"].as_array().unwrap().len(), 1);
    let counts = &told["policies"][0];
    assert_eq!(counts["policy"]["policy-type"], "sts");
    assert_eq!(counts["policy"]["policy-domain"], "d.example");
    assert_eq!(counts["policy"]["policy-string"][1], "mode: testing");
    assert_eq!(counts["policy"]["mx-host"][0], "mx1.d.example");
    assert_eq!(counts["summary"]["total-successful-session-count"], 1);
    assert_eq!(counts["summary"]["total-failure-session-count"], 4);
    let details = counts["failure-details"].as_array().unwrap();
    let kinds: Vec<_> = details
        .iter()
        .map(|detail| &detail["result-type"])
        .collect();
    let expected = [
        "certificate-not-trusted",
        "certificate-host-mismatch",
        "certificate-expired",
        "starttls-not-supported",
    ];
    assert_eq!(kinds, expected);
    for detail in details {
        assert_eq!(detail["receiving-mx-hostname"], "mx1.d.example");
        assert_eq!(detail["receiving-ip"], "127.0.0.1");
        assert_eq!(detail["failed-session-count"], 1);
    }
}

#[tokio::test]
async fn mail_that_carries_a_report_is_neither_kept_back_nor_counted() {
    let root = Authority::new();
    let zone = Zone::new("1");
    let web = Web::start(root.host("mta-sts.d.example"), &shown(ENFORCE)).await;
    let counting = Counting::new();
    let finder = finder(&zone, web.address, &root, None).with_reports(counting.reports.clone());
    let hops = exchangers(Some(self_signed("x.example")), None).await;
    let port = hops[0].address.port();
    let relay = relay(&zone, port, &root, &finder, TlsLevel::Opportunistic);
    let relay: MxRelay = relay.with_tls_reports(counting.reports.clone());
    assert!(attempt(&relay).await.0.starts_with("451 4.7."));
    let mut report = delivery(&["reports@d.example"]);
    let header = "TLS-Report-Domain: d.example\r\nTLS-Required: No\r\n\r\n";
    report.content = Content::new(header.to_owned());
    let report = relay.attempt(report).await;
    assert_eq!(report.responses[0].code.get(), 250);
    let told = counting.told(&zone, &web, &root).await;
    let counts = &told["policies"][0];
    assert_eq!(counts["policy"]["policy-string"][1], "mode: enforce");
    assert_eq!(counts["summary"]["total-successful-session-count"], 0);
    // Both exchangers of the one message.
    assert_eq!(counts["summary"]["total-failure-session-count"], 2);
    assert_eq!(told["policies"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_policy_that_does_not_come_is_told() {
    let root = Authority::new();
    let good = || root.host("mta-sts.d.example");
    let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned();
    for (config, said, kind) in [
        (good(), gone, "sts-policy-fetch-error"),
        (good(), shown("hello"), "sts-policy-invalid"),
        (
            self_signed("mta-sts.d.example"),
            shown(ENFORCE),
            "sts-webpki-invalid",
        ),
    ] {
        let zone = Zone::new("1");
        let counting = Counting::new();
        let web = Web::start(config, &said).await;
        let finder = finder(&zone, web.address, &root, None);
        let finder = finder.with_reports(counting.reports.clone());
        let hops = exchangers(Some(root.host("mx1.d.example")), None).await;
        let port = hops[0].address.port();
        let relay = relay(&zone, port, &root, &finder, TlsLevel::Opportunistic);
        let relay = relay.with_tls_reports(counting.reports.clone());
        assert!(attempt(&relay).await.0.starts_with("250 "));
        let taking = Web::start(good(), "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
        let told = counting.told(&zone, &taking, &root).await;
        let [of_policy, of_session] = [0, 1].map(|place| &told["policies"][place]);
        assert_eq!(of_policy["policy"]["policy-type"], "sts");
        assert_eq!(of_policy["failure-details"][0]["result-type"], kind);
        assert_eq!(of_session["policy"]["policy-type"], "no-policy-found");
        assert_eq!(of_session["summary"]["total-successful-session-count"], 1);
    }
}

#[tokio::test]
async fn what_dane_asks_is_told_and_a_report_passes_it() {
    let own = || shown_by_itself("other.example");
    let good = Case::new("good", own(), &[right(3, 1, 1)]).await;
    let bad = Case::new("bad", own(), &[wrong(3, 1, 1)]).await;
    let useless = Case::new("useless", own(), &[right(1, 1, 1)]).await;
    let cases = [&bad, &good, &useless];
    let dns = zones(&cases);
    let counting = Counting::new();
    let root = Authority::new();
    let mut answers = Vec::new();
    for (case, domain) in cases.into_iter().zip(["bad", "good", "useless"]) {
        let tls = Tls::new(TlsLevel::Dane).with_trusted_dns(Arc::new(dns.dns()));
        let relay = MxRelay::new(dns.dns(), "us.example", World::system())
            .with_port(case.hop.address.port())
            .with_tls(tls)
            .with_tls_reports(counting.reports.clone());
        let to = format!("a@{domain}.signed");
        let report = relay.attempt(delivery(&[&to])).await;
        answers.push(report.responses[0].code.get());
        // A report to the same domain arrives, whatever its records say.
        let mut carrying = delivery(&[&to]);
        let header = format!("TLS-Report-Domain: {domain}.signed\r\nTLS-Required: no\r\n\r\n");
        carrying.content = Content::new(header);
        let report = relay.attempt(carrying).await;
        assert_eq!(report.responses[0].code.get(), 250, "{domain}");
    }
    assert_eq!(answers, [451, 250, 250]);
    let zone = Zone::new("1");
    let web = Web::start(
        root.host("mta-sts.d.example"),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let told = counting.told_of(3, &zone, &web, &root).await;
    let counts = told.iter().map(|told| &told["policies"][0]);
    for (counts, (domain, kind)) in counts.zip([
        ("bad", "validation-failure"),
        ("good", ""),
        ("useless", "tlsa-invalid"),
    ]) {
        let policy = &counts["policy"];
        assert_eq!(policy["policy-type"], "tlsa");
        assert_eq!(policy["policy-domain"], format!("{domain}.signed"));
        assert_eq!(policy["mx-host"][0], format!("mx.{domain}.signed"));
        let record = policy["policy-string"][0].as_str().unwrap_or_default();
        assert_eq!(
            record.starts_with("3 1 1 "),
            domain != "useless",
            "{record}"
        );
        let succeeded = &counts["summary"]["total-successful-session-count"];
        assert_eq!(*succeeded, u32::from(kind.is_empty()));
        if !kind.is_empty() {
            assert_eq!(counts["failure-details"][0]["result-type"], kind);
        }
    }
}
