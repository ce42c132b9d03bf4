//! Encrypted connections to a real PostgreSQL.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use slimta_core::storage::conformance::Bench;
use slimta_core::storage::{Storage, StorageError};
use slimta_core::world::World;

use super::super::Postgres;
use super::super::clock::ServerClock;
use super::server::Server;
use crate::certificates::Certificates;

/// A server that encrypts, and what it shows.
struct Encrypted {
    server: Server,
    certificates: Certificates,
}

static RUNNING: Mutex<Weak<Encrypted>> = Mutex::new(Weak::new());

impl Encrypted {
    /// The one that runs, or a new one. It takes nobody whom it cannot encrypt.
    fn running() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encrypted) = running.upgrade() {
            return encrypted;
        }
        let encrypted = Arc::new(Encrypted::with("hostssl all all all trust"));
        *running = Arc::downgrade(&encrypted);
        encrypted
    }

    /// One with this rule for who may come in.
    fn with(rule: &str) -> Self {
        let certificates = Certificates::new();
        certificates.give_to_postgres("server.key");
        let rules = certificates.file("hba.conf");
        std::fs::write(&rules, format!("{rule}\n")).unwrap();
        let setting = |name: &str, file: &str| format!("{name}={}", certificates.file(file));
        let server = Server::with(&[
            "ssl=on",
            &setting("ssl_cert_file", "server.pem"),
            &setting("ssl_key_file", "server.key"),
            &setting("ssl_ca_file", "root.pem"),
            &setting("hba_file", "hba.conf"),
        ]);
        Encrypted {
            server,
            certificates,
        }
    }

    fn root(&self) -> String {
        self.certificates.file("root.pem")
    }

    /// Its URL under another name, with these parameters.
    fn url(&self, host: &str, parameters: &str) -> String {
        let port = self.server.port();
        format!("postgres://slimta@{host}:{port}/postgres?{parameters}")
    }
}

mod conformance {
    use super::*;

    crate::certificates::conformance_over_tls!(async |world: World| {
        let encrypted = Encrypted::running();
        let schema = encrypted.server.schema();
        let url = format!(
            "{schema}&sslmode=verify-full&sslrootcert={}",
            encrypted.root()
        );
        let clock = ServerClock::Manual(world.clone());
        let storage = Postgres::with_clock(&url, world, clock).unwrap();
        (Arc::new(storage) as Arc<dyn Storage>, encrypted)
    });
}

/// Whether the queue opens, and if so whether the database says that it is encrypted.
async fn is_encrypted(url: &str) -> Result<bool, StorageError> {
    let storage = Postgres::new(url, World::system())?;
    storage.connect().await?;
    let client = storage.0.client().await?;
    let asking = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = super::super::ask::row(&client, asking, &[]).await?;
    Ok(row.unwrap().get(0))
}

/// Why the queue does not open, which is not a matter of trying later.
async fn refusal(url: &str) -> String {
    let error = is_encrypted(url).await.unwrap_err();
    assert!(matches!(error, StorageError::Open { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn what_the_url_asks_for_is_checked() {
    let encrypted = Encrypted::running();
    let root = format!("sslrootcert={}", encrypted.root());
    let other = format!("sslrootcert={}", Certificates::new().file("root.pem"));
    // The certificate is for 127.0.0.1.
    let (right, wrong) = ("127.0.0.1", "localhost");
    for (host, parameters, told) in [
        (right, String::new(), None),
        (right, "sslmode=prefer".to_owned(), None),
        (wrong, "sslmode=require".to_owned(), None),
        (wrong, format!("sslmode=verify-ca&{root}"), None),
        (wrong, format!("sslmode=require&{root}"), None),
        (right, format!("sslmode=verify-full&{root}"), None),
        (
            wrong,
            format!("sslmode=verify-full&{root}"),
            Some("not valid for name \"localhost\""),
        ),
        (
            right,
            "sslmode=verify-full".to_owned(),
            Some("name the file of that root as sslrootcert"),
        ),
        (
            right,
            "sslrootcert=system".to_owned(),
            Some("name the file of that root as sslrootcert"),
        ),
    ] {
        let url = encrypted.url(host, &parameters);
        match told {
            None => assert!(is_encrypted(&url).await.unwrap(), "{url}"),
            Some(told) => {
                let refusal = refusal(&url).await;
                assert!(refusal.contains(told), "{url}: {refusal}");
            }
        }
    }
    // A root that has signed something else; the file has to stay until it is read.
    let stranger = Certificates::new();
    for mode in ["require", "verify-ca", "verify-full"] {
        let root = stranger.file("root.pem");
        let url = encrypted.url(right, &format!("sslmode={mode}&sslrootcert={root}"));
        let refusal = refusal(&url).await;
        assert!(refusal.contains("not signed by a root"), "{refusal}");
    }
    let missing = refusal(&encrypted.url(right, &format!("sslmode=verify-ca&{other}"))).await;
    assert!(
        missing.contains("root.pem cannot be read: No such file"),
        "{missing}"
    );
}

#[tokio::test]
async fn without_encryption_only_if_the_url_allows_it() {
    let encrypted = Encrypted::running();
    let error = is_encrypted(&encrypted.url("127.0.0.1", "sslmode=disable")).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no encryption"), "{error}");
    let plain = Server::running();
    for mode in ["disable", "prefer"] {
        let url = format!("{}&sslmode={mode}", plain.schema());
        assert!(!is_encrypted(&url).await.unwrap(), "{mode}");
    }
    let root = format!("sslrootcert={}", encrypted.root());
    for parameters in [
        "sslmode=require".to_owned(),
        format!("sslmode=require&{root}"),
        format!("sslmode=verify-ca&{root}"),
        format!("sslmode=verify-full&{root}"),
    ] {
        let refusal = refusal(&format!("{}&{parameters}", plain.schema())).await;
        assert!(refusal.contains("offers no TLS: set ssl = on"), "{refusal}");
    }
}

/// The connection that listens is another one.
#[tokio::test]
async fn what_one_process_stores_wakes_another() {
    let encrypted = Encrypted::running();
    let schema = encrypted.server.schema();
    let url = format!("{schema}&sslmode=require");
    let connect = async || {
        let storage = Postgres::new(&url, World::system()).unwrap();
        storage.connect().await.unwrap()
    };
    let (a, b) = (connect().await, connect().await);
    // The first news is that it listens.
    let seen = b.changed(0).await.unwrap();
    let bench = Bench::new();
    a.store(bench.mail("a.example"), None).await.unwrap();
    b.changed(seen).await.unwrap();
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    for (parameters, told) in [
        ("sslmode=allow", "sslmode is disable, prefer, require"),
        ("sslrootcert=/root.pem", "does not look at sslrootcert"),
        (
            "sslmode=prefer&sslrootcert=/root.pem",
            "does not look at sslrootcert",
        ),
        (
            "sslmode=verify-ca&sslrootcert=system",
            "needs sslmode=verify-full",
        ),
        (
            "sslmode=require&sslcert=/c.pem",
            "sslcert and sslkey belong together",
        ),
        (
            "sslmode=require&sslcert=%2Fc.pem&sslkey=/c.key",
            "/c.pem cannot be read",
        ),
    ] {
        let url = format!("postgres://slimta:secret@127.0.0.1:1/postgres?{parameters}");
        let refusal = refusal(&url).await;
        assert!(refusal.contains(told), "{parameters}: {refusal}");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}

#[tokio::test]
async fn a_client_certificate_lets_us_in() {
    let encrypted = Encrypted::with("hostssl all all all cert");
    encrypted.certificates.make("client", "client.example");
    let verify = format!("sslmode=verify-full&sslrootcert={}", encrypted.root());
    let error = is_encrypted(&encrypted.url("127.0.0.1", &verify)).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("requires a valid client certificate"),
        "{error}"
    );
    let (certificate, key) = (
        encrypted.certificates.file("client.pem"),
        encrypted.certificates.file("client.key"),
    );
    let url = format!("{verify}&sslcert={certificate}&sslkey={key}");
    assert!(
        is_encrypted(&encrypted.url("127.0.0.1", &url))
            .await
            .unwrap()
    );
}
