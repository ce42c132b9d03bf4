//! Clients of others hand mail in, by STARTTLS and by TLS from the start, with each
//! mechanism that they know. More of swaks, smtplib and GNU SASL is in `auth` and
//! `scram`.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};

use crate::auth::{HOST, SECRET, Users};
use crate::rig::{Server, Store, fed, free_address, stderr, stdout, text};
use crate::scram;

const FROM: &str = "a@from.example";
const TO: &str = "b@to.example";
const LINES: &str = "Hello.\r\n.\r\n..two dots, and one alone.\r\n";

#[derive(Clone, Copy, Debug)]
enum Way {
    StartTls,
    FromTheStart,
}

/// A server that ann may hand mail in at, by each mechanism, and nobody else.
struct Submission {
    users: Users,
    store: Store,
    server: Server,
    encrypted: SocketAddr,
}

/// One try of a client.
struct Try<'a> {
    at: &'a Submission,
    way: Way,
    mechanism: &'a str,
    secret: &'a str,
}

impl Submission {
    fn new() -> Self {
        let users = scram::scram_only();
        let (store, encrypted) = (Store::new(), free_address());
        let server = users.serve(&store, &["--listen-tls", &encrypted.to_string()]);
        Submission {
            users,
            store,
            server,
            encrypted,
        }
    }

    /// What `hand_in` hands in arrives with the password, by each way and with each of
    /// the mechanisms; with another one it ends with `denied`.
    #[track_caller]
    fn takes_mail_from(&self, mechanisms: &[&str], hand_in: impl Fn(&Try) -> i32, denied: i32) {
        for way in [Way::StartTls, Way::FromTheStart] {
            for mechanism in mechanisms {
                let what = format!("{way:?} {mechanism}");
                let with = |secret| Try {
                    at: self,
                    way,
                    mechanism,
                    secret,
                };
                assert_eq!(hand_in(&with("wrong")), denied, "{what}");
                assert!(self.store.list().is_empty(), "{what}");
                assert_eq!(hand_in(&with(SECRET)), 0, "{what}");
                self.has_arrived(&what);
            }
        }
    }

    #[track_caller]
    fn has_arrived(&self, what: &str) {
        let list = self.store.list();
        let [message] = &list[..] else {
            panic!("{what}: {list:?}");
        };
        let id = text(message, "id");
        let content = self.store.queue_ok(&["show", id, "--content"]);
        assert!(content.contains(" with ESMTPSA "), "{what}: {content}");
        let subject = format!("\r\nSubject: {what}\r\n");
        assert!(content.contains(&subject), "{what}: {content}");
        let body = format!("\r\n\r\n{LINES}");
        assert!(content.ends_with(&body), "{what}: {content}");
        self.store.queue_ok(&["delete", id]);
    }
}

impl Try<'_> {
    fn port(&self) -> u16 {
        match self.way {
            Way::StartTls => self.at.server.address.port(),
            Way::FromTheStart => self.at.encrypted.port(),
        }
    }

    fn content(&self) -> String {
        let Try { way, mechanism, .. } = self;
        format!("From: {FROM}\r\nTo: {TO}\r\nSubject: {way:?} {mechanism}\r\n\r\n{LINES}")
    }

    fn root(&self) -> String {
        self.at.users.certificate()
    }

    /// How the program ends that has `input` to read.
    fn end_of(&self, command: &mut Command, input: &str) -> i32 {
        let ended = fed(command, input);
        let log = self.at.store.logged();
        assert!(!log.contains(SECRET), "{log}");
        let code = ended.status.code().unwrap();
        println!("{code}: {}{}", stdout(&ended), stderr(&ended));
        code
    }
}

/// curl without a word on TLS and passwords.
fn curl(scheme: &str, port: u16) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--verbose"])
        .args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")])
        .args(["--url", &format!("{scheme}://{HOST}:{port}/client.example")])
        .args(["--mail-from", FROM, "--mail-rcpt", TO])
        .args(["--upload-file", "-"]);
    command
}

#[test]
fn curl_hands_in_mail() {
    const LOGIN_DENIED: i32 = 67;
    let submission = Submission::new();
    let hand_in = |it: &Try| {
        let scheme = match it.way {
            Way::StartTls => "smtp",
            Way::FromTheStart => "smtps",
        };
        let mut command = curl(scheme, it.port());
        command
            .args(["--ssl-reqd", "--cacert", &it.root()])
            .args(["--user", &format!("ann:{}", it.secret)])
            .args(["--login-options", &format!("AUTH={}", it.mechanism)]);
        it.end_of(&mut command, &it.content())
    };
    submission.takes_mail_from(&["PLAIN", "LOGIN"], hand_in, LOGIN_DENIED);

    // In the clear it is offered nothing to log in by, and may not relay without.
    let mut command = curl("smtp", submission.server.address.port());
    command.args(["--user", &format!("ann:{SECRET}")]);
    let refused = fed(&mut command, "Subject: x\r\n\r\nx\r\n");
    let said = stderr(&refused);
    assert!(
        !refused.status.success() && !said.contains("> AUTH"),
        "{said}"
    );
    assert!(submission.store.list().is_empty());
    submission.server.stop();
}

#[test]
fn msmtp_hands_in_mail() {
    const NO_PERMISSION: i32 = 77;
    let submission = Submission::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("msmtprc");
    let account = |port: u16, lines: &str| {
        // It holds a password, so it has to be the caller's alone.
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let text = format!("account default\nhost 127.0.0.1\nport {port}\nfrom {FROM}\n{lines}");
        options
            .open(&file)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let mut command = Command::new("msmtp");
        command.arg(format!("--file={}", file.display())).arg(TO);
        command
    };
    let hand_in = |it: &Try| {
        let starttls = match it.way {
            Way::StartTls => "on",
            Way::FromTheStart => "off",
        };
        let lines = format!(
            "tls on\ntls_starttls {starttls}\ntls_trust_file {}\ntls_host_override {HOST}\n\
             auth {}\nuser ann\npassword \"{}\"\n",
            it.root(),
            it.mechanism.to_lowercase(),
            it.secret
        );
        let input = it.content().replace("\r\n", "\n");
        it.end_of(&mut account(it.port(), &lines), &input)
    };
    let mechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256"];
    submission.takes_mail_from(&mechanisms, hand_in, NO_PERMISSION);

    let login = format!("tls off\nauth plain\nuser ann\npassword \"{SECRET}\"\n");
    let mut command = account(submission.server.address.port(), &login);
    let refused = fed(&mut command, "Subject: x\n\nx\n");
    assert!(!refused.status.success(), "{}", stderr(&refused));
    assert!(submission.store.list().is_empty());
    submission.server.stop();
}

/// lettre, the client that programs in Rust use most.
#[test]
fn a_client_in_rust_hands_in_mail() {
    const DENIED: i32 = 535;
    let submission = Submission::new();
    let hand_in = |it: &Try| {
        let root = Certificate::from_pem(&fs::read(it.root()).unwrap()).unwrap();
        let parameters = TlsParameters::builder(HOST.to_owned())
            .certificate_store(CertificateStore::None)
            .add_root_certificate(root)
            .build()
            .unwrap();
        let (tls, mechanism) = (
            match it.way {
                Way::StartTls => Tls::Required(parameters),
                Way::FromTheStart => Tls::Wrapper(parameters),
            },
            match it.mechanism {
                "PLAIN" => Mechanism::Plain,
                _ => Mechanism::Login,
            },
        );
        let transport = SmtpTransport::builder_dangerous("127.0.0.1")
            .port(it.port())
            .tls(tls)
            .credentials(Credentials::new("ann".to_owned(), it.secret.to_owned()))
            .authentication(vec![mechanism])
            .timeout(Some(Duration::from_secs(60)))
            .build();
        let envelope =
            Envelope::new(Some(FROM.parse().unwrap()), vec![TO.parse().unwrap()]).unwrap();
        // It ends the last line itself.
        let content = it.content();
        match transport.send_raw(&envelope, content.trim_end().as_bytes()) {
            Ok(_) => 0,
            Err(error) => error
                .status()
                .map_or(-1, |code| code.to_string().parse().unwrap()),
        }
    };
    submission.takes_mail_from(&["PLAIN", "LOGIN"], hand_in, DENIED);
    submission.server.stop();
}
