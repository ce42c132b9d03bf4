//! What a written schedule promises.

use super::*;
use crate::message::{Client, Destination, Envelope, Priority};
use crate::world::World;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn message(attempts: u32, seed: u64) -> StoredMessage {
    let id = MessageId::new(&World::simulated(START, seed));
    StoredMessage {
        id,
        submission: id,
        destination: Destination::new("example.org"),
        client: Client::default(),
        envelope: Envelope::default(),
        received: START,
        size: 0,
        priority: Priority::Normal,
        attempts,
        due: START,
        held: None,
        last_response: None,
    }
}

/// Seconds from `now` to the next attempt, by attempts.
fn delays(schedule: &str, attempts: impl Iterator<Item = u32>) -> Vec<Option<u64>> {
    let schedule: Schedule = schedule.parse().unwrap();
    let response = Response::transient(0, 0, "later");
    attempts
        .map(|n| schedule.next_attempt(&message(n, 1), &response, START))
        .map(|next| next.map(|next| next.since(START).as_secs()))
        .collect()
}

#[test]
fn delays_come_in_order_and_then_it_is_given_up() {
    assert_eq!(
        delays("1m,5m,1h", 1..=5),
        [Some(60), Some(300), Some(3600), None, None]
    );
    assert_eq!(delays("none", 1..=2), [None, None]);
}

#[test]
fn the_last_delay_repeats_until_the_message_is_too_old() {
    assert_eq!(
        delays("1s,2h..", 1..=4),
        [Some(1), Some(7200), Some(7200), Some(7200)]
    );
    let schedule: Schedule = "2h..;until=5h".parse().unwrap();
    let response = Response::transient(0, 0, "later");
    let at = |hours: u64| START.after(Duration::from_secs(hours * 3600));
    assert_eq!(
        schedule.next_attempt(&message(2, 1), &response, at(3)),
        Some(at(5))
    );
    assert_eq!(
        schedule.next_attempt(&message(2, 1), &response, at(4)),
        None
    );
}

#[test]
fn jitter_spreads_messages_within_its_bounds_and_is_the_same_each_time() {
    let schedule: Schedule = "100s..;jitter=20%".parse().unwrap();
    let response = Response::transient(0, 0, "later");
    let delay = |seed| {
        let next = schedule.next_attempt(&message(1, seed), &response, START);
        next.unwrap().since(START)
    };
    let drawn: Vec<_> = (0..500).map(delay).collect();
    let within = Duration::from_secs(80)..=Duration::from_secs(120);
    assert!(drawn.iter().all(|d| within.contains(d)));
    assert!(*drawn.iter().min().unwrap() < Duration::from_secs(84));
    assert!(*drawn.iter().max().unwrap() > Duration::from_secs(116));
    assert_eq!(delay(7), delay(7));
}

#[test]
fn a_schedule_is_written_as_it_is_read() {
    for text in [
        "none",
        "90s",
        "500ms,1s,1500ms..;until=2s",
        "1m,5m,15m,30m,1h,2h,4h..;until=5d;jitter=20%",
        "0s,1d;until=3650d",
    ] {
        let schedule: Schedule = text.parse().unwrap();
        assert_eq!(schedule.to_string(), text);
    }
    let server: Schedule = "1m,5m,15m,30m,1h,2h,4h..;until=5d;jitter=20%"
        .parse()
        .unwrap();
    assert_eq!(server, Schedule::server_default());
}

#[test]
fn a_bad_schedule_names_the_part_that_is_wrong() {
    for (text, part) in [
        ("", "\"\""),
        ("5", "\"5\""),
        ("1m,,5m", "\"\""),
        ("1m,5x", "\"5x\""),
        ("0s..", "\"0s..\""),
        ("1m;util=5d", "\"util=5d\""),
        ("1m;jitter=120%", "\"120%\""),
        (
            "1m;until=99999999999999999999d",
            "\"99999999999999999999d\"",
        ),
        ("4000d", "\"4000d\""),
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.starts_with(part), "{text}: {error}");
    }
}
