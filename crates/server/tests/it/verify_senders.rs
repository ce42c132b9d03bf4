//! Whether mail of strangers is from whom it says: records from a real name
//! server, messages signed by a stranger's program.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::dkim::Keys;
use crate::ports::free_port;
use crate::rig::{Client, Server, Store, postfix, run, stderr, text, until};

/// dnsmasq on a free port with what is published.
pub(crate) struct NameServer {
    process: Child,
    address: SocketAddr,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl NameServer {
    /// With these TXT records.
    #[track_caller]
    pub(crate) fn publishing(records: &[(String, String)]) -> Self {
        until("dnsmasq (package dnsmasq-base)", || {
            let mut server = NameServer::start(records);
            let listens = || TcpStream::connect(server.address).ok();
            until("the port of dnsmasq", || {
                let ended = server.process.try_wait().unwrap();
                ended.map(|_| false).or_else(|| listens().map(|_| true))
            })
            .then_some(server)
        })
    }

    fn start(records: &[(String, String)]) -> Self {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let mut command = Command::new(postfix("dnsmasq"));
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
        ]);
        command.args([
            "--no-hosts",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
        ]);
        command.args([
            "--pid-file=",
            "--user=root",
            "--cache-size=0",
            "--log-facility=-",
        ]);
        command.args(["--local=/example/", "--local=/org/"]);
        // A domain that takes no mail: preference 0, and the root.
        command.arg("--dns-rr=null.example,15,000000");
        command.arg(format!("--port={}", address.port()));
        for (name, record) in records {
            // Strings in the DNS have 255 bytes at most.
            let strings = record.as_bytes().chunks(200).map(String::from_utf8_lossy);
            let strings: Vec<_> = strings.collect();
            command.arg(format!("--txt-record={name},{}", strings.join(",")));
        }
        let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        NameServer {
            process: process.expect("dnsmasq (package dnsmasq-base) is missing"),
            address,
        }
    }
}

/// What example.org publishes of its keys, and this beside it.
pub(crate) fn published(keys: &Keys, others: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, record): &(&str, &str)| ((*name).to_owned(), (*record).to_owned());
    keys.records()
        .into_iter()
        .chain(others.iter().map(own))
        .collect()
}

/// What strangers publish: SPF for the address of the tests, and what to do with
/// mail that is not theirs.
pub(crate) const RECORDS: [(&str, &str); 4] = [
    ("example.org", "v=spf1 ip4:127.0.0.1 -all"),
    ("_dmarc.example.org", "v=DMARC1; p=reject"),
    ("other.example", "v=spf1 -all"),
    ("_dmarc.other.example", "v=DMARC1; p=quarantine"),
];

/// A server that trusts nobody, with more lines in its table.
#[track_caller]
fn serve(store: &Store, dns: &NameServer, lines: &str) -> Server {
    serve_with(store, dns, lines, "")
}

/// The same with what else its file says.
#[track_caller]
pub(crate) fn serve_with(store: &Store, dns: &NameServer, lines: &str, others: &str) -> Server {
    let config = store.path().with_extension("toml");
    let address = dns.address;
    let table = format!("[verify-senders]\nname-server = '{address}'\ntrusted = []\n{lines}\n");
    std::fs::write(&config, format!("{others}{table}")).unwrap();
    let config = config.display().to_string();
    store.serve(&["--relay", "none", "--config", &config])
}

pub(crate) const MESSAGE: &str = "From: A <a@example.org>\r\nTo: b@to.example\r\nSubject: A test\r\n\
    Date: Tue, 24 Nov 2026 08:17:29 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello.\r\n";

/// Hands a message in, and gives what is stored of it, its lines unfolded.
#[track_caller]
fn stored(store: &Store, server: &Server, sender: &str, message: &[u8]) -> Vec<String> {
    let said = Client::connect(server.address)
        .unwrap()
        .send_octets(sender, "b@to.example", message)
        .unwrap();
    let id = said.trim_end().rsplit(' ').next().unwrap();
    let content = store.queue_ok(&["show", id, "--content"]).replace('\r', "");
    let unfolded = content.replace("\n ", " ").replace("\n\t", " ");
    unfolded.lines().map(str::to_owned).collect()
}

/// The only field with results in this host's name.
#[track_caller]
fn results(lines: &[String]) -> &str {
    let own = "Authentication-Results: mx.test.example; ";
    let mut found = lines.iter().filter_map(|line| line.strip_prefix(own));
    let results = found
        .next()
        .unwrap_or_else(|| panic!("no results: {lines:#?}"));
    assert_eq!(found.next(), None);
    results
}

#[test]
fn what_is_found_of_strangers_is_written_on_top() {
    let keys = Keys::make();
    let dns = NameServer::publishing(&published(&keys, &RECORDS));
    let store = Store::new();
    let server = serve(&store, &dns, "");
    let signed = keys.signed_by_stranger(MESSAGE.as_bytes(), "rsa", "example.org");
    let found = |sender: &str, message: &[u8]| {
        results(&stored(&store, &server, sender, message)).to_owned()
    };

    let good = found("a@example.org", &signed);
    assert!(good.starts_with("spf=pass smtp.mailfrom=example.org; dkim=pass header.d=example.org header.s=rsa header.b="), "{good}");
    assert!(
        good.ends_with("; dmarc=pass header.from=example.org policy.dmarc=reject"),
        "{good}"
    );

    // Signed by the domain, and sent for another from an address that is not its own.
    let forwarded = found("list@other.example", &signed);
    assert!(
        forwarded.starts_with("spf=fail smtp.mailfrom=other.example; dkim=pass"),
        "{forwarded}"
    );
    assert!(forwarded.contains("; dmarc=pass"), "{forwarded}");

    let mut changed = signed.clone();
    changed.extend_from_slice(b"P.S.\r\n");
    let changed = found("list@other.example", &changed);
    assert!(
        changed.contains("; dkim=neutral reason=") || changed.contains("; dkim=fail reason="),
        "{changed}"
    );
    assert!(
        changed.contains("; dmarc=fail header.from=example.org policy.dmarc=reject"),
        "{changed}"
    );

    let bare = MESSAGE.replace("a@example.org>\r\nTo", "a@none.example>\r\nTo");
    let bare = found("", bare.as_bytes());
    assert_eq!(
        bare,
        "spf=none smtp.helo=client.test.example; dkim=none; dmarc=none header.from=none.example"
    );

    let endless = [b"DKIM-Signature: v=1; a=rsa-sha256\r\n".repeat(11), signed].concat();
    let endless = found("a@other.example", &endless);
    assert!(
        endless.contains("dkim=permerror reason=\"too many signatures\"; dmarc=fail"),
        "{endless}"
    );
}

#[test]
fn nobody_else_speaks_in_our_name() {
    let dns = NameServer::publishing(&[]);
    let store = Store::new();
    let message = format!(
        "Authentication-Results: mx.TEST.example 1; dmarc=pass\r\n\
         Authentication-Results: mx.test.example.org; dkim=pass\r\n\
         authentication-results : (a) \"mx.test.example\"; spf=pass\r\n{MESSAGE}"
    );
    let server = serve(&store, &dns, "");
    let lines = stored(&store, &server, "a@example.org", message.as_bytes());
    assert_eq!(
        results(&lines),
        "spf=none smtp.mailfrom=example.org; dkim=none; dmarc=none header.from=example.org"
    );
    let others: Vec<_> = lines
        .iter()
        .filter(|line| line.to_lowercase().starts_with("authentication-results"))
        .collect();
    assert_eq!(others.len(), 2, "{lines:#?}");
    server.stop();

    // Nor for whom we trust: about their mail nothing is said.
    let config = store.path().with_extension("toml");
    std::fs::write(&config, "[verify-senders]\n").unwrap();
    let server = store.serve(&["--relay", "none", "--config", &config.display().to_string()]);
    let lines = stored(&store, &server, "a@example.org", message.as_bytes());
    let left: Vec<_> = lines
        .iter()
        .filter(|line| line.to_lowercase().starts_with("authentication-results"))
        .collect();
    assert_eq!(
        left,
        ["Authentication-Results: mx.test.example.org; dkim=pass"]
    );
}

#[test]
fn mail_is_refused_only_if_its_domain_and_the_file_ask_for_it() {
    let keys = Keys::make();
    let dns = NameServer::publishing(&published(&keys, &RECORDS));
    let store = Store::new();
    let server = serve(
        &store,
        &dns,
        "dmarc-reject = true\nauthserv-id = 'site.example'",
    );
    let told = |sender: &str, from: &str| {
        let message = MESSAGE.replace("a@example.org>\r\nTo", &format!("{from}>\r\nTo"));
        let mut client = Client::connect(server.address).unwrap();
        let said = client.send_octets(sender, "b@to.example", message.as_bytes());
        said.err().map(|error| error.to_string())
    };
    let refused = told("a@other.example", "a@example.org").unwrap();
    assert!(
        refused.starts_with("550 5.7.1 example.org asks to refuse"),
        "{refused}"
    );
    assert_eq!(told("a@example.org", "a@example.org"), None);
    assert_eq!(told("a@example.org", "a@other.example"), None);
    let list = store.list();
    assert_eq!(list.len(), 2);
    let content = store.queue_ok(&["show", text(&list[0], "id"), "--content"]);
    assert!(
        content.contains("Authentication-Results: site.example; spf=pass"),
        "{content}"
    );
}

#[test]
fn a_sender_whose_domain_takes_no_mail_is_refused_if_the_file_says_so() {
    let dns = NameServer::publishing(&[]);
    for (lines, refused) in [("null-mx-reject = true", true), ("", false)] {
        let store = Store::new();
        let server = serve(&store, &dns, lines);
        for (sender, is_refused) in [
            ("a@null.example", refused),
            ("a@other.example", false),
            ("", false),
        ] {
            let mut client = Client::connect(server.address).unwrap();
            let said = client.send_octets(sender, "b@to.example", MESSAGE.as_bytes());
            let said = said.map_err(|error| error.to_string());
            let told = "550 5.7.27 Sender address has null MX";
            let is_told = said.as_ref().is_err_and(|said| said.starts_with(told));
            assert_eq!(
                (said.is_err(), is_told),
                (is_refused, is_refused),
                "{said:?}"
            );
        }
    }
}

#[test]
fn a_name_server_that_is_away_keeps_no_mail_out() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let address = silent.local_addr().unwrap();
    let table = format!(
        "[verify-senders]\nname-server = '{address}'\ntrusted = []\ntime-max = '200ms'\ndmarc-reject = true\n"
    );
    std::fs::write(&config, table).unwrap();
    let path = config.display().to_string();
    let server = store.serve(&["--relay", "none", "--config", &path]);
    let lines = stored(&store, &server, "a@example.org", MESSAGE.as_bytes());
    assert_eq!(
        results(&lines),
        "spf=temperror; dkim=temperror; dmarc=temperror"
    );
    assert!(store.logged().contains("could not be verified in time"));

    std::fs::write(&config, "[verify-senders]\nauthserv-id = 'a b'\n").unwrap();
    let said = run(&["serve", "--relay", "none", "--config", &path]);
    assert_eq!(said.status.code(), Some(78));
    assert!(
        stderr(&said).contains("authserv-id = \"a b\""),
        "{}",
        stderr(&said)
    );
}
