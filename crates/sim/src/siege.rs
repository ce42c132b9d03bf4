//! The siege: faults have stopped, but for next hops that serve nobody. Mail for
//! the others must not wait for them.

use std::time::Duration;

use slimta_core::queue::Limits;
use slimta_core::storage::{Filter, Page, Session};
use slimta_core::world::Timestamp;

use crate::nature::DOMAINS;
use crate::rules::{AHEAD_FACTOR, ATTEMPTS_AT_ONCE};
use crate::run::{LOOK_DELAY, Run};

/// Within which time what the faults have left behind is over: sessions that
/// hang, leases of the dead, waits for the next attempt.
const OLD_WITHIN: Duration = Duration::from_secs(2 * 3600);
/// Within which time a new message has gone to a good next hop, which defers
/// each recipient once, for a minute.
const NEW_WITHIN: Duration = Duration::from_secs(150);
/// Until clients have handed in what the time is measured for.
const SLACK: Duration = Duration::from_secs(30);
/// Messages for bad next hops that a manager is given: more than it has room
/// for in memory.
const FLOOD: usize = ATTEMPTS_AT_ONCE * AHEAD_FACTOR + 2;

impl Run {
    pub(crate) async fn besiege(&mut self, session: &dyn Session) {
        self.tell("a siege begins: bad next hops stay bad");
        self.hops.set_siege(true);
        // An attempt that hangs from before has a place in a lane even when its
        // message is gone.
        self.world.sleep(Limits::default().attempt_time_max).await;
        self.wait_for_the_healthy(session, OLD_WITHIN, LOOK_DELAY)
            .await;
        let bad = |domain: &&str| self.hops.is_bad(domain);
        let (bad, good): (Vec<&str>, Vec<&str>) = DOMAINS.into_iter().partition(bad);
        for index in 0..self.managers.len() {
            for number in 0..FLOOD {
                let to = bad.get(number % bad.len().max(1)).unwrap_or(&DOMAINS[0]);
                self.hand_in(index, vec![format!("flood{number}@{to}")]);
            }
            let all = bad.iter().chain(&good);
            self.hand_in(index, all.map(|to| format!("all{index}@{to}")).collect());
            for to in &good {
                self.hand_in(index, vec![format!("one{index}@{to}")]);
            }
        }
        self.wait_for_the_healthy(session, NEW_WITHIN, Duration::from_secs(5))
            .await;
        self.tell("the siege ends");
        self.hops.set_siege(false);
    }

    /// Waits until no client is busy and nothing is stored but for bad next
    /// hops. Whatever else has been there for so long is one fault.
    async fn wait_for_the_healthy(
        &mut self,
        session: &dyn Session,
        limit: Duration,
        look: Duration,
    ) {
        let deadline = self.world.monotonic() + limit + SLACK;
        loop {
            while self.clients.try_join_next().is_some() {}
            let received = self.healthy(session).await;
            if received.is_empty() && self.clients.is_empty() {
                return;
            }
            if self.world.monotonic() > deadline {
                let begin = self.world.now().before(limit);
                // Notices about the bad ones may be younger.
                let late = received.iter().filter(|at| **at <= begin).count();
                if late > 0 || !self.clients.is_empty() {
                    let fault = format!("{late} messages wait, and their next hops are good");
                    self.books.fault(fault);
                }
                return;
            }
            self.world.sleep(look).await;
        }
    }

    /// When the messages that are stored for good next hops were received.
    async fn healthy(&self, session: &dyn Session) -> Vec<Timestamp> {
        match session.list(&Filter::default(), Page::first(10_000)).await {
            Ok(listing) => {
                let messages = listing.messages.iter().map(|listed| &listed.message);
                let good = messages.filter(|m| !self.hops.is_bad(m.destination.next_hop()));
                good.map(|m| m.received).collect()
            }
            Err(error) => {
                self.books.fault(error.to_string());
                Vec::new()
            }
        }
    }
}
