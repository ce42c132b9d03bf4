//! What settings come of which flags and which file.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use slimta::edge::smtp::{AuthMode, Role, TlsMode};

use super::*;

fn from_file(text: &str) -> Result<Settings, Failure> {
    let mut reading = Reading::of_text(Flags::default(), "the file".to_owned(), text.to_owned());
    let settings = reading.settings();
    reading.verdict()?;
    Ok(settings.unwrap())
}

fn from_flags_and_file(flags: Options, text: &str) -> Settings {
    let document = document::Document::parse(text);
    assert_eq!(document.problems, []);
    flags.or(document.options).settle().unwrap()
}

#[test]
fn nothing_said_gives_the_documented_defaults() {
    let settings = from_file("").unwrap();
    let [only] = &settings.listeners[..] else {
        panic!("several listeners");
    };
    assert_eq!(only.addresses, [LISTEN_DEFAULT]);
    assert_eq!((only.role, only.tls), (Role::Relay, None));
    assert!(only.accept_domains.is_empty() && !only.has_auth);
    assert_eq!(settings.relay.as_deref(), Some("mx"));
    assert_eq!(settings.storage, "embedded:./slimta-data");
    assert_eq!(settings.hostname, machine_name());
    let retry = ByDestination::new(Schedule::server_default());
    assert_eq!(settings.retry, retry);
    assert_eq!(settings.delay_notice, Some(Duration::from_secs(4 * 3600)));
    assert!(settings.heed_replies);
    assert_eq!(settings.lock_duration, Duration::from_secs(120));
    assert_eq!(settings.limits, Limits::default());
    let permits = |ip: &str| {
        settings
            .edge
            .permit
            .iter()
            .any(|n| n.contains(ip.parse().unwrap()))
    };
    assert!(permits("127.0.0.1") && permits("127.9.9.9") && permits("::1"));
    assert!(permits("::ffff:127.0.0.1"));
    assert!(!permits("192.0.2.1") && !permits("::2"));
}

#[test]
fn the_file_says_what_flags_say() {
    let settings = from_file(
        r#"
        listen = ["127.0.0.1:0", "[::1]:25"]
        relay = "none"
        hostname = "mx.example"
        retry = "1s..;until=1m"
        permit = ["192.0.2.0/24", "2001:db8::/32"]
        message-bytes-max = "10m"
        connections-max = 7
        heed-replies = false
        delay-notice = "none"
        returned-bytes-max = "10k"
        bounce-header = "/etc/slimta/header"
        lock-duration = "5m"
        attempts-per-destination-max = 2
        drain-time-max = "500ms"
        log-format = "json"
        "#,
    )
    .unwrap();
    assert_eq!(settings.listeners[0].addresses.len(), 2);
    assert_eq!(settings.relay, None);
    assert_eq!(settings.edge.message_bytes_max, 10 << 20);
    assert_eq!(settings.edge.connections_max, 7);
    assert_eq!(settings.delay_notice, None);
    assert_eq!(settings.notices.returned_bytes_max, Some(10 << 10));
    assert_eq!(
        settings.notices.header.as_deref(),
        Some(Path::new("/etc/slimta/header"))
    );
    assert!(!settings.heed_replies);
    assert_eq!(settings.lock_duration, Duration::from_secs(300));
    assert_eq!(settings.limits.attempts_per_destination_max, 2.into());
    assert_eq!(settings.limits.drain_time_max, Duration::from_millis(500));
    assert_eq!(settings.log_format, LogFormat::Json);
    let permits = |ip: &str| {
        settings
            .edge
            .permit
            .iter()
            .any(|n| n.contains(ip.parse().unwrap()))
    };
    assert!(permits("192.0.2.255") && permits("2001:db8:ffff::1"));
    assert!(!permits("192.0.3.0") && !permits("2001:db9::1") && !permits("127.0.0.1"));
}

#[test]
fn users_authenticate_under_tls_unless_it_is_said() {
    let users = "credentials = 'users'\n";
    let tls = "tls-certificate = ['a.pem']\ntls-key = ['a.key']\n";
    let mode = |text: &str| {
        let settings = from_file(text).ok()?;
        settings.edge.auth.map(|auth| auth.mode())
    };
    assert_eq!(mode(tls), None);
    assert_eq!(mode(users), None);
    assert_eq!(mode("auth-in-clear = true"), None);
    assert_eq!(mode(&[users, tls].concat()), Some(AuthMode::UnderTls));
    let in_clear = [users, "auth-in-clear = true"].concat();
    assert_eq!(mode(&in_clear), Some(AuthMode::InClear));
}

/// How each listener is encrypted.
fn modes(settings: &Settings) -> Vec<(String, Option<TlsMode>)> {
    let listeners = settings.listeners.iter();
    listeners.map(|l| (l.origin.to_string(), l.tls)).collect()
}

#[test]
fn tls_has_its_certificates_and_its_own_ports() {
    let files = "tls-certificate = ['a.pem', 'b.pem']\ntls-key = ['a.key', 'b.key']\n";
    let settings = from_file(files).unwrap();
    assert_eq!(
        modes(&settings),
        [("--listen".to_owned(), Some(TlsMode::Offered))]
    );

    let only = format!("{files}listen-tls = ['[::]:465']\nrequire-tls = true\n");
    let settings = from_file(&only).unwrap();
    assert_eq!(
        modes(&settings),
        [("--listen-tls".to_owned(), Some(TlsMode::Implicit))]
    );
    let both = format!("{only}listen = ['[::]:25']\n");
    let required = ("--listen".to_owned(), Some(TlsMode::Required));
    assert_eq!(modes(&from_file(&both).unwrap())[0], required);

    assert!(from_file("require-tls = false").unwrap().edge.tls.is_none());
}

#[test]
fn listeners_have_what_their_tables_say_and_else_what_holds_for_all() {
    let text = r#"
        listen = ["127.0.0.1:2525"]
        permit = ["192.0.2.0/24"]
        recipients-max = 7
        accept-domains = ["example.org"]
        recipients = "all"
        credentials = "users"
        tls-certificate = ["a.pem"]
        tls-key = ["a.key"]
        [listener.a]
        address = ["0.0.0.0:25", "[::]:25"]
        tls = "off"
        permit = []
        recipients-max = 9
        accept-domains = ["example.net", "*.example.net"]
        recipients = "own"
        [listener.b]
        address = "127.0.0.1:24"
        role = "lmtp"
        tls = "required"
        auth = false
        accept-domains = []
    "#;
    let settings = from_file(text).unwrap();
    let [flag, a, b] = &settings.listeners[..] else {
        panic!("{:?}", settings.listeners);
    };
    assert_eq!(
        (flag.role, a.role, b.role),
        (Role::Relay, Role::Relay, Role::Lmtp)
    );
    let offered = Some(TlsMode::Offered);
    assert_eq!(
        (flag.tls, a.tls, b.tls),
        (offered, None, Some(TlsMode::Required))
    );
    assert_eq!([flag.has_auth, a.has_auth, b.has_auth], [true, true, false]);
    let permits = [flag, a, b].map(|listener| listener.permit.len());
    assert_eq!(permits, [1, 0, 1]);
    let recipients = [flag, a, b].map(|listener| listener.recipients_max);
    assert_eq!(recipients, [7, 9, 7]);
    let domains = [flag, a, b].map(|listener| listener.accept_domains.len());
    assert_eq!(domains, [1, 2, 0]);
    let files = [flag, a].map(|listener| listener.recipients.as_deref());
    assert_eq!(files, ["all", "own"].map(|file| Some(Path::new(file))));
    assert_eq!((a.addresses.len(), b.addresses.len()), (2, 1));
}

#[test]
fn the_file_has_schedules_for_some_destinations() {
    let text = r#"
        retry = "1m;until=1h"
        [destination."example.org"]
        retry = "2m..;until=2h"
        [destination."*.example.org"]
        retry = "none"
        [destination."smtp://relay.example:25"]
    "#;
    let flags = Options {
        retry: Some("9m".parse().unwrap()),
        ..Options::default()
    };
    let settings = from_flags_and_file(flags, text);
    let written = |destination: &str| {
        let destination = slimta_core::message::Destination::new(destination);
        settings.retry.get(&destination).to_string()
    };
    assert_eq!(written("example.org"), "2m..;until=2h");
    assert_eq!(written("mx.example.org"), "none");
    assert_eq!(written("smtp://relay.example:25"), "9m");
    assert_eq!(written("example.com"), "9m");
}

#[test]
fn the_file_has_limits_for_some_destinations() {
    let text = r#"
        attempts-per-destination-max = 7
        rate-per-destination = "600/min"
        messages-per-connection = 50
        [destination."example.org"]
        rate = "none"
        messages-per-connection = 1
        [destination."*.example.org"]
        attempts-max = 2
        rate = "5/s"
        [destination."mx.example.org"]
        attempts-max = 90
    "#;
    let settings = from_file(text).unwrap();
    let limits = |destination: &str| {
        let destination = slimta_core::message::Destination::new(destination);
        let rate = settings.limits.rate_per_destination.get(&destination);
        format!(
            "{} {} {}",
            settings
                .limits
                .attempts_per_destination_max
                .get(&destination),
            rate.map_or("none".to_owned(), |rate| rate.to_string()),
            settings.messages_per_connection.get(&destination),
        )
    };
    assert_eq!(limits("example.com"), "7 600/min 50");
    assert_eq!(limits("example.org"), "7 none 1");
    assert_eq!(limits("a.example.org"), "2 5/s 50");
    // Each value has its own nearest table.
    assert_eq!(limits("mx.example.org"), "90 5/s 50");
}

#[test]
fn destinations_may_be_encrypted_as_they_need() {
    let text = r#"
        tls = "verified"
        tls-roots = "/etc/slimta/roots.pem"
        [destination."example.org"]
        tls = "off"
        [destination."smtps://relay.example:465"]
        tls = "required"
    "#;
    let settings = from_file(text).unwrap();
    let level = |destination: &str| {
        let destination = slimta_core::message::Destination::new(destination);
        *settings.tls.get(&destination)
    };
    assert_eq!(level("example.org"), TlsLevel::Off);
    assert_eq!(level("smtps://relay.example:465"), TlsLevel::Required);
    assert_eq!(level("example.com"), TlsLevel::Verified);
    let roots = settings.tls_roots.as_deref();
    assert_eq!(roots, Some(Path::new("/etc/slimta/roots.pem")));
    let defaults = from_file("").unwrap();
    assert_eq!(defaults.tls, TlsLevel::Opportunistic.into());
}

#[test]
fn flags_win_over_the_file() {
    let flags = Options {
        relay: Some("blackhole:".to_owned()),
        recipients_max: NonZeroUsize::new(5),
        ..Options::default()
    };
    let file = "relay = 'mx'\nhostname = 'a.example'\nrecipients-max = 9";
    let settings = from_flags_and_file(flags, file);
    assert_eq!(settings.relay.as_deref(), Some("blackhole:"));
    assert_eq!(settings.hostname, "a.example");
    assert_eq!(settings.edge.recipients_max, 5);
}

#[test]
fn a_mistake_in_the_file_is_named() {
    for (text, named) in [
        ("recipient-max = 5", "recipient-max"),
        ("config = 'other'", "config"),
        ("recipients-max = 0", "recipients-max"),
        ("listen = '127.0.0.1:25'", "listen"),
        ("listen = ['localhost']", "listen"),
        ("retry = 'often'", "often"),
        ("[destination.'a b']\nretry = 'none'", "a b"),
        ("[destination.a]\nretries = 'none'", "retries"),
        ("[destination.a]\nretry = '1m..'", "until=AGE"),
        ("[destination.a]\nrate = '100'", "such as 5/s, 100/min"),
        ("[destination.a]\nrate = '0/s'", "rate: "),
        ("[destination.a]\nrate = 5", "rate"),
        ("[destination.a]\nattempts-max = 0", "attempts-max"),
        (
            "[destination.a]\nmessages-per-connection = -1",
            "messages-per-connection",
        ),
        ("rate-per-destination = '5/d'", "or none"),
        ("[destination.a]\nrelay = 'none'", "destination.\"a\".relay"),
        ("permit = ['192.0.2.0/33']", "192.0.2.0/33"),
        ("lock-duration = '0s'", "lock-duration"),
        ("lock-duration = '999ms'", "give 1s or more"),
        ("tls = 'maybe'", "no level of encryption"),
        ("[destination.a]\ntls = true", "tls"),
        ("delay-notice = '0s'", "delay-notice"),
        ("delay-notice = 'never'", "or none"),
        ("bounce-footer = 'a'", "bounce-header"),
        ("require-tls = true", "tls-certificate"),
        ("require-tls = 'yes'", "require-tls"),
        ("listen-tls = ['127.0.0.1:465']", "tls-certificate"),
        ("tls-certificate = ['a', 'b']\ntls-key = ['c']", "tls-key"),
        ("lock-duration = '5'", "lock-duration"),
        ("recipients = 'a'", "accept-domains"),
        ("senders = 'a'", "credentials"),
        (
            "accept-domains = ['a.example']\n[listener.a]\naddress = '[::1]:1'\naccept-domains = []\nrecipients = 'a'",
            "listener.a.recipients: ",
        ),
        (
            "credentials = 'a'\ntls-certificate = ['a']\ntls-key = ['a']\n[listener.a]\naddress = '[::1]:1'\ntls = 'off'\nauth = true",
            "listener.a.auth: it needs TLS",
        ),
        ("message-bytes-max = 'big'", "message-bytes-max"),
        ("log-format = 'xml'", "xml"),
        ("[dkim.'a.example']\nselektor = 's'", "selektor"),
        ("[dkim.'a.example']\nselector = 's'", "`key`"),
        (
            "[[dkim.'a.example']]\nselector = 's'\nkey = 'k'\nbits = 5",
            "bits",
        ),
        ("[dkim]\n'a.example' = 'k'", "a table with selector and key"),
        (
            "[[forward]]\nmatch = '('\nto = 'a@b.example'",
            "unclosed group",
        ),
        ("[[forward]]\nmatch = 'a'", "`to`"),
        ("[[forward]]\nmatch = 'a'\nto = 'b'", "number 1"),
        ("[forward]\nmatch = 'a'\nto = 'b@c.example'", "forward"),
        ("[spam-scan]\nreject-score = 5", "`server`"),
        ("[spam-scan]\nserver = 'clamd://h'", "no spam filter"),
        (
            "[spam-scan]\nserver = 'spamd://h'\nreject-score = nan",
            "reject-score",
        ),
        (
            "[spam-scan]\nserver = 'spamd://h'\nfailure = 'drop'",
            "accept or defer",
        ),
        (
            "[spam-scan]\nserver = 'spamd://h'\ntime-max = '30s'",
            "25s at most",
        ),
        (
            "[spam-scan]\nserver = 'spamd://h'\nbytes-max = 0",
            "bytes-max",
        ),
        ("[spam-scan]\nserver = 'spamd://h'\nscore = 5", "score"),
        ("[verify-senders]\ndmarc = 'reject'", "dmarc"),
        ("[verify-senders]\nauthserv-id = 'a b'", "a b"),
        ("[verify-senders]\ntrusted = ['x']", "is not a network"),
        ("[verify-senders]\ntime-max = '30s'", "25s at most"),
        ("[verify-senders]\nname-server = '127.0.0.1'", "name-server"),
        ("hostname = 'a b'", "a b"),
        ("hostname = ''", "hostname"),
    ] {
        let failure = from_file(text).unwrap_err().to_string();
        assert!(failure.contains(named), "{text}: {failure}");
    }
}

#[test]
fn host_names_are_names() {
    for name in ["localhost", "mx1.example.org", "a-b.c", "127"] {
        assert!(machine::is_host_name(name), "{name}");
    }
    for name in [
        "",
        ".",
        "a..b",
        "-a",
        "a-",
        "a_b",
        "ä.example",
        "a\r\nb",
        &"a".repeat(64),
    ] {
        assert!(!machine::is_host_name(name), "{name}");
    }
}

fn told(text: &str) -> String {
    from_file(text).unwrap_err().to_string()
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = r#"
recipients-max = 0
listn-tls = ["127.0.0.1:465"]
permit = ["192.0.2.0/24", "all", "192.0.2.0/33"]
lock-duration = "1ms"
backoff-min = "1h"
backoff-max = "1m"

[destination."Example.org"]
retry = "often"
relay = "none"

[dkim."a.example"]
selector = "s"
"#;
    let told = told(text);
    let lines: Vec<_> = told.lines().collect();
    for (line, begin) in lines.iter().zip([
        "the file:2:18: recipients-max: ",
        "the file:3:1: listn-tls: there is no such option; did you mean `listen-tls`?",
        "the file:4:27: permit: \"all\" is not a network",
        "the file:4:34: permit: \"192.0.2.0/33\" is not a network",
        "the file:5:1: lock-duration: 1ms is less",
        "the file:6:1: backoff-min: 3600s is longer than backoff-max",
        "the file:10:9: destination.\"Example.org\".retry: ",
        "the file:11:1: destination.\"example.org\".relay: ",
        "the file:13:1: dkim.\"a.example\": ",
    ]) {
        assert!(line.starts_with(begin), "{line} instead of {begin}");
    }
    assert_eq!(lines.len(), 9, "{told}");
}

#[test]
fn a_table_is_found_however_its_name_is_written() {
    for head in ["a", "'A'", "\"a\""] {
        let told = told(&format!("\n[destination.{head}]\nrelay = 'none'\n"));
        assert!(
            told.starts_with("the file:3:1: destination.\"a\".relay: "),
            "{told}"
        );
    }
}

#[test]
fn what_follows_from_a_mistake_is_none_of_its_own() {
    for text in [
        "tls-certificate = 5\nrequire-tls = true",
        "[destination.'a.example']\nrelay-user = 'ann'\nrelay-password-file = 'a'",
    ] {
        let told = told(text);
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_as_that() {
    let told = told("recipients-max = 5\nretry = \nfoo = 1\nhostname = 'a b'");
    assert!(told.starts_with("the file:2:"), "{told}");
    assert!(!told.contains("no such option"), "{told}");
}

#[test]
fn what_a_server_keeps_is_what_the_reference_marks() {
    let tls = "tls-certificate = ['a']\ntls-key = ['b']\n";
    let listener = "[listener.NAME]\naddress = '127.0.0.1:587'\n";
    let running = format!("{tls}listen = []\nlisten-tls = ['127.0.0.1:465']\n{listener}");
    let running = from_file(&running).unwrap();
    let text = r#"
        listen = ["127.0.0.1:25"]
        listen-tls = ["127.0.0.1:466"]
        storage = "memory:"
        admin-socket = "/run/slimta"
        lock-duration = "1h"
        attempts-max = 7
        contents-memory-max = 7
        intakes-max = 7
        connections-max = 7
        log-format = "json"
        tls-directory = "/elsewhere"
        tls-report = true
        hostname = "other.example"
        [listener.NAME]
        address = "127.0.0.1:588"
    "#;
    let mut other = from_file(&format!("{tls}{text}")).unwrap();
    let mut kept = other.keep(&running);
    let mut marked = kept::KEPT;
    kept.sort_unstable();
    marked.sort_unstable();
    assert_eq!(kept, marked);
    assert_eq!(other.hostname, "other.example");
    assert_eq!(other.keep(&running), [""; 0], "it is as it was");
}

#[test]
fn listeners_stay_where_they_are_and_go_by_their_new_rules() {
    let tls = "tls-certificate = ['a']\ntls-key = ['b']\n";
    let table = |name: &str, more: &str| {
        format!(
            "[listener.{name}]\naddress = '127.0.0.1:{}'\n{more}\n",
            1 + name.len()
        )
    };
    let old = [tls, &table("a", ""), &table("bb", "tls = 'implicit'")].concat();
    let running = from_file(&old).unwrap();
    let new = [table("a", "permit = []"), table("ccc", "")].concat();
    let mut other = from_file(&new).unwrap();
    assert_eq!(other.keep(&running), ["listener.bb", "listener.ccc"]);
    let [a, b] = &other.listeners[..] else {
        panic!("{:?}", other.listeners);
    };
    assert_eq!((a.permit.len(), a.tls), (0, None));
    assert_eq!(b.tls, Some(TlsMode::Implicit));
    assert!(other.edge.tls.is_some(), "b could not go on");
}

#[test]
fn tables_tell_each_mistake_at_its_key() {
    let text = r#"relay = "smtp://h"
source-address = "127.0.0.1"
socks5-user = "ann"
[listener.a]
role = "lmtp"
address = "127.0.0.1:25"
[listener.b]
tls = "implicit"
address = "127.0.0.1:465"
[listener.c]
role = "relay"
[listener.d]
address = "127.0.0.1:26"
auth = true
recipients = "/nowhere"
[[source-pool.default]]
address = "127.0.0.1"
ehlo-name = "a_b"
[[source-pool.bulk]]
address = "127.0.0.1"
weight = 1001
[tenants.acme]
source-pool = "other"
[destination."x.example"]
relay-user = "ann"
ehlo-name = "a b"
[destination."y.example"]
source-pool = "nothing"
socks5-password-file = "/nowhere"
"#;
    let told = told(text);
    for begin in [
        "2:1: source-address: it and [[source-pool.default]] say the same",
        "3:1: socks5-user: it needs its socks5-password-file",
        "5:1: listener.a.role: LMTP is never spoken on port 25",
        "8:1: listener.b.tls: it needs a certificate",
        "10:11: listener.c: a listener needs an address",
        "14:1: listener.d.auth: it needs a file of users",
        "18:1: source-pool.default.ehlo-name: \"a_b\" is not the name",
        "21:1: source-pool.bulk.weight: 1001 is not a number",
        "23:1: tenants.acme.source-pool: there is no [[source-pool.other]], only: bulk, default",
        "25:1: destination.\"x.example\".relay-user: it needs its relay-password-file",
        "26:1: destination.\"x.example\".ehlo-name: \"a b\" is not the name",
        "28:1: destination.\"y.example\".source-pool: there is no [[source-pool.nothing]]",
        "29:1: destination.\"y.example\".socks5-password-file: it needs a socks5-user",
    ] {
        let begins = |line: &str| {
            line.strip_prefix("the file:")
                .is_some_and(|l| l.starts_with(begin))
        };
        assert!(told.lines().any(begins), "{begin} is not in {told}");
    }
}

#[test]
fn what_fits_nothing_else_does_not_hide_what_is_wrong_behind_it() {
    let mut reading = Reading::of_text(
        Flags::default(),
        "the file".to_owned(),
        "tls-certificate = ['/nowhere/a.pem']\nlock-duration = '1ms'\nretry = '5m'".to_owned(),
    );
    let settings = reading.settings().unwrap();
    let destination = slimta_core::message::Destination::new("a.example");
    assert_eq!(settings.retry.get(&destination).to_string(), "5m");
    assert!(settings.edge.tls.is_none());
    let told = reading.verdict().unwrap_err().to_string();
    assert_eq!(told.lines().count(), 2, "{told}");
}

/// Lines of a file, each of which is right or wrong by itself.
const RIGHT: [&str; 8] = [
    "listen = ['127.0.0.1:0', '[::1]:0'] # both",
    "hostname = 'mx.example'",
    "retry = '1m..;until=1h'",
    "permit = ['192.0.2.0/24']",
    "message-bytes-max = '10m'",
    "heed-replies = false",
    "log-level = 'debug'",
    "tenants.acme.weight = 5",
];
const WRONG: [&str; 8] = [
    "liste = ['127.0.0.1:0']",
    "relay = 25",
    "recipients-max = 0",
    "connections-max = 'all'",
    "lock-duration = '1ms'",
    "delay-notice = 'never'",
    "tls = 'perhaps'",
    "log-format = 'xml'",
];

proptest! {
    #[test]
    fn each_wrong_line_is_told_and_no_other(
        lines in proptest::sample::subsequence([RIGHT, WRONG].concat(), 0..=16).prop_shuffle(),
    ) {
        let told = from_file(&lines.join("\n")).map(drop).map_err(|error| error.to_string());
        let told = told.err().unwrap_or_default();
        let places = told.lines().map(|line| {
            let number = line.split(':').nth(1).unwrap_or_default();
            number.parse::<usize>().unwrap()
        });
        let numbered = lines.iter().enumerate();
        let wrong = numbered.filter(|(_, line)| WRONG.contains(line));
        let wrong: Vec<_> = wrong.map(|(number, _)| number + 1).collect();
        prop_assert_eq!(places.collect::<Vec<_>>(), wrong, "{}", told);
    }
}
