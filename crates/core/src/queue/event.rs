//! Everything that happens to a message or a destination, as one enum: it feeds
//! the log and whoever else watches.

use std::time::Duration;

use crate::message::{Address, Destination, MessageId, Priority, Response, ReversePath};
use crate::world::Timestamp;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It was stored durably.
    Received {
        /// The message.
        id: MessageId,
        /// The submission it belongs to.
        submission: MessageId,
        /// Its reverse-path.
        sender: ReversePath,
        /// Where it goes.
        destination: Destination,
        /// Whom it is for.
        recipients: Vec<Address>,
        /// Size of the contents in bytes.
        size: u64,
        /// Which goes first.
        priority: Priority,
    },
    /// An attempt begins.
    Attempted {
        /// The message.
        id: MessageId,
        /// Where it goes.
        destination: Destination,
        /// Which attempt this is, counted from 1.
        attempt: u32,
    },
    /// The next hop accepted it for a recipient.
    Delivered {
        /// The message.
        id: MessageId,
        /// The recipient.
        recipient: Address,
        /// What the next hop said.
        response: Response,
        /// The name of the next hop, if it gave one.
        remote: Option<String>,
        /// How long after it was received.
        age: Duration,
    },
    /// It failed for now for a recipient.
    Deferred {
        /// The message.
        id: MessageId,
        /// The recipient.
        recipient: Address,
        /// Why.
        response: Response,
        /// How many attempts have failed.
        attempts: u32,
        /// When it is tried again.
        due: Timestamp,
    },
    /// It failed for good for a recipient.
    Bounced {
        /// The message.
        id: MessageId,
        /// The recipient.
        recipient: Address,
        /// Why.
        response: Response,
        /// The notice that was stored in the same commit; none if the sender
        /// wants none.
        notice: Option<MessageId>,
    },
    /// Its sender was told that it is late.
    DelayTold {
        /// The message.
        id: MessageId,
        /// The notice that was stored in the same commit.
        notice: MessageId,
    },
    /// Its sender was told that recipients have it, or that it was relayed.
    SuccessTold {
        /// The message.
        id: MessageId,
        /// The notice that was stored in the same commit.
        notice: MessageId,
    },
    /// It failed for good, and there is nobody to tell: its reverse-path is null.
    DoubleBounced {
        /// The message.
        id: MessageId,
        /// The recipient.
        recipient: Address,
        /// Why.
        response: Response,
    },
    /// The lease was lost during the attempt, so that its result could not be
    /// recorded: another manager has the message, and may send it again.
    LeaseLost {
        /// The message.
        id: MessageId,
        /// Recipients that the next hop had accepted: possible duplicates.
        delivered: Vec<Address>,
    },
    /// The attempt was cut short by the shutdown and the message handed back.
    HandedBack {
        /// The message.
        id: MessageId,
    },
    /// The result of an attempt could not be recorded before the lease ended.
    Unsettled {
        /// The message.
        id: MessageId,
        /// Recipients that the next hop had accepted: possible duplicates.
        delivered: Vec<Address>,
        /// Why.
        error: String,
    },
    /// A destination could not be reached several times in a row. Nothing is sent
    /// there for a while; what is due is put off without being tried.
    Paused {
        /// The destination.
        destination: Destination,
        /// For how long.
        length: Duration,
        /// Why.
        response: Response,
    },
    /// A destination that was left alone was reached again.
    Resumed {
        /// The destination.
        destination: Destination,
    },
    /// The retry algorithm panicked or named an impossible time; the message
    /// waits for a fixed time instead.
    RetryBroken {
        /// The message.
        id: MessageId,
    },
}

/// Watches events. Called where they happen, so it must be quick.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &Event);
}

/// Any closure.
impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event) {
        self(event);
    }
}

/// Writes one structured `tracing` line an event: the default.
#[derive(Clone, Copy, Debug)]
pub struct Log;

impl Observer for Log {
    #[rustfmt::skip] // one line an event, as in the log
    fn observe(&self, event: &Event) {
        use tracing::{info, warn};
        match event {
            Event::Received { id, submission, sender, destination, recipients, size, priority } =>
                info!(%id, %submission, %sender, %destination, recipients = recipients.len(), to = list(recipients), size, priority = unusual(*priority), "received"),
            Event::Attempted { id, destination, attempt } =>
                tracing::debug!(%id, %destination, attempt, "attempted"),
            Event::Delivered { id, recipient, response, remote, age } =>
                info!(%id, %recipient, %response, remote, age_ms = age.as_millis() as u64, "delivered"),
            Event::Deferred { id, recipient, response, attempts, due } =>
                info!(%id, %recipient, %response, attempts, %due, "deferred"),
            Event::Bounced { id, recipient, response, notice } =>
                info!(%id, %recipient, %response, notice = notice.map(|n| n.to_string()), "bounced"),
            Event::DelayTold { id, notice } =>
                info!(%id, %notice, "sender told of the delay"),
            Event::SuccessTold { id, notice } =>
                info!(%id, %notice, "sender told of success"),
            Event::DoubleBounced { id, recipient, response } =>
                warn!(%id, %recipient, %response, "double bounce: nobody is told"),
            Event::LeaseLost { id, delivered } =>
                warn!(%id, possible_duplicates = delivered.len(), to = list(delivered), "lease lost"),
            Event::HandedBack { id } =>
                info!(%id, "handed back"),
            Event::Unsettled { id, delivered, error } =>
                warn!(%id, possible_duplicates = delivered.len(), to = list(delivered), error, "result could not be recorded"),
            Event::Paused { destination, length, response } =>
                warn!(%destination, length_s = length.as_secs(), %response, "destination paused"),
            Event::Resumed { destination } =>
                info!(%destination, "destination resumed"),
            Event::RetryBroken { id } =>
                warn!(%id, "the retry algorithm failed: trying again after a fixed time"),
        }
    }
}

/// A priority that somebody asked for (RFC 6710 section 4.1, item 3).
fn unusual(priority: Priority) -> Option<&'static str> {
    match priority {
        Priority::High => Some("high"),
        Priority::Normal => None,
        Priority::Low => Some("low"),
    }
}

/// Addresses as one value of a line. A space between two of them is the only one
/// outside quotes.
fn list(addresses: &[Address]) -> String {
    let texts: Vec<_> = addresses.iter().map(Address::as_str).collect();
    texts.join(" ")
}
