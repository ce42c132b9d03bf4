//! What a written schedule promises.

use super::*;
use proptest::option::of;
use proptest::prelude::*;

use crate::queue::sample;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn message(attempts: u32, seed: u64) -> StoredMessage {
    sample::message(START, attempts, seed)
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
        delays("1s,2h..;until=1d", 1..=4),
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
    let schedule: Schedule = "100s..;until=1d;jitter=20%".parse().unwrap();
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
        "1m*2..4h;until=5d",
        "10s,1m*1.5..4h;attempts=20;jitter=10%",
        "1ms*1.01..3650d;until=1d;attempts=100000",
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
        ("0s..;until=1d", "\"0s..\""),
        ("1m..,5m;until=1d", "\"1m..\""),
        ("1m*2", "\"1m*2\""),
        ("1m*1..4h;until=1d", "\"1\""),
        ("1m*1.005..4h;until=1d", "\"1.005\""),
        ("1m*-2..4h;until=1d", "\"-2\""),
        ("1m*101..4h;until=1d", "\"101\""),
        ("1m*2..30s;until=1d", "\"1m*2..30s\""),
        ("0s*2..30s;until=1d", "\"0s*2..30s\""),
        ("1m*2..4h,5h;until=1d", "\"1m*2..4h\""),
        ("1m;util=5d", "\"util=5d\""),
        ("1m..;attempts=0", "\"0\""),
        ("1m..;attempts=100001", "\"100001\""),
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

#[test]
fn a_growing_delay_is_multiplied_up_to_the_greatest_one() {
    assert_eq!(
        delays("5s,1m*2..5m;until=1d", 1..=6),
        [
            Some(5),
            Some(60),
            Some(120),
            Some(240),
            Some(300),
            Some(300)
        ]
    );
    assert_eq!(
        delays("10s*1.5..1h;until=1d", [1, 2, 3, u32::MAX].into_iter()),
        [Some(10), Some(15), Some(22), Some(3600)]
    );
}

#[test]
fn a_message_has_no_more_attempts_than_the_schedule_says() {
    assert_eq!(
        delays("1m..;attempts=3", 1..=4),
        [Some(60), Some(60), None, None]
    );
    assert_eq!(delays("1m,2m,3m;attempts=2", 1..=2), [Some(60), None]);
    assert_eq!(delays("1m;attempts=1", 1..=1), [None]);
}

#[test]
fn what_would_retry_for_ever_is_refused_with_what_to_add() {
    for text in ["1m,4h..", "1m*2..4h", "1ms..;jitter=100%"] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains("for ever"), "{error}");
        assert!(error.contains(";until=AGE or ;attempts=N"), "{error}");
    }
}

fn a_time() -> impl Strategy<Value = String> {
    (
        1_u32..100,
        prop::sample::select(vec!["ms", "s", "m", "h", "d"]),
    )
        .prop_map(|(number, unit)| format!("{number}{unit}"))
}

prop_compose! {
    fn a_schedule()(
        first in prop::collection::vec(a_time(), 0..4),
        last in a_time(),
        then in prop::sample::select(vec!["", "..", "*2..99d", "*1.5..99d"]),
        until in of(a_time()),
        attempts in of(1_u32..500),
        jitter in 0_u8..=100,
    ) -> String {
        let mut text = format!("{}{then}", [first, vec![last]].concat().join(","));
        if let Some(until) = until {
            text.push_str(&format!(";until={until}"));
        }
        if let Some(attempts) = attempts {
            text.push_str(&format!(";attempts={attempts}"));
        }
        text + &format!(";jitter={jitter}%")
    }
}

/// The attempts of a message whose attempts all fail at once, as time since it
/// was received; none if there are more than a test can wait for.
fn lived(schedule: &Schedule, seed: u64) -> Option<Vec<Duration>> {
    let response = Response::transient(0, 0, "later");
    let mut message = message(0, seed);
    let mut at = vec![Duration::ZERO];
    while at.len() < 2000 {
        message.attempts += 1;
        let now = START.after(*at.last()?);
        let Some(next) = schedule.next_attempt(&message, &response, now) else {
            return Some(at);
        };
        assert!(next > now, "time stands still");
        at.push(next.since(START));
    }
    None
}

proptest! {
    #[test]
    fn no_schedule_retries_for_ever(text in a_schedule(), seed in any::<u64>()) {
        let Ok(schedule) = text.parse::<Schedule>() else {
            prop_assert!(!text.contains("until") && !text.contains("attempts"));
            return Ok(());
        };
        prop_assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule.clone());
        // Time goes on with each attempt, so an end by age comes, too.
        match lived(&schedule, seed) {
            Some(at) => {
                let until = schedule.until.unwrap_or(Duration::MAX);
                prop_assert!(at.iter().all(|at| *at <= until));
                prop_assert!(at.len() <= schedule.attempts_max.unwrap_or(u32::MAX) as usize);
            }
            None => prop_assert!(schedule.until.is_some()),
        }
    }

    #[test]
    fn a_plan_says_when_attempts_fall(text in a_schedule(), seed in any::<u64>()) {
        let Ok(schedule) = text.parse::<Schedule>() else { return Ok(()) };
        let Some(at) = lived(&schedule, seed) else { return Ok(()) };
        let plan = schedule.plan(usize::MAX);
        for (step, at) in plan.steps.iter().zip(&at[1..]) {
            prop_assert!(*at >= step.earliest && *at <= step.latest, "{:?} {:?}", at, step);
        }
        let last = at.len() as u64;
        let (least, most) = plan.last_attempt;
        prop_assert!((least..=most).contains(&last), "{} {:?}", last, plan.last_attempt);
        let (earliest, latest) = plan.given_up;
        let end = at[at.len() - 1];
        prop_assert!(end >= earliest && end <= latest, "{:?} {:?}", end, plan.given_up);
        let certain = plan.steps.iter().filter(|step| step.certain).count() as u64;
        prop_assert_eq!(certain + 1, least);
        // A walk that long stops showing steps, and counts them.
        prop_assert_eq!(plan.steps.len() as u64 + plan.more + 1, most);
    }
}

#[test]
fn a_plan_has_no_more_steps_than_were_asked_for_and_counts_the_rest() {
    let plan = |text: &str, most| text.parse::<Schedule>().unwrap().plan(most);
    let short = plan("1m,5m,1h..;until=1d", 3);
    assert_eq!(short.steps.len(), 3);
    assert_eq!(short.more, 22);
    assert_eq!(short.last_attempt, (26, 26));
    assert_eq!(short.given_up.0, Duration::from_secs(23 * 3600 + 360));
    assert_eq!(short.given_up.0, short.given_up.1);
    let endless = plan("7ms..;until=3650d", 3);
    assert_eq!(endless.more, 3650 * 86_400_000 / 7 - 3);
    assert_eq!(endless.last_attempt, (endless.more + 4, endless.more + 4));
    let end = Duration::from_millis(3650 * 86_400_000 / 7 * 7);
    assert_eq!(endless.given_up, (end, end));
    let spread = plan("7ms..;until=3650d;jitter=50%", 3);
    assert_eq!(spread.given_up.1, Duration::from_secs(3650 * 86_400));
    assert!(spread.last_attempt.0 < endless.more && spread.last_attempt.1 > endless.more);
    // The first delay may already be too long, and then comes no other.
    let day = Duration::from_secs(86_400);
    let early = plan("30d,1ms..;until=16d;jitter=47%", 3);
    assert_eq!(early.given_up, (Duration::ZERO, 16 * day));
    let none = plan("none", 3);
    assert_eq!(
        (none.steps.len(), none.more, none.last_attempt),
        (0, 0, (1, 1))
    );
}
