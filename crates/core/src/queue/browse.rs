//! Looks through stored messages, a page at a time: never the whole queue in
//! memory.

use std::sync::Arc;

use crate::message::MessageId;
use crate::storage::{Filter, Listing, Page, Session, StorageError};

/// Messages a page holds at most.
const PAGE_MAX: usize = 1000;

/// Stored messages that fit a filter, in the order of their ids.
///
/// What could not be read comes apart in each page, as
/// [`unreadable`](Listing::unreadable): nothing is left out in silence.
#[derive(Debug)]
pub struct Pages {
    session: Arc<dyn Session>,
    filter: Filter,
    after: Option<MessageId>,
    ended: bool,
}

impl Pages {
    /// All messages that fit `filter`.
    pub fn new(session: Arc<dyn Session>, filter: Filter) -> Self {
        Pages {
            session,
            filter,
            after: None,
            ended: false,
        }
    }

    /// The next page; none after the last. Pages may be empty.
    pub async fn next(&mut self) -> Result<Option<Listing>, StorageError> {
        if self.ended {
            return Ok(None);
        }
        let page = Page {
            after: self.after,
            limit: PAGE_MAX,
        };
        let listing = self.session.list(&self.filter, page).await?;
        self.after = listing.next;
        self.ended = listing.next.is_none();
        Ok(Some(listing))
    }

    /// All pages as one: for queues that are known to be small.
    pub async fn collect(mut self) -> Result<Listing, StorageError> {
        let mut all = Listing::default();
        while let Some(page) = self.next().await? {
            all.messages.extend(page.messages);
            all.unreadable.extend(page.unreadable);
        }
        Ok(all)
    }
}
