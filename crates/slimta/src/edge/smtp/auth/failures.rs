//! How often clients have failed to authenticate, by where they come from: who
//! guesses passwords has few guesses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::edge::smtp::Limits;
use crate::edge::smtp::origin::network;

/// Most networks that are remembered. Of more the one is forgotten that failed
/// first.
const NETWORKS_MAX: usize = 10_000;

/// Failures by network; times are of the monotonic clock.
#[derive(Debug)]
pub(in crate::edge::smtp) struct Failures {
    max: u32,
    time: Duration,
    by_network: Mutex<HashMap<IpAddr, Counted>>,
}

/// The failures of a network.
#[derive(Debug)]
struct Counted {
    since: Duration,
    count: u32,
}

impl Failures {
    pub(in crate::edge::smtp) fn new(limits: &Limits) -> Self {
        Failures {
            max: limits.auth_failures_max,
            time: limits.auth_failures_time,
            by_network: Mutex::default(),
        }
    }

    /// Whether a client may try. Counts as a failure until it is forgiven: many
    /// tries at once are no more than one after the other.
    pub(super) fn begin(&self, ip: IpAddr, now: Duration) -> bool {
        let mut networks = self.lock();
        let network = network(ip);
        let is_over = |counted: &Counted| now.saturating_sub(counted.since) >= self.time;
        if networks.get(&network).is_none_or(is_over) {
            if networks.len() >= NETWORKS_MAX {
                networks.retain(|_, counted| !is_over(counted));
            }
            if networks.len() >= NETWORKS_MAX {
                let first = networks.iter().min_by_key(|(_, counted)| counted.since);
                if let Some(first) = first.map(|(network, _)| *network) {
                    networks.remove(&first);
                }
            }
            let since = now;
            networks.insert(network, Counted { since, count: 0 });
        }
        match networks.get_mut(&network) {
            Some(counted) if counted.count < self.max => {
                counted.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes back the count of a try that did not fail.
    pub(super) fn forgive(&self, ip: IpAddr) {
        if let Some(counted) = self.lock().get_mut(&network(ip)) {
            counted.count = counted.count.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Counted>> {
        self.by_network
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn failures(max: u32) -> Failures {
        Failures::new(&Limits {
            auth_failures_max: max,
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_so_many_failures_in_a_time() {
        let failures = failures(2);
        let begins = |at: &str, minutes| failures.begin(ip(at), minutes * MINUTE);
        let (a, b) = ("192.0.2.1", "192.0.2.2");
        assert!(begins(a, 0) && begins(a, 9) && !begins(a, 9) && begins(b, 9));
        assert!(begins(a, 10) && begins(a, 10) && !begins(a, 19));
        let (a, b, c) = ("2001:db8::1", "2001:db8::ffff:1:2:3", "2001:db8:0:1::1");
        assert!(begins(a, 0) && begins(b, 0) && !begins(a, 0) && begins(c, 0));
    }

    #[test]
    fn what_did_not_fail_does_not_count() {
        let failures = failures(1);
        let client = ip("192.0.2.1");
        for _ in 0..9 {
            assert!(failures.begin(client, MINUTE));
            failures.forgive(client);
        }
        assert!(failures.begin(client, MINUTE) && !failures.begin(client, MINUTE));
        failures.forgive(ip("192.0.2.2"));
        assert!(!failures.begin(client, MINUTE));
    }

    #[test]
    fn only_so_many_networks_are_remembered() {
        let failures = failures(1);
        let many = |from: u32, now| {
            let networks = from..from + u32::try_from(NETWORKS_MAX).unwrap();
            networks
                .map(std::net::Ipv4Addr::from_bits)
                .for_each(|ip| assert!(failures.begin(ip.into(), now)));
        };
        let first = ip("0.0.0.0");
        assert!(failures.begin(first, Duration::ZERO));
        many(1, MINUTE);
        assert_eq!(failures.lock().len(), NETWORKS_MAX);
        assert!(failures.begin(first, 2 * MINUTE));
        assert!(!failures.begin(ip("0.0.39.16"), 2 * MINUTE));
        // What is over goes first, all of it.
        assert!(failures.begin(ip("192.0.2.1"), 11 * MINUTE));
        assert_eq!(failures.lock().len(), 2);
    }
}
