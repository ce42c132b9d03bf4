//! From a verdict to the one commit that records it. Pure.

use std::time::Duration;

use crate::message::{
    BounceBuilder, Content, Failure, History, Message, OnSuccess, Past, PastKind, Recipient,
    Response, StoredMessage,
};
use crate::storage::{Change, Deferral};
use crate::world::Timestamp;

use super::judge::Verdict;

/// What changes in the store, and the notices to store with it.
pub(super) struct Conclusion {
    pub(super) change: Change,
    /// That recipients failed.
    pub(super) bounce: Option<Message>,
    /// That recipients wait for long.
    pub(super) delay_notice: Option<Message>,
    /// That recipients have it who asked to hear of that from us.
    pub(super) success_notice: Option<Message>,
}

/// How senders are told.
pub(super) struct Telling<'a> {
    pub(super) builder: &'a dyn BounceBuilder,
    /// The name of this host.
    pub(super) reporting: &'a str,
    /// The age at which a message is late; none if nobody is told of that.
    pub(super) delay_notice_after: Option<Duration>,
    pub(super) now: Timestamp,
}

/// Draws the conclusion from a verdict: what waits is deferred, all else ends;
/// failures are told to the sender, that a message is late, once, and success if
/// no other host does so; unless there is no sender or nobody wants to know.
pub(super) fn conclude(
    message: &StoredMessage,
    content: &Content,
    verdict: &Verdict,
    telling: &Telling<'_>,
) -> Conclusion {
    let remote = verdict.remote.as_deref();
    let about = |told_of| about(message, content, told_of, remote, telling);
    let has_sender = !message.envelope.sender.is_null();
    let bounce = (has_sender && !verdict.failed.is_empty())
        .then(|| telling.builder.build(&about(&verdict.failed)))
        .flatten();
    let is_late = is_late(message, telling.delay_notice_after, telling.now);
    let delay_notice = (verdict.deferral.is_some() && is_late)
        .then(|| {
            let delay = about(&verdict.deferred);
            telling.builder.build_delay(&delay, verdict.retry_until)
        })
        .flatten();
    let tell_success =
        has_sender && !verdict.delivered.is_empty() && verdict.on_success != OnSuccess::PassedOn;
    let success_notice = tell_success
        .then(|| {
            let success = about(&verdict.delivered);
            telling.builder.build_success(&success, verdict.on_success)
        })
        .flatten();
    // A report goes as fast as what it tells of (RFC 6710 section 4.6).
    let as_fast = |notice: Option<Message>| {
        notice.map(|notice| Message {
            priority: message.priority,
            ..notice
        })
    };
    let change = match &verdict.deferral {
        Some(deferral) => Change::Defer(Deferral {
            // Whoever wants no notice is not asked again.
            delay_told: deferral.delay_told || is_late,
            history: history(message, verdict, deferral, telling.now),
            ..deferral.clone()
        }),
        None => Change::Remove,
    };
    Conclusion {
        change,
        bounce: as_fast(bounce),
        delay_notice: as_fast(delay_notice),
        success_notice: as_fast(success_notice),
    }
}

/// Whether the sender is to be told that a message waits for long, and was not
/// told before.
pub(super) fn is_late(message: &StoredMessage, after: Option<Duration>, now: Timestamp) -> bool {
    let late = message.late_at(after).is_some_and(|at| now >= at);
    late && !message.delay_told && !message.envelope.sender.is_null()
}

/// The history of a message that waits again.
pub(super) fn history(
    message: &StoredMessage,
    verdict: &Verdict,
    deferral: &Deferral,
    now: Timestamp,
) -> History {
    let kind = match verdict.put_off {
        true => PastKind::PutOff {
            since: now,
            times: 1,
        },
        false => PastKind::Tried,
    };
    let answer = (&deferral.response, verdict.remote.as_deref());
    let waiting = deferral.recipients.len();
    message.history_with(Past::new(message, kind, waiting, answer, now))
}

/// What a notice is about.
fn about<'a>(
    message: &'a StoredMessage,
    content: &'a Content,
    failed: &'a [(Recipient, Response)],
    remote: Option<&'a str>,
    telling: &Telling<'a>,
) -> Failure<'a> {
    Failure {
        id: message.id,
        client: &message.client,
        envelope: &message.envelope,
        content,
        received: message.received,
        failed,
        remote,
        reporting: telling.reporting,
        now: telling.now,
    }
}
