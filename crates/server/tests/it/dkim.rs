//! Signatures of DKIM, verified by a stranger's program.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::rig::{Client, NextHop, Store, fed, run, send, stderr, stdout, text};

/// The interpreter that has the verifier: a machine may have several.
pub(crate) fn python() -> &'static str {
    let has_verifier = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", "import dkim, nacl"]);
        command.output().is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has_verifier);
    python.expect("no verifier: install python3-dkim and python3-nacl")
}

/// Keys of example.org in a directory, a configuration that names them, and what
/// the domain publishes.
pub(crate) struct Keys {
    directory: tempfile::TempDir,
}

/// A domain, a selector, and how openssl makes the key.
const KEYS: [(&str, &str, &[&str]); 3] = [
    ("example.org", "rsa", &["genrsa", "2048"]),
    ("example.org", "ed", &["genpkey", "-algorithm", "ed25519"]),
    (
        "sub.example.org",
        "old",
        &["genrsa", "-traditional", "2048"],
    ),
];

impl Keys {
    #[track_caller]
    pub(crate) fn make() -> Self {
        let keys = Keys {
            directory: tempfile::tempdir().unwrap(),
        };
        let mut config = "hostname = 'mx.example.org'\n".to_owned();
        let mut records = serde_json::Map::new();
        for (domain, selector, make) in KEYS {
            let path = keys.path(selector);
            openssl(make, &path);
            let file = path.display().to_string();
            config += &format!("[[dkim.'{domain}']]\nselector = '{selector}'\nkey = '{file}'\n");
            let options = ["--selector", selector, "--domain", domain];
            let said = run(&[&["dkim", "record", &file], &options[..]].concat());
            assert!(said.status.success(), "{}", stderr(&said));
            // NAME. IN TXT ( "one string" "the next" )
            let line = stdout(&said);
            let (name, record) = line.split_once(". IN TXT ").unwrap();
            let record: String = record.split('"').skip(1).step_by(2).collect();
            records.insert(name.to_owned(), record.into());
        }
        std::fs::write(keys.path("config"), config).unwrap();
        std::fs::write(keys.path("records"), Value::Object(records).to_string()).unwrap();
        keys
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self) -> String {
        self.path("config").display().to_string()
    }

    /// What the domains publish of them: names, and the text of their TXT records.
    pub(crate) fn records(&self) -> Vec<(String, String)> {
        let records = std::fs::read(self.path("records")).unwrap();
        let records: std::collections::BTreeMap<_, _> = serde_json::from_slice(&records).unwrap();
        records.into_iter().collect()
    }

    /// A message as the stranger signs it, for a domain and the selector of one of
    /// these keys.
    #[track_caller]
    pub(crate) fn signed_by_stranger(
        &self,
        message: &[u8],
        selector: &str,
        domain: &str,
    ) -> Vec<u8> {
        let mut command = Command::new(python());
        command.args(["-c", include_str!("sign_dkim.py")]);
        command.arg(self.path(selector)).args([selector, domain]);
        let output = fed(&mut command, message);
        assert!(output.status.success());
        output.stdout
    }

    /// What the stranger says of the signatures of these files.
    #[track_caller]
    fn verified(&self, files: &[PathBuf]) -> Vec<Value> {
        let mut command = Command::new(python());
        command.arg("-c").arg(include_str!("verify_dkim.py"));
        command.arg(self.path("records")).args(files);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Sees that each of these files has a signature of each of these keys, and
    /// that all hold.
    #[track_caller]
    pub(crate) fn all_hold(&self, files: &[PathBuf], algorithms: &[&str]) {
        let verified = self.verified(files);
        for file in files {
            let path = file.display().to_string();
            let signatures = verified.iter().filter(|one| one["file"] == path.as_str());
            let seen: Vec<_> = signatures
                .map(|one| {
                    let message =
                        String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
                    assert!(one["fails"].is_null(), "{one}\n{message}");
                    text(one, "algorithm")
                })
                .collect();
            assert_eq!(seen, algorithms);
        }
    }
}

fn openssl(args: &[&str], into: &Path) {
    let output = Command::new("openssl").args(args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::write(into, output.stdout).unwrap();
    set_mode(into, 0o640);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

const BOTH: [&str; 2] = ["rsa-sha256", "ed25519-sha256"];
const HEADER: &str = "From: A <a@example.org>\r\nTo: b@to.example\r\nSubject: A  test\r\n\
    Date: Tue, 24 Nov 2026 08:17:29 +0000\r\nMessage-ID: <1@example.org>\r\n";

/// Messages that are easily signed wrong.
fn vectors() -> Vec<Vec<u8>> {
    let of =
        |fields: &str, body: &[u8]| [HEADER.as_bytes(), fields.as_bytes(), b"\r\n", body].concat();
    vec![
        HEADER.into(),
        of("", b""),
        of("", b"\r\n"),
        of("", b"\r\n\r\n\r\n\r\n"),
        of("", b" \t\r\n \r\n"),
        of("", b"Hello.\r\n"),
        of(
            "",
            b"Trailing blanks \t \r\n  and  \t leading\r\n\r\n \r\n\r\n",
        ),
        of("", b"a\r\n\r\n\r\nb\r\n"),
        of("", b".\r\n..\r\n...x\r\n.From\r\n"),
        of("", "Grüße\r\n".as_bytes()),
        of("", b"Gr\xfc\xdfe \xff\r\n"),
        of(
            "X-Latin: \u{fc}\r\nReply-To: \"\u{fc}\" <c@example.org>\r\n",
            b"a\r\n",
        ),
        of(
            "List-Id: a\r\nCC:b@to.example,\r\n\t c@to.example \r\n  (d)\r\nlist-id: b\r\n",
            b"a\r\n",
        ),
        of(
            "Cc: one\r\nSubject: another\r\nCc: two\r\nsubject:third\r\n",
            b"a\r\n",
        ),
        of(
            "MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n",
            b"a\r\n",
        ),
        of(
            "DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=x; h=from; bh=; b=\r\n",
            b"a\r\n",
        ),
        of("", &b"A line of words,  and more. \r\n".repeat(20_000)),
    ]
}

#[test]
fn a_stranger_verifies_what_two_servers_passed_on() {
    let keys = Keys::make();
    let (first, second) = (Store::new(), Store::new());
    let maildir = keys.path("maildir");
    let last = second.serve(&["--relay", &format!("maildir:{}", maildir.display())]);
    let relay = format!("smtp://{}", last.address);
    let server = first.serve(&["--relay", &relay, "--config", &keys.config()]);
    let mut client = Client::connect(server.address).unwrap();
    for (number, content) in vectors().iter().enumerate() {
        let to = format!("{number}@to.example");
        client.send_octets("a@example.org", &to, content).unwrap();
    }
    first.until_empty();
    second.until_empty();
    let delivered = std::fs::read_dir(maildir.join("new")).unwrap();
    let delivered: Vec<_> = delivered.map(|file| file.unwrap().path()).collect();
    assert_eq!(delivered.len(), vectors().len());
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for path in delivered {
        let content = std::fs::read(&path).unwrap();
        let top = String::from_utf8_lossy(&content[..200]).into_owned();
        let (_, rest) = top.split_once("Delivered-To: ").unwrap();
        let number: usize = rest.split('@').next().unwrap().parse().unwrap();
        let original = &vectors()[number];
        assert!(content.ends_with(original), "{number}: {top}");
        let was_signed = original.windows(14).any(|part| part == b"DKIM-Signature");
        let files = if was_signed { &mut others } else { &mut ours };
        files.push(path);
    }
    keys.all_hold(&ours, &BOTH);
    // The signature of another domain is nothing to us.
    let seen = keys.verified(&others);
    let fails: Vec<_> = seen.iter().map(|one| !one["fails"].is_null()).collect();
    assert_eq!(fails, [false, false, true]);
}

#[test]
fn each_domain_signs_with_its_own_keys_and_others_with_none() {
    let keys = Keys::make();
    let store = Store::new();
    let server = store.serve(&["--relay", "none", "--config", &keys.config()]);
    let two = "From: a@example.org\nFrom: b@example.org\n\nHello.";
    for (content, algorithms) in [
        ("From: a@example.org\n\nHello.", &BOTH[..]),
        ("From: a@deep.sub.example.org\n\nHello.", &["rsa-sha256"]),
        ("From: a@example.com\n\nHello.", &[]),
        ("Subject: from nobody\n\nHello.", &[]),
        (two, &[]),
    ] {
        let mut client = Client::connect(server.address).unwrap();
        let said = client
            .send("a@example.org", &["b@to.example"], content)
            .unwrap();
        let id = said.trim_end().rsplit(' ').next().unwrap();
        keys.all_hold(&[stored(&keys, &store, id)], algorithms);
    }
    let logged = store.logged();
    for why in ["it has no From field", "it has several From fields"] {
        assert!(logged.contains(why), "{why}: {logged}");
    }
}

/// A stored message as a file.
fn stored(keys: &Keys, store: &Store, id: &str) -> PathBuf {
    let path = keys.path(id);
    std::fs::write(&path, store.queue_ok(&["show", id, "--content"])).unwrap();
    path
}

/// The notice that waits.
fn notice(keys: &Keys, store: &Store) -> PathBuf {
    let id = store.until_list("the notice", |list| match list {
        [one] if one["sender"] == "" => Some(text(one, "id").to_owned()),
        _ => None,
    });
    stored(keys, store, &id)
}

#[test]
fn notices_are_signed_by_the_domain_of_the_host() {
    let keys = Keys::make();
    let hop = NextHop::answering(&["^rcpt@=550 5.1.1 Unknown", "^a@=450 4.2.0 Later"]);
    let store = Store::new();
    let config = keys.config();
    let options = ["--config", &config, "--hostname", "mx.example.org"];
    let relay = ["--relay", &hop.url(), "--retry", "1h..;until=2d"];
    let server = store.serve(&[&options[..], &relay].concat());
    send(server.address, "a@from.example", &["rcpt@to.example"]);
    keys.all_hold(&[notice(&keys, &store)], &BOTH);
    assert!(
        !store
            .logged()
            .contains("everybody on this host can read a key")
    );

    // And what an operator writes whose server does not run.
    let store = Store::new();
    set_mode(&keys.path("rsa"), 0o644);
    let server = store.serve(&[&options[..], &["--relay", "none"]].concat());
    assert!(
        store
            .logged()
            .contains("everybody on this host can read a key")
    );
    let id = send(server.address, "a@from.example", &["rcpt@to.example"]);
    server.stop();
    store.queue_ok(&["bounce", &id, "--config", &config]);
    keys.all_hold(&[notice(&keys, &store)], &BOTH);
}

#[test]
fn a_key_that_cannot_sign_is_named_before_anything_is_open() {
    let store = Store::new();
    let directory = tempfile::tempdir().unwrap();
    let (config, key) = (
        directory.path().join("config"),
        directory.path().join("key"),
    );
    let (path, file) = (config.display().to_string(), key.display().to_string());
    let refused = |table: &str| {
        std::fs::write(&config, table).unwrap();
        let said = run(&["serve", "--storage", &store.url(), "--config", &path]);
        assert_eq!(said.status.code(), Some(78), "{table}");
        stderr(&said)
    };
    let table = |domain: &str, selector: &str| {
        format!("[dkim.'{domain}']\nselector = '{selector}'\nkey = '{file}'\n")
    };
    let missing = refused(&table("example.org", "a"));
    let named = missing.contains(&file) && missing.contains(":3:1: dkim.\"example.org\".key: ");
    assert!(named && missing.contains("No such file"), "{missing}");
    openssl(&["genrsa", "1024"], &key);
    let short = refused(&table("example.org", "a"));
    assert!(
        short.contains(&file) && short.contains("shorter than 2048 bits"),
        "{short}"
    );
    openssl(&["genpkey", "-algorithm", "ed25519"], &key);
    let selector = refused(&table("example.org", "a b"));
    assert!(selector.contains("\"a b\""), "{selector}");
    let domain = refused(&table("exämple.org", "a"));
    assert!(domain.contains("xn--"), "{domain}");
    let twice = table("example.org", "a").replace("[dkim.'example.org']", "[[dkim.'example.org']]");
    let twice = refused(&twice.repeat(2));
    assert!(twice.contains("given twice"), "{twice}");

    let record = |domain: &str| {
        run(&[
            "dkim",
            "record",
            &file,
            "--selector",
            "a",
            "--domain",
            domain,
        ])
    };
    let wrong = record("example..org");
    assert_eq!(
        (wrong.status.code(), stdout(&wrong).as_str()),
        (Some(2), "")
    );
    let right = stdout(&record("example.org"));
    let start = "a._domainkey.example.org. IN TXT \"v=DKIM1; k=ed25519; p=";
    assert!(right.starts_with(start), "{right}");
}
