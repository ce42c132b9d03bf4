//! The storage contract: what every engine promises and the queue relies on.
//!
//! An engine keeps messages durably, orders them by due time for each
//! destination, and grants leases. It has no opinion on retries. Every call is
//! one atomic step. The suite that each engine must pass is in the module
//! `conformance`, behind the feature of that name.
//!
//! **One due time.** A fresh message is due now, a deferred one at its retry, a
//! leased one when the lease ends. There is no second list to fall out of step
//! with, so a crash leaves nothing that would have to be found again.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod lease;
mod memory;
mod select;
mod settle;
mod transfer;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::message::{Content, Destination, MessageId, Submission};
use crate::world::Timestamp;

pub use error::StorageError;
pub use lease::{Lease, Leased, Owner, Ticket};
pub use memory::Memory;
pub use select::{
    Acted, Action, Due, Filter, LeaseView, Listed, Listing, Page, State, Stats, Unreadable,
};
pub use settle::{Change, Deferral, Settled, Settlement, check_submission};
pub use transfer::{MoveError, Moved, move_all};

/// A storage engine.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// Opens a session: one owner's handle. Leases taken through it are that
    /// owner's.
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError>;
}

/// One owner's handle on an engine: the seed's `storage_session`.
///
/// Whether a message is due, and whether a lease still holds, is judged by the
/// clock of the storage, never by the caller's. Whoever sets a due time counts
/// from [`now`](Session::now).
#[async_trait]
pub trait Session: Debug + Send + Sync + 'static {
    /// Who owns the leases taken through this session.
    fn owner(&self) -> &Owner;

    /// The time by the storage's clock, as far as this session knows it: behind
    /// it by an answer's way at most, and ahead only by the drift of two clocks
    /// since the last answer. What is due then is due at once, however wrong
    /// the caller's own clock is.
    fn now(&self) -> Timestamp;

    /// Ends the session. Later calls answer [`StorageError::Closed`]; leases
    /// that it still holds run out.
    async fn close(&self);

    // --- the way of a message -------------------------------------------------

    /// Stores a submission: all of its messages or none, **durable when this
    /// returns**. With a `lease` the first so many messages are leased to this
    /// session in the same commit, and given back.
    ///
    /// Storing ids that are there already changes nothing and leases nothing:
    /// a repeated call after an unknown outcome is harmless.
    async fn store(
        &self,
        submission: Submission,
        lease: Option<FirstLeases>,
    ) -> Result<Vec<Leased>, StorageError>;

    /// The destinations that have due mail which is neither held nor leased,
    /// the longest due first, beginning behind `after`; at most `limit`. The
    /// cost does not depend on the backlog.
    async fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError>;

    /// Leases up to `limit` due messages of one destination for `lease`: by
    /// priority, then the longest due. No two sessions ever get the same one.
    async fn claim(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError>;

    /// As [`claim`](Session::claim), but the longest due come first whatever their
    /// priority. Who claims so now and then leaves nothing behind for ever.
    async fn claim_longest_due(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError>;

    /// Leases one message, whenever it is due, held or not; the message is read
    /// under the lease. None when it is unknown or leased already: then nothing
    /// has changed.
    async fn lock(&self, id: MessageId, lease: Duration) -> Result<Option<Leased>, StorageError>;

    /// Gives a lease back unused; the message is due again as it was before.
    /// A stale lease changes nothing.
    async fn unlock(&self, lease: &Lease) -> Result<Settled, StorageError>;

    /// Makes leases end `lease` from now. Each answer stands for the ticket at
    /// the same place; a stale one changes nothing.
    async fn renew(
        &self,
        tickets: &[Ticket],
        lease: Duration,
    ) -> Result<Vec<Settled>, StorageError>;

    /// Settles attempts. Each settlement is one atomic step, fenced by its
    /// lease: if another has taken the message since, nothing changes and the
    /// answer says so. A lease that ran out but was not taken still settles.
    /// Durable when this returns; the answers stand in order. Where a part of
    /// the storage is away, each settlement that lies there has an error of its
    /// own, and is offered again alone: what is done is not done twice, and says
    /// that its lease is lost.
    async fn settle(
        &self,
        batch: &[Settlement],
    ) -> Result<Vec<Result<Settled, StorageError>>, StorageError>;

    // --- reads, which never block writers ---------------------------------------

    /// One message with its state; none if there is none of that id.
    async fn load(&self, id: MessageId) -> Result<Option<Listed>, StorageError>;

    /// The contents of a message; none if there is none of that id.
    async fn contents(&self, id: MessageId) -> Result<Option<Content>, StorageError>;

    /// A page of messages in the order of their ids, which is that of their
    /// arrival. What cannot be read is told apart, and stays where it is.
    async fn list(&self, filter: &Filter, page: Page) -> Result<Listing, StorageError>;

    /// Counts, kept up to date rather than counted.
    async fn stats(&self) -> Result<Stats, StorageError>;

    /// The next moment at which something can be claimed: a due time or the end
    /// of a lease. None when nothing waits (held mail does not).
    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError>;

    /// Completes when something was stored, settled, released or made due since
    /// the generation `seen`, at once if that is so already; gives the
    /// generation to pass next time. Begin with 0. It fails as soon as the
    /// storage has stopped writing ([`StorageError::Poisoned`]).
    async fn changed(&self, seen: u64) -> Result<u64, StorageError>;

    // --- managers that share a storage --------------------------------------------

    /// Says that this session's owner manages the queue for `lasting` from now,
    /// and gives all owners who do, in any order. With a zero it ceases to. Need not be durable: nothing but speed depends on it. A
    /// storage that one process has for itself has one manager.
    async fn manage(&self, lasting: Duration) -> Result<Vec<Owner>, StorageError> {
        let manages = !lasting.is_zero();
        Ok(manages.then(|| self.owner().clone()).into_iter().collect())
    }

    // --- operators --------------------------------------------------------------

    /// Acts on the messages of one page of a filter; leased ones are left as
    /// they are and counted.
    async fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
    ) -> Result<Acted, StorageError>;
}

/// Leases the first messages of a submission with the commit that stores it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstLeases {
    /// How many messages.
    pub count: usize,
    /// For how long.
    pub lease: Duration,
}
