//! How long a client may take: limits that a byte now and then does not
//! stretch, so that slow clients cannot hold all places (RFC 5321
//! section 4.5.3.2 says how much time they must have).

use std::time::Duration;

use slimta_smtp::server::Awaits;

use super::Limits;

/// The pace of one client. Times are of the monotonic clock.
#[derive(Debug)]
pub(super) struct Pace {
    session_end: Duration,
    /// How many commands were done when it was looked at last.
    commands_done: u64,
    /// When the command, or the message, that is awaited began.
    since: Duration,
    /// How much of it has come.
    bytes: u64,
}

impl Pace {
    /// The pace of a client that connected `now`.
    pub(super) fn new(limits: &Limits, now: Duration) -> Self {
        Pace {
            session_end: now.saturating_add(limits.session_time_max),
            commands_done: 0,
            since: now,
            bytes: 0,
        }
    }

    /// Notes how many commands are done. Each gives the client new time.
    pub(super) fn progress(&mut self, commands_done: u64, now: Duration) {
        if self.commands_done != commands_done {
            self.commands_done = commands_done;
            self.since = now;
            self.bytes = 0;
        }
    }

    /// Notes how much has come.
    pub(super) fn received(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// How long the client may be silent; zero if its time is up.
    pub(super) fn left(&self, awaits: Awaits, limits: &Limits, now: Duration) -> Duration {
        let until = |end: Duration| end.saturating_sub(now);
        match awaits {
            Awaits::Command => until(self.since.saturating_add(limits.command_time_max))
                .min(until(self.session_end)),
            Awaits::Data => {
                let rate = limits.data_bytes_per_second_min;
                let earned = self.bytes.checked_div(rate).unwrap_or(u64::MAX);
                let granted = limits
                    .data_block_time_max
                    .saturating_add(Duration::from_secs(earned))
                    .min(limits.data_time_max);
                until(self.since.saturating_add(granted)).min(limits.data_block_time_max)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn only_whole_commands_give_new_time() {
        let limits = Limits::default();
        let mut pace = Pace::new(&limits, MINUTE);
        let left = |pace: &Pace, now| pace.left(Awaits::Command, &limits, now);
        assert_eq!(left(&pace, MINUTE), 5 * MINUTE);
        pace.received(1);
        pace.progress(0, 4 * MINUTE);
        assert_eq!(left(&pace, 4 * MINUTE), 2 * MINUTE);
        pace.progress(1, 4 * MINUTE);
        assert_eq!(left(&pace, 4 * MINUTE), 5 * MINUTE);
        assert_eq!(left(&pace, 20 * MINUTE), Duration::ZERO);
        pace.progress(2, 60 * MINUTE);
        assert_eq!(left(&pace, 60 * MINUTE), MINUTE);
        assert_eq!(left(&pace, 61 * MINUTE), Duration::ZERO);
    }

    #[test]
    fn data_must_come_at_a_rate_and_to_an_end() {
        let limits = Limits::default();
        let mut pace = Pace::new(&limits, MINUTE);
        let left = |pace: &Pace, now| pace.left(Awaits::Data, &limits, now);
        assert_eq!(left(&pace, MINUTE), 5 * MINUTE);
        pace.received(100 * 60);
        assert_eq!(left(&pace, 5 * MINUTE), 2 * MINUTE);
        assert_eq!(left(&pace, 7 * MINUTE), Duration::ZERO);
        pace.received(1 << 30);
        assert_eq!(left(&pace, 7 * MINUTE), 5 * MINUTE);
        assert_eq!(left(&pace, 61 * MINUTE), Duration::ZERO);
    }

    #[test]
    fn a_rate_of_zero_is_no_rate() {
        let limits = Limits {
            data_bytes_per_second_min: 0,
            ..Limits::default()
        };
        let pace = Pace::new(&limits, Duration::ZERO);
        let left = pace.left(Awaits::Data, &limits, 30 * MINUTE);
        assert_eq!(left, 5 * MINUTE);
    }
}
