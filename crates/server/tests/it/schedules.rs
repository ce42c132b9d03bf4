//! Retry schedules: what is explained, and what becomes of mail that waits.

use std::time::Duration;

use serde_json::Value;
use slimta_core::world::Timestamp;

use crate::rig::{NextHop, Store, run, send, stderr, stdout, text, until};

fn explained(schedule: &str) -> Value {
    let said = run(&["schedule", "explain", schedule, "--json"]);
    assert!(said.status.success(), "{}", stderr(&said));
    serde_json::from_str(&stdout(&said)).unwrap()
}

#[test]
fn a_schedule_is_explained_before_mail_waits_by_it() {
    let said = run(&["schedule", "explain", "1m*2..4h;until=1d;jitter=10%"]);
    let text = stdout(&said);
    assert!(said.status.success(), "{}", stderr(&said));
    let row = |number: usize| text.lines().nth(number).unwrap();
    assert!(row(1).ends_with("at once"), "{text}");
    assert!(row(2).ends_with("1m            54s to 1m 6s"), "{text}");
    assert!(row(3).ends_with("2m            2m 42s to 3m 18s"), "{text}");
    let end = "Given up, and bounced, when the last attempt, number 13 to 14, fails: \
               19h 36m to 1d after reception.";
    assert_eq!(text.lines().last(), Some(end), "{text}");

    let plan = explained("1m,5m,1h..;until=5d");
    assert_eq!(plan["schedule"], "1m,5m,1h..;until=5d");
    let attempts = plan["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 51);
    assert_eq!(attempts[2]["attempt"], 3);
    assert_eq!(attempts[2]["delay_seconds"], 300.0);
    assert_eq!(attempts[2]["latest_seconds"], 360.0);
    // Three attempts, then one an hour, as long as it is less than five days.
    assert_eq!(plan["last_attempt_latest"], 3 + 119);
    assert_eq!(plan["more"], 3 + 119 - 51);
    assert_eq!(plan["given_up_latest_seconds"], 119.0 * 3600.0 + 360.0);
}

#[test]
fn a_schedule_without_an_end_is_refused_with_what_to_add() {
    for args in [
        &["schedule", "explain", "1m,4h.."][..],
        &["serve", "--relay", "none", "--retry", "1m*2..4h"],
    ] {
        let said = run(args);
        assert_eq!(said.status.code(), Some(2), "{args:?}");
        let why = stderr(&said);
        assert!(why.contains("add ;until=AGE or ;attempts=N"), "{why}");
    }
}

/// From the reception of the only message to its next attempt.
fn wait_of(message: &Value) -> Option<Duration> {
    let time = |name| message[name].as_str()?.parse::<Timestamp>().ok();
    Some(time("next_attempt_at")?.since(time("received_at")?))
}

#[test]
fn mail_that_waits_goes_by_the_schedule_of_its_destination_and_of_the_day() {
    let hop = NextHop::answering(&["=450 4.2.0 Not now"]);
    let store = Store::new();
    let relay = hop.url();
    let server = store.serve(&["--relay", &relay, "--retry", "1h..;until=9d"]);
    send(server.address, "a@from.example", &["b@to.example"]);
    let waits = |attempts: u64| {
        store.until_list("a failure", |list| match list {
            [one] if one["attempts"] == attempts => wait_of(one),
            _ => None,
        })
    };
    let day = Duration::from_secs(86_400);
    assert!(waits(1) < day);
    assert_eq!(text(&store.list()[0], "destination"), relay);
    server.stop();

    let config = store.path().with_extension("toml");
    let rule = |retry: &str| {
        let text = format!("retry = 'none'\n[destination.'{relay}']\nretry = '{retry}'\n");
        std::fs::write(&config, text).unwrap();
        let config = config.display().to_string();
        store.serve(&["--relay", &relay, "--config", &config])
    };
    let server = rule("3d..;until=9d");
    assert!(waits(1) < day, "it was attempted anew");
    store.queue_ok(&["retry"]);
    let waited = waits(2);
    assert!((2 * day..4 * day).contains(&waited), "{waited:?}");
    server.stop();

    // Now it has had more attempts than it may have: the next failure ends it.
    let _server = rule("3d..;attempts=3");
    store.queue_ok(&["retry"]);
    store.until_list("a bounce in its place", |list| match list {
        [one] => (text(one, "sender").is_empty()).then_some(()),
        _ => None,
    });
}

#[test]
fn a_next_hop_that_names_a_time_is_heeded_unless_it_shall_not_be() {
    let hop = NextHop::answering(&["=450 4.2.0 Greylisted, try again in 900 seconds"]);
    let waited = |heed: &str| {
        let store = Store::new();
        let relay = hop.url();
        let retry = ["--retry", "3h..;until=9d", "--heed-replies", heed];
        let server = store.serve(&[&["--relay", relay.as_str()][..], &retry].concat());
        send(server.address, "a@from.example", &["b@to.example"]);
        store.until_list("a failure", |list| match list {
            [one] if one["attempts"] == 1 => wait_of(one),
            _ => None,
        })
    };
    let hour = Duration::from_secs(3600);
    let heeded = waited("true");
    assert!((hour / 4..hour).contains(&heeded), "{heeded:?}");
    let kept = waited("false");
    assert!(kept >= 3 * hour, "{kept:?}");
}

#[test]
fn a_sender_is_told_once_of_a_delay_whatever_is_started_anew() {
    let hop = NextHop::answering(&["^rcpt@=450 4.2.0 Not now"]);
    let store = Store::new();
    let relay = hop.url();
    let args = ["--relay", &relay, "--retry", "200ms..;until=1h"];
    let serve = |delay: &str| store.serve(&[&args[..], &["--delay-notice", delay]].concat());
    let told = || store.logged().matches("sender told of the delay").count();
    let attempts = || match store.list().as_slice() {
        [one] => one["attempts"].as_u64(),
        _ => None,
    };
    let fails_again = || {
        let before = until("one message", attempts);
        until("three more failures", || {
            attempts().filter(|now| *now >= before + 3)
        });
    };
    let server = serve("none");
    send(server.address, "a@from.example", &["rcpt@to.example"]);
    fails_again();
    server.stop();
    assert_eq!(told(), 0);

    let server = serve("1ms");
    until("the notice", || (told() == 1).then_some(()));
    until("its delivery", || {
        store
            .logged()
            .contains("recipient=a@from.example")
            .then_some(())
    });
    fails_again();
    server.kill();
    let server = serve("1ms");
    fails_again();
    server.stop();
    assert_eq!(told(), 1, "{}", store.logged());
}
