//! When to try again: the retry algorithm.

use crate::message::{Response, StoredMessage};
use crate::world::Timestamp;

/// Says when a message that failed for now is tried again, or that it is given
/// up (the seed's `set_retry_algorithm`).
///
/// `message.attempts` counts the failure that was just seen. A time in the past
/// means at once.
///
/// The age of a message counts from [`StoredMessage::released`], not from when it was
/// received: its sender may have asked for a later time.
///
/// It is asked anew after each failure, and only its answer is stored: when it
/// changes, mail that waits goes by the new one from its next failure on.
///
/// # A schedule for each message
/// ```
/// use slimta_core::queue::{Queue, RetryAlgorithm as _, Schedule};
/// use slimta_core::message::{Response, StoredMessage};
/// use slimta_core::storage::Memory;
/// use slimta_core::world::World;
/// # use std::sync::Arc;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let world = World::system();
/// let ordinary = Schedule::server_default();
/// let one_time_codes: Schedule = "10s*2..5m;until=15m".parse()?;
/// let clock = world.clone();
/// let algorithm = move |message: &StoredMessage, response: &Response| {
///     let schedule = match message.envelope.sender.as_str() {
///         "codes@shop.example" => &one_time_codes,
///         _ => &ordinary,
///     };
///     schedule.next_attempt(message, response, clock.now())
/// };
/// # let storage = Arc::new(Memory::new(world.clone()));
/// let queue = Queue::new(None, None, storage).with_retry_algorithm(algorithm);
/// # Ok(())
/// # }
/// ```
pub trait RetryAlgorithm: Send + Sync + 'static {
    /// The time of the next attempt; none to give up and bounce.
    fn next_attempt(
        &self,
        message: &StoredMessage,
        response: &Response,
        now: Timestamp,
    ) -> Option<Timestamp>;

    /// The time after which there is no attempt any more, if the algorithm
    /// knows one.
    fn expiry(&self, _message: &StoredMessage) -> Option<Timestamp> {
        None
    }
}

/// Any closure of message and response, as in the seed.
impl<F> RetryAlgorithm for F
where
    F: Fn(&StoredMessage, &Response) -> Option<Timestamp> + Send + Sync + 'static,
{
    fn next_attempt(
        &self,
        message: &StoredMessage,
        response: &Response,
        _now: Timestamp,
    ) -> Option<Timestamp> {
        self(message, response)
    }
}
