//! Passwords that are proven and not shown, as GNU SASL does it (SCRAM-SHA-256,
//! RFC 7677).

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use crate::auth::{Users, password_with};
use crate::encryption::swaks;
use crate::rig::{Store, stderr, stdout, until};

const SECRET: &str = "canary-in-a-coal mine";
const SCRAM: [&str; 2] = ["--mechanism", "SCRAM-SHA-256"];

/// What comes of a client of GNU SASL that logs in and leaves.
fn gsasl(address: SocketAddr, options: &[&str], user: &str, secret: &str) -> Output {
    Command::new("gsasl")
        .args(["--smtp", "--no-cb", "--no-starttls"])
        .arg(format!("--connect={address}"))
        .args(["--authentication-id", user, "--password", secret])
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The file with ann, who has the secret by SCRAM.
pub(crate) fn scram_only() -> Users {
    let users = Users::new();
    let line = stdout(&password_with(&["--scram", "ann"], &format!("{SECRET}\n")));
    assert!(line.starts_with("ann:SCRAM-SHA-256$500000:"), "{line}");
    fs::write(users.file(), line).unwrap();
    users
}

#[test]
fn gnu_sasl_proves_its_password() {
    let users = scram_only();
    let store = Store::new();
    let server = users.serve(&store, &["--auth-in-clear", "true"]);
    let logged_in = "client authenticated ip=127.0.0.1 user=ann";
    let failed = |user: &str| format!("authentication failed ip=127.0.0.1 user={user}");
    // Without a word of ours it takes the strongest, which is SCRAM.
    for options in [&SCRAM[..], &[]] {
        let good = gsasl(server.address, options, "ann", SECRET);
        let said = format!("{}{}", stdout(&good), stderr(&good));
        assert!(good.status.success(), "{said}");
        assert!(
            said.contains("250-AUTH SCRAM-SHA-256 PLAIN LOGIN"),
            "{said}"
        );
        assert!(
            said.contains("235 2.7.0 Authentication successful"),
            "{said}"
        );
        assert!(!said.contains("AUTH PLAIN\n"), "{said}");
    }
    for (user, secret) in [("ann", "wrong"), ("bob", SECRET)] {
        let bad = gsasl(server.address, &SCRAM, user, secret);
        assert!(!bad.status.success());
        let said = format!("{}{}", stdout(&bad), stderr(&bad));
        assert!(said.contains("535 5.7.8 "), "{said}");
        until("a line of the log", || {
            store.logged().contains(&failed(user)).then_some(())
        });
    }
    let log = store.logged();
    assert_eq!(log.matches(logged_in).count(), 2, "{log}");
    for secret in [SECRET, "SCRAM-SHA-256$", "n=ann"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    server.stop();
}

/// Who has keys of SCRAM may show the password, too; and who has none is not
/// locked out by a mechanism that is no good for them.
#[test]
fn a_file_of_both_kinds_is_for_everybody() {
    let users = scram_only();
    let both = {
        let keys = fs::read_to_string(users.file()).unwrap();
        users.are(&[("bob", SECRET)]);
        let hash = fs::read_to_string(users.file()).unwrap();
        format!("{keys}{hash}")
    };
    fs::write(users.file(), both).unwrap();
    let store = Store::new();
    let server = users.serve(&store, &["--auth-in-clear", "true"]);
    for user in ["ann", "bob"] {
        let login = ["--auth-user", user, "--auth-password", SECRET];
        let by_plain = ["--auth", "PLAIN", "--quit-after", "AUTH"];
        let handed = swaks(server.address, &[&login[..], &by_plain].concat());
        assert!(handed.status.success(), "{user}: {}", stdout(&handed));
        assert!(stdout(&handed).contains("250-AUTH PLAIN LOGIN"));
    }
    let refused = gsasl(server.address, &SCRAM, "ann", SECRET);
    let said = format!("{}{}", stdout(&refused), stderr(&refused));
    assert!(said.contains("504 5.5.4 "), "{said}");
    server.stop();
}
