//! What replies of real receivers say of the next attempt.

use super::*;
use crate::queue::{Schedule, sample};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A reply as it comes over the wire; lines are joined.
fn reply(text: &str) -> Response {
    let (code, text) = text.split_at(3);
    let text = text[1..].to_owned();
    let (enhanced, text) = match EnhancedCode::split_from(&text) {
        Some((enhanced, rest)) => (Some(enhanced), rest.to_owned()),
        None => (None, text),
    };
    Response::new(code.parse().unwrap(), enhanced, text)
}

#[test]
fn a_time_in_a_reply_is_found() {
    for (text, seconds) in [
        // postgrey, sqlgrey, milter-greylist, policyd, Exim, and others.
        (
            "450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted for 300 seconds (see http://isg.ee.ethz.ch/tools/postgrey/help/b.example.html)",
            300,
        ),
        (
            "450 4.7.1 <a@b.example>: Recipient address rejected: Greylisted for 5 minutes",
            300,
        ),
        (
            "451 4.7.1 Greylisting in action, please come back in 00:04:59",
            299,
        ),
        (
            "451 4.7.1 Greylisting in action, please come back in 01:00:00",
            3600,
        ),
        (
            "451 4.7.1 Greylisting in effect, please retry in 300 seconds",
            300,
        ),
        (
            "451 4.7.1 <a@b.example>: Recipient address rejected: Greylisted, try again in 180 seconds",
            180,
        ),
        ("450 4.7.1 Greylisted, please try again in 900 seconds", 900),
        ("451 Greylisted, please try again in 5 min", 300),
        ("450 4.7.0 Grey listed; wait at least 2 minutes", 120),
        (
            "421 4.7.0 Too many connections, please try again in about 10 minutes.",
            600,
        ),
        ("452 4.3.1 Rate limit: retry after 90s", 90),
        (
            "421 4.4.5 Busy\nplease wait 1 hour\nbefore you come back",
            3600,
        ),
        (
            "450 4.2.1 Mailbox busy, try again in 4000000000 hours",
            14_400_000_000_000,
        ),
    ] {
        let hint = retry_hint(&reply(text));
        assert_eq!(hint, Some(Duration::from_secs(seconds)), "{text}");
    }
}

#[test]
fn greylisting_without_a_time_wants_some_minutes() {
    for text in [
        "450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/b.example.html",
        "451 4.7.1 Greylisting in action, please come back later",
        "451 4.7.1 Service unavailable - try again later",
        "451 4.7.1 Try again later",
        "450 4.7.1 <mx.example>: Helo command rejected: Host not found",
        "451 Graylisted - please try again later",
        "450 Gray-listing in progress",
    ] {
        assert_eq!(retry_hint(&reply(text)), Some(GREYLIST_WAIT), "{text}");
    }
}

#[test]
fn replies_that_name_no_time_leave_it_to_the_schedule() {
    for text in [
        // Google, Microsoft, Yahoo, GMX, OpenBSD's spamd, Postfix.
        "450 4.2.1 The user you are trying to contact is receiving mail at a rate that\nprevents additional messages from being delivered. Please resend your\nmessage at a later time.",
        "421 4.7.0 [192.0.2.1      15] Our system has detected an unusual rate of\nunsolicited mail originating from your IP address.",
        "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)",
        "421 RP-001 Unfortunately, some messages from 192.0.2.1 weren't sent. Please try again. We have limits for how many messages can be sent per hour and per day.",
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1",
        "450 Requested mail action not taken: mailbox unavailable\nReject due to policy restrictions.",
        "451 Temporary failure, please try again later.",
        "452 4.3.1 Insufficient system storage",
        "450 4.2.0 You sent 100 messages in 60 minutes, try again later",
        "450 4.2.0 Try again at 12:30:00",
        "450 4.2.0 Try again in a while",
        "450 4.2.0 Try again in 99999999999999999999 seconds",
        "451 4.3.0 wait",
        "450",
        // Not for now, but for good or done.
        "550 5.7.1 Greylisted for 300 seconds",
        "250 2.0.0 Greylisted for 300 seconds",
    ] {
        assert_eq!(retry_hint(&reply(&format!("{text} "))), None, "{text}");
    }
}

/// Seconds to the next attempt, by the schedule and what the next hop said.
fn wait(schedule: &str, attempts: u32, text: &str) -> Option<u64> {
    let algorithm = HeedReplies(schedule.parse::<Schedule>().unwrap());
    let message = sample::message(START, attempts, 1);
    let next = algorithm.next_attempt(&message, &reply(text), START);
    next.map(|next| next.since(START).as_secs())
}

#[test]
fn a_reply_moves_the_next_attempt_within_bounds() {
    let in_300 = "450 4.2.0 Greylisted for 300 seconds";
    let asked = |wait: Option<u64>| (300..=330).contains(&wait.unwrap());
    assert!(asked(wait("1m..;until=5d", 1, in_300)));
    assert!(asked(wait("4h..;until=5d", 3, in_300)));
    assert_eq!(wait("4h..;until=5d", 4, in_300), Some(4 * 3600));
    // Later counts however often it failed.
    assert!(asked(wait("1m..;until=5d", 40, in_300)));
    let at_once = wait("1h..;until=5d", 1, "450 4.2.0 Try again in 0 seconds");
    assert!((30..=33).contains(&at_once.unwrap()));
    let far = "450 4.2.0 Try again in 4000000000 hours";
    assert_eq!(wait("1m..;until=5d", 1, far), Some(3600));
    assert_eq!(wait("2h..;until=5d", 1, far), Some(2 * 3600));
    let none = "450 4.2.0 Not now";
    assert_eq!(wait("1m..;until=5d", 1, none), Some(60));
}

#[test]
fn no_reply_makes_a_message_fail_sooner() {
    let in_300 = "450 4.2.0 Greylisted for 300 seconds";
    // Behind the end it would be lost: it comes at the end.
    assert_eq!(wait("1m..;until=2m", 1, in_300), Some(120));
    assert_eq!(wait("1m..;until=10s", 1, in_300), None);
    assert_eq!(wait("none", 1, in_300), None);
    // The last attempt is not wasted on a receiver that may say 450 again.
    assert_eq!(wait("1m,1h", 2, in_300), Some(3600));
    assert_eq!(wait("1h..;attempts=3", 2, in_300), Some(3600));
}
