//! What cannot be true together, each by itself: the reason why
//! [`Options::settle`] would fail is the first of them only.

use std::collections::BTreeMap;

use super::Options;
use super::destinations::{Destinations, route_logins, routes};
use super::edge_auth::EdgeAuth;
use super::edge_tls::EdgeTls;
use super::span::Span;
use crate::failure::Failure;

impl Options {
    /// Everything that is wrong with them, as far as no file has to be read.
    pub(super) fn problems(&self) -> Vec<Failure> {
        let alone = [
            self.name().err(),
            self.notices().err(),
            self.lock_duration().err(),
            self.pauses().err(),
            self.sources().err(),
            EdgeTls::of(self).err(),
            EdgeAuth::of(self).err(),
            self.relay_login(self.relay_url()).err(),
            self.proxies().err(),
        ];
        let tables = self.destination.iter().flat_map(|(pattern, options)| {
            let table = BTreeMap::from([(pattern.clone(), options.clone())]);
            self.problems_of_destination(table)
        });
        let alone = alone.into_iter().flatten();
        alone
            .chain(self.problems_of_listeners())
            .chain(self.problems_of_origins())
            .chain(tables)
            .collect()
    }

    /// What is wrong with the table of one destination, whatever is said of all.
    fn problems_of_destination(&self, table: Destinations) -> Vec<Failure> {
        let alone = Options {
            destination: table,
            source_pool: self.source_pool.clone(),
            ..Options::default()
        };
        let problems = [
            route_logins(&alone.destination).err(),
            alone.pools().err(),
            alone.ehlo_names().err(),
            alone.proxies().err(),
            routes(alone.destination).err(),
        ];
        problems.into_iter().flatten().collect()
    }

    /// A pause that begins longer than it may be is no pause that anybody meant.
    pub(super) fn pauses(&self) -> Result<(), Failure> {
        match (
            self.backoff_min.map(Span::get),
            self.backoff_max.map(Span::get),
        ) {
            (Some(min), Some(max)) if min > max => Err(Failure::setting(
                "backoff-min",
                format!("{min:?} is longer than backoff-max, {max:?}: make one of them fit"),
            )),
            _ => Ok(()),
        }
    }
}
