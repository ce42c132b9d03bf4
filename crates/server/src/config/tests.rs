//! What settings come of which flags and which file.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use slimta::edge::smtp::{AuthMode, TlsMode};

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
    assert_eq!(settings.listen, [LISTEN_DEFAULT]);
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
    assert_eq!(settings.listen.len(), 2);
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

#[test]
fn tls_has_its_certificates_and_its_own_ports() {
    let files = "tls-certificate = ['a.pem', 'b.pem']\ntls-key = ['a.key', 'b.key']\n";
    let settings = from_file(files).unwrap();
    let tls = settings.edge.tls.unwrap();
    assert_eq!(tls.mode(), TlsMode::Offered);
    assert_eq!((settings.listen.len(), tls.listen.len()), (1, 0));

    let only = format!("{files}listen-tls = ['[::]:465']\nrequire-tls = true\n");
    let settings = from_file(&only).unwrap();
    let tls = settings.edge.tls.unwrap();
    assert_eq!(tls.mode(), TlsMode::Required);
    assert_eq!((settings.listen.len(), tls.listen.len()), (0, 1));

    assert!(from_file("require-tls = false").unwrap().edge.tls.is_none());
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
        ("message-bytes-max = 'big'", "message-bytes-max"),
        ("log-format = 'xml'", "xml"),
        ("[dkim.'a.example']\nselektor = 's'", "selektor"),
        ("[dkim.'a.example']\nselector = 's'", "`key`"),
        (
            "[[dkim.'a.example']]\nselector = 's'\nkey = 'k'\nbits = 5",
            "bits",
        ),
        ("[dkim]\n'a.example' = 'k'", "a table with selector and key"),
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
    let told = told("tls-certificate = 5\nrequire-tls = true");
    assert_eq!(told.lines().count(), 1, "{told}");
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
    let running = from_file(&format!("{tls}listen-tls = ['127.0.0.1:465']")).unwrap();
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
        hostname = "other.example"
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
