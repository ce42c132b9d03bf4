//! What settings come of which flags and which file.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use slimta::edge::smtp::{AuthMode, TlsMode};

use super::*;

fn from_file(text: &str) -> Result<Settings, Failure> {
    let options = file::parse(text).map_err(Failure::Config)?;
    Options::default().or(options).settle()
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
    let settings = flags.or(file::parse(text).unwrap()).settle().unwrap();
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
    let file = file::parse("relay = 'mx'\nhostname = 'a.example'\nrecipients-max = 9").unwrap();
    let settings = flags.or(file).settle().unwrap();
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
        ("[destination.a]\nrate = '0/s'", "rate = '0/s'"),
        ("[destination.a]\nrate = 5", "rate"),
        ("[destination.a]\nattempts-max = 0", "attempts-max"),
        (
            "[destination.a]\nmessages-per-connection = -1",
            "messages-per-connection",
        ),
        ("rate-per-destination = '5/d'", "or none"),
        ("[destination.a]\nrelay = 'none'", "[destination.\"a\"]"),
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
