//! The sending side of a benchmark: sessions that take numbers until none is
//! left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use slimta_core::message::{Address, ReversePath};
use tokio::task::JoinSet;

use super::stamp::Mold;
use super::tally::Tally;
use crate::smtp_client::{Connection, Parameters, SessionError};
use crate::values::ServerAddress;

/// A server that says nothing for so long is taken for dead.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// What to send, and how.
pub(crate) struct Plan {
    /// Where.
    pub(crate) server: ServerAddress,
    /// How many messages.
    pub(crate) messages: usize,
    /// How many sessions at once.
    pub(crate) sessions: usize,
    /// How many messages a session sends before it quits and another begins.
    pub(crate) per_session: usize,
    /// Whether commands are sent in batches where the server allows it.
    pub(crate) pipelining: bool,
    /// MAIL FROM.
    pub(crate) sender: ReversePath,
    /// RCPT TO.
    pub(crate) recipient: Address,
}

/// What a session met.
#[derive(Default, Debug)]
pub(crate) struct Met {
    /// Messages answered with something else than 250.
    pub(crate) refused: u64,
    /// Messages whose session broke before their answer.
    pub(crate) unanswered: u64,
    /// The first thing that went wrong, in words.
    pub(crate) trouble: Option<String>,
}

impl Met {
    fn add(&mut self, other: Met) {
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.trouble = self.trouble.take().or(other.trouble);
    }
}

/// Sends all messages of the plan.
pub(crate) async fn drive(
    plan: Plan,
    mold: &Arc<Mold>,
    tally: &Arc<Tally>,
    bar: &ProgressBar,
) -> Met {
    let plan = Arc::new(plan);
    let next = Arc::new(AtomicUsize::new(0));
    let mut sessions = JoinSet::new();
    for _ in 0..plan.sessions {
        let worker = Worker {
            plan: plan.clone(),
            next: next.clone(),
            mold: mold.clone(),
            tally: tally.clone(),
            bar: bar.clone(),
        };
        sessions.spawn(worker.work());
    }
    let mut met = Met::default();
    while let Some(session) = sessions.join_next().await {
        met.add(session.unwrap_or_default());
    }
    met
}

struct Worker {
    plan: Arc<Plan>,
    next: Arc<AtomicUsize>,
    mold: Arc<Mold>,
    tally: Arc<Tally>,
    bar: ProgressBar,
}

impl Worker {
    /// One session after the other, until no number is left or the server
    /// cannot be reached.
    async fn work(self) -> Met {
        let mut met = Met::default();
        let mut buffer = Vec::new();
        while self.next.load(Ordering::Relaxed) < self.plan.messages {
            let opening = Connection::open(&self.plan.server, "bench.invalid", ANSWER_WAIT_MAX);
            match opening.await {
                Ok(connection) => self.session(connection, &mut buffer, &mut met).await,
                Err(error) => {
                    met.trouble.get_or_insert(error.to_string());
                    return met;
                }
            }
        }
        met
    }

    async fn session(&self, mut connection: Connection, buffer: &mut Vec<u8>, met: &mut Met) {
        if !self.plan.pipelining {
            connection.without_pipelining();
        }
        for _ in 0..self.plan.per_session {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.plan.messages {
                break;
            }
            self.mold.cast(number, buffer);
            if let Err(error) = self.message(&mut connection, number, buffer, met).await {
                met.unanswered += 1;
                met.trouble.get_or_insert(error.to_string());
                return;
            }
        }
        connection.quit().await;
    }

    async fn message(
        &self,
        connection: &mut Connection,
        number: usize,
        data: &[u8],
        met: &mut Met,
    ) -> Result<(), SessionError> {
        let recipients = [self.plan.recipient.as_str()];
        self.tally.sent(number);
        let outcome = connection
            .send(
                &self.plan.sender,
                &recipients,
                &Parameters::default(),
                data,
                |_| {},
            )
            .await?;
        match outcome.responses.iter().find(|r| !r.is_success()) {
            None => self.tally.accepted(number),
            Some(refusal) => {
                met.refused += 1;
                met.trouble.get_or_insert(refusal.to_string());
            }
        }
        self.bar.inc(1);
        Ok(())
    }
}
