//! The configuration as a whole: what is said of it before anything starts.

use std::path::{Path, PathBuf};

use crate::rig::{Store, run, stderr, stdout};

/// A configuration file of its own.
struct Config {
    directory: tempfile::TempDir,
}

impl Config {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { directory };
        std::fs::write(config.path(), text).unwrap();
        config
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("slimta.toml")
    }

    fn shown(&self) -> String {
        self.path().display().to_string()
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_alike_by_both() {
    let config = Config::new(
        "listn = ['127.0.0.1:0']\n\
         hostname = 'a b'\n\
         tls-certificate = ['/nowhere/chain.pem']\n\
         tls-key = ['/nowhere/key.pem']\n\
         bounce-header = '/nowhere/header'\n\
         relay = 'pigeon:home'\n\
         [destination.'a.example']\n\
         relay = 'pipe:/nowhere/command'\n\
         [dkim.'a.example']\n\
         selector = 's'\n\
         key = '/nowhere/dkim.pem'\n",
    );
    let file = config.shown();
    let said = run(&["check-config", "--config", &file]);
    assert_eq!(said.status.code(), Some(78));
    let told = stderr(&said);
    for begin in [
        "1:1: listn: there is no such option; did you mean `listen`?",
        "2:1: hostname: \"a b\" is not the name of a host",
        "3:1: tls-certificate: /nowhere/chain.pem cannot be read",
        "5:1: bounce-header: ",
        "6:1: relay: unknown relay",
        "8:1: destination.\"a.example\".relay: ",
        "11:1: dkim.\"a.example\".key: ",
    ] {
        assert!(told.contains(&format!("{file}:{begin}")), "{told}");
    }
    assert_eq!(told.lines().count(), 7, "{told}");
    let served = run(&["serve", "--config", &file]);
    assert_eq!(served.status.code(), Some(78));
    assert_eq!(stderr(&served), told);
}

#[test]
fn a_configuration_in_order_starts_nothing() {
    let store = Store::new();
    let mail = store.path().with_extension("mail");
    let config = Config::new(&format!(
        "storage = '{}'\nrelay = 'maildir:{}'\n[destination.'a.example']\nretry = 'none'\nrate = '5/s'\n",
        store.url(),
        mail.display()
    ));
    let said = run(&["check-config", "--config", &config.shown()]);
    assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
    assert_eq!(
        stdout(&said).trim_end(),
        format!("{}: 4 options read, nothing wrong", config.shown())
    );
    assert_eq!(stderr(&said), "");
    assert!(!store.path().exists() && !mail.exists());
}

#[test]
fn what_is_risky_is_a_warning() {
    let config = Config::new("storage = 'memory:'\npermit = ['0.0.0.0/0']\ntls-report = true\n");
    let said = run(&["check-config", "--config", &config.shown()]);
    assert_eq!(said.status.code(), Some(0));
    let told = stderr(&said);
    for begin in [
        "1:1: storage: warning: ",
        "2:1: permit: warning: ",
        "3:1: tls-report: warning: ",
    ] {
        assert!(
            told.contains(&format!("{}:{begin}", config.shown())),
            "{told}"
        );
    }
}

#[test]
fn a_flag_that_is_wrong_is_named_as_a_flag() {
    let config = Config::new("lock-duration = '1m'\n");
    let file = config.shown();
    let said = run(&["check-config", "--config", &file, "--lock-duration", "1ms"]);
    assert_eq!(said.status.code(), Some(2));
    let told = stderr(&said);
    assert!(told.contains("--lock-duration: 1ms is less"), "{told}");
    assert!(!told.contains(&file), "{told}");
    assert!(!Path::new("slimta-data").exists());
}

#[test]
fn what_listeners_and_relays_name_is_looked_at() {
    let config = Config::new(
        "relay = 'smtp://h'\n\
         relay-user = 'ann'\n\
         relay-password-file = '/nowhere/password'\n\
         [listener.mx]\n\
         address = '127.0.0.1:0'\n\
         accept-domains = ['own.example']\n\
         recipients = '/nowhere/recipients'\n\
         [destination.'a.example']\n\
         source-address = '192.0.2.7'\n\
         [verify-senders]\n\
         arc-seal = 'own.example'\n\
         [spam-scan]\n\
         server = 'spamd://'\n\
         [[forward]]\n\
         match = '('\n\
         to = 'b@b.example'\n",
    );
    let file = config.shown();
    let said = run(&["check-config", "--config", &file]);
    assert_eq!(said.status.code(), Some(78));
    let told = stderr(&said);
    for part in [
        ":3:1: relay-password-file: ",
        ":7:1: listener.mx.recipients: ",
        ":9:1: destination.\"a.example\".source-address: ",
        ":11:1: verify-senders.arc-seal: ",
        ":12:1: spam-scan",
        ": forward",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}
