//! A walk through the messages that fit, a page at a time.

use slimta_core::message::MessageId;

use crate::admin::{Door, Listed, Reply, Request, Which};
use crate::failure::Failure;

/// A walk. What arrives behind it on the way is met too, what left is not.
pub(in crate::commands) struct Walk<'a> {
    door: &'a Door,
    which: Which,
    after: Option<MessageId>,
    ended: bool,
}

impl<'a> Walk<'a> {
    /// Through the messages that fit `which`.
    pub(in crate::commands) fn new(door: &'a Door, which: Which) -> Self {
        Walk {
            door,
            which,
            after: None,
            ended: false,
        }
    }

    /// The next page, which may be empty; none after the last.
    pub(in crate::commands) async fn next(&mut self) -> Result<Option<Listed>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let request = Request::List {
            which: self.which.clone(),
            after: self.after,
        };
        let Reply::Listed(page) = self.door.ask(request).await? else {
            return Err(super::strange());
        };
        self.after = page.next;
        self.ended = page.next.is_none();
        Ok(Some(page))
    }
}
