//! Does what operators ask, a bounded page at a time.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::{Destination, EnhancedCode, MessageId, Response, StoredMessage};
use slimta_core::queue::{Bounced, DestinationPattern, Queue, QueueError};
use slimta_core::storage::{self, Action, Page, Session, StorageError, Suspension};
use slimta_core::world::Timestamp;

use super::destinations::destinations;
use super::protocol::{
    Acted, Contents, Ends, Listed, Part, Previewed, Reply, Request, Unread, Verb, Which,
};
use super::story::StoryView;
use super::view::{MessageView, StatsView};
use crate::reload::Reloader;

/// Most messages of a page.
const PAGE_MESSAGES_MAX: usize = 100;
/// Most messages that are changed in one commit.
const ACT_MESSAGES_MAX: usize = 500;

/// Where operators are served: a session of their own, and the queue that
/// knows how to bounce.
pub(crate) struct Desk {
    queue: Queue,
    session: Arc<dyn Session>,
    reloader: Option<Arc<Reloader>>,
}

impl Desk {
    /// A desk in front of `session`. `queue` must keep its messages in the
    /// same storage.
    pub(crate) fn new(queue: Queue, session: Arc<dyn Session>) -> Self {
        Desk {
            queue,
            session,
            reloader: None,
        }
    }

    /// The same, of a server that can read its configuration again.
    pub(crate) fn with_reloader(self, reloader: Arc<Reloader>) -> Self {
        Desk {
            reloader: Some(reloader),
            ..self
        }
    }

    /// Does one request.
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, QueueError> {
        match request {
            Request::List { which, after } => self.list(&which, after).await.map(Reply::Listed),
            Request::Destinations => {
                let all = destinations(&self.queue, &*self.session).await;
                all.map(Reply::Destinations)
            }
            Request::Stats => self.stats().await.map(Reply::Stats),
            Request::Reload => Ok(self.reload().await),
            Request::Contents { id, part } => self.contents(id, part).await.map(Reply::Contents),
            Request::Suspend {
                destinations,
                reason,
                ends,
            } => {
                let suspended = self.suspend(&destinations, reason, ends).await?;
                Ok(Reply::Suspended(suspended.into()))
            }
            Request::Resume { destinations } => {
                self.resume(&destinations).await.map(Reply::Resumed)
            }
            Request::Act {
                which,
                verb,
                after,
                limit,
            } => {
                let limit = limit.unwrap_or(usize::MAX).max(1);
                let acted = self.act(&which, &verb, after, limit).await;
                acted.map(Reply::Acted)
            }
            Request::Preview { which, verb, after } => {
                let previewed = self.preview(&which, &verb, after).await;
                previewed.map(Reply::Previewed)
            }
        }
    }

    /// Ends its session; what waits in the storage stays.
    pub(crate) async fn close(&self) {
        self.session.close().await;
    }

    async fn list(&self, which: &Which, after: Option<MessageId>) -> Result<Listed, QueueError> {
        let page = Page {
            after,
            limit: PAGE_MESSAGES_MAX,
        };
        // What is suspended is a reason to wait.
        self.queue.suspensions(&*self.session).await?;
        let listing = self.session.list(&which.filter(), page).await?;
        // A long list would be much longer with all of its stories.
        let view = |listed: &storage::Listed| MessageView {
            story: which.id.is_some().then(|| self.story(&listed.message)),
            ..self.view(listed)
        };
        let unreadable = listing.unreadable.into_iter();
        Ok(Listed {
            messages: listing.messages.iter().map(view).collect(),
            unreadable: unreadable
                .map(|u| Unread {
                    id: u.id,
                    reason: u.reason,
                })
                .collect(),
            next: listing.next,
        })
    }

    async fn reload(&self) -> Reply {
        let Some(reloader) = &self.reloader else {
            return Reply::NotReloaded("no server runs here".to_owned());
        };
        match reloader.reload().await {
            Ok(reloaded) => Reply::Reloaded(reloaded),
            Err(why) => Reply::NotReloaded(format!("all settings are as before:\n{why}")),
        }
    }

    fn view(&self, listed: &storage::Listed) -> MessageView {
        MessageView::new(listed, &self.queue.why(&*self.session, listed))
    }

    fn story(&self, message: &StoredMessage) -> StoryView {
        StoryView::new(&message.history, self.queue.gives_up_at(message))
    }

    /// Else what is made due would be put off without a try. Once a walk: if a
    /// destination turns out to be still absent, its next page need not ask anew.
    fn end_pauses(&self, which: &Which) {
        let destination = which.destination.as_deref().map(Destination::new);
        self.queue.end_pauses(destination.as_ref());
    }

    async fn suspend(
        &self,
        destinations: &DestinationPattern,
        reason: String,
        ends: Option<Ends>,
    ) -> Result<Suspension, QueueError> {
        let now = self.session.now();
        let until = ends.map(|ends| match ends {
            Ends::InMillis(millis) => now.after(Duration::from_millis(millis)),
            Ends::At(time) => time,
        });
        let suspension = Suspension {
            destinations: destinations.to_string(),
            reason,
            until,
        };
        if !suspension.is_in_force(now) {
            let why = format!("that time is over: it is {}", now.rfc3339());
            return Err(StorageError::Invalid(why).into());
        }
        self.queue.suspend(&*self.session, &suspension).await?;
        let reason = &suspension.reason;
        let until = until.map_or_else(|| "resumed".to_owned(), Timestamp::rfc3339);
        tracing::info!(%destinations, reason, until, "suspended by operator");
        Ok(suspension)
    }

    async fn resume(&self, destinations: &DestinationPattern) -> Result<bool, QueueError> {
        let resumed = self.queue.resume(&*self.session, destinations).await?;
        if resumed {
            tracing::info!(%destinations, "resumed by operator");
        }
        Ok(resumed)
    }

    async fn stats(&self) -> Result<StatsView, QueueError> {
        let stats = self.session.stats().await?;
        Ok(StatsView::new(&stats, self.session.now()))
    }

    async fn contents(&self, id: MessageId, part: Part) -> Result<Contents, QueueError> {
        let content = self.session.contents(id).await?;
        Ok(content.map(|content| match part {
            Part::Header => content.header_bytes().to_vec(),
            Part::Whole => content.to_vec(),
        }))
    }

    async fn act(
        &self,
        which: &Which,
        verb: &Verb,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Acted, QueueError> {
        let action = match verb {
            Verb::Retry => {
                if after.is_none() {
                    self.end_pauses(which);
                }
                Action::SetDue(self.session.now())
            }
            Verb::Reroute { to } => {
                if after.is_none() {
                    self.queue.end_pauses(Some(to.destination()));
                }
                Action::Reroute(to.clone(), self.session.now())
            }
            Verb::Hold { reason } => Action::Hold(reason.clone()),
            Verb::Release => Action::Release,
            Verb::Delete => Action::Delete,
            Verb::Bounce { reason } => return self.bounce(which, reason, after).await,
        };
        let limit = limit.min(ACT_MESSAGES_MAX);
        let page = Page { after, limit };
        let acted = self.session.act(&which.filter(), page, &action).await?;
        for id in &acted.changed {
            audit(*id, verb);
        }
        Ok(Acted {
            changed: acted.changed,
            leased: acted.leased,
            next: acted.next,
        })
    }

    async fn preview(
        &self,
        which: &Which,
        verb: &Verb,
        after: Option<MessageId>,
    ) -> Result<Previewed, QueueError> {
        let limit = ACT_MESSAGES_MAX;
        let page = Page { after, limit };
        let listing = self.session.list(&which.filter(), page).await?;
        let mut previewed = Previewed {
            next: listing.next,
            ..Previewed::default()
        };
        for listed in &listing.messages {
            let message = &listed.message;
            let would_change = match verb {
                Verb::Retry | Verb::Delete => true,
                Verb::Hold { reason } => message.held.as_ref() != Some(reason),
                Verb::Release => message.held.is_some(),
                Verb::Reroute { to } => !to.is_of(message),
                Verb::Bounce { .. } => is_meant(which, listed),
            };
            if would_change && listed.lease.is_some() {
                previewed.leased += 1;
            } else if would_change {
                previewed.messages += 1;
                previewed.bytes += message.size;
                let destination = message.destination.to_string();
                previewed.destinations.insert(destination);
            }
        }
        Ok(previewed)
    }

    async fn bounce(
        &self,
        which: &Which,
        reason: &str,
        after: Option<MessageId>,
    ) -> Result<Acted, QueueError> {
        let page = Page {
            after,
            limit: PAGE_MESSAGES_MAX,
        };
        let listing = self.session.list(&which.filter(), page).await?;
        let mut acted = Acted {
            next: listing.next,
            ..Acted::default()
        };
        for listed in listing
            .messages
            .iter()
            .filter(|listed| is_meant(which, listed))
        {
            let id = listed.message.id;
            match self
                .queue
                .bounce(&self.session, id, given_up(reason))
                .await?
            {
                Bounced::Done => {
                    audit(
                        id,
                        &Verb::Bounce {
                            reason: reason.to_owned(),
                        },
                    );
                    acted.changed.push(id);
                }
                Bounced::Locked => acted.leased += 1,
            }
        }
        Ok(acted)
    }
}

/// Notices are given up only by their id or by their reverse-path: else a walk
/// through many messages would meet the notices that it has just caused, and
/// throw them away.
fn is_meant(which: &Which, listed: &storage::Listed) -> bool {
    which.id.is_some() || which.sender.is_some() || !listed.message.envelope.sender.is_null()
}

/// What the recipients of a bounced message fail with (RFC 3463: 5.7.0, other
/// security or policy status).
fn given_up(reason: &str) -> Response {
    Response::new(554, Some(EnhancedCode::new(5, 7, 0)), reason)
}

/// One line a message that an operator changed, so that nothing ever leaves the
/// queue without a trace.
fn audit(id: MessageId, verb: &Verb) {
    match verb {
        Verb::Retry => tracing::info!(%id, "made due by operator"),
        Verb::Hold { reason } => tracing::info!(%id, reason, "held by operator"),
        Verb::Release => tracing::info!(%id, "released by operator"),
        Verb::Reroute { to } => tracing::info!(%id, %to, "rerouted by operator"),
        Verb::Delete => tracing::info!(%id, "deleted by operator"),
        Verb::Bounce { reason } => tracing::info!(%id, reason, "bounced by operator"),
    }
}
