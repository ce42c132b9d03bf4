//! Takes everything and keeps nothing.

use async_trait::async_trait;

use super::{Delivery, Relay};
use crate::message::{Report, Response};

/// Accepts every message and throws it away: for trying out, and for measuring
/// what is before the relay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blackhole;

#[async_trait]
impl Relay for Blackhole {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let recipients = delivery.message.envelope.recipients.len();
        Report::all(Response::success(0, 0, "Thrown away"), recipients)
    }
}
