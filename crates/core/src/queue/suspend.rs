//! Destinations whose mail an operator keeps back.
//!
//! They are kept by the storage, so that they hold over restarts and for all
//! managers. Whoever is about to attempt something asks for them again every
//! two seconds, so that no attempt costs a call and an idle queue asks nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::message::Destination;
use crate::storage::{Session, StorageError, Suspension};
use crate::world::Timestamp;

use super::Queue;
use super::error::QueueError;
use super::rules::{ByDestination, DestinationPattern};
use super::shared::Shared;

/// For how long what was read holds.
const KNOWN: Duration = Duration::from_secs(2);

/// What is suspended, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Suspended {
    known: Mutex<Known>,
    /// Who asks or changes something has it: the others wait, and then know.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    all: Vec<Suspension>,
    /// Those of them that were in force when the first of them had not ended.
    rules: ByDestination<Option<Suspension>>,
    next_end: Timestamp,
    /// When they were asked for, on the monotonic clock.
    asked: Option<Duration>,
    is_known: bool,
}

impl Default for Known {
    fn default() -> Self {
        Known {
            all: Vec::new(),
            rules: ByDestination::new(None),
            next_end: Timestamp::MAX,
            asked: None,
            is_known: false,
        }
    }
}

impl Known {
    fn set(&mut self, all: Vec<Suspension>, now: Timestamp) {
        self.all = all;
        self.all.retain(|suspension| suspension.is_in_force(now));
        let ends = self.all.iter().filter_map(|suspension| suspension.until);
        self.next_end = ends.min().unwrap_or(Timestamp::MAX);
        let rules = self.all.iter().filter_map(|suspension| {
            // One that a later version understands keeps nothing back here.
            let pattern = suspension.destinations.parse().ok()?;
            Some((pattern, Some(suspension.clone())))
        });
        self.rules = rules.fold(ByDestination::new(None), |rules, (pattern, suspension)| {
            rules.with_rule(pattern, suspension)
        });
    }
}

impl Suspended {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self, now: Duration) -> bool {
        let asked = self.known().asked;
        asked.is_some_and(|asked| now.saturating_sub(asked) < KNOWN)
    }

    /// What keeps a destination's mail back at `now`, by the storage's clock.
    pub(super) fn look(&self, destination: &Destination, now: Timestamp) -> Option<Suspension> {
        let mut known = self.known();
        if known.next_end <= now {
            let all = std::mem::take(&mut known.all);
            known.set(all, now);
        }
        known.rules.get(destination).clone()
    }
}

/// Learns what is suspended, unless that is known. While the storage does not
/// say, what was known last holds; if nothing ever was, this fails.
pub(super) async fn refresh(shared: &Shared, session: &dyn Session) -> Result<(), StorageError> {
    let (suspended, world) = (&shared.suspended, shared.world());
    if suspended.is_fresh(world.monotonic()) {
        return Ok(());
    }
    let is_known = suspended.known().is_known;
    let _asking = match suspended.asking.try_lock() {
        Ok(asking) => asking,
        // Somebody asks: nobody else has to wait for a slow answer.
        Err(_) if is_known => return Ok(()),
        Err(_) => suspended.asking.lock().await,
    };
    if suspended.is_fresh(world.monotonic()) {
        return Ok(());
    }
    let answer = session.suspensions().await;
    let mut known = suspended.known();
    match answer {
        Ok(all) => {
            known.set(all, session.now());
            known.is_known = true;
        }
        Err(error) if !known.is_known => return Err(error),
        Err(error) => tracing::debug!(%error, "what is suspended could not be asked for"),
    }
    // However long the answer took: it is not asked for again at once.
    known.asked = Some(world.monotonic());
    Ok(())
}

/// Whether the mail of a destination is kept back, as was known last if the
/// storage does not say.
pub(super) async fn keeps_back(
    shared: &Shared,
    session: &dyn Session,
    destination: &Destination,
) -> bool {
    let _ = refresh(shared, session).await;
    let suspended = &shared.suspended;
    suspended.look(destination, session.now()).is_some()
}

/// # Destinations whose mail is kept back
impl Queue {
    /// Keeps the mail for some destinations back, until its end or
    /// [`Queue::resume`]. Mail is taken for them as before, and waits. What is
    /// being sent just now comes to its end. Other managers of the storage know
    /// of it within seconds.
    pub async fn suspend(
        &self,
        session: &dyn Session,
        suspension: &Suspension,
    ) -> Result<(), QueueError> {
        let pattern: DestinationPattern = suspension
            .destinations
            .parse()
            .map_err(|error| QueueError::Setting(format!("{error}")))?;
        let suspension = Suspension {
            destinations: pattern.to_string(),
            ..suspension.clone()
        };
        self.change_suspended(session.suspend(&suspension)).await
    }

    /// Lets mail go again that [`Queue::suspend`] has kept back; says whether it
    /// was.
    pub async fn resume(
        &self,
        session: &dyn Session,
        destinations: &DestinationPattern,
    ) -> Result<bool, QueueError> {
        let name = destinations.to_string();
        self.change_suspended(session.resume(&name)).await
    }

    /// What is suspended. [`Queue::why`] knows of it after this.
    pub async fn suspensions(&self, session: &dyn Session) -> Result<Vec<Suspension>, QueueError> {
        refresh(&self.shared, session).await?;
        Ok(self.shared.suspended.known().all.clone())
    }

    /// What keeps the mail for a destination back, as far as this queue knows.
    pub fn suspension(
        &self,
        session: &dyn Session,
        destination: &Destination,
    ) -> Option<Suspension> {
        self.shared.suspended.look(destination, session.now())
    }

    /// Whoever needs to know from now on waits for the change, and asks.
    async fn change_suspended<T>(
        &self,
        change: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, QueueError> {
        let suspended = &self.shared.suspended;
        let _asking = suspended.asking.lock().await;
        suspended.known().asked = None;
        Ok(change.await?)
    }
}
