//! TLS with clients: by STARTTLS and from the start.

use std::fs;
use std::time::Duration;

use rustls::ALL_VERSIONS;
use rustls::version::{TLS12, TLS13};
use slimta::edge::smtp::{Limits, SmtpEdge, Tls, TlsError, TlsMode};
use slimta::world::Timestamp;
use tokio_rustls::TlsConnector;

use super::certificates::{Certificates, Encrypted, shake, trusting};
use super::rig::{Client, Listening, Queue, edge};

const HOST: &str = "mail.example.net";
const BANNER: &str = "220 mail.example.net ESMTP slimta\r\n";
const GO_AHEAD: &str = "220 2.0.0 Ready to start TLS\r\n";

/// An edge with one certificate, and what trusts that.
fn encrypted(edge: SmtpEdge, mode: TlsMode) -> (SmtpEdge, TlsConnector) {
    let certificates = Certificates::new();
    let root = certificates.make("a", HOST);
    let tls = Tls::open(vec![certificates.files("a")]).unwrap();
    (edge.with_tls(tls, mode), trusting(&[&root], ALL_VERSIONS))
}

/// A client that has turned to TLS.
async fn turned(listening: &Listening, connector: &TlsConnector, host: &str) -> Encrypted {
    let mut client = listening.client().await;
    assert!(
        client
            .ask("EHLO clear.example")
            .await
            .contains("250-STARTTLS\r\n")
    );
    assert_eq!(client.ask("STARTTLS").await, GO_AHEAD);
    shake(connector, client, host).await
}

#[tokio::test]
async fn a_message_comes_under_tls_and_says_so() {
    let queue = Queue::new();
    let certificates = Certificates::new();
    let root = certificates.make("a", HOST);
    let tls = Tls::open(vec![certificates.files("a")]).unwrap();
    let listening = Listening::start(edge(&queue).with_tls(tls, TlsMode::Offered)).await;
    for (version, name) in [(&TLS13, "TLSv1.3"), (&TLS12, "TLSv1.2")] {
        let connector = trusting(&[&root], &[version]);
        let mut client = turned(&listening, &connector, HOST).await.client;
        assert!(
            client
                .ask("MAIL FROM:<a@b>")
                .await
                .starts_with("503 5.5.1 ")
        );
        client.begin().await;
        // More than one record of TLS, and more than is read at once.
        let lines = format!("{}\r\n", "x".repeat(98)).repeat(2000);
        client
            .send(format!("Subject: {name}\r\n\r\n{lines}.\r\n"))
            .await;
        assert!(client.reply().await.starts_with("250 2.6.0 "));
        assert!(!client.ask("EHLO c").await.contains("STARTTLS"));
        assert!(client.ask("STARTTLS").await.starts_with("503 5.5.1 "));
        assert_eq!(client.ask("QUIT").await, "221 2.0.0 Bye\r\n");
        // Without close_notify this would be an error.
        assert_eq!(client.rest().await, "");
        let message = &queue.requests().pop().unwrap()[0];
        assert_eq!(message.client.protocol, "ESMTPS");
        assert_eq!(message.client.security.as_deref(), Some(name));
        assert_eq!(message.client.ehlo.as_deref(), Some("client.example.com"));
        assert!(message.content.to_vec().ends_with(lines.as_bytes()));
    }
    listening.stopped().await;
}

#[tokio::test]
async fn tls_from_the_start_comes_before_the_banner() {
    let queue = Queue::new();
    let (edge, connector) = encrypted(edge(&queue), TlsMode::Implicit);
    let listening = Listening::start(edge).await;
    let client = Client::connect(listening.address).await;
    let mut client = shake(&connector, client, HOST).await.client;
    assert_eq!(client.reply().await, BANNER);
    assert!(!client.ask("EHLO c").await.contains("STARTTLS"));
    client.begin().await;
    client.send(".\r\n").await;
    assert!(client.reply().await.starts_with("250 2.6.0 "));
    assert_eq!(queue.requests()[0][0].client.protocol, "ESMTPS");

    // Who speaks in the clear there sees the end, and nothing of SMTP.
    let mut clear = Client::connect(listening.address).await;
    clear.send("EHLO client.example\r\n").await;
    let said = clear.bytes().await;
    assert!(said.len() < 16 && !said.starts_with(b"2"), "{said:?}");
    drop(clear);

    drop(client);
    listening.stopped().await;
}

#[tokio::test]
async fn what_is_sent_behind_starttls_in_the_clear_is_never_done() {
    let queue = Queue::new();
    let (edge, _) = encrypted(edge(&queue), TlsMode::Offered);
    let listening = Listening::start(edge).await;
    let commands = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    let mut client = listening.client().await;
    client.send(format!("STARTTLS\r\n{commands}")).await;
    assert!(client.reply().await.starts_with("421 4.7.0 "));
    assert_eq!(client.rest().await, "");

    // In a segment of its own it comes where the handshake should.
    let mut client = listening.client().await;
    assert_eq!(client.ask("STARTTLS").await, GO_AHEAD);
    client.send(commands).await;
    let said = client.bytes().await;
    assert!(said.len() < 16 && !said.starts_with(b"2"), "{said:?}");
    drop(client);
    listening.stopped().await;
    assert!(queue.requests().is_empty());
}

#[tokio::test]
async fn mail_waits_for_tls_where_it_is_required() {
    let queue = Queue::new();
    let (edge, connector) = encrypted(edge(&queue), TlsMode::Required);
    let listening = Listening::start(edge).await;
    let mut clear = listening.client().await;
    clear.ask("EHLO c").await;
    let refused = "530 5.7.0 Must issue a STARTTLS command first\r\n";
    assert_eq!(clear.ask("MAIL FROM:<a@b>").await, refused);
    let mut client = turned(&listening, &connector, HOST).await.client;
    client.begin().await;
    drop((clear, client));
    listening.stopped().await;
}

#[tokio::test]
async fn clients_get_the_certificate_of_the_name_they_ask_for() {
    let certificates = Certificates::new();
    let (first, second) = (
        certificates.make("a", HOST),
        certificates.make("b", "*.other.example"),
    );
    let files = vec![certificates.files("a"), certificates.files("b")];
    let tls = Tls::open(files).unwrap();
    let listening = Listening::start(edge(&Queue::new()).with_tls(tls, TlsMode::Offered)).await;
    let connector = trusting(&[&first, &second], ALL_VERSIONS);
    for (host, expected) in [(HOST, &first), ("mx.other.example", &second)] {
        assert_eq!(turned(&listening, &connector, host).await.shown, *expected);
    }
    // The name of nobody: the first is shown, and this client does not want it.
    let mut client = listening.client().await;
    client.ask("STARTTLS").await;
    let host = "nobody.example".try_into().unwrap();
    assert!(connector.connect(host, client.into_stream()).await.is_err());
    listening.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_changes_is_read_again_if_it_is_good() {
    let certificates = Certificates::new();
    let old = certificates.make("a", HOST);
    let tls = Tls::open(vec![certificates.files("a")]).unwrap();
    let listening = Listening::start(edge(&Queue::new()).with_tls(tls, TlsMode::Offered)).await;
    let shown = async |root| {
        // Each look at the files has its second.
        tokio::time::advance(Duration::from_secs(1)).await;
        let connector = trusting(&[root], ALL_VERSIONS);
        turned(&listening, &connector, HOST).await.shown
    };
    assert_eq!(shown(&old).await, old);

    // A new certificate whose key is still the old one.
    let key = fs::read(certificates.files("a").key).unwrap();
    let new = certificates.make("a", HOST);
    let new_key = fs::read(certificates.files("a").key).unwrap();
    fs::write(certificates.files("a").key, key).unwrap();
    assert_eq!(shown(&old).await, old);
    fs::write(certificates.files("a").key, new_key).unwrap();
    assert_eq!(shown(&new).await, new);

    fs::write(certificates.files("a").chain, "no certificate").unwrap();
    assert_eq!(shown(&new).await, new);
    fs::remove_file(certificates.files("a").chain).unwrap();
    assert_eq!(shown(&new).await, new);
    let newest = certificates.make("a", HOST);
    assert_eq!(shown(&newest).await, newest);
    listening.stopped().await;
}

#[test]
fn files_that_are_no_good_are_named() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    certificates.make("b", HOST);
    let good = certificates.files("a");
    let mut missing = good.clone();
    missing.key = certificates.files("missing").key;
    let mut other = good.clone();
    other.key = certificates.files("b").key;
    let mut no_chain = good.clone();
    no_chain.chain = good.key.clone();
    let mut no_key = good.clone();
    no_key.key = good.chain.clone();
    for (files, named) in [
        (&missing, "missing.key cannot be read: No such file"),
        (&no_chain, "a.key has no certificate in it"),
        (&no_key, "a.pem has no private key in it"),
        (&other, "b.key is not the key of the certificate in "),
        (&other, "a.pem"),
    ] {
        let error = Tls::open(vec![good.clone(), files.clone()]).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    assert!(matches!(Tls::open(Vec::new()), Err(TlsError::NoFiles)));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_takes_too_long_closes() {
    for mode in [TlsMode::Offered, TlsMode::Implicit] {
        let (edge, _) = encrypted(edge(&Queue::new()), mode);
        let listening = Listening::start(edge).await;
        let mut client = Client::connect(listening.address).await;
        if mode == TlsMode::Offered {
            assert_eq!(client.reply().await, BANNER);
            assert_eq!(client.ask("STARTTLS").await, GO_AHEAD);
        }
        // The front of a record, which never comes whole.
        let before = tokio::time::Instant::now();
        client.send([22, 3, 1, 2, 0, 1]).await;
        assert_eq!(client.rest().await, "");
        assert!(before.elapsed() <= Limits::default().command_time_max);
        listening.stopped().await;
    }
}

#[tokio::test]
async fn without_a_place_for_a_handshake_there_is_none() {
    let limits = Limits {
        handshakes_max: 0,
        ..Limits::default()
    };
    let (offered, _) = encrypted(edge(&Queue::new()).with_limits(limits), TlsMode::Offered);
    let listening = Listening::start(offered).await;
    let mut client = listening.client().await;
    let refused = "454 4.7.0 TLS is not available now\r\n";
    assert_eq!(client.ask("STARTTLS").await, refused);
    client.begin().await;
    client.send(".\r\n").await;
    assert!(client.reply().await.starts_with("250 2.6.0 "));
    drop(client);
    listening.stopped().await;

    let (implicit, _) = encrypted(edge(&Queue::new()).with_limits(limits), TlsMode::Implicit);
    let listening = Listening::start(implicit).await;
    assert_eq!(Client::connect(listening.address).await.rest().await, "");
    listening.stopped().await;
}

#[tokio::test]
async fn who_finds_no_place_where_tls_comes_first_hears_nothing() {
    let limits = Limits {
        connections_max: 0,
        ..Limits::default()
    };
    let (edge, _) = encrypted(edge(&Queue::new()).with_limits(limits), TlsMode::Implicit);
    let listening = Listening::start(edge).await;
    assert_eq!(Client::connect(listening.address).await.rest().await, "");
    listening.stopped().await;
}

#[tokio::test]
async fn sessions_under_tls_stop_as_others_do() {
    let queue = Queue::new();
    let (edge, connector) = encrypted(edge(&queue), TlsMode::Offered);
    let listening = Listening::start(edge).await;
    let mut idle = turned(&listening, &connector, HOST).await.client;
    let mut busy = turned(&listening, &connector, HOST).await.client;
    let mut shaking = listening.client().await;
    assert_eq!(shaking.ask("STARTTLS").await, GO_AHEAD);
    busy.begin().await;
    busy.send("Subject: x\r\n").await;
    let serving = listening.stop();
    let goodbye = "421 4.3.2 Service shutting down\r\n";
    assert_eq!(idle.rest().await, goodbye);
    // In the clear nothing is said before a handshake.
    assert_eq!(shaking.rest().await, "");
    busy.send("\r\n.\r\n").await;
    let replies = format!("250 2.6.0 Message queued as 1\r\n{goodbye}");
    assert_eq!(busy.rest().await, replies);
    drop((idle, busy, shaking));
    serving.await.unwrap();
    assert_eq!(queue.requests().len(), 1);
}

#[tokio::test]
async fn who_may_not_turn_to_tls_goes_on_in_the_clear() {
    use slimta::edge::smtp::Validators;
    use slimta::message::{Client as Peer, Response};

    struct NoTls;

    #[async_trait::async_trait]
    impl Validators for NoTls {
        async fn starttls(&self, client: &Peer) -> Result<(), Response> {
            assert_eq!(client.ehlo.as_deref(), Some("c"));
            Err(Response::transient(7, 0, "not you"))
        }
    }

    let queue = Queue::new();
    let (edge, _) = encrypted(edge(&queue).with_validators(NoTls), TlsMode::Offered);
    let listening = Listening::start(edge).await;
    let mut client = listening.client().await;
    client.ask("EHLO c").await;
    // Nothing is hidden behind a refusal either: these are commands in the clear.
    client.send("STARTTLS\r\nNOOP\r\n").await;
    assert_eq!(client.reply().await, "451 4.7.0 not you\r\n");
    assert_eq!(client.reply().await, "250 2.0.0 Ok\r\n");
    client.begin().await;
    drop(client);
    listening.stopped().await;
}

#[test]
fn a_certificate_is_over_at_its_end_and_not_before() {
    let certificates = Certificates::new();
    let end = Timestamp::from_secs(1_795_508_249);
    certificates.make_until("a", HOST, end);
    certificates.make("b", HOST);
    let tls = Tls::open(vec![certificates.files("a"), certificates.files("b")]).unwrap();
    assert!(tls.over_at(end).is_empty());
    let later = end.after(Duration::from_secs(1));
    assert_eq!(tls.over_at(later), [certificates.files("a").chain]);
}
