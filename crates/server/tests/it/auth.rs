//! Clients that say who they are, as swaks and Python's smtplib do it.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};

use crate::encryption::{Certificates, only_message, serve, swaks};
use crate::rig::{Client, Server, Store, fed, free_address, run, slimta, stderr, stdout, until};

/// Whose certificate it is.
pub(crate) const HOST: &str = "mx.test.example";
/// Nobody's address here: who does not say who they are may not relay.
const NOBODY: [&str; 2] = ["--permit", "192.0.2.0/24"];
pub(crate) const SECRET: &str = "canary-in-a-coal mine";
/// How swaks logs in as ann.
pub(crate) const LOGIN: [&str; 6] = [
    "--auth",
    "PLAIN",
    "--auth-user",
    "ann",
    "--auth-password",
    SECRET,
];
const RELAYING_DENIED: &str = "550 5.7.1 Relaying denied";

/// What `slimta password USER` prints if this is typed.
fn password(user: &str, typed: &str) -> Output {
    password_with(&[user], typed)
}

/// What `slimta password ARGUMENTS` prints.
pub(crate) fn password_with(arguments: &[&str], typed: &str) -> Output {
    fed(&mut slimta(&[&["password"], arguments].concat()), typed)
}

/// A directory with certificates and the file of ann, whose password is the
/// secret.
pub(crate) struct Users(Certificates);

impl Users {
    pub(crate) fn new() -> Self {
        Users::with("ann", SECRET)
    }

    pub(crate) fn with(user: &str, secret: &str) -> Self {
        let certificates = Certificates::new();
        certificates.make("a", HOST);
        let users = Users(certificates);
        users.are(&[(user, secret)]);
        users
    }

    pub(crate) fn file(&self) -> String {
        self.0.path("users")
    }

    /// The server's certificate, which is its own root.
    pub(crate) fn certificate(&self) -> String {
        self.0.path("a.pem")
    }

    /// Writes the file anew.
    pub(crate) fn are(&self, users: &[(&str, &str)]) {
        let mut text = "# users\n\n".to_owned();
        for (user, secret) in users {
            let line = stdout(&password(user, &format!("{secret}\n")));
            assert!(line.starts_with(&format!("{user}:$argon2id$v=19$m=19456,t=2,p=1$")));
            text.push_str(&line);
        }
        fs::write(self.file(), text).unwrap();
    }

    /// A server that knows them and takes mail from nobody else.
    pub(crate) fn serve(&self, store: &Store, options: &[&str]) -> Server {
        let file = self.file();
        let all = [
            &NOBODY[..],
            &["--credentials", &file, "--log-level", "trace"],
            options,
        ]
        .concat();
        serve(store, &self.0.options(&["a"]), &all)
    }

    /// What becomes of a message that swaks hands in.
    fn hand_in(&self, address: SocketAddr, options: &[&str]) -> Output {
        swaks(address, &[&["--tls"], options].concat())
    }
}

/// The log never holds the secret, as it is or in base64.
fn log_without_secrets(store: &Store) -> String {
    let log = store.logged();
    let script = "import base64, sys\n\
                  for user in ('', '\\0ann\\0', 'ann\\0ann\\0'):\n\
                  \x20   print(base64.b64encode((user + sys.argv[1]).encode()).decode())";
    let encoded = Command::new("python3")
        .args(["-c", script, SECRET])
        .output();
    let encoded = stdout(&encoded.unwrap());
    assert_eq!(encoded.lines().count(), 3);
    for secret in encoded.lines().chain([SECRET, "argon2id"]) {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    log
}

#[test]
fn swaks_relays_with_a_password_and_not_without() {
    let users = Users::new();
    let encrypted = free_address();
    for mechanism in ["PLAIN", "LOGIN"] {
        for way in ["--tls", "--tls-on-connect"] {
            let store = Store::new();
            let server = users.serve(&store, &["--listen-tls", &encrypted.to_string()]);
            let address = match way {
                "--tls" => server.address,
                _ => encrypted,
            };
            let refused = swaks(address, &[way]);
            assert!(!refused.status.success());
            assert!(stdout(&refused).contains(RELAYING_DENIED));
            let login = ["--auth", mechanism, "--auth-user", "ann"];
            let handed = swaks(
                address,
                &[&[way], &login[..], &["--auth-password", SECRET]].concat(),
            );
            let said = stdout(&handed);
            assert!(handed.status.success(), "{said}{}", stderr(&handed));
            assert!(said.contains("235 2.7.0 Authentication successful"));
            assert!(said.contains("250-AUTH PLAIN LOGIN"));
            let content = only_message(&store);
            assert!(content.contains(" with ESMTPSA "), "{content}");
            let log = log_without_secrets(&store);
            let line = "client authenticated ip=127.0.0.1 user=ann";
            assert!(log.contains(line), "{log}");
            server.stop();
        }
    }
}

#[test]
fn a_wrong_password_and_a_wrong_user_are_told_alike() {
    let users = Users::new();
    let store = Store::new();
    let server = users.serve(&store, &[]);
    for (user, secret) in [("ann", "canary"), ("bob", SECRET), ("Ann", SECRET)] {
        let login = ["--auth", "PLAIN", "--auth-user", user];
        let refused = users.hand_in(
            server.address,
            &[&login[..], &["--auth-password", secret]].concat(),
        );
        assert!(!refused.status.success());
        let told = "535 5.7.8 Authentication credentials invalid";
        assert!(stdout(&refused).contains(told), "{}", stdout(&refused));
        let log = log_without_secrets(&store);
        let line = format!("authentication failed ip=127.0.0.1 user={user}");
        assert!(log.contains(&line), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
    assert!(store.list().is_empty());
    server.stop();
}

/// Twenty in ten minutes, over all connections.
#[test]
fn who_guesses_has_few_guesses() {
    let users = Users::new();
    let store = Store::new();
    let server = users.serve(&store, &["--auth-in-clear", "true"]);
    // Alone each connection would be slowed down and cut off.
    let guesses: Vec<_> = (0..21)
        .map(|_| {
            let mut client = Client::connect(server.address).unwrap();
            client.ask("EHLO c", "250").unwrap();
            // ann, and a password that is wrong.
            client.say("AUTH PLAIN AGFubgB3cm9uZw==").unwrap();
            client
        })
        .collect();
    let told = guesses.into_iter().map(|mut client| {
        let reply = client.expect("").unwrap();
        reply[..9].to_owned()
    });
    let (denied, later): (Vec<_>, Vec<_>) = told.partition(|reply| reply == "535 5.7.8");
    assert_eq!((denied.len(), later), (20, vec!["454 4.7.0".to_owned()]));
    // Nor is the right one looked at any more.
    let login = ["--auth", "PLAIN", "--auth-user", "ann"];
    let refused = users.hand_in(
        server.address,
        &[&login[..], &["--auth-password", SECRET]].concat(),
    );
    assert!(stdout(&refused).contains("454 4.7.0 Too many failed attempts"));
    log_without_secrets(&store);
    server.stop();
}

#[test]
fn in_the_clear_no_password_is_taken_unless_it_may_be() {
    let users = Users::new();
    let store = Store::new();
    let server = users.serve(&store, &[]);
    let refused = swaks(server.address, &LOGIN);
    assert!(!refused.status.success() && !stdout(&refused).contains("250-AUTH"));
    let mut client = Client::connect(server.address).unwrap();
    client.ask("EHLO c", "250").unwrap();
    client
        .ask("AUTH PLAIN AGFubgB3cm9uZw==", "538 5.7.11 ")
        .unwrap();
    client.ask("AUTH LOGIN", "538 5.7.11 ").unwrap();
    server.stop();

    let server = users.serve(&store, &["--auth-in-clear", "true"]);
    let handed = swaks(server.address, &LOGIN);
    assert!(handed.status.success(), "{}", stdout(&handed));
    assert!(only_message(&store).contains(" with ESMTPA "));
    log_without_secrets(&store);
    server.stop();
}

#[test]
fn smtplib_logs_in() {
    const SCRIPT: &str = "
import itertools, smtplib, sys
host, port, encrypted, secret = sys.argv[1:]

def by_starttls():
    server = smtplib.SMTP(host, int(port))
    server.starttls()
    return server

def by_tls():
    return smtplib.SMTP_SSL(host, int(encrypted))

for connect, method in itertools.product((by_starttls, by_tls), ('auth_plain', 'auth_login')):
    for secret_is_good in (False, True):
        server = connect()
        server.ehlo()
        server.user, server.password = 'ann', secret if secret_is_good else 'wrong'
        auth = getattr(server, method)
        name = method[5:].upper()
        try:
            print(name, server.auth(name, auth, initial_response_ok=method == 'auth_plain'))
        except smtplib.SMTPAuthenticationError as error:
            print(name, error.smtp_code)
            continue
        server.sendmail('a@from.example', 'b@to.example', 'Subject: ' + name + '\\r\\n\\r\\nHello.')
        server.quit()
";
    let users = Users::new();
    let store = Store::new();
    let encrypted = free_address();
    let server = users.serve(&store, &["--listen-tls", &encrypted.to_string()]);
    let ports = [server.address, encrypted].map(|address| address.port().to_string());
    let ran = Command::new("python3")
        .args(["-c", SCRIPT, "127.0.0.1"])
        .args(ports)
        .arg(SECRET)
        .output()
        .unwrap();
    let good = "(235, b'2.7.0 Authentication successful')";
    let each_way = format!("PLAIN 535\nPLAIN {good}\nLOGIN 535\nLOGIN {good}\n");
    assert_eq!(stdout(&ran), each_way.repeat(2), "{}", stderr(&ran));
    assert_eq!(store.list().len(), 4);
    log_without_secrets(&store);
    server.stop();
}

#[test]
fn a_user_sends_only_from_its_own_addresses() {
    let users = Users::new();
    let store = Store::new();
    let file = users.0.path("senders");
    fs::write(&file, "# swaks says a@from.example\nann: ann@own.example\n").unwrap();
    let server = users.serve(&store, &["--senders", &file]);
    let refused = users.hand_in(server.address, &LOGIN);
    assert!(!refused.status.success());
    let told = "553 5.7.1 Your user name may not send from this address";
    assert!(stdout(&refused).contains(told), "{}", stdout(&refused));
    let log = store.logged();
    let line = "sender refused: it is not its user's ip=127.0.0.1 user=ann sender=a@from.example";
    assert!(log.contains(line), "{log}");
    fs::write(&file, "ann: ann@own.example @from.example\n").unwrap();
    until("the file to be read again", || {
        let handed = users.hand_in(server.address, &LOGIN);
        handed.status.success().then_some(())
    });
    assert!(only_message(&store).contains(" with ESMTPSA "));
    server.stop();

    fs::write(&file, "ann: ann@own.example\nbob\n").unwrap();
    let certificates = users.0.options(&["a"]);
    let certificates: Vec<_> = certificates.iter().map(String::as_str).collect();
    let named = ["--credentials", &users.file(), "--senders", &file];
    let said = run(&[
        &["serve", "--storage", &store.url()],
        &certificates[..],
        &named,
    ]
    .concat());
    assert_eq!(said.status.code(), Some(2));
    let why = format!("--senders: {file} line 2: it is not USER: ADDRESS");
    assert!(stderr(&said).contains(&why), "{}", stderr(&said));
}

#[test]
fn a_file_that_has_changed_is_read_again() {
    let users = Users::new();
    let store = Store::new();
    let server = users.serve(&store, &[]);
    let logs_in = |user: &str, secret: &str| {
        let login = [
            "--auth",
            "LOGIN",
            "--auth-user",
            user,
            "--auth-password",
            secret,
        ];
        let quit = ["--quit-after", "AUTH"];
        let tried = users.hand_in(server.address, &[&login[..], &quit].concat());
        tried.status.success()
    };
    assert!(logs_in("ann", SECRET) && !logs_in("bob", "other secret"));
    users.are(&[("bob", "other secret"), ("carl", "x")]);
    assert!(!logs_in("ann", SECRET) && logs_in("bob", "other secret"));
    // What is broken is told, and not used.
    fs::write(users.file(), "# users\nbob canary\n").unwrap();
    assert!(logs_in("bob", "other secret"));
    let told = format!("{} line 2: it is not USER:HASH", users.file());
    until("a line of the log", || {
        log_without_secrets(&store).contains(&told).then_some(())
    });
    assert!(!store.logged().contains("canary"));
    fs::remove_file(users.file()).unwrap();
    assert!(logs_in("bob", "other secret"));
    server.stop();
}

#[test]
fn what_cannot_be_used_is_named_at_the_start() {
    let users = Users::new();
    let store = Store::new();
    let (file, url) = (users.file(), store.url());
    let certificate = users.0.options(&["a"]);
    let start = |options: &[&str]| {
        let certificate: Vec<_> = certificate.iter().map(String::as_str).collect();
        let fixed = ["serve", "--relay", "none", "--storage", &url];
        let said = run(&[&fixed[..], &certificate, options].concat());
        assert_eq!(said.status.code(), Some(2));
        stderr(&said)
    };
    fs::write(&file, "ann:canary\n").unwrap();
    let said = start(&["--credentials", &file]);
    assert!(said.contains(&format!("{file} line 1: the hash is not one of Argon2id")));
    assert!(
        said.contains("--credentials: ") && !said.contains("canary"),
        "{said}"
    );
    let missing = users.0.path("missing");
    let said = start(&["--credentials", &missing]);
    assert!(
        said.contains(&format!("{missing} cannot be read: ")),
        "{said}"
    );
    let said = start(&["--auth-in-clear", "true"]);
    assert!(
        said.contains("--auth-in-clear: it needs a file of users"),
        "{said}"
    );

    let clear = run(&[
        "serve",
        "--relay",
        "none",
        "--storage",
        &url,
        "--credentials",
        &file,
    ]);
    assert_eq!(clear.status.code(), Some(2));
    assert!(stderr(&clear).contains("--credentials: they need TLS"));
}

#[test]
fn a_password_that_nobody_could_send_has_no_line() {
    for (user, typed) in [("ann", ""), ("ann", "\n"), ("", "x\n"), ("#ann", "x\n")] {
        let refused = password(user, typed);
        assert_eq!(refused.status.code(), Some(2), "{user:?} {typed:?}");
        assert!(stdout(&refused).is_empty() && stderr(&refused).contains("cannot have"));
    }
    assert_ne!(stdout(&password("ann", "x")), stdout(&password("ann", "x")));
}
