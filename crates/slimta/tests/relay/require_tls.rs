//! Mail that requires TLS (RFC 8689), towards the exchangers of domains: who has
//! to say that they are the right ones.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use slimta::message::ReversePath;
use slimta::relay::{
    Answer, AnswerOrigin, Delivery, Exchanger, LookupError, MxRelay, Relay, Resolver, Tls,
    TlsLevel, Tlsa,
};
use slimta::world::World;

use crate::certificates::{Authority, self_signed, shown_by_itself};
use crate::dnssec::Validated;
use crate::hop::Hop;
use crate::knot::Signed;
use crate::mail::{codes, delivery};
use crate::mta_sts::{ENFORCE, Web, Zone, finder, shown};
use crate::promises::{REQUIRETLS, encrypts, secret_to};

/// All domains have the exchanger `mx.example`, but for two of `plain`, which have
/// none; those of `signed` say so with a signature.
#[derive(Clone, Default)]
struct Names {
    /// Whether signatures are looked at.
    is_trusted: bool,
    /// What the exchanger says of its certificate.
    tlsa: Option<Tlsa>,
}

impl Names {
    fn answer<T>(&self, name: &str, records: Vec<T>) -> Answer<T> {
        let is_signed = name.ends_with("signed") || name.ends_with("mx.example");
        Answer {
            records,
            name: name.to_owned(),
            origin: match is_signed && self.is_trusted {
                true => AnswerOrigin::Secure,
                false => AnswerOrigin::Insecure,
            },
        }
    }
}

#[async_trait]
impl Resolver for Names {
    async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        if ["none.plain", "xn--bcher-kva.plain"].contains(&domain) {
            return Err(LookupError::NoRecords);
        }
        let exchanger = Exchanger {
            preference: 10,
            host: "mx.example".to_owned(),
        };
        Ok(self.answer(domain, vec![exchanger]))
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, LookupError> {
        Ok(self.answer(host, vec![[127, 0, 0, 1].into()]))
    }

    async fn tlsa(&self, host: &str, _port: u16) -> Result<Answer<Tlsa>, LookupError> {
        let record = self.tlsa.clone().ok_or(LookupError::NoRecords)?;
        Ok(self.answer(host, vec![record]))
    }
}

/// A relay to `hop`, whoever the exchanger is; without `trusted` it believes nobody.
fn relay(hop: &Hop, root: &Authority, level: TlsLevel, trusted: Option<Names>) -> MxRelay {
    let mut tls = Tls::new(level).with_roots(root.roots());
    if let Some(mut names) = trusted {
        names.is_trusted = true;
        tls = tls.with_trusted_dns(Arc::new(names));
    }
    MxRelay::new(Names::default(), "us.example", World::system())
        .with_port(hop.address.port())
        .with_tls(tls)
}

/// The report on a message that required TLS.
fn report(domain: &str) -> Delivery {
    let mut delivery = secret_to(domain);
    let message = Arc::make_mut(&mut delivery.message);
    message.envelope.sender = ReversePath::Null;
    delivery
}

async fn answer(relay: &MxRelay, delivery: Delivery) -> String {
    relay.attempt(delivery).await.responses[0].to_string()
}

#[tokio::test]
async fn an_exchanger_has_to_be_named_by_a_signed_answer() {
    let root = Authority::new();
    for level in [
        TlsLevel::Off,
        TlsLevel::Opportunistic,
        TlsLevel::Verified,
        TlsLevel::Dane,
    ] {
        let hop = encrypts(root.host("mx.example"), REQUIRETLS).await;
        let trusting = relay(&hop, &root, level, Some(Names::default()));
        for whose in [secret_to, report] {
            let back = answer(&trusting, whose("d.plain")).await;
            assert_eq!(
                back,
                "550 5.7.10 Encryption needed (REQUIRETLS): neither DNSSEC nor a policy \
                 (MTA-STS) says that mx.example takes its mail"
            );
            assert_eq!(hop.count("connection"), 0, "{level}");
        }
        let taken = answer(&trusting, secret_to("d.signed")).await;
        assert!(taken.starts_with("250 "), "{level}: {taken}");
        let required = hop.count("MAIL FROM:<from@from.example> REQUIRETLS");
        assert_eq!(required, 1, "{level}");
        // The connection of a domain is no reason to believe another.
        let back = answer(&trusting, secret_to("d.plain")).await;
        assert!(back.starts_with("550 5.7.10 "), "{level}: {back}");
        assert_eq!(hop.count("MAIL"), 1, "{level}");
    }
}

/// Knot DNS has signed the zones, or not, and dnsmasq looks at that.
#[tokio::test]
async fn what_a_real_name_server_has_validated_is_believed() {
    let root = Authority::new();
    let hop = encrypts(root.host("mx.d.signed"), REQUIRETLS).await;
    let zone = "d MX 10 mx.d\nmx.d A 127.0.0.1\n";
    let dns = Validated::start(&[
        ("signed", Signed::Nsec3, zone),
        ("plain", Signed::Not, zone),
        ("forged", Signed::ByAnother, zone),
    ]);
    let tls = Tls::new(TlsLevel::Opportunistic).with_roots(root.roots());
    let relay = MxRelay::new(dns.doubting_dns(), "us.example", World::system())
        .with_port(hop.address.port())
        .with_tls(tls.with_trusted_dns(Arc::new(dns.dns())));
    for (domain, code) in [
        ("d.plain", "550 5.7.10 "),
        ("d.signed", "250 "),
        ("d.forged", "451 4.4.3 "),
    ] {
        let said = answer(&relay, secret_to(domain)).await;
        assert!(said.starts_with(code), "{domain}: {said}");
    }
    assert_eq!(hop.count("MAIL FROM:<from@from.example> REQUIRETLS"), 1);
    assert_eq!(hop.count("connection"), 1);
}

#[tokio::test]
async fn a_signature_counts_only_if_its_server_is_believed() {
    let root = Authority::new();
    let hop = encrypts(root.host("mx.example"), REQUIRETLS).await;
    let doubting = relay(&hop, &root, TlsLevel::Verified, None);
    let back = answer(&doubting, secret_to("d.signed")).await;
    assert!(back.starts_with("550 5.7.10 "), "{back}");
    // Other mail is none the wiser.
    assert_eq!(
        codes(&doubting.attempt(delivery(&["a@d.plain"])).await),
        [250]
    );
}

/// A certificate for the domain itself says all there is to know.
#[tokio::test]
async fn a_domain_without_exchangers_needs_nobody_to_name_it() {
    let root = Authority::new();
    let hop = encrypts(root.host("none.plain"), REQUIRETLS).await;
    let relay = relay(&hop, &root, TlsLevel::Opportunistic, None);
    let taken = answer(&relay, secret_to("none.plain")).await;
    assert!(taken.starts_with("250 "), "{taken}");
}

/// Certificates know A-labels only.
#[tokio::test]
async fn a_domain_beyond_ascii_is_known_by_its_a_labels() {
    let root = Authority::new();
    let offer = "250-hop\r\n250-SMTPUTF8\r\n250 REQUIRETLS";
    let hop = encrypts(root.host("xn--bcher-kva.plain"), offer).await;
    let relay = relay(&hop, &root, TlsLevel::Opportunistic, None);
    let report = relay.attempt(secret_to("b\u{fc}cher.plain")).await;
    assert_eq!(codes(&report), [250], "{report:?}");
    assert_eq!(report.remote.as_deref(), Some("xn--bcher-kva.plain"));
}

#[tokio::test]
async fn a_signed_exchanger_may_say_itself_how_it_is_known() {
    let root = Authority::new();
    let own = shown_by_itself("other.example");
    let names = |data| {
        let (usage, selector, matching) = (3, 1, 0);
        Names {
            tlsa: Some(Tlsa {
                usage,
                selector,
                matching,
                data,
            }),
            ..Names::default()
        }
    };
    let hop = encrypts(own.config.clone(), REQUIRETLS).await;
    let with = |level, data| relay(&hop, &root, level, Some(names(data)));
    let known = with(TlsLevel::Opportunistic, own.key.clone());
    let taken = answer(&known, secret_to("d.signed")).await;
    assert!(taken.starts_with("250 "), "{taken}");
    // Where the operator wants good certificates that is none.
    let verified = with(TlsLevel::Verified, own.key.clone());
    let back = answer(&verified, secret_to("d.signed")).await;
    assert!(back.starts_with("550 5.7.10 "), "{back}");
    let mut other = own.key.clone();
    *other.last_mut().unwrap() ^= 1;
    let stranger = with(TlsLevel::Opportunistic, other);
    let back = answer(&stranger, secret_to("d.signed")).await;
    assert!(back.contains("fits none of its TLSA records"), "{back}");
    assert_eq!(hop.count("MAIL"), 1);
}

#[tokio::test]
async fn a_report_needs_no_promise_but_the_same_protection() {
    let root = Authority::new();
    let lacking = encrypts(root.host("mx.example"), "250 hop").await;
    let relay_to = |hop| relay(hop, &root, TlsLevel::Opportunistic, Some(Names::default()));
    let relay = relay_to(&lacking);
    let back = answer(&relay, secret_to("d.signed")).await;
    let why = "550 5.7.30 REQUIRETLS support required: mx.example does not offer it";
    assert_eq!(back, why);
    let taken = answer(&relay, report("d.signed")).await;
    assert!(taken.starts_with("250 "), "{taken}");
    assert_eq!(lacking.count("MAIL FROM:<>"), 1);
    assert_eq!(lacking.count("MAIL FROM:<> REQUIRETLS"), 0);
    // What the report went over is not good enough for the message.
    assert_eq!(answer(&relay, secret_to("d.signed")).await, why);
    let promising = encrypts(root.host("mx.example"), REQUIRETLS).await;
    answer(&relay_to(&promising), report("d.signed")).await;
    assert_eq!(promising.count("MAIL FROM:<> REQUIRETLS"), 1);
    let stranger = encrypts(self_signed("mx.example"), REQUIRETLS).await;
    let back = answer(&relay_to(&stranger), report("d.signed")).await;
    assert!(back.starts_with("550 5.7.10 "), "{back}");
    assert_eq!(stranger.count("MAIL"), 0);
}

#[tokio::test]
async fn a_policy_of_the_domain_may_name_an_exchanger() {
    let root = Authority::new();
    let hop = encrypts(root.host("mx1.d.example"), REQUIRETLS).await;
    let testing = ENFORCE.replace("enforce", "testing");
    let other = ENFORCE.replace("mx1.", "mx3.").replace("mx2.", "mx4.");
    let none = ENFORCE.replace("enforce", "none");
    for (policy, level, code) in [
        (ENFORCE, TlsLevel::Opportunistic, "250 "),
        (ENFORCE, TlsLevel::Off, "250 "),
        (&testing, TlsLevel::Opportunistic, "250 "),
        (&other, TlsLevel::Opportunistic, "550 5.7.10 "),
        (&none, TlsLevel::Opportunistic, "550 5.7.10 "),
    ] {
        let web = Web::start(root.host("mta-sts.d.example"), &shown(policy)).await;
        let zone = Zone::new("1");
        let finder = finder(&zone, web.address, &root, None);
        let relay = crate::mta_sts::relay(&zone, hop.address.port(), &root, &finder, level);
        let said = answer(&relay, secret_to("d.example")).await;
        assert!(said.starts_with(code), "{level} {policy}: {said}");
    }
    assert_eq!(hop.count("MAIL"), 3);
    assert_eq!(hop.count("MAIL FROM:<from@from.example> REQUIRETLS"), 3);
}

/// That a web server is down says nothing of the domain.
#[tokio::test]
async fn mail_waits_while_nobody_knows_whether_there_is_a_policy() {
    let root = Authority::new();
    let hop = encrypts(root.host("mx1.d.example"), REQUIRETLS).await;
    let zone = Zone::new("1");
    let nowhere = ([127, 0, 0, 1], 1).into();
    let finder = finder(&zone, nowhere, &root, None);
    let port = hop.address.port();
    let relay = crate::mta_sts::relay(&zone, port, &root, &finder, TlsLevel::Opportunistic);
    let waits = answer(&relay, secret_to("d.example")).await;
    assert!(waits.starts_with("451 4.7.0 Whether "), "{waits}");
    assert_eq!(hop.count("connection"), 0);
}
