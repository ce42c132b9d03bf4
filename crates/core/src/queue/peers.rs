//! The managers that share the storage, and how they share the work without
//! talking to each other.
//!
//! Each says now and then that it is there, and hears who else is. Of every
//! destination one manager comes first, by rendezvous hashing, so that its
//! connections are used again; the others look after it only when it is late,
//! each a little later than the one before. A manager that dies is late for
//! ever, so nothing waits long for it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::message::Destination;
use crate::storage::{Due, Owner, Session};
use crate::world::Timestamp;

use super::shared::Shared;

/// Least time between two times of saying so.
const BEAT: Duration = Duration::from_secs(5);
/// For how long it holds: who misses three beats is forgotten. So is who has had
/// no work for so long, and is known again when it looks for some.
const LASTING: Duration = Duration::from_secs(15);
/// How much longer each manager waits than the one before it.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long any manager waits at most.
const PATIENCE_MAX: Duration = Duration::from_secs(2);

/// The other managers, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    others: Vec<Owner>,
    /// When this manager last said that it is there, on the monotonic clock.
    beat: Option<Duration>,
}

impl Peers {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mut all: Vec<Owner>, me: &Owner) {
        all.retain(|owner| owner != me);
        self.known().others = all;
    }

    /// Whether it is time for the next beat, which then begins.
    fn begin_beat(&self, now: Duration) -> bool {
        let mut known = self.known();
        let is_time = known.beat.is_none_or(|beat| now >= beat + BEAT);
        if is_time {
            known.beat = Some(now);
        }
        is_time
    }

    /// How long `me` still leaves what is due to those who come before it.
    pub(super) fn wait(&self, me: &Owner, due: &Due, now: Timestamp) -> Duration {
        let patience = self.patience(me, &due.destination);
        patience.saturating_sub(now.since(due.since))
    }

    fn patience(&self, me: &Owner, destination: &Destination) -> Duration {
        let mine = weight(me, destination);
        let known = self.known();
        let others = known.others.iter();
        let before = others.filter(|other| (weight(other, destination), *other) > (mine, me));
        let before = u32::try_from(before.count()).unwrap_or(u32::MAX);
        PATIENCE.saturating_mul(before).min(PATIENCE_MAX)
    }
}

/// Managers of different versions may disagree on it; then two come first, and
/// share.
fn weight(owner: &Owner, destination: &Destination) -> u64 {
    let mut hasher = DefaultHasher::new();
    (owner, destination.next_hop()).hash(&mut hasher);
    hasher.finish()
}

/// Says that this manager is there, and hears who else is, unless it has just
/// done so. Who looks for work does, so that an idle queue costs nothing.
pub(super) async fn refresh(shared: &Shared, session: &dyn Session) {
    let now = shared.world().monotonic();
    if !shared.peers.begin_beat(now) {
        return;
    }
    // If the storage is away, who was there stays known: it is all the same to
    // everybody then.
    if let Ok(all) = session.manage(LASTING).await {
        shared.lanes.share_with(all.len());
        shared.peers.set(all, session.owner());
    }
}

/// Says that this manager begins to look for work, if it has a relay.
pub(super) async fn enter(shared: &Shared) {
    if shared.has_relay()
        && let Ok(session) = shared.session().await
    {
        refresh(shared, &*session).await;
    }
}

/// Says that this manager looks for nothing any more.
pub(super) async fn leave(shared: &Shared) {
    if shared.has_relay()
        && let Ok(session) = shared.session().await
        && let Err(error) = session.manage(Duration::ZERO).await
    {
        tracing::debug!(%error, "the other managers were not told of the end of this one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners() -> Vec<Owner> {
        (0..10)
            .map(|n| Owner::new(format!("manager-{n}")))
            .collect()
    }

    #[test]
    fn every_destination_has_one_first_manager_and_each_has_its_share() {
        let owners = owners();
        let known: Vec<_> = owners
            .iter()
            .map(|me| {
                let peers = Peers::default();
                peers.set(owners.clone(), me);
                (peers, me)
            })
            .collect();
        let mut shares = vec![0; owners.len()];
        for number in 0..1000 {
            let destination = Destination::new(format!("{number}.example"));
            let is_first =
                |(peers, me): &(Peers, &Owner)| peers.patience(me, &destination).is_zero();
            let first: Vec<_> = (0..known.len())
                .filter(|at| is_first(&known[*at]))
                .collect();
            assert_eq!(first.len(), 1);
            shares[first[0]] += 1;
        }
        assert!(
            shares.iter().all(|share| (50..200).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn nobody_waits_long_and_one_alone_not_at_all() {
        let owners = owners();
        let (alone, peers) = (Peers::default(), Peers::default());
        peers.set(owners.clone(), &owners[0]);
        for number in 0..100 {
            let due = Due {
                since: Timestamp::EPOCH,
                destination: Destination::new(format!("{number}.example")),
            };
            assert!(alone.wait(&owners[0], &due, Timestamp::EPOCH).is_zero());
            let late = Timestamp::EPOCH.after(PATIENCE_MAX);
            assert!(peers.wait(&owners[0], &due, late).is_zero());
        }
    }
}
