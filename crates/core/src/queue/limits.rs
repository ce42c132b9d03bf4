//! The bounds within which a queue works.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::message::Tenant;

use super::rate::Rate;
use super::rules::ByDestination;

/// Bounds. Whatever is beyond them waits in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attempts at the same time, over all destinations. Default 500; a tenth is
    /// for mail of high priority only.
    pub attempts_max: usize,
    /// Attempts at the same time for a destination that is new or failed last.
    /// Default 5; each success allows one more.
    pub attempts_per_destination_initial: usize,
    /// Attempts at the same time for one destination, over all managers.
    /// Default 20.
    pub attempts_per_destination_max: ByDestination<usize>,
    /// Attempts at the same time for all destinations that share their hosts, over
    /// all managers, as far as the queue is told of them; the greatest limit of one of
    /// them if that is more. Default 20.
    pub attempts_per_site_max: usize,
    /// Attempts for one destination in a time, over all managers. Default none.
    pub rate_per_destination: ByDestination<Option<Rate>>,
    /// Messages of one destination that are in memory, attempted or waiting for
    /// it, as a multiple of the attempts allowed. Default 4. A tenth more is for
    /// fresh mail of high priority, an eighth more for whatever comes last: fresh
    /// mail while a backlog has all, or what waits in the storage.
    pub ahead_factor: usize,
    /// How many parts of the places each tenant gets while several want more than
    /// there is. Default one part for each.
    pub tenant_weights: BTreeMap<Tenant, u32>,
    /// Messages that [`retry`](super::Queue::retry) takes at once. Default 1000.
    pub retry_batch_max: usize,
    /// Bytes of contents above 32 KiB that are in memory for attempts; one
    /// destination may have a quarter of them. Default 256 MiB.
    pub contents_memory_max: usize,
    /// Requests that are being stored at the same time. Default 2000.
    pub intakes_max: usize,
    /// How long a destination is left alone that could not be reached five times
    /// in a row; twice as long after each probe that fails. Default 30 seconds.
    pub backoff_min: Duration,
    /// Longest time between two probes of such a destination. Default 10
    /// minutes; zero leaves none alone.
    pub backoff_max: Duration,
    /// The longest time that one attempt may take. Default 30 minutes.
    pub attempt_time_max: Duration,
    /// How long a shutdown waits for attempts before it cuts them and hands
    /// their messages back. Default 30 seconds.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            attempts_max: 500,
            attempts_per_destination_initial: 5,
            attempts_per_destination_max: 20.into(),
            attempts_per_site_max: 20,
            rate_per_destination: None.into(),
            ahead_factor: 4,
            tenant_weights: BTreeMap::new(),
            retry_batch_max: 1000,
            contents_memory_max: 256 << 20,
            intakes_max: 2000,
            backoff_min: Duration::from_secs(30),
            backoff_max: Duration::from_secs(600),
            attempt_time_max: Duration::from_secs(30 * 60),
            drain_time_max: Duration::from_secs(30),
        }
    }
}
