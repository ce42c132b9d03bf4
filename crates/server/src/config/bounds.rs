//! The bounds of the queue and its connections, as options say them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use slimta::relay::Keeping;
use slimta_core::queue::{ByDestination, Limits};

use super::destinations::{RateOrNone, by_destination};
use super::span::Span;
use super::{
    ATTEMPTS_PER_DESTINATION_MAX_DEFAULT, LOCK_DURATION_DEFAULT, LOCK_DURATION_MIN,
    MESSAGES_PER_CONNECTION_DEFAULT, Options,
};
use crate::failure::Failure;

impl Options {
    pub(super) fn messages_per_connection(&self) -> ByDestination<u32> {
        let all = self.messages_per_connection;
        let all = all.map_or(MESSAGES_PER_CONNECTION_DEFAULT, NonZeroU32::get);
        by_destination(all, &self.destination, |options| {
            options.messages_per_connection.map(NonZeroU32::get)
        })
    }

    pub(super) fn lock_duration(&self) -> Result<Duration, Failure> {
        let duration = self.lock_duration.map_or(LOCK_DURATION_DEFAULT, Span::get);
        if duration < LOCK_DURATION_MIN {
            let why = format!("{duration:?} is less than a renewal may take: give 1s or more");
            return Err(Failure::setting("lock-duration", why));
        }
        Ok(duration)
    }

    pub(super) fn keeping(&self) -> Keeping {
        let defaults = Keeping::default();
        Keeping {
            idle_time_max: self
                .connection_idle_max
                .map_or(defaults.idle_time_max, Span::get),
            age_max: self.connection_age_max.map_or(defaults.age_max, Span::get),
        }
    }

    /// The queue's own defaults hold where nothing was said.
    pub(super) fn limits(&self) -> Limits {
        let or = |value: Option<NonZeroUsize>, default| value.map_or(default, NonZeroUsize::get);
        let defaults = Limits::default();
        let attempts_all = self.attempts_per_destination_max;
        let attempts_all = or(attempts_all, ATTEMPTS_PER_DESTINATION_MAX_DEFAULT);
        let rate_all = self.rate_per_destination.and_then(RateOrNone::get);
        Limits {
            attempts_max: or(self.attempts_max, defaults.attempts_max),
            attempts_per_destination_max: by_destination(
                attempts_all,
                &self.destination,
                |options| options.attempts_max.map(NonZeroUsize::get),
            ),
            attempts_per_site_max: or(self.attempts_per_site_max, defaults.attempts_per_site_max),
            rate_per_destination: by_destination(rate_all, &self.destination, |options| {
                options.rate.map(RateOrNone::get)
            }),
            tenant_weights: self.tenants.weights(),
            backoff_min: self.backoff_min.map_or(defaults.backoff_min, Span::get),
            backoff_max: self.backoff_max.map_or(defaults.backoff_max, Span::get),
            attempt_time_max: self
                .attempt_time_max
                .map_or(defaults.attempt_time_max, Span::get),
            contents_memory_max: or(self.contents_memory_max, defaults.contents_memory_max),
            intakes_max: or(self.intakes_max, defaults.intakes_max),
            drain_time_max: self
                .drain_time_max
                .map_or(defaults.drain_time_max, Span::get),
            ..defaults
        }
    }
}
