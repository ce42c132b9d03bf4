//! Routing: which destination a recipient belongs to.
//!
//! A message is split by destination when it is stored; each part is attempted,
//! retried and bounced for itself.

use crate::message::{Destination, Envelope, Recipient};

pub use slimta_core::queue::ByDomain;
pub use slimta_core::relay::Router;

/// Everything goes to one next hop, a smarthost: a message is never split, and
/// all of its recipients travel in one transaction.
#[derive(Clone, Debug)]
pub struct Smarthost(Destination);

impl Smarthost {
    /// All mail belongs to this destination. The name is for people; what it
    /// is connected to is up to the relay.
    pub fn new(name: impl AsRef<str>) -> Self {
        Smarthost(Destination::new(name))
    }
}

impl Router for Smarthost {
    fn destination(&self, _envelope: &Envelope, _recipient: &Recipient) -> Destination {
        self.0.clone()
    }
}
