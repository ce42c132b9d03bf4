//! How the queues of a run are set.

use std::time::Duration;

use slimta_core::message::{Response, StoredMessage};
use slimta_core::queue::{Limits, RetryAlgorithm};
use slimta_core::world::Timestamp;

/// Attempts of one manager at the same time, and how much is leased ahead.
pub(crate) const ATTEMPTS_AT_ONCE: usize = 12;
pub(crate) const AHEAD_FACTOR: usize = 2;
/// Attempts after which a message is given up.
const ATTEMPTS_MAX: u32 = 8;

/// Little room, so that it is full now and then; and enough for a next hop that
/// is good beside all that are bad.
pub(crate) fn limits() -> Limits {
    Limits {
        attempts_max: ATTEMPTS_AT_ONCE,
        attempts_per_destination_initial: 2,
        attempts_per_destination_max: 3.into(),
        ahead_factor: AHEAD_FACTOR,
        drain_time_max: Duration::from_secs(30),
        ..Limits::default()
    }
}

/// Tries again every few minutes, and gives up unless it is a notice.
pub(crate) struct Patience;

impl RetryAlgorithm for Patience {
    fn next_attempt(
        &self,
        message: &StoredMessage,
        _: &Response,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let gives_up = message.attempts >= ATTEMPTS_MAX && !message.envelope.sender.is_null();
        let delay = Duration::from_secs(60 * u64::from(message.attempts.min(10)));
        (!gives_up).then(|| now.after(delay))
    }
}
