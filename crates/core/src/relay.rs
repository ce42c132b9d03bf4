//! What hands a message on, and the name of where it goes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::message::{Content, Destination, Envelope, Recipient, Report, StoredMessage};
use crate::world::{Timestamp, World};

/// Attempts deliveries. An attempt always answers: not delivering is a
/// [`Report`], never an error, and a relay never counts a recipient delivered
/// that the next hop did not accept with a 2yz.
#[async_trait]
pub trait Relay: Send + Sync + 'static {
    /// Attempts one delivery. Dropping the future cuts the attempt.
    async fn attempt(&self, delivery: Delivery) -> Report;

    /// The name of the site that takes mail for `destination`: the same for all
    /// destinations that share their hosts. None if it is not known, or shared with
    /// nobody.
    async fn site(&self, _destination: &Destination) -> Option<Arc<str>> {
        None
    }
}

#[async_trait]
impl<R: Relay + ?Sized> Relay for Box<R> {
    async fn attempt(&self, delivery: Delivery) -> Report {
        (**self).attempt(delivery).await
    }

    async fn site(&self, destination: &Destination) -> Option<Arc<str>> {
        (**self).site(destination).await
    }
}

#[async_trait]
impl<R: Relay + ?Sized> Relay for Arc<R> {
    async fn attempt(&self, delivery: Delivery) -> Report {
        (**self).attempt(delivery).await
    }

    async fn site(&self, destination: &Destination) -> Option<Arc<str>> {
        (**self).site(destination).await
    }
}

/// Names the destination of a recipient. Messages are split by it when they
/// are stored. A name that ends in `#` and a word is that of a tenant's mail for the
/// next hop before it ([`Destination::tenant`]).
pub trait Router: Send + Sync + 'static {
    /// The next hop for `recipient`.
    fn destination(&self, envelope: &Envelope, recipient: &Recipient) -> Destination;
}

impl<R: Router + ?Sized> Router for Box<R> {
    fn destination(&self, envelope: &Envelope, recipient: &Recipient) -> Destination {
        (**self).destination(envelope, recipient)
    }
}

impl<R: Router + ?Sized> Router for Arc<R> {
    fn destination(&self, envelope: &Envelope, recipient: &Recipient) -> Destination {
        (**self).destination(envelope, recipient)
    }
}

/// What a relay is asked to attempt.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message, as it was read under the lease.
    pub message: Arc<StoredMessage>,
    /// Its contents.
    pub content: Content,
    /// The time when the attempt began, by the storage's clock.
    pub now: Timestamp,
    /// Whether the lease under which this is attempted still holds.
    pub lease: LeaseSignal,
}

/// Tells a relay whether the lease still holds. A relay starts no transaction
/// and sends no final dot once it does not: another manager may be sending the
/// same message.
#[derive(Clone, Debug)]
pub struct LeaseSignal(Option<Arc<Validity>>);

#[derive(Debug)]
struct Validity {
    world: World,
    /// On the monotonic clock. A std mutex: held for one assignment.
    until: Mutex<Duration>,
}

impl LeaseSignal {
    /// For an attempt without a lease: it always holds.
    pub fn unleased() -> Self {
        LeaseSignal(None)
    }

    /// Holds until the monotonic clock of `world` shows `until`.
    pub fn until(world: World, until: Duration) -> Self {
        LeaseSignal(Some(Arc::new(Validity {
            world,
            until: Mutex::new(until),
        })))
    }

    /// The lease was renewed, or (with a moment in the past) lost.
    pub fn extend(&self, until: Duration) {
        if let Some(validity) = &self.0 {
            *validity
                .until
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = until;
        }
    }

    /// What is left of the lease; none without a lease.
    pub fn remaining(&self) -> Option<Duration> {
        let validity = self.0.as_ref()?;
        let until = *validity
            .until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(until.saturating_sub(validity.world.monotonic()))
    }

    /// Whether the lease still holds.
    pub fn is_alive(&self) -> bool {
        self.remaining().is_none_or(|left| !left.is_zero())
    }

    /// Completes when the lease ends without having been renewed.
    pub async fn lost(&self) {
        let Some(validity) = &self.0 else {
            return std::future::pending().await;
        };
        while let Some(left) = self.remaining().filter(|left| !left.is_zero()) {
            validity.world.sleep(left).await;
        }
    }
}
