//! Which hosts failed to encrypt of late, so that not each message to them
//! begins with a handshake that fails.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a host is talked to in clear, before TLS is tried again.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Most hosts that are remembered.
const HOSTS_MAX: usize = 1_000;

/// When each host failed last, by the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct TlsFailures(Mutex<BTreeMap<SocketAddr, Duration>>);

impl TlsFailures {
    /// Whether the host failed not long before `now`.
    pub(super) fn is_recent(&self, host: SocketAddr, now: Duration) -> bool {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(&host).is_some_and(|at| is_recent(*at, now))
    }

    /// The host failed `now`. Where too many have, the longest ago is forgotten.
    pub(super) fn note(&self, host: SocketAddr, now: Duration) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(host, now);
        if hosts.len() > HOSTS_MAX {
            hosts.retain(|_, at| is_recent(*at, now));
        }
        if hosts.len() > HOSTS_MAX
            && let Some(first) = hosts.iter().min_by_key(|(_, at)| **at)
        {
            let first = *first.0;
            hosts.remove(&first);
        }
    }
}

fn is_recent(at: Duration, now: Duration) -> bool {
    now.saturating_sub(at) < TIME_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u16) -> SocketAddr {
        ([192, 0, 2, 1], number).into()
    }

    #[test]
    fn a_failure_is_forgotten_after_a_while() {
        let failures = TlsFailures::default();
        let begin = Duration::from_secs(5);
        failures.note(host(1), begin);
        let last = begin + TIME_MAX.saturating_sub(Duration::from_nanos(1));
        assert!(failures.is_recent(host(1), last));
        assert!(!failures.is_recent(host(1), begin + TIME_MAX));
        assert!(!failures.is_recent(host(2), begin));
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let failures = TlsFailures::default();
        let at = |number: u16| Duration::from_millis(number.into());
        let count = u16::try_from(HOSTS_MAX).unwrap() + 7;
        for number in 0..count {
            failures.note(host(number), at(number));
        }
        assert_eq!(failures.0.lock().unwrap().len(), HOSTS_MAX);
        assert!(!failures.is_recent(host(6), at(count)));
        assert!(failures.is_recent(host(7), at(count)));
        // Those that are old go first, however many.
        let later = at(count) + TIME_MAX;
        failures.note(host(0), later);
        assert_eq!(failures.0.lock().unwrap().len(), 1);
    }
}
