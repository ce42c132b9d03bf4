//! When each message was sent, accepted and received.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slimta_core::message::Code;
use slimta_core::world::World;
use tokio::sync::Notify;

use super::stamp::Mold;
use crate::sink::Taker;

/// All marks of a run, one of each kind a message. Written by many tasks, so
/// the marks are atomics; each is written once, first come.
pub(crate) struct Tally {
    world: World,
    start: Duration,
    mold: Arc<Mold>,
    sent: Vec<AtomicU64>,
    accepted: Vec<AtomicU64>,
    arrived: Vec<AtomicU64>,
    arrivals: AtomicU64,
    duplicates: AtomicU64,
    altered: AtomicU64,
    strangers: AtomicU64,
    /// Rings at every first arrival.
    pub(crate) bell: Notify,
}

/// Microseconds since the start of the run; 0 for never.
type Marks = Vec<AtomicU64>;

impl Tally {
    /// For `messages` messages; the clock runs from now.
    pub(crate) fn new(world: World, mold: Arc<Mold>, messages: usize) -> Self {
        let marks = || -> Marks { (0..messages).map(|_| AtomicU64::new(0)).collect() };
        Tally {
            start: world.monotonic(),
            world,
            mold,
            sent: marks(),
            accepted: marks(),
            arrived: marks(),
            arrivals: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            altered: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            bell: Notify::new(),
        }
    }

    /// Its transaction begins.
    pub(crate) fn sent(&self, number: usize) {
        self.mark(&self.sent, number);
    }

    /// The server answered 250.
    pub(crate) fn accepted(&self, number: usize) {
        self.mark(&self.accepted, number);
    }

    /// Marks now; whether it is the first time. None if there is no such
    /// message.
    fn mark(&self, marks: &Marks, number: usize) -> Option<bool> {
        let now = self.world.monotonic().saturating_sub(self.start);
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX).max(1);
        let mark = marks.get(number)?;
        let first = mark.compare_exchange(0, micros, Ordering::Relaxed, Ordering::Relaxed);
        Some(first.is_ok())
    }

    /// How many different messages have arrived.
    pub(crate) fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed)
    }

    /// The counts so far.
    pub(crate) fn counts(&self) -> Counts {
        let count = |marks: &Marks| marks.iter().filter(|m| read(m) > 0).count() as u64;
        let lost = |(accepted, arrived): &(&AtomicU64, &AtomicU64)| {
            read(accepted) > 0 && read(arrived) == 0
        };
        Counts {
            accepted: count(&self.accepted),
            arrived: count(&self.arrived),
            lost: self.accepted.iter().zip(&self.arrived).filter(lost).count() as u64,
            duplicates: read(&self.duplicates),
            altered: read(&self.altered),
            strangers: read(&self.strangers),
        }
    }

    /// From sending to the 250.
    pub(crate) fn accept_times(&self) -> Vec<u64> {
        between(&self.sent, &self.accepted)
    }

    /// From sending to the sink.
    pub(crate) fn delivery_times(&self) -> Vec<u64> {
        between(&self.sent, &self.arrived)
    }

    /// From the 250 to the sink; zero where the sink was first.
    pub(crate) fn relay_times(&self) -> Vec<u64> {
        between(&self.accepted, &self.arrived)
    }

    /// Seconds from the first send to the last acceptance.
    pub(crate) fn accept_seconds(&self) -> f64 {
        span(&self.sent, &self.accepted)
    }

    /// Seconds from the first send to the last arrival.
    pub(crate) fn delivery_seconds(&self) -> f64 {
        span(&self.sent, &self.arrived)
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Answered 250.
    pub(crate) accepted: u64,
    /// Different messages in the sink.
    pub(crate) arrived: u64,
    /// Accepted, but not in the sink.
    pub(crate) lost: u64,
    /// In the sink once more.
    pub(crate) duplicates: u64,
    /// With another body than was sent.
    pub(crate) altered: u64,
    /// Not of this run.
    pub(crate) strangers: u64,
}

fn read(mark: &AtomicU64) -> u64 {
    mark.load(Ordering::Relaxed)
}

/// Sorted times between two marks, where both are set.
fn between(from: &Marks, to: &Marks) -> Vec<u64> {
    let mut times: Vec<u64> = from
        .iter()
        .zip(to)
        .map(|(from, to)| (read(from), read(to)))
        .filter(|(from, to)| *from > 0 && *to > 0)
        .map(|(from, to)| to.saturating_sub(from))
        .collect();
    times.sort_unstable();
    times
}

fn span(from: &Marks, to: &Marks) -> f64 {
    let first = from.iter().map(read).filter(|micros| *micros > 0).min();
    let last = to.iter().map(read).max();
    let micros = last.unwrap_or(0).saturating_sub(first.unwrap_or(0));
    Duration::from_micros(micros).as_secs_f64()
}

impl Taker for Tally {
    fn message(&self, data: &[u8], _: u64) {
        let Some(recognized) = self.mold.recognize(data) else {
            self.strangers.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if !recognized.intact {
            self.altered.fetch_add(1, Ordering::Relaxed);
        }
        match self.mark(&self.arrived, recognized.number) {
            Some(true) => {
                self.arrivals.fetch_add(1, Ordering::Relaxed);
                self.bell.notify_one();
            }
            Some(false) => {
                self.duplicates.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                self.strangers.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn refused(&self, _: &str, _: Code) {}
}
