//! Recipients that have become the same.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::message::{Address, Notify, Recipient};

/// What a recipient gets who was given without NOTIFY: told of failures, and of
/// delays where that is done (RFC 3461 section 4.1).
const UNSAID: Notify = Notify {
    success: false,
    failure: true,
    delay: true,
};

/// One recipient for each address, in the order of the first of each, with the
/// notices that any of them asked for. Whose address the sender knows as what is
/// kept of the first.
pub(super) fn merged(recipients: Vec<Recipient>) -> Vec<Recipient> {
    let mut places = BTreeMap::new();
    let mut merged: Vec<Recipient> = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        match places.entry(key(&recipient.address)) {
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(recipient);
            }
            Entry::Occupied(place) => {
                if let Some(first) = merged.get_mut(*place.get()) {
                    first.notify = both(first.notify, recipient.notify);
                }
            }
        }
    }
    merged
}

/// The case of a local-part is its owner's business, that of a domain nobody's.
fn key(address: &Address) -> (String, Option<String>) {
    let domain = address.domain().map(str::to_lowercase);
    (address.local_part().to_owned(), domain)
}

fn both(one: Option<Notify>, other: Option<Notify>) -> Option<Notify> {
    if one == other {
        return one;
    }
    let (one, other) = (one.unwrap_or(UNSAID), other.unwrap_or(UNSAID));
    Some(Notify {
        success: one.success || other.success,
        failure: one.failure || other.failure,
        delay: one.delay || other.delay,
    })
}
