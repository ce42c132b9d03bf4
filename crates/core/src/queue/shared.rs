//! What a queue and all of its work have in common.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::bus;
use crate::message::{BounceBuilder, Message, Report, Response, Submission};
use crate::relay::{Delivery, Relay, Router};
use crate::storage::{Owner, Session, Storage, StorageError};
use crate::world::{Watched, World};

use super::event::{Event, Observer};
use super::lanes::Lanes;
use super::live::Live;
use super::peers::Peers;
use super::retry::RetryAlgorithm;
use super::suspend::Suspended;

/// What can be set on a queue before it runs.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) world: World,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) lock_duration: Duration,
}

/// What can be set while it runs, too: work looks at the rules of the moment.
/// The limits stand in the [`Lanes`].
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) relay_bus: Option<Arc<dyn bus::Client<Delivery, Report>>>,
    pub(super) router: Arc<dyn Router>,
    pub(super) retry: Arc<dyn RetryAlgorithm>,
    pub(super) bounce: Arc<dyn BounceBuilder>,
    pub(super) hostname: String,
    pub(super) delay_notice_after: Option<Duration>,
    /// What knows which destinations share their hosts.
    pub(super) sites: Option<Arc<dyn Relay>>,
}

/// How far a shutdown has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// Everything is done.
    Running,
    /// No attempt begins any more; those that run may finish.
    Draining,
    /// Attempts are cut and their messages handed back.
    Cut,
}

/// What a queue and its work share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) rules: Live<Rules>,
    pub(super) edge_bus: Option<Arc<dyn bus::Server<Message, Response>>>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) peers: Arc<Peers>,
    pub(super) suspended: Arc<Suspended>,
    pub(super) session: Arc<OnceCell<Arc<dyn Session>>>,
    pub(super) phase: Arc<Watched<Phase>>,
}

impl Shared {
    pub(super) fn world(&self) -> &World {
        &self.settings.world
    }

    /// Whether it attempts anything, and does not only store.
    pub(super) fn has_relay(&self) -> bool {
        self.rules.get().relay_bus.is_some()
    }

    /// The queue's own session, opened when it is first needed.
    pub(super) async fn session(&self) -> Result<Arc<dyn Session>, StorageError> {
        let session = self.session.get_or_try_init(|| self.storage.connect());
        session.await.cloned()
    }

    /// Who owns its leases; none before the session was first needed.
    pub(super) fn owner(&self) -> Option<Owner> {
        self.session.get().map(|session| session.owner().clone())
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Completes once the shutdown has come as far as `phase`.
    pub(super) async fn reached(&self, phase: Phase) {
        self.phase.wait_for(|now| now >= phase).await;
    }

    pub(super) fn observe(&self, event: &Event) {
        self.settings.observer.observe(event);
    }

    /// One event a message of a submission that was just stored.
    pub(super) fn observe_received(&self, submission: &Submission) {
        for message in &submission.messages {
            let recipients = message.envelope.recipients.iter();
            self.observe(&Event::Received {
                id: message.id,
                submission: message.submission,
                sender: message.envelope.sender.clone(),
                destination: message.destination.clone(),
                recipients: recipients.map(|r| r.address.clone()).collect(),
                size: message.size,
                priority: message.priority,
            });
        }
    }
}
