//! Encryption to next hops: what each level makes of each of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slimta::queue::ByDestination;
use slimta::relay::{
    Answer, AnswerOrigin, Connections, Exchanger, LookupError, MxRelay, Relay, Resolver, SmtpRelay,
    Timing, Tls, TlsLevel, open_with,
};
use slimta::world::World;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;

use crate::certificates::{Authority, self_signed, without_certificate};
use crate::hop::{Do, Hop, Met};
use crate::mail::{codes, delivery};
use crate::smtp;

const HERE: &str = "127.0.0.1";
const LEVELS: [TlsLevel; 4] = [
    TlsLevel::Off,
    TlsLevel::Opportunistic,
    TlsLevel::Required,
    TlsLevel::Verified,
];
const NEEDED: [TlsLevel; 2] = [TlsLevel::Required, TlsLevel::Verified];

/// What a next hop that offers STARTTLS does when it is asked to begin.
pub(crate) fn offers(begin: impl Fn() -> Do + Send + Sync) -> impl Fn(Met<'_>) -> Do + Send + Sync {
    move |met| match met {
        Met::Command(line) if line.starts_with("EHLO") => {
            Do::Say("250-hop.example\r\n250-PIPELINING\r\n250 STARTTLS")
        }
        Met::Command("STARTTLS") => begin(),
        _ => Do::Fine,
    }
}

async fn encrypts(config: Arc<ServerConfig>) -> Hop {
    Hop::start(offers(move || Do::Tls(config.clone()))).await
}

/// A relay to a next hop, at a level.
fn relay(hop: &Hop, level: TlsLevel, root: &Authority) -> SmtpRelay {
    smtp::relay(hop).with_tls(Tls::new(level).with_roots(root.roots()))
}

/// Attempts one message; its answer, and whether MAIL came in TLS.
async fn attempt(relay: &SmtpRelay, hop: &Hop) -> (String, Option<bool>) {
    let before = hop.log().len();
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    let log = hop.log().split_off(before);
    let position = |begin: &str| log.iter().position(|line| line.starts_with(begin));
    let mail = position("MAIL");
    let is_encrypted = mail.map(|mail| position("TLS").is_some_and(|tls| tls < mail));
    (report.responses[0].to_string(), is_encrypted)
}

#[tokio::test]
async fn a_level_says_what_a_certificate_must_be() {
    let root = Authority::new();
    let cases = [
        ("good", root.host(HERE), None),
        ("good for TLS 1.2", root.host_of_tls12(HERE), None),
        (
            "self-signed",
            self_signed(HERE),
            Some("signed by nobody who is trusted here"),
        ),
        (
            "of another root",
            Authority::new().host(HERE),
            Some("signed by nobody who is trusted here"),
        ),
        (
            "of another name",
            root.host("other.example"),
            Some("its certificate is not for 127.0.0.1"),
        ),
        ("old", root.host_of_old(HERE), Some("has expired")),
    ];
    for (name, config, fault) in cases {
        for level in LEVELS {
            let hop = encrypts(config.clone()).await;
            let (answer, is_encrypted) = attempt(&relay(&hop, level, &root), &hop).await;
            match fault.filter(|_| level == TlsLevel::Verified) {
                None => {
                    assert!(answer.starts_with("250 "), "{name} {level}: {answer}");
                    assert_eq!(is_encrypted, Some(level != TlsLevel::Off), "{name} {level}");
                }
                Some(fault) => {
                    assert!(answer.starts_with("451 4.7.5 No TLS with 127.0.0.1: "));
                    assert!(answer.contains(fault), "{name}: {answer}");
                    assert_eq!(is_encrypted, None, "{name}");
                    assert_eq!(hop.count("connection"), 1);
                }
            }
        }
    }
}

#[tokio::test]
async fn without_starttls_mail_waits_that_must_be_encrypted() {
    let root = Authority::new();
    for refuses in [false, true] {
        for level in LEVELS {
            let refusal = || Do::Say("454 4.7.0 TLS not available");
            let hop = match refuses {
                false => Hop::start(|_| Do::Fine).await,
                true => Hop::start(offers(refusal)).await,
            };
            let (answer, is_encrypted) = attempt(&relay(&hop, level, &root), &hop).await;
            if level.is_needed() {
                assert!(
                    answer.starts_with("451 4.7.4 Required STARTTLS not available"),
                    "{answer}"
                );
                assert_eq!(answer.contains("454 4.7.0"), refuses, "{answer}");
                assert_eq!(is_encrypted, None);
            } else {
                assert!(answer.starts_with("250 "), "{answer}");
                assert_eq!(is_encrypted, Some(false));
            }
            assert_eq!(hop.count("connection"), 1, "{level}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_fails_is_not_tried_with_each_message() {
    type Begin = Box<dyn Fn() -> Do + Send + Sync>;
    let root = Authority::new();
    let broken = without_certificate();
    let begin = move || Do::Tls(broken.clone());
    let ways: [(&str, Begin); 3] = [
        ("broken", Box::new(begin)),
        ("closed", Box::new(|| Do::Close)),
        ("421", Box::new(|| Do::Say("421 Enough"))),
    ];
    for (name, begin) in ways {
        let hop = Hop::start(offers(begin)).await;
        let opportunistic = relay(&hop, TlsLevel::Opportunistic, &root);
        let opportunistic = opportunistic.with_messages_per_connection(1.into());
        for connections in 2..5 {
            let (answer, is_encrypted) = attempt(&opportunistic, &hop).await;
            assert!(answer.starts_with("250 "), "{name}: {answer}");
            assert_eq!(is_encrypted, Some(false), "{name}");
            assert_eq!(hop.count("connection"), connections, "{name}");
        }
        assert_eq!(hop.count("STARTTLS"), 1, "{name}");
        for level in NEEDED {
            let (answer, is_encrypted) = attempt(&relay(&hop, level, &root), &hop).await;
            assert!(answer.starts_with('4'), "{name}: {answer}");
            assert_eq!(is_encrypted, None, "{name}");
            if name == "broken" {
                assert!(answer.contains("it ended the handshake"), "{answer}");
            }
        }
    }
}

/// A host that does not answer in clear either has no trouble with TLS alone.
#[tokio::test]
async fn a_failure_is_remembered_of_a_host_that_is_well_otherwise() {
    let broken = without_certificate();
    let hop = Hop::start(move |met| match met {
        Met::Connection(2) => Do::Say("421 Busy"),
        met => offers(|| Do::Tls(broken.clone()))(met),
    })
    .await;
    let relay = relay(&hop, TlsLevel::Opportunistic, &Authority::new());
    let (answer, _) = attempt(&relay, &hop).await;
    assert!(answer.starts_with("421 "), "{answer}");
    let (answer, _) = attempt(&relay, &hop).await;
    assert!(answer.starts_with("250 "), "{answer}");
    assert_eq!((hop.count("STARTTLS"), hop.count("connection")), (2, 4));
}

#[tokio::test]
async fn nothing_goes_in_clear_after_somebody_spoke_out_of_turn() {
    let root = Authority::new();
    for level in LEVELS.into_iter().filter(|level| *level != TlsLevel::Off) {
        let hop = Hop::start(offers(|| Do::Say("220 Go\r\n250 injected"))).await;
        let (answer, is_encrypted) = attempt(&relay(&hop, level, &root), &hop).await;
        assert!(answer.starts_with("451 4.7.0 "), "{answer}");
        assert_eq!((is_encrypted, hop.count("connection")), (None, 1));
        // Later, in the place of the handshake.
        let (port, connections) = replies_to_a_hello().await;
        let relay = SmtpRelay::new(HERE, port, "us.example", World::system());
        let relay = relay.with_tls(Tls::new(level).with_roots(root.roots()));
        let report = relay.attempt(delivery(&["a@to.example"])).await;
        let answer = report.responses[0].to_string();
        assert!(answer.starts_with("451 4.7.0 "), "{answer}");
        assert_eq!(connections.await.unwrap(), ["EHLO us.example", "STARTTLS"]);
    }
}

/// A host that answers the first message of TLS with a reply of SMTP: its port,
/// and the commands that it heard on its one connection.
async fn replies_to_a_hello() -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut heard = Vec::new();
        for said in ["220 hi\r\n", "250-hi\r\n250 STARTTLS\r\n"] {
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            heard.push(line.trim_end().to_owned());
        }
        stream.write_all(b"220 Go\r\n").await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"250 hi.example\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).contains("MAIL"));
        heard
    });
    (port, serving)
}

#[tokio::test]
async fn messages_follow_each_other_on_one_encrypted_connection() {
    let root = Authority::new();
    for level in NEEDED {
        let hop = encrypts(root.host(HERE)).await;
        let relay = relay(&hop, level, &root);
        for _ in 0..5 {
            let report = relay.attempt(delivery(&["a@to.example"])).await;
            assert_eq!(codes(&report), [250]);
        }
        assert_eq!((hop.count("connection"), hop.count("TLS")), (1, 1));
        assert_eq!((hop.count("EHLO"), hop.count("MAIL")), (2, 5));
    }
}

#[tokio::test]
async fn a_second_connection_resumes_the_session_of_the_first() {
    let root = Authority::new();
    for level in NEEDED {
        for config in [root.host(HERE), root.host_of_tls12(HERE)] {
            let hop = encrypts(config).await;
            let relay = relay(&hop, level, &root).with_messages_per_connection(1.into());
            for _ in 0..2 {
                let report = relay.attempt(delivery(&["a@to.example"])).await;
                assert_eq!(codes(&report), [250]);
            }
            assert_eq!(hop.count("TLS Some(Full"), 1, "{:?}", hop.log());
            assert_eq!(hop.count("TLS Some(Resumed)"), 1, "{:?}", hop.log());
        }
    }
}

#[tokio::test]
async fn what_was_not_verified_is_not_resumed_as_if_it_were() {
    let root = Authority::new();
    let hop = encrypts(self_signed(HERE)).await;
    let rule = "to.example".parse().unwrap();
    let levels = ByDestination::new(TlsLevel::Required).with_rule(rule, TlsLevel::Verified);
    let relay = smtp::relay(&hop).with_tls(Tls::new(levels).with_roots(root.roots()));
    let report = relay.attempt(delivery(&["a@other.example"])).await;
    assert_eq!(codes(&report), [250]);
    let (answer, _) = attempt(&relay, &hop).await;
    assert!(answer.starts_with("451 4.7.5 "), "{answer}");
}

#[tokio::test]
async fn mail_that_must_be_encrypted_takes_no_connection_of_other_mail() {
    let hop = Hop::start(|_| Do::Fine).await;
    let rule = "to.example".parse().unwrap();
    let levels = ByDestination::new(TlsLevel::Opportunistic).with_rule(rule, TlsLevel::Required);
    let relay = smtp::relay(&hop).with_tls(Tls::new(levels));
    let report = relay.attempt(delivery(&["a@other.example"])).await;
    assert_eq!(codes(&report), [250]);
    let (answer, is_encrypted) = attempt(&relay, &hop).await;
    assert!(answer.starts_with("451 4.7.4 "), "{answer}");
    assert_eq!(is_encrypted, None);
}

/// A domain with two exchangers, at 127.0.0.1 and 127.0.0.2.
struct TwoExchangers;

#[async_trait]
impl Resolver for TwoExchangers {
    async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        let exchanger = |number: u16| Exchanger {
            preference: number,
            host: format!("mx{number}.example"),
        };
        Ok(insecure(domain, vec![exchanger(1), exchanger(2)]))
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, LookupError> {
        let last = if host == "mx1.example" { 1 } else { 2 };
        Ok(insecure(host, vec![[127, 0, 0, last].into()]))
    }
}

fn insecure<T>(name: &str, records: Vec<T>) -> Answer<T> {
    Answer {
        records,
        name: name.to_owned(),
        origin: AnswerOrigin::Insecure,
    }
}

/// Both exchangers, on one port, and a relay to them.
async fn exchangers(
    level: TlsLevel,
    root: &Authority,
    first: impl Fn(Met<'_>) -> Do + Send + Sync + 'static,
    second: impl Fn(Met<'_>) -> Do + Send + Sync + 'static,
) -> (Hop, Hop, MxRelay) {
    let first = Hop::start(first).await;
    let port = first.address.port();
    let second = Hop::start_at(([127, 0, 0, 2], port), second).await;
    let relay = MxRelay::new(TwoExchangers, "us.example", World::system()).with_port(port);
    let relay = relay.with_tls(Tls::new(level).with_roots(root.roots()));
    (first, second, relay)
}

#[tokio::test]
async fn an_exchanger_is_verified_by_its_own_name() {
    let root = Authority::new();
    // The first has a certificate for the domain only.
    let [domain, own] = ["to.example", "mx2.example"].map(|name| root.host(name));
    let first = offers(move || Do::Tls(domain.clone()));
    let second = offers(move || Do::Tls(own.clone()));
    let (first, second, relay) = exchangers(TlsLevel::Verified, &root, first, second).await;
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    assert_eq!(codes(&report), [250]);
    assert_eq!(report.remote.as_deref(), Some("mx2.example"));
    assert_eq!((first.count("MAIL"), second.count("MAIL")), (0, 1));
    assert_eq!(second.count("TLS Some(Full) Some(\"mx2.example\")"), 1);
}

#[tokio::test]
async fn another_exchanger_is_tried_where_one_does_not_encrypt() {
    let root = Authority::new();
    let config = root.host("mx2.example");
    let second = offers(move || Do::Tls(config.clone()));
    let (first, _, relay) = exchangers(TlsLevel::Required, &root, |_| Do::Fine, second).await;
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    assert_eq!(report.remote.as_deref(), Some("mx2.example"));
    assert_eq!((first.count("EHLO"), first.count("MAIL")), (1, 0));
}

/// It could be one that does not encrypt.
#[tokio::test]
async fn no_other_exchanger_is_tried_after_somebody_spoke_out_of_turn() {
    let root = Authority::new();
    let first = offers(|| Do::Say("220 Go\r\n250 injected"));
    let level = TlsLevel::Opportunistic;
    let (_, second, relay) = exchangers(level, &root, first, |_| Do::Fine).await;
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    assert_eq!(codes(&report), [451]);
    assert_eq!(second.count("connection"), 0);
}

#[tokio::test]
async fn a_host_that_is_silent_after_starttls_gets_its_mail_in_clear() {
    let root = Authority::new();
    let hop = Hop::start(offers(|| Do::Hang)).await;
    let short = Timing {
        tls: Duration::from_millis(20),
        ..Timing::default()
    };
    let relay = relay(&hop, TlsLevel::Opportunistic, &root).with_timing(short);
    let (answer, is_encrypted) = attempt(&relay, &hop).await;
    assert!(answer.starts_with("250 "), "{answer}");
    assert_eq!(is_encrypted, Some(false));
}

#[tokio::test]
async fn a_smarthost_may_begin_with_tls() {
    let root = Authority::new();
    for (config, is_good) in [(root.host(HERE), true), (self_signed(HERE), false)] {
        for level in LEVELS {
            let config = config.clone();
            let hop = Hop::start(move |met| match met {
                Met::Connection(_) => Do::Tls(config.clone()),
                _ => Do::Fine,
            });
            let hop = hop.await;
            let connections = Connections {
                tls: Tls::new(level).with_roots(root.roots()),
                ..Connections::default()
            };
            let url = format!("smtps://{}", hop.address);
            let next_hop = open_with(&url, "us.example", connections, World::system());
            let relay = next_hop.unwrap().relay;
            let report = relay.attempt(delivery(&["a@to.example"])).await;
            if is_good || level != TlsLevel::Verified {
                assert_eq!(codes(&report), [250], "{level}");
                assert_eq!((hop.count("TLS"), hop.count("EHLO")), (1, 1));
            } else {
                assert!(report.responses[0].to_string().starts_with("451 4.7.5 "));
                assert_eq!(hop.count("MAIL"), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_smarthost_that_does_not_begin_with_tls_gets_nothing() {
    let hop = Hop::start(|_| Do::Fine).await;
    for level in LEVELS {
        let relay = smtp::relay(&hop).with_implicit_tls();
        let (answer, _) = attempt(&relay.with_tls(Tls::new(level)), &hop).await;
        assert!(answer.starts_with("451 4.7.5 "), "{answer}");
        assert!(answer.contains("does not begin with TLS"), "{answer}");
    }
    assert_eq!(hop.count("EHLO"), 0);
}
