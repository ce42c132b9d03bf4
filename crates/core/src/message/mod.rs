//! What travels: values only, no behaviour that needs the world.
//!
//! A [`Message`] is what an edge took in: client, envelope, contents and the
//! time. Once stored it becomes one [`StoredMessage`]
//! for each destination.

mod address;
mod bounce;
mod clean;
mod client;
mod content;
mod deliver_by;
mod dsn;
mod encode;
mod envelope;
mod header;
mod history;
mod id;
mod lmtp_address;
mod promise;
mod report;
mod response;
mod returned;
mod stored;
mod template;
mod tenant;
mod tls_required;
mod way;

pub use address::{Address, AddressError, ReversePath};
pub use bounce::{Bounce, BounceBuilder, Failure};
pub use clean::steers;
pub use client::Client;
pub use content::Content;
pub use deliver_by::{ByMode, DeliverBy};
pub use encode::RecordError;
pub use envelope::{BodyType, Envelope, NextHop, Notify, OriginalRecipient, Recipient, Ret};
pub use header::{Field, FieldError, NewField};
pub use history::{HISTORY_ENTRIES_MAX, History, Past, PastKind};
pub use id::{IdError, MessageId};
pub use lmtp_address::{LmtpAddress, LmtpAddressError, LmtpPlace};
pub use promise::FutureRelease;
pub use report::{OnSuccess, Report};
pub use response::{Class, Code, EnhancedCode, Response};
pub use stored::{Destination, Priority, StoredMessage, Submission};
pub use tenant::{Tenant, TenantError};
pub use way::{Way, WayError, host_and_port};

use crate::world::Timestamp;

/// A message on its way from an edge into the queue: the last place where it
/// may still be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who handed it in.
    pub client: Client,
    /// Who it is from and for.
    pub envelope: Envelope,
    /// Its header and body.
    pub content: Content,
    /// When it was received.
    pub timestamp: Timestamp,
    /// Which goes first.
    pub priority: Priority,
    /// On whose behalf it is sent; none if there are no tenants.
    pub tenant: Option<Tenant>,
}

impl Message {
    /// A message received at `timestamp`, of normal priority.
    pub fn new(client: Client, envelope: Envelope, content: Content, timestamp: Timestamp) -> Self {
        Message {
            client,
            envelope,
            content,
            timestamp,
            priority: Priority::default(),
            tenant: None,
        }
    }
}
