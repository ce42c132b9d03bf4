//! Keeps a lease while its attempt still works.

use std::convert::Infallible;
use std::time::Duration;

use crate::relay::LeaseSignal;
use crate::storage::{Session, Settled, Ticket};
use crate::world::World;

/// How long to wait before renewing again after the storage did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Until when a lease may be relied on that was asked for at `asked` (on the
/// monotonic clock): its duration less a tenth and a second, because the
/// storage's clock and ours run apart (invariant S7).
pub(super) fn reliable_until(asked: Duration, lease: Duration) -> Duration {
    let margin = (lease / 10 + Duration::from_secs(1)).min(lease / 2);
    asked + (lease - margin)
}

/// Renews a lease at each third of its duration and tells `signal`. Ends only
/// by being dropped, when the attempt is over.
pub(super) async fn keep(
    session: &dyn Session,
    ticket: Ticket,
    lease: Duration,
    signal: &LeaseSignal,
    world: &World,
) -> Infallible {
    loop {
        world.sleep(lease / 3).await;
        if !renew(session, ticket, lease, signal, world).await {
            // Lost for good. The relay stops before the final dot; what it
            // reports afterwards is refused by the fence.
            signal.extend(Duration::ZERO);
            return std::future::pending().await;
        }
    }
}

/// Renews once, however often that takes; false when the lease is lost.
async fn renew(
    session: &dyn Session,
    ticket: Ticket,
    lease: Duration,
    signal: &LeaseSignal,
    world: &World,
) -> bool {
    loop {
        let asked = world.monotonic();
        let tickets = [ticket];
        let renewing = session.renew(&tickets, lease);
        match world.timeout(lease / 3, renewing).await {
            Some(Ok(answers)) if answers.first() == Some(&Settled::Done) => {
                signal.extend(reliable_until(asked, lease));
                return true;
            }
            Some(Ok(_)) => return false,
            Some(Err(error)) => {
                tracing::warn!(id = %ticket.id, %error, "lease could not be renewed, trying again");
            }
            None => tracing::warn!(id = %ticket.id, "lease renewal got no answer, trying again"),
        }
        world.sleep(RETRY_DELAY).await;
    }
}
