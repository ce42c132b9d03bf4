//! TLS with clients, as swaks and OpenSSL see it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::rig::{Client, PATIENCE, Server, Store, free_address, run, stderr, stdout, text, until};

const HOST: &str = "mx.test.example";

/// Certificates that OpenSSL has made, each its own root.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn new() -> Self {
        Certificates(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.0.path().join(file).display().to_string()
    }

    /// Makes `NAME.pem` and `NAME.key` for the host `host`.
    #[track_caller]
    pub(crate) fn make(&self, name: &str, host: &str) {
        self.make_by(
            &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            name,
            host,
        );
    }

    /// The same with a key of another kind.
    #[track_caller]
    fn make_by(&self, kind: &[&str], name: &str, host: &str) {
        self.make_for(30, kind, name, host);
    }

    /// The same for so many days.
    #[track_caller]
    fn make_for(&self, days: u32, kind: &[&str], name: &str, host: &str) {
        let (chain, key) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        let subject = format!("/CN={name}");
        let names = format!("subjectAltName=DNS:{host}");
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey"])
            .args(kind)
            .args(["-nodes", "-days", &days.to_string()])
            .args(["-subj", &subject, "-addext", &names])
            // Some clients take none from a host that could sign others.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-out", &chain, "-keyout", &key])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", stderr(&made));
    }

    /// The options that name some of them.
    pub(crate) fn options(&self, names: &[&str]) -> Vec<String> {
        let each = names.iter().flat_map(|name| {
            let (chain, key) = (format!("{name}.pem"), format!("{name}.key"));
            [
                "--tls-certificate".to_owned(),
                self.path(&chain),
                "--tls-key".to_owned(),
                self.path(&key),
            ]
        });
        each.collect()
    }
}

/// A server that only stores, with these certificates and options.
#[track_caller]
pub(crate) fn serve(store: &Store, certificates: &[String], options: &[&str]) -> Server {
    let certificates = certificates.iter().map(String::as_str);
    let all: Vec<_> = ["--relay", "none"]
        .into_iter()
        .chain(certificates)
        .collect();
    store.serve(&[&all, options].concat())
}

/// `openssl s_client` that has been told `said` by the time it may end.
pub(crate) fn openssl(address: SocketAddr, options: &[&str], said: &str) -> Output {
    let mut client = s_client(address, options);
    let mut input = client.stdin.take().unwrap();
    // It may have ended already.
    let _ = input.write_all(said.as_bytes());
    let output = client.wait_with_output().unwrap();
    drop(input);
    output
}

fn s_client(address: SocketAddr, options: &[&str]) -> Child {
    Command::new("openssl")
        .args(["s_client", "-quiet", "-crlf", "-verify_return_error"])
        .args(["-connect", &address.to_string()])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// swaks hands in a message.
pub(crate) fn swaks(address: SocketAddr, options: &[&str]) -> Output {
    Command::new("swaks")
        .args([
            "--server",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
        ])
        .args(["--helo", "client.test.example", "--from", "a@from.example"])
        .args(["--to", "b@to.example"])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
pub(crate) fn only_message(store: &Store) -> String {
    let list = store.list();
    let [message] = &list[..] else {
        panic!("{list:?}");
    };
    store.queue_ok(&["show", text(message, "id"), "--content"])
}

#[test]
fn swaks_hands_mail_in_by_starttls_and_by_tls_from_the_start() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    let encrypted = free_address();
    for option in ["--tls", "--tls-on-connect"] {
        let store = Store::new();
        let listen = [
            "--listen-tls",
            &encrypted.to_string(),
            "--log-level",
            "debug",
        ];
        let server = serve(&store, &certificates.options(&["a"]), &listen);
        let address = match option {
            "--tls" => server.address,
            _ => encrypted,
        };
        let root = certificates.path("a.pem");
        let handed = swaks(address, &[option, "--tls-ca-path", &root]);
        assert!(
            handed.status.success(),
            "{}{}",
            stdout(&handed),
            stderr(&handed)
        );
        let content = only_message(&store);
        assert!(content.contains(" with ESMTPS "), "{content}");
        let log = store.logged();
        assert!(
            log.contains(&format!("listening on {} (smtp, STARTTLS)", server.address)),
            "{log}"
        );
        assert!(
            log.contains(&format!("listening on {encrypted} (smtps)")),
            "{log}"
        );
        assert!(log.contains("version=TLSv1.3 cipher=TLS13_"), "{log}");
        server.stop();
    }
}

#[test]
fn openssl_is_content_with_what_it_sees() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    certificates.make("b", "mx.other.example");
    let store = Store::new();
    let encrypted = free_address();
    let listen = ["--listen-tls", &encrypted.to_string()];
    let server = serve(&store, &certificates.options(&["a", "b"]), &listen);
    let starttls = &["-starttls", "smtp"][..];
    for (root, host) in [("a.pem", HOST), ("b.pem", "mx.other.example")] {
        let root = certificates.path(root);
        for (address, way) in [(server.address, starttls), (encrypted, &[])] {
            for version in ["-tls1_2", "-tls1_3"] {
                let checks = [
                    "-CAfile",
                    &root,
                    "-verify_hostname",
                    host,
                    "-servername",
                    host,
                ];
                let options = [way, &checks, &[version]].concat();
                let seen = openssl(address, &options, "EHLO c\nNOOP\nQUIT\n");
                let said = stdout(&seen);
                assert!(
                    seen.status.success(),
                    "{options:?}: {said}{}",
                    stderr(&seen)
                );
                assert!(
                    said.ends_with("250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"),
                    "{said}"
                );
                assert!(!said.contains("STARTTLS"), "{said}");
            }
        }
    }
    // RFC 8996: OpenSSL itself has to be talked into it.
    let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    for (address, way) in [(server.address, starttls), (encrypted, &[])] {
        let refused = openssl(address, &[way, &old].concat(), "");
        assert!(!refused.status.success());
        assert!(
            stderr(&refused).contains("SSL alert number"),
            "{}",
            stderr(&refused)
        );
    }
    server.stop();
}

#[test]
fn a_client_gets_the_kind_of_key_that_it_knows() {
    let certificates = Certificates::new();
    certificates.make("ec", HOST);
    certificates.make_by(&["rsa:2048"], "rsa", HOST);
    let store = Store::new();
    let server = serve(&store, &certificates.options(&["ec", "rsa"]), &[]);
    for (root, schemes) in [
        ("ec.pem", "ECDSA+SHA256:RSA+SHA256"),
        ("rsa.pem", "RSA+SHA256"),
    ] {
        let root = certificates.path(root);
        let options = [
            "-starttls",
            "smtp",
            "-tls1_2",
            "-servername",
            HOST,
            "-sigalgs",
            schemes,
            "-CAfile",
            &root,
        ];
        let seen = openssl(server.address, &options, "QUIT\n");
        assert!(seen.status.success(), "{schemes}: {}", stderr(&seen));
    }
    server.stop();
}

#[test]
fn a_server_without_certificate_offers_no_tls() {
    let store = Store::new();
    let server = serve(&store, &[], &[]);
    let refused = swaks(server.address, &["--tls"]);
    assert!(!refused.status.success());
    let said = stdout(&refused);
    assert!(
        said.contains("250 ") && !said.contains("STARTTLS"),
        "{said}"
    );
    let mut client = Client::connect(server.address).unwrap();
    client.ask("STARTTLS", "502 5.5.1").unwrap();
    assert!(store.logged().contains("(smtp)"), "{}", store.logged());
    server.stop();
}

#[test]
fn mail_in_the_clear_is_refused_where_tls_is_required() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    let store = Store::new();
    let server = serve(
        &store,
        &certificates.options(&["a"]),
        &["--require-tls", "true"],
    );
    let refused = swaks(server.address, &[]);
    assert!(!refused.status.success());
    assert!(
        stdout(&refused).contains("530 5.7.0 "),
        "{}",
        stdout(&refused)
    );
    let handed = swaks(server.address, &["--tls"]);
    assert!(handed.status.success(), "{}", stdout(&handed));
    only_message(&store);
    server.stop();
}

#[test]
fn commands_behind_starttls_in_one_segment_are_never_done() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    let store = Store::new();
    let server = serve(&store, &certificates.options(&["a"]), &[]);
    let mut client = Client::connect(server.address).unwrap();
    let commands = "STARTTLS\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\r\n.";
    client.ask(commands, "421 4.7.0").unwrap();
    let end = client.expect("").unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(store.list().is_empty());
    let log = store.logged();
    assert!(
        log.contains("commands behind STARTTLS in the clear"),
        "{log}"
    );
    server.stop();
}

#[test]
fn the_clear_ends_at_once_where_tls_comes_first() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    let store = Store::new();
    let encrypted = free_address();
    let listen = ["--listen-tls", &encrypted.to_string()];
    let server = serve(&store, &certificates.options(&["a"]), &listen);
    let mut client = TcpStream::connect(encrypted).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"EHLO client.test.example\r\n").unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).unwrap();
    // An alert of TLS, and no word of SMTP.
    assert!(said.starts_with(&[21, 3]) && said.len() == 7, "{said:?}");
    server.stop();
}

#[test]
fn a_certificate_that_ends_soon_is_told_of() {
    let certificates = Certificates::new();
    for (days, name) in [(13, "old"), (15, "new")] {
        certificates.make_for(days, &["rsa:2048"], name, HOST);
    }
    let store = Store::new();
    let server = serve(&store, &certificates.options(&["old", "new"]), &[]);
    let log = store.logged();
    let told = |name: &str| {
        let file = certificates.path(&format!("{name}.pem"));
        log.contains(&format!(
            "--tls-certificate: warning: {file} is over within 14 days"
        ))
    };
    assert!(told("old") && !told("new"), "{log}");
    server.stop();
}

#[test]
fn a_new_certificate_is_used_without_a_restart_and_a_bad_one_is_not() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    let store = Store::new();
    let server = serve(&store, &certificates.options(&["a"]), &[]);
    let is_shown = |root: &str| {
        let root = certificates.path(root);
        let options = ["-starttls", "smtp", "-CAfile", &root];
        openssl(server.address, &options, "QUIT\n").status.success()
    };
    fs::copy(certificates.path("a.pem"), certificates.path("old.pem")).unwrap();
    assert!(is_shown("old.pem"));
    certificates.make("a", HOST);
    until("the new certificate", || is_shown("a.pem").then_some(()));
    assert!(!is_shown("old.pem"));

    fs::copy(certificates.path("a.pem"), certificates.path("good.pem")).unwrap();
    fs::write(certificates.path("a.pem"), "garbage\n").unwrap();
    let named = format!("{} has no certificate in it", certificates.path("a.pem"));
    until("an error that names the file", || {
        assert!(is_shown("good.pem"));
        store.logged().contains(&named).then_some(())
    });
    server.stop();
}

#[test]
fn a_shutdown_says_goodbye_under_tls() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    let store = Store::new();
    let server = serve(&store, &certificates.options(&["a"]), &[]);
    let root = certificates.path("a.pem");
    let mut client = s_client(server.address, &["-starttls", "smtp", "-CAfile", &root]);
    let mut input = client.stdin.take().unwrap();
    let mut reading = client.stdout.take().unwrap();
    input.write_all(b"NOOP\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"250 2.0.0 Ok\r\n") {
        let mut byte = [0];
        reading.read_exact(&mut byte).unwrap();
        seen.extend(byte);
    }
    server.stop();
    let mut rest = String::new();
    reading.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "421 4.3.2 Service shutting down\r\n");
    // OpenSSL takes an end without close_notify for a failure.
    let ended = client.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", stderr(&ended));
    drop(input);
}

#[test]
fn what_cannot_be_used_is_named_at_the_start() {
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    certificates.make("b", HOST);
    let (chain, key) = (certificates.path("a.pem"), certificates.path("a.key"));
    let (other, missing) = (certificates.path("b.key"), certificates.path("missing"));
    // As OpenSSL signs a request that says nothing of a version.
    let old = certificates.path("old.pem");
    let request = format!(
        "openssl req -new -key {key} -subj /CN=old | openssl x509 -req -signkey {key} -out {old}"
    );
    let made = Command::new("sh").args(["-c", &request]).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let store = Store::new();
    for (options, named) in [
        (vec!["--tls-certificate", &chain], "tls-key"),
        (
            vec!["--require-tls", "true"],
            "--require-tls: it needs a certificate",
        ),
        (
            vec!["--listen-tls", "127.0.0.1:0"],
            "--listen-tls: it needs a certificate",
        ),
        (
            vec!["--tls-certificate", &missing, "--tls-key", &key],
            &*missing,
        ),
        (
            vec!["--tls-certificate", &chain, "--tls-key", &missing],
            &*missing,
        ),
        (vec!["--tls-certificate", &key, "--tls-key", &key], &*key),
        (
            vec!["--tls-certificate", &chain, "--tls-key", &other],
            &*other,
        ),
        (
            vec!["--tls-certificate", &old, "--tls-key", &key],
            "the certificate has no version 3",
        ),
    ] {
        let url = store.url();
        let serve = [
            "serve",
            "--storage",
            &url,
            "--relay",
            "none",
            "--listen",
            "127.0.0.1:0",
        ];
        let said = run(&[&serve[..], &options].concat());
        assert_eq!(said.status.code(), Some(2), "{options:?}");
        assert!(
            stderr(&said).contains(named),
            "{options:?}: {}",
            stderr(&said)
        );
        assert!(!store.path().exists());
    }
    // The file says what flags say.
    let config = store.path().with_extension("toml");
    let listen = free_address();
    let written =
        format!("listen-tls = ['{listen}']\ntls-certificate = ['{chain}']\ntls-key = ['{key}']\n");
    fs::write(&config, written).unwrap();
    let path = config.display().to_string();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let server = store.serve(&["--relay", "none", "--config", &path]);
    let checks = ["-CAfile", &chain, "-verify_hostname", HOST];
    assert!(openssl(listen, &checks, "QUIT\n").status.success());
    let log = store.logged();
    assert!(
        log.contains("everybody may read or write this private key"),
        "{log}"
    );
    server.stop();
}
