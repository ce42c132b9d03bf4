//! Retry schedules: what is written is what was read, and a schedule never
//! names a time that is too early or past its end.

use std::time::Duration;

use slimta_core::message::{
    Client, Destination, Envelope, History, MessageId, Priority, Response, ReversePath,
    StoredMessage,
};
use slimta_core::queue::{RetryAlgorithm, Schedule};
use slimta_core::world::Timestamp;

const RECEIVED: Timestamp = Timestamp::from_secs(1_700_000_000);
/// Ten years, the longest that can be written, and the jitter on it.
const WAIT_MAX: Duration = Duration::from_secs(2 * 3650 * 86_400);
/// A schedule in its shortest form is hardly longer than as it was written.
const GROWTH_BYTES_MAX: usize = 64;
/// Retries that are looked at one by one.
const STEPS_MAX: usize = 50;

/// Text as a schedule.
pub(crate) fn schedules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let schedule: Schedule = match text.parse() {
        Ok(schedule) => schedule,
        Err(error) => {
            let told = format!("{error}");
            assert!(told.len() < 1024, "{} bytes of error", told.len());
            return;
        }
    };
    let written = schedule.to_string();
    assert_eq!(written.parse().as_ref(), Ok(&schedule), "{written}");
    assert!(
        written.len() <= 2 * text.len() + GROWTH_BYTES_MAX,
        "{written}"
    );
    let response = Response::transient(2, 0, "later");
    for attempts in [0, 1, 2, 7, 1000, u32::MAX] {
        let now = RECEIVED.after(Duration::from_secs(60));
        let next = schedule.next_attempt(&message(attempts), &response, now);
        assert_eq!(
            next,
            schedule.next_attempt(&message(attempts), &response, now)
        );
        if let Some(next) = next {
            assert!(next >= now && next.since(now) <= WAIT_MAX, "{next:?}");
        }
    }
    ends(&schedule, &response);
    let plan = schedule.plan(STEPS_MAX);
    assert!(plan.steps.len() <= STEPS_MAX);
    assert!(plan.last_attempt.0 <= plan.last_attempt.1);
    assert!(plan.given_up.0 <= plan.given_up.1);
    let retries = plan.steps.len() as u64 + plan.more;
    assert_eq!(plan.last_attempt.1, retries + 1, "{written}");
}

/// Whoever has waited for ever was given up, by age or by attempts.
fn ends(schedule: &Schedule, response: &Response) {
    let mut old = message(u32::MAX);
    old.received = Timestamp::from_secs(0);
    let now = Timestamp::from_secs(1_700_000_000);
    assert_eq!(schedule.next_attempt(&old, response, now), None);
}

fn message(attempts: u32) -> StoredMessage {
    let id = MessageId::from_bytes([7; 16]);
    StoredMessage {
        id,
        submission: id,
        destination: Destination::new("a.example"),
        client: Client::default(),
        envelope: Envelope::new(ReversePath::Null, []),
        received: RECEIVED,
        size: 0,
        priority: Priority::Normal,
        attempts,
        due: RECEIVED,
        held: None,
        last_response: None,
        delay_told: false,
        history: History::default(),
    }
}
