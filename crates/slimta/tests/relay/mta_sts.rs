//! MTA-STS: what a domain's policy makes of mail for its exchangers.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use slimta::queue::ByDestination;
use slimta::relay::mta_sts::{MtaSts, TextRecords, WebPolicies};
use slimta::relay::{
    Answer, AnswerOrigin, Exchanger, LookupError, MxRelay, Relay, Resolver, Tls, TlsLevel,
};
use slimta::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::certificates::{Authority, self_signed};
use crate::hop::{Do, Hop, Met};
use crate::mail::delivery;

pub(crate) const ENFORCE: &str =
    "version: STSv1\nmode: enforce\nmx: mx1.d.example\nmx: mx2.d.example\nmax_age: 86400\n";

/// The names of d.example: two exchangers at 127.0.0.1 and 127.0.0.2, and the
/// record of its policy.
#[derive(Clone)]
pub(crate) struct Zone(Arc<Mutex<String>>);

impl Zone {
    pub(crate) fn new(id: &str) -> Self {
        let zone = Zone(Arc::default());
        zone.id(id);
        zone
    }

    fn id(&self, id: &str) {
        *self.0.lock().unwrap() = format!("v=STSv1; id={id}");
    }
}

/// What a DNS says that nobody signs.
pub(crate) fn answer<T>(name: &str, records: Vec<T>) -> Answer<T> {
    Answer {
        records,
        name: name.to_owned(),
        origin: AnswerOrigin::Insecure,
    }
}

#[async_trait]
impl Resolver for Zone {
    async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        let record = |(preference, host): (u16, &str)| Exchanger {
            preference,
            host: host.to_owned(),
        };
        let records = [(10, "mx1.d.example"), (20, "MX2.d.example")].map(record);
        Ok(answer(domain, records.into()))
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, LookupError> {
        match host {
            "mx1.d.example" | "mta-sts.d.example" => Ok(answer(host, vec![[127, 0, 0, 1].into()])),
            "mx2.d.example" => Ok(answer(host, vec![[127, 0, 0, 2].into()])),
            _ => Err(LookupError::NoSuchName),
        }
    }
}

#[async_trait]
impl TextRecords for Zone {
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        match name {
            "_mta-sts.d.example" => Ok(vec![self.0.lock().unwrap().clone()]),
            _ => Err(LookupError::NoSuchName),
        }
    }
}

/// A server of HTTPS that answers always the same.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    said: Arc<Mutex<String>>,
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    /// What came with them.
    pub(crate) bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Web {
    pub(crate) async fn start(config: Arc<ServerConfig>, said: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Web {
            address: listener.local_addr().unwrap(),
            said: Arc::new(Mutex::new(said.to_owned())),
            heard: Arc::default(),
            bodies: Arc::default(),
        };
        let (said, heard) = (web.said.clone(), web.heard.clone());
        let bodies = web.bodies.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = TlsAcceptor::from(config.clone()).accept(stream).await else {
                    continue;
                };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                let length = request.split_once("Content-Length: ");
                let length = length.and_then(|(_, rest)| rest.split("\r\n").next());
                if let Some(length) = length {
                    let mut body = vec![0; length.parse().unwrap()];
                    stream.read_exact(&mut body).await.unwrap();
                    bodies.lock().unwrap().push(body);
                }
                heard.lock().unwrap().push(request);
                let said = said.lock().unwrap().clone();
                // Who has heard enough goes away.
                let _ = stream.write_all(said.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        web
    }

    fn says(&self, said: &str) {
        *self.said.lock().unwrap() = said.to_owned();
    }

    fn requests(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

pub(crate) fn shown(policy: &str) -> String {
    let length = policy.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{policy}"
    )
}

/// The policy finder of a server; with a directory it keeps what it finds.
pub(crate) fn finder(
    zone: &Zone,
    web: SocketAddr,
    root: &Authority,
    directory: Option<&Path>,
) -> MtaSts {
    let world = World::system();
    let tls = Tls::default().with_roots(root.roots());
    let source = WebPolicies::new(zone.clone(), tls, world.clone()).with_port(web.port());
    match directory {
        Some(directory) => MtaSts::open(directory, zone.clone(), source, world).unwrap(),
        None => MtaSts::new(zone.clone(), source, world),
    }
}

pub(crate) fn relay(
    zone: &Zone,
    port: u16,
    root: &Authority,
    finder: &MtaSts,
    level: TlsLevel,
) -> MxRelay {
    MxRelay::new(zone.clone(), "us.example", World::system())
        .with_port(port)
        .with_tls(Tls::new(level).with_roots(root.roots()))
        .with_mta_sts(finder.clone())
}

/// A host that begins TLS with this certificate; without one it has no TLS.
pub(crate) fn script(config: Option<Arc<ServerConfig>>) -> impl Fn(Met<'_>) -> Do + Send + Sync {
    move |met| match (met, &config) {
        (Met::Command(line), Some(_)) if line.starts_with("EHLO") => {
            Do::Say("250-hop.example\r\n250-PIPELINING\r\n250 STARTTLS")
        }
        (Met::Command("STARTTLS"), Some(config)) => Do::Tls(config.clone()),
        _ => Do::Fine,
    }
}

/// The exchangers of d.example, at one port.
pub(crate) async fn exchangers(
    one: Option<Arc<ServerConfig>>,
    two: Option<Arc<ServerConfig>>,
) -> [Hop; 2] {
    for _ in 0..20 {
        let first = Hop::start(script(one.clone())).await;
        let port = first.address.port();
        // Somebody may have the port at the other address.
        if TcpListener::bind(("127.0.0.2", port)).await.is_ok() {
            let second = Hop::start_at(([127, 0, 0, 2], port), script(two.clone())).await;
            return [first, second];
        }
    }
    panic!("no port is free at both addresses");
}

/// The answer for a message, and who took it.
pub(crate) async fn attempt(relay: &MxRelay) -> (String, Option<String>) {
    let report = relay.attempt(delivery(&["a@d.example"])).await;
    (report.responses[0].to_string(), report.remote)
}

fn mails(hops: &[Hop; 2]) -> usize {
    hops.iter().map(|hop| hop.count("MAIL")).sum()
}

#[tokio::test]
async fn an_enforced_policy_takes_hosts_with_a_good_certificate_only() {
    let root = Authority::new();
    let zone = Zone::new("1");
    let web = Web::start(root.host("mta-sts.d.example"), &shown(ENFORCE)).await;
    let good = |name: &str| Some(root.host(name));
    let bad = || Some(self_signed("mx1.d.example"));
    for (one, two, taken, why) in [
        (good("mx1.d.example"), None, Some("mx1.d.example"), ""),
        (bad(), good("mx2.d.example"), Some("mx2.d.example"), ""),
        (None, good("mx2.d.example"), Some("mx2.d.example"), ""),
        (bad(), good("mx1.d.example"), None, "451 4.7.5 "),
        (good("mx2.d.example"), None, None, "451 4.7.4 "),
        (
            None,
            Some(root.host_of_old("mx2.d.example")),
            None,
            "451 4.7.5 ",
        ),
    ] {
        let hops = exchangers(one, two).await;
        let finder = finder(&zone, web.address, &root, None);
        let level = TlsLevel::Opportunistic;
        let relay = relay(&zone, hops[0].address.port(), &root, &finder, level);
        let (answer, remote) = attempt(&relay).await;
        assert_eq!(remote.as_deref(), taken, "{answer}");
        if taken.is_some() {
            assert!(answer.starts_with("250 "), "{answer}");
            assert_eq!(mails(&hops), 1);
        } else {
            assert!(answer.starts_with(why), "{answer}");
            let whose = "; the policy of d.example (MTA-STS) asks for it";
            assert!(answer.ends_with(whose), "{answer}");
            assert_eq!(mails(&hops), 0);
        }
    }
    let heard = web.heard.lock().unwrap()[0].clone();
    assert!(
        heard.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"),
        "{heard}"
    );
    assert!(heard.contains("\r\nHost: mta-sts.d.example:"), "{heard}");
}

#[tokio::test]
async fn a_host_that_the_policy_does_not_name_gets_no_mail() {
    let root = Authority::new();
    let (one, two) = (root.host("mx1.d.example"), root.host("mx2.d.example"));
    let hops = exchangers(Some(one), Some(two)).await;
    let port = hops[0].address.port();
    for (named, taken) in [
        ("*.d.example", Some("mx1.d.example")),
        ("mx2.d.example", Some("mx2.d.example")),
        ("d.example", None),
        ("*.example", None),
    ] {
        let policy = format!("version: STSv1\nmode: enforce\nmx: {named}\nmax_age: 86400\n");
        let web = Web::start(root.host("mta-sts.d.example"), &shown(&policy)).await;
        let zone = Zone::new("1");
        let finder = finder(&zone, web.address, &root, None);
        let relay = relay(&zone, port, &root, &finder, TlsLevel::Opportunistic);
        let (answer, remote) = attempt(&relay).await;
        assert_eq!(remote.as_deref(), taken, "{answer}");
        if taken.is_none() {
            let why = "451 4.7.0 The policy of d.example (MTA-STS) does not name mx2.d.example";
            assert!(answer.starts_with(why), "{answer}");
        }
    }
}

#[tokio::test]
async fn other_modes_and_destinations_let_mail_pass() {
    let root = Authority::new();
    let hops = exchangers(Some(self_signed("x.example")), None).await;
    let port = hops[0].address.port();
    for (mode, level, heeded) in [
        ("testing", TlsLevel::Opportunistic, true),
        ("none", TlsLevel::Required, true),
        ("enforce", TlsLevel::Opportunistic, false),
        ("enforce", TlsLevel::Off, true),
    ] {
        let web = Web::start(
            root.host("mta-sts.d.example"),
            &shown(&ENFORCE.replace("enforce", mode)),
        )
        .await;
        let zone = Zone::new("1");
        let heeded = ByDestination::new(!heeded).with_rule("d.example".parse().unwrap(), heeded);
        let finder = finder(&zone, web.address, &root, None).with_destinations(heeded);
        let (answer, remote) = attempt(&relay(&zone, port, &root, &finder, level)).await;
        assert_eq!(remote.as_deref(), Some("mx1.d.example"), "{mode}: {answer}");
    }
}

#[tokio::test]
async fn a_policy_outlives_a_restart_with_the_web_server_down() {
    let root = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let hops = exchangers(Some(self_signed("x.example")), None).await;
    let port = hops[0].address.port();
    let zone = Zone::new("1");
    let web = Web::start(root.host("mta-sts.d.example"), &shown(ENFORCE)).await;
    let nowhere: SocketAddr = ([127, 0, 0, 1], 1).into();
    for (web, id) in [(web.address, "1"), (nowhere, "1"), (nowhere, "2")] {
        zone.id(id);
        let finder = finder(&zone, web, &root, Some(directory.path()));
        let relay = relay(&zone, port, &root, &finder, TlsLevel::Opportunistic);
        let (answer, _) = attempt(&relay).await;
        assert!(answer.starts_with("451 4.7."), "{answer}");
    }
    assert_eq!(mails(&hops), 0);
    let file = directory.path().join("d.example");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("\nmode: enforce\n"), "{kept}");
    // Without it there would be no policy.
    std::fs::remove_file(file).unwrap();
    let finder = finder(&zone, nowhere, &root, Some(directory.path()));
    let relay = relay(&zone, port, &root, &finder, TlsLevel::Opportunistic);
    assert!(attempt(&relay).await.0.starts_with("250 "));
}

#[tokio::test]
async fn a_changed_policy_is_fetched_and_no_connection_of_the_old_one_used() {
    let root = Authority::new();
    let hops = exchangers(Some(self_signed("x.example")), None).await;
    let zone = Zone::new("1");
    let none = ENFORCE.replace("enforce", "none");
    let web = Web::start(root.host("mta-sts.d.example"), &shown(&none)).await;
    let finder = finder(&zone, web.address, &root, None);
    let port = hops[0].address.port();
    let relay = relay(&zone, port, &root, &finder, TlsLevel::Opportunistic);
    for _ in 0..2 {
        assert!(attempt(&relay).await.0.starts_with("250 "));
    }
    assert_eq!(web.requests(), 1);
    web.says(&shown(ENFORCE));
    zone.id("2");
    // A connection is open that took mail before.
    assert_eq!(hops[0].count("connection"), 1);
    assert!(attempt(&relay).await.0.starts_with("451 4.7."));
    assert_eq!(web.requests(), 2);
}

#[tokio::test]
async fn only_the_server_of_that_name_shows_a_policy_and_only_there() {
    let root = Authority::new();
    let hops = exchangers(None, None).await;
    let port = hops[0].address.port();
    let long = format!("{ENFORCE}x: {}\n", "y".repeat(64 << 10));
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{chunked}{:x}\r\n{ENFORCE}\r\n0\r\n\r\n", ENFORCE.len());
    let moved = format!(
        "HTTP/1.1 301 Moved\r\nLocation: /policy.txt\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{ENFORCE}",
        ENFORCE.len()
    );
    let name = "mta-sts.d.example";
    for (case, config, said, counts) in [
        ("good", root.host(name), shown(ENFORCE), true),
        ("in chunks", root.host(name), chunked, true),
        ("self-signed", self_signed(name), shown(ENFORCE), false),
        ("old", root.host_of_old(name), shown(ENFORCE), false),
        (
            "of another name",
            root.host("d.example"),
            shown(ENFORCE),
            false,
        ),
        ("elsewhere", root.host(name), moved, false),
        ("too long", root.host(name), shown(&long), false),
        (
            "HTML",
            root.host(name),
            shown(ENFORCE).replace("plain", "html"),
            false,
        ),
        (
            "cut",
            root.host(name),
            shown(ENFORCE).replace("86400\n", ""),
            false,
        ),
    ] {
        let web = Web::start(config, &said).await;
        let zone = Zone::new("1");
        let finder = finder(&zone, web.address, &root, None);
        let relay = relay(&zone, port, &root, &finder, TlsLevel::Opportunistic);
        let (answer, _) = attempt(&relay).await;
        let expected = if counts { "451 4.7.4 " } else { "250 " };
        assert!(answer.starts_with(expected), "{case}: {answer}");
    }
}
