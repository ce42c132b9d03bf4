//! Encrypted connections to a real Redis.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use slimta_core::storage::StorageError;
use slimta_core::world::World;

use super::by_hand;
use super::faults::{connect, stored};
use super::ports::free_port;
use super::server::{SAFE, Server};
use crate::certificates::Certificates;

/// A server that encrypts, and what it shows.
struct Encrypted {
    server: Server,
    certificates: Certificates,
}

static RUNNING: Mutex<Weak<Encrypted>> = Mutex::new(Weak::new());

/// Settings of a server that speaks TLS on a port, and wants to know its clients.
pub(super) fn encrypted(certificates: &Certificates, port: &str) -> Vec<String> {
    let settings = [
        ("--tls-port", port.to_owned()),
        ("--tls-ca-cert-file", certificates.file("root.pem")),
        ("--tls-cert-file", certificates.file("server.pem")),
        ("--tls-key-file", certificates.file("server.key")),
    ];
    let settings = settings.into_iter();
    settings
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
}

impl Encrypted {
    /// The one that runs, or a new one. Clients need no certificate.
    fn running() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encrypted) = running.upgrade() {
            return encrypted;
        }
        let encrypted = Arc::new(Encrypted::with(&["--tls-auth-clients", "no"]));
        *running = Arc::downgrade(&encrypted);
        encrypted
    }

    fn with(more: &[&str]) -> Self {
        let certificates = Certificates::new();
        let tls = encrypted(&certificates, &free_port().to_string());
        let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
        let server = Server::start(&[&SAFE[..], &tls[..], more].concat());
        Encrypted {
            server,
            certificates,
        }
    }

    /// Its URL under a name, with what comes behind.
    fn url(&self, host: &str, rest: &str) -> String {
        format!("rediss://{host}:{}{rest}", self.server.tls_or_port())
    }

    fn root(&self) -> String {
        format!("cacert={}", self.certificates.file("root.pem"))
    }
}

mod conformance {
    use super::*;

    crate::certificates::conformance_over_tls!(async |world| {
        let encrypted = Encrypted::running();
        let (_, prefix) = encrypted.server.queue_with_prefix();
        let rest = format!("?prefix={prefix}&{}", encrypted.root());
        (
            by_hand(&encrypted.url("127.0.0.1", &rest), world),
            encrypted,
        )
    });
}

/// Why the queue does not open, which is not a matter of trying later.
async fn refusal(url: &str) -> String {
    let error = match super::Redis::new(url, World::system()) {
        Ok(_) => connect(url).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, StorageError::Open { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn what_the_url_asks_for_is_checked() {
    let encrypted = Encrypted::running();
    let root = encrypted.root();
    let stranger = Certificates::new();
    let other = format!("?cacert={}", stranger.file("root.pem"));
    // The certificate is for 127.0.0.1.
    let (right, wrong) = ("127.0.0.1", "localhost");
    for (host, rest, told) in [
        (right, format!("?{root}"), None),
        (wrong, "#insecure".to_owned(), None),
        (wrong, "/0?prefix=insecure#insecure".to_owned(), None),
        (
            wrong,
            format!("?{root}"),
            Some("not valid for name \"localhost\""),
        ),
        (right, other, Some("name the file of that root as cacert")),
        (
            right,
            String::new(),
            Some("name the file of that root as cacert"),
        ),
        (
            right,
            format!("?{root}#insecure"),
            Some("#insecure does not look at cacert"),
        ),
        (
            right,
            format!("?{root}&cert=/c.pem"),
            Some("cert and key belong together"),
        ),
        (
            right,
            "?cacert=%2Fmissing.pem".to_owned(),
            Some("/missing.pem cannot be read: No such"),
        ),
    ] {
        let url = encrypted.url(host, &rest);
        match told {
            None => {
                let session = connect(&url).await.unwrap();
                stored(&*session).await.unwrap();
            }
            Some(told) => {
                let refusal = refusal(&url).await;
                assert!(refusal.contains(told), "{url}: {refusal}");
            }
        }
    }
}

/// Redis waits for more, so that is all there is to tell.
#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_is_away() {
    let plain = Server::running();
    let url = plain.queue().replace("redis://", "rediss://");
    let error = connect(&url).await.unwrap_err().to_string();
    assert!(
        error.contains("port for TLS") || error.contains("not speak TLS"),
        "{error}"
    );
}

/// As `openssl req -x509` makes them.
#[tokio::test]
async fn a_server_that_shows_the_certificate_of_a_root_is_refused() {
    let certificates = Certificates::new();
    let (root, key) = (certificates.file("root.pem"), certificates.file("root.key"));
    let port = free_port().to_string();
    let shown = ["--tls-cert-file", &root, "--tls-key-file", &key];
    let more = ["--tls-port", &port, "--tls-ca-cert-file", &root];
    let _server = Server::start(&[&SAFE[..], &shown[..], &more[..]].concat());
    let refusal = refusal(&format!("rediss://127.0.0.1:{port}?cacert={root}")).await;
    assert!(
        refusal.contains("sign another one for the server"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_client_certificate_lets_us_in() {
    let encrypted = Encrypted::with(&[]);
    let root = encrypted.root();
    let refusal = refusal(&encrypted.url("127.0.0.1", &format!("?{root}"))).await;
    assert!(
        refusal.contains("asks for a client certificate"),
        "{refusal}"
    );
    encrypted.certificates.make("client", "client.example");
    let (certificate, key) = (
        encrypted.certificates.file("client.pem"),
        encrypted.certificates.file("client.key"),
    );
    let rest = format!("?{root}&cert={certificate}&key={key}");
    let session = connect(&encrypted.url("127.0.0.1", &rest)).await.unwrap();
    stored(&*session).await.unwrap();
}
