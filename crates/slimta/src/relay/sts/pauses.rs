//! Which domains something was done for of late, so that it is not done again soon:
//! not each message for one of them waits for what fails.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most domains that are remembered.
const DOMAINS_MAX: usize = 10_000;

/// When it was for each, by the monotonic clock.
#[derive(Debug)]
pub(super) struct Pauses {
    length: Duration,
    domains: Mutex<BTreeMap<String, Duration>>,
}

impl Pauses {
    /// Pauses so long.
    pub(super) fn of(length: Duration) -> Self {
        Pauses {
            length,
            domains: Mutex::default(),
        }
    }

    /// Whether the domain's pause is not over `now`.
    pub(super) fn is_paused(&self, domain: &str, now: Duration) -> bool {
        let domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        domains.get(domain).is_some_and(|at| self.lasts(*at, now))
    }

    /// The domain's pause begins `now`. Where there are too many, all are forgotten:
    /// doing it again only takes time.
    pub(super) fn note(&self, domain: &str, now: Duration) {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        if domains.len() >= DOMAINS_MAX {
            domains.retain(|_, at| self.lasts(*at, now));
        }
        if domains.len() >= DOMAINS_MAX {
            domains.clear();
        }
        domains.insert(domain.to_owned(), now);
    }

    fn lasts(&self, at: Duration, now: Duration) -> bool {
        now.saturating_sub(at) < self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_a_while_and_so_many_at_most() {
        let length = Duration::from_secs(300);
        let pauses = Pauses::of(length);
        pauses.note("a", Duration::ZERO);
        assert!(pauses.is_paused("a", length - Duration::from_nanos(1)));
        assert!(!pauses.is_paused("a", length));
        assert!(!pauses.is_paused("b", Duration::ZERO));
        for number in 0..2 * DOMAINS_MAX {
            pauses.note(&number.to_string(), length);
        }
        assert!(pauses.domains.lock().unwrap().len() <= DOMAINS_MAX);
    }
}
