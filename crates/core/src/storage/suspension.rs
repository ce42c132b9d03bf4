//! Mail that an operator keeps back by where it goes.

use crate::world::Timestamp;

/// So many suspensions are kept at most: every manager reads all of them every
/// few seconds. One can be for all domains below another.
pub const SUSPENSIONS_MAX: usize = 1_000;

/// An operator keeps the mail for some destinations back. Nothing is written to
/// a message, so that beginning and ending it cost the same for any queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suspension {
    /// Which destinations. The queue reads it, the storage does not.
    pub destinations: String,
    /// Why, for whoever looks later.
    pub reason: String,
    /// When it ends by itself, by the storage's clock; none if it does not.
    pub until: Option<Timestamp>,
}

impl Suspension {
    /// Whether it has not ended.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}
