//! From a verdict to the one commit that records it. Pure.

use crate::message::{BounceBuilder, Content, Failure, Message, StoredMessage};
use crate::storage::Change;
use crate::world::Timestamp;

use super::judge::Verdict;

/// What changes in the store, and the bounce to store with it.
pub(super) struct Conclusion {
    pub(super) change: Change,
    pub(super) bounce: Option<Message>,
}

/// Draws the conclusion from a verdict: what waits is deferred, all else ends;
/// failures are told to the sender, unless there is none or nobody wants to
/// know.
pub(super) fn conclude(
    message: &StoredMessage,
    content: &Content,
    verdict: &Verdict,
    remote: Option<&str>,
    builder: &dyn BounceBuilder,
    reporting: &str,
    now: Timestamp,
) -> Conclusion {
    let change = match &verdict.deferral {
        Some(deferral) => Change::Defer(deferral.clone()),
        None => Change::Remove,
    };
    let nobody_to_tell = verdict.failed.is_empty() || message.envelope.sender.is_null();
    let bounce = if nobody_to_tell {
        None
    } else {
        builder.build(&Failure {
            id: message.id,
            client: &message.client,
            envelope: &message.envelope,
            content,
            received: message.received,
            failed: &verdict.failed,
            remote,
            reporting,
            now,
        })
    };
    Conclusion { change, bounce }
}
