//! Other settings for a server that runs.

use std::path::PathBuf;
use std::process::Command;

use crate::rig::{
    Client, KeepingSink, NextHop, Server, Store, free_address, run, send, stderr, stdout, text,
    until,
};

/// A server with a file that can be written anew.
struct Configured {
    store: Store,
    file: PathBuf,
}

impl Configured {
    fn new() -> Self {
        let store = Store::new();
        let file = store.path().with_extension("toml");
        Configured { store, file }
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
    }

    #[track_caller]
    fn serve(&self, text: &str) -> Server {
        self.write(text);
        let file = self.file.display().to_string();
        self.store.serve(&["--config", &file])
    }

    /// `slimta reload`; gives its status and all that it said.
    fn reload(&self) -> (Option<i32>, String) {
        let said = self.store.operate(&["reload"]);
        (said.status.code(), stdout(&said) + &stderr(&said))
    }

    #[track_caller]
    fn reload_ok(&self, text: &str) -> String {
        self.write(text);
        let (status, said) = self.reload();
        assert_eq!(status, Some(0), "{said}");
        said
    }

    fn until_logged(&self, line: &str) {
        until(line, || self.store.logged().contains(line).then_some(()));
    }

    fn until_failed(&self, attempts: u64) {
        self.store.until_list("a failure", |list| match list {
            [one] => (one["attempts"] == attempts).then_some(()),
            _ => None,
        });
    }
}

#[test]
fn a_route_that_is_changed_by_sighup_takes_waiting_mail_along() {
    let configured = Configured::new();
    let route = |url: &str| {
        format!(
            "relay = 'blackhole:'\nretry = '1h..;until=9d'\n[destination.'to.example']\nrelay = '{url}'\n"
        )
    };
    let server = configured.serve(&route("smtp://127.0.0.1:1"));
    send(server.address, "s@from.example", &["a@to.example"]);
    configured.until_failed(1);
    let sink = KeepingSink::start();
    configured.write(&route(&sink.url()));
    server.signal("-HUP");
    configured.until_logged(" reloaded");
    configured.store.queue_ok(&["retry"]);
    configured.store.until_empty();
    assert_eq!(sink.messages().len(), 1);
    server.stop();
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let configured = Configured::new();
    let server = configured.serve("relay = 'none'\npermit = ['127.0.0.0/8']\n");
    configured.write(
        "relay = 'none'\npermit = ['192.0.2.0/24']\nretry = 'often'\nmesage-bytes-max = 5\n",
    );
    let (status, said) = configured.reload();
    assert_eq!(status, Some(1), "{said}");
    let file = configured.file.display();
    for told in [
        "all settings are as before",
        &format!("{file}:3:9: retry: "),
        &format!(
            "{file}:4:1: mesage-bytes-max: there is no such option; did you mean `message-bytes-max`?"
        ),
    ] {
        assert!(said.contains(told), "{said}");
    }
    send(server.address, "s@from.example", &["a@to.example"]);
    server.signal("-HUP");
    until("both", || {
        let log = configured.store.logged();
        (log.matches("not reloaded, all settings are as before")
            .count()
            == 2)
            .then_some(())
    });
    send(server.address, "s@from.example", &["a@to.example"]);

    let said = configured.reload_ok("relay = 'none'\npermit = ['192.0.2.0/24']\n");
    assert_eq!(said, "reloaded\n");
    let mut client = Client::connect(server.address).unwrap();
    let refused = client.send("s@from.example", &["a@to.example"], "Subject: x\n\nx");
    assert!(refused.unwrap_err().to_string().starts_with("550 5.7.1"));
    server.stop();
}

#[test]
fn clients_that_are_there_go_on_and_new_ones_find_what_is_new() {
    let configured = Configured::new();
    let server = configured.serve("relay = 'none'\n");
    let mut before = Client::connect(server.address).unwrap();
    configured.reload_ok("relay = 'none'\nmessage-bytes-max = '10k'\npermit = ['192.0.2.0/24']\n");
    before
        .send("s@from.example", &["a@to.example"], "Subject: x\n\nx")
        .unwrap();
    let mut after = Client::connect(server.address).unwrap();
    let offered = after.ask("EHLO client.example", "250").unwrap();
    assert!(offered.contains("SIZE 10240"), "{offered}");
    server.stop();
}

#[test]
fn a_schedule_counts_from_the_next_decision() {
    let hop = NextHop::answering(&["=450 4.2.0 Not now"]);
    let configured = Configured::new();
    let server = configured.serve(&format!(
        "relay = '{}'\nretry = '1h..;until=9d'\n",
        hop.url()
    ));
    send(server.address, "s@from.example", &["a@to.example"]);
    configured.until_failed(1);
    configured.reload_ok(&format!(
        "relay = '{}'\nretry = '1h;attempts=2'\n",
        hop.url()
    ));
    assert_eq!(configured.store.list().len(), 1, "nothing was decided yet");
    configured.store.queue_ok(&["retry"]);
    configured
        .store
        .until_list("a notice in its place", |list| match list {
            [one] => text(one, "sender").is_empty().then_some(()),
            _ => None,
        });
    server.stop();
}

#[test]
fn what_needs_a_new_start_is_named_and_stays() {
    let configured = Configured::new();
    let server = configured.serve("relay = 'none'\n");
    let said = configured.reload_ok(
        "relay = 'blackhole:'\nattempts-max = 7\nlog-level = 'debug'\nadmin-socket = '/nowhere/else'\n",
    );
    for option in ["relay", "attempts-max", "admin-socket"] {
        let told = format!("{option} has changed, but counts only when the server is started anew");
        assert!(said.contains(&told), "{said}");
    }
    assert!(!said.contains("log-level"), "{said}");
    send(server.address, "s@from.example", &["a@to.example"]);
    assert_eq!(configured.store.list().len(), 1, "it only stores");
    configured.until_logged("DEBUG");
    // Named again until it is so.
    let again = configured.reload_ok("relay = 'none'\nattempts-max = 7\n");
    assert!(
        again.contains("attempts-max") && !again.contains("relay "),
        "{again}"
    );
    server.stop();
}

#[test]
fn listeners_go_by_their_new_tables_and_stay_where_they_are() {
    let configured = Configured::new();
    let (mx, other) = (free_address(), free_address());
    let table = |address, more: &str| {
        format!("relay = 'none'\n[listener.mx]\naddress = '{address}'\n{more}\n")
    };
    let server = configured.serve(&table(mx, "permit = []"));
    let rcpt = |expected: &str| {
        let mut client = Client::connect(mx).unwrap();
        let offers = client.ask("EHLO client.example", "250").unwrap();
        client.ask("MAIL FROM:<s@from.example>", "250").unwrap();
        client.ask("RCPT TO:<a@own.example>", expected).unwrap();
        offers
    };
    rcpt("550 5.7.1 ");
    let new = "permit = []\naccept-domains = ['own.example']\nmessage-bytes-max = '10k'";
    assert_eq!(configured.reload_ok(&table(mx, new)), "reloaded\n");
    assert!(rcpt("250").contains("SIZE 10240"));

    let known = configured.file.with_extension("recipients");
    std::fs::write(&known, "b@own.example\n").unwrap();
    let known = format!("{new}\nrecipients = '{}'", known.display());
    let said = configured.reload_ok(&table(other, &known));
    let told = "listener.mx.address has changed, but counts only when the server is started anew";
    assert!(said.contains(told), "{said}");
    rcpt("550 5.1.1 ");

    // An address has as many places as the new file says.
    let busy = |said: &str| format!("{said}{}", table(mx, "permit = []"));
    configured.reload_ok(&busy("connections-per-address-max = 1\n"));
    let first = until("the others are gone", || Client::connect(mx).ok());
    assert!(Client::connect(mx).is_err());
    configured.reload_ok(&busy(
        "connections-per-address-max = 1\nhostname = 'mx.example'\n",
    ));
    assert!(Client::connect(mx).is_err(), "who was there is forgotten");
    drop(first);
    server.stop();
}

#[test]
fn nobody_reloads_where_no_server_runs() {
    let said = run(&["reload", "--storage", "embedded:/nowhere"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(stderr(&said).contains("no server answers"));
}

#[test]
fn a_certificate_may_come_later() {
    let configured = Configured::new();
    let server = configured.serve("relay = 'none'\n");
    let offered = || {
        let mut client = Client::connect(server.address).unwrap();
        client.ask("EHLO client.example", "250").unwrap()
    };
    assert!(!offered().contains("STARTTLS"));
    let chain = configured.file.with_extension("pem").display().to_string();
    let key = configured.file.with_extension("key").display().to_string();
    let text = format!("relay = 'none'\ntls-certificate = ['{chain}']\ntls-key = ['{key}']\n");
    configured.write(&text);
    let (status, said) = configured.reload();
    assert_eq!(status, Some(1), "{said}");
    assert!(!offered().contains("STARTTLS"));
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
        ])
        .args([
            "-subj",
            "/CN=mx.test.example",
            "-keyout",
            &key,
            "-out",
            &chain,
        ])
        .output();
    assert!(made.unwrap().status.success());
    configured.reload_ok(&text);
    assert!(offered().contains("STARTTLS"));
    server.stop();
}
