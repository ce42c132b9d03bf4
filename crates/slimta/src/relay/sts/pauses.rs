//! Which domains could not be asked of late, so that not each message for them
//! waits for what fails.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::kept::FETCH_PAUSE;

/// Most domains that are remembered.
const DOMAINS_MAX: usize = 10_000;

/// When each failed last, by the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<BTreeMap<String, Duration>>);

impl Pauses {
    /// Whether the domain failed not long before `now`.
    pub(super) fn is_paused(&self, domain: &str, now: Duration) -> bool {
        let domains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        domains.get(domain).is_some_and(|at| is_recent(*at, now))
    }

    /// The domain failed `now`. Where too many have, all are forgotten: asking again
    /// only takes time.
    pub(super) fn note(&self, domain: &str, now: Duration) {
        let mut domains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if domains.len() >= DOMAINS_MAX {
            domains.retain(|_, at| is_recent(*at, now));
        }
        if domains.len() >= DOMAINS_MAX {
            domains.clear();
        }
        domains.insert(domain.to_owned(), now);
    }
}

fn is_recent(at: Duration, now: Duration) -> bool {
    now.saturating_sub(at) < FETCH_PAUSE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_a_while_and_so_many_at_most() {
        let pauses = Pauses::default();
        pauses.note("a", Duration::ZERO);
        assert!(pauses.is_paused("a", FETCH_PAUSE - Duration::from_nanos(1)));
        assert!(!pauses.is_paused("a", FETCH_PAUSE));
        assert!(!pauses.is_paused("b", Duration::ZERO));
        for number in 0..2 * DOMAINS_MAX {
            pauses.note(&number.to_string(), FETCH_PAUSE);
        }
        assert!(pauses.0.lock().unwrap().len() <= DOMAINS_MAX);
    }
}
