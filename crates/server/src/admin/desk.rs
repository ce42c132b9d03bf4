//! Does what operators ask, a bounded page at a time.

use std::sync::Arc;

use slimta_core::message::{Destination, EnhancedCode, MessageId, Response, StoredMessage};
use slimta_core::queue::{Bounced, Queue, QueueError};
use slimta_core::storage::{self, Action, Page, Session};

use super::protocol::{Acted, Contents, Listed, Part, Reply, Request, Unread, Verb, Which};
use super::story::StoryView;
use super::view::{DestinationView, MessageView, StatsView};

/// Most messages of a page.
const PAGE_MESSAGES_MAX: usize = 100;
/// Most messages that are changed in one commit.
const ACT_MESSAGES_MAX: usize = 500;

/// Where operators are served: a session of their own, and the queue that
/// knows how to bounce.
pub(crate) struct Desk {
    queue: Queue,
    session: Arc<dyn Session>,
}

impl Desk {
    /// A desk in front of `session`. `queue` must keep its messages in the
    /// same storage.
    pub(crate) fn new(queue: Queue, session: Arc<dyn Session>) -> Self {
        Desk { queue, session }
    }

    /// Does one request.
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, QueueError> {
        match request {
            Request::List { which, after } => self.list(&which, after).await.map(Reply::Listed),
            Request::Destinations => Ok(Reply::Destinations(self.destinations())),
            Request::Stats => self.stats().await.map(Reply::Stats),
            Request::Contents { id, part } => self.contents(id, part).await.map(Reply::Contents),
            Request::Act { which, verb, after } => {
                self.act(&which, &verb, after).await.map(Reply::Acted)
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

    fn destinations(&self) -> Vec<DestinationView> {
        let in_hand = self.queue.destinations().into_iter();
        in_hand.map(DestinationView::from).collect()
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
    ) -> Result<Acted, QueueError> {
        let action = match verb {
            Verb::Retry => {
                if after.is_none() {
                    self.end_pauses(which);
                }
                Action::SetDue(self.session.now())
            }
            Verb::Hold { reason } => Action::Hold(reason.clone()),
            Verb::Release => Action::Release,
            Verb::Delete => Action::Delete,
            Verb::Bounce { reason } => return self.bounce(which, reason, after).await,
        };
        let page = Page {
            after,
            limit: ACT_MESSAGES_MAX,
        };
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
        Verb::Delete => tracing::info!(%id, "deleted by operator"),
        Verb::Bounce { reason } => tracing::info!(%id, reason, "bounced by operator"),
    }
}
