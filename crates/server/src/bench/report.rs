//! The result of a benchmark, for people and for scripts.

use serde::Serialize;

use super::drive::Met;
use super::tally::Tally;

/// Everything that is known at the end.
#[derive(Serialize, Debug)]
pub(crate) struct BenchReport {
    messages: usize,
    size_bytes: usize,
    sessions: usize,
    messages_per_session: usize,
    accepted: u64,
    refused: u64,
    unanswered: u64,
    accept_seconds: f64,
    accept_rate: f64,
    accept_ms: Percentiles,
    /// None without a sink.
    delivery: Option<Delivery>,
    first_trouble: Option<String>,
}

#[derive(Serialize, Debug)]
struct Delivery {
    arrived: u64,
    lost: u64,
    duplicates: u64,
    altered: u64,
    strangers: u64,
    seconds: f64,
    rate: f64,
    /// From the first command to the sink.
    delivery_ms: Percentiles,
    /// From the 250 to the sink.
    relay_ms: Percentiles,
}

/// Milliseconds; exact, not binned.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Percentiles {
    /// Of sorted microseconds.
    fn of(sorted: &[u64]) -> Self {
        let at = |per_mille: usize| {
            let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
            sorted
                .get(rank - 1)
                .map_or(0.0, |micros| *micros as f64 / 1000.0)
        };
        Percentiles {
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max: at(1000),
        }
    }

    fn row(self) -> String {
        let Percentiles {
            p50,
            p90,
            p99,
            p999,
            max,
        } = self;
        format!("{p50:>9.2} {p90:>9.2} {p99:>9.2} {p999:>9.2} {max:>9.2}")
    }
}

/// The shape of the work, as the report repeats it.
pub(crate) struct Shape {
    /// Messages.
    pub(crate) messages: usize,
    /// Bytes of each.
    pub(crate) size: usize,
    /// Sessions at once.
    pub(crate) sessions: usize,
    /// Messages in each session.
    pub(crate) per_session: usize,
    /// Whether a sink stood behind the server.
    pub(crate) sink: bool,
}

impl BenchReport {
    /// Draws it up.
    pub(crate) fn new(shape: &Shape, tally: &Tally, met: Met) -> Self {
        let counts = tally.counts();
        let delivery = || Delivery {
            arrived: counts.arrived,
            lost: counts.lost,
            duplicates: counts.duplicates,
            altered: counts.altered,
            strangers: counts.strangers,
            seconds: tally.delivery_seconds(),
            rate: rate(counts.arrived, tally.delivery_seconds()),
            delivery_ms: Percentiles::of(&tally.delivery_times()),
            relay_ms: Percentiles::of(&tally.relay_times()),
        };
        BenchReport {
            messages: shape.messages,
            size_bytes: shape.size,
            sessions: shape.sessions,
            messages_per_session: shape.per_session,
            accepted: counts.accepted,
            refused: met.refused,
            unanswered: met.unanswered,
            accept_seconds: tally.accept_seconds(),
            accept_rate: rate(counts.accepted, tally.accept_seconds()),
            accept_ms: Percentiles::of(&tally.accept_times()),
            delivery: shape.sink.then(delivery),
            first_trouble: met.trouble,
        }
    }

    /// Whether everything that was sent was accepted, and came through once
    /// and unaltered.
    pub(crate) fn is_clean(&self) -> bool {
        self.accepted == self.messages as u64
            && self
                .delivery
                .as_ref()
                .is_none_or(|delivery| delivery.lost + delivery.duplicates + delivery.altered == 0)
    }

    /// As a table.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            format!(
                "{} messages of {} bytes, {} sessions, {} a session",
                self.messages, self.size_bytes, self.sessions, self.messages_per_session
            ),
            format!(
                "accepted    {:>9}   {:>9.1}/s   refused {}   unanswered {}",
                self.accepted, self.accept_rate, self.refused, self.unanswered
            ),
        ];
        if let Some(delivery) = &self.delivery {
            lines.push(format!(
                "end to end  {:>9}   {:>9.1}/s   lost {}   duplicates {}   altered {}   strangers {}",
                delivery.arrived,
                delivery.rate,
                delivery.lost,
                delivery.duplicates,
                delivery.altered,
                delivery.strangers
            ));
        }
        lines.push(format!(
            "{:<22}{:>9} {:>9} {:>9} {:>9} {:>9}",
            "milliseconds", "p50", "p90", "p99", "p99.9", "max"
        ));
        lines.push(format!(
            "{:<22}{}",
            "sent to accepted",
            self.accept_ms.row()
        ));
        if let Some(delivery) = &self.delivery {
            lines.push(format!(
                "{:<22}{}",
                "accepted to delivered",
                delivery.relay_ms.row()
            ));
            lines.push(format!(
                "{:<22}{}",
                "sent to delivered",
                delivery.delivery_ms.row()
            ));
        }
        if let Some(trouble) = &self.first_trouble {
            lines.push(format!("first trouble: {trouble}"));
        }
        lines.join("\n")
    }
}

fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let thousand: Vec<u64> = (1..=1000).map(|n| n * 1000).collect();
        let p = Percentiles::of(&thousand);
        assert_eq!((p.p50, p.p99, p.p999, p.max), (500.0, 990.0, 999.0, 1000.0));
        assert_eq!(Percentiles::of(&[5000]).p50, 5.0);
        assert_eq!(Percentiles::of(&[]).max, 0.0);
    }
}
