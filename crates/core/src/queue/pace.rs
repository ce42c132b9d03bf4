//! How fast a destination takes mail of late, to tell when its backlog is gone.

use std::time::Duration;

/// What is older than two of these is not of late.
const WINDOW: Duration = Duration::from_secs(120);
const HOUR: Duration = Duration::from_secs(3600);

/// Messages that were taken in this window and in the one before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When this window began, on the monotonic clock; none if nothing was taken
    /// of late.
    began: Option<Duration>,
    taken: u64,
    /// The window before, if there was one.
    before: Option<u64>,
}

impl Pace {
    /// One more was taken at `now`. The first only starts the clock.
    pub(super) fn count(&mut self, now: Duration) {
        self.turn(now);
        match self.began {
            Some(_) => self.taken += 1,
            None => self.began = Some(now),
        }
    }

    /// So many are taken in an hour, if it goes on as it did of late.
    pub(super) fn per_hour(mut self, now: Duration) -> u64 {
        self.turn(now);
        let Some(began) = self.began else {
            return 0;
        };
        let earlier = self.before.map_or(Duration::ZERO, |_| WINDOW);
        let span = now.saturating_sub(began).saturating_add(earlier);
        let taken = self.taken + self.before.unwrap_or(0);
        let in_an_hour = u128::from(taken) * HOUR.as_nanos();
        u64::try_from(in_an_hour / span.as_nanos().max(1)).unwrap_or(u64::MAX)
    }

    /// Begins the window of `now`.
    fn turn(&mut self, now: Duration) {
        let Some(began) = self.began else {
            return;
        };
        let into = now.saturating_sub(began);
        if into >= 2 * WINDOW {
            *self = Pace::default();
        } else if into >= WINDOW {
            self.began = Some(began + WINDOW);
            self.before = Some(std::mem::take(&mut self.taken));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pace_is_that_of_late() {
        let mut pace = Pace::default();
        assert_eq!(pace.per_hour(SECOND), 0);
        pace.count(SECOND);
        assert_eq!(pace.per_hour(2 * SECOND), 0, "one tells nothing");
        for second in 2..=100 {
            pace.count(second * SECOND);
        }
        assert_eq!(pace.per_hour(100 * SECOND), 3600);
        // Twice as fast from now on: soon it shows, and then nothing else does.
        for half in 201..=1200 {
            pace.count(half * SECOND / 2);
            let now = pace.per_hour(half * SECOND / 2);
            assert!((3500..=7300).contains(&now), "{now}");
        }
        assert!(pace.per_hour(600 * SECOND) >= 7100);
        assert!(pace.per_hour(700 * SECOND) > 0);
        assert_eq!(pace.per_hour(900 * SECOND), 0);
    }
}
