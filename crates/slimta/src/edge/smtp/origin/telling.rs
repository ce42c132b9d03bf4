//! How often the log tells of what strangers can bring about as often as they
//! like.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a line comes, and how many may come at once.
const LINE_INTERVAL: Duration = Duration::from_secs(1);
const LINES_AT_ONCE: u32 = 20;

/// Says what is worth a line: twenty at once, then one a second. The next line
/// has the number of those that were left out.
#[derive(Debug, Default)]
pub(in crate::edge::smtp) struct Telling(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// When twenty may come at once again, on the monotonic clock.
    full_at: Duration,
    left_out: u64,
}

impl Telling {
    /// Whether to write a line, and how many were left out before it.
    pub(in crate::edge::smtp) fn tell(&self, now: Duration) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = told.full_at.max(now) + LINE_INTERVAL;
        if full_at - now > LINES_AT_ONCE * LINE_INTERVAL {
            told.left_out += 1;
            return None;
        }
        told.full_at = full_at;
        Some(std::mem::take(&mut told.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_and_say_how_many_they_stand_for() {
        let telling = Telling::default();
        let at = |seconds| telling.tell(Duration::from_secs(seconds));
        let lines: Vec<_> = (0..1000).filter_map(|_| at(5)).collect();
        assert_eq!(lines, [0; 20]);
        assert_eq!((at(6), at(6), at(7)), (Some(980), None, Some(1)));
        assert_eq!((0..1000).filter_map(|_| at(99)).count(), 20);
    }
}
