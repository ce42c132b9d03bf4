//! What cannot be true together, each by itself: the reason why
//! [`Options::settle`] would fail is the first of them only.

use std::collections::BTreeMap;

use super::Options;
use super::destinations::routes;
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
        ];
        let tables = self.destination.iter().map(|(pattern, options)| {
            let alone = BTreeMap::from([(pattern.clone(), options.clone())]);
            routes(alone).err()
        });
        alone.into_iter().chain(tables).flatten().collect()
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
