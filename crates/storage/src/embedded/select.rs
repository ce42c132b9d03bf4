//! Reads that are the same inside and outside a write transaction.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};

use redb::ReadableTable;
use slimta_core::message::MessageId;
use slimta_core::storage::{Filter, LeaseView, Listed, Page, Unreadable};

use super::tables::{DueKey, PRIORITIES, id, key, read};

/// How many messages one page of a listing looks at.
const SCAN_MAX: usize = 1_000;

/// A page of what a filter means.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) messages: Vec<Listed>,
    pub(super) unreadable: Vec<Unreadable>,
    pub(super) next: Option<MessageId>,
}

/// Looks at a bounded number of messages behind the beginning of the page.
pub(super) fn select(
    messages: &impl ReadableTable<u128, (u8, &'static [u8])>,
    sharers: &impl ReadableTable<(u128, u128), ()>,
    filter: &Filter,
    page: Page,
    lease: impl Fn(MessageId) -> Option<LeaseView>,
) -> Result<Selection, redb::Error> {
    let mut selection = Selection::default();
    let mut look = |at: u128, record: &[u8]| match read(at, record) {
        Ok(message) => {
            let lease = lease(message.id);
            let listed = Listed { message, lease };
            if filter.matches(&listed) {
                selection.messages.push(listed);
            }
            selection.messages.len()
        }
        Err(reason) => {
            let id = id(at);
            selection.unreadable.push(Unreadable { id, reason });
            selection.messages.len()
        }
    };
    let (mut last, mut found, mut looked_at) = (page.after, 0, 0);
    if let Some(meant) = filter.id {
        let mut ids = meant_by(sharers, meant)?;
        ids.retain(|at| page.after.is_none_or(|after| *at > key(after)));
        for at in ids {
            if found == page.limit || looked_at == SCAN_MAX {
                selection.next = last;
                return Ok(selection);
            }
            if let Some(row) = messages.get(at)? {
                found = look(at, row.value().1);
            }
            (last, looked_at) = (Some(id(at)), looked_at + 1);
        }
        return Ok(selection);
    }
    let from = page.after.map_or(Unbounded, |after| Excluded(key(after)));
    for row in messages.range((from, Unbounded))? {
        let (at, row) = row?;
        if found == page.limit || looked_at == SCAN_MAX {
            selection.next = last;
            return Ok(selection);
        }
        found = look(at.value(), row.value().1);
        (last, looked_at) = (Some(id(at.value())), looked_at + 1);
    }
    Ok(selection)
}

/// The ids that one id can mean: its own, and those of its submission.
fn meant_by(
    sharers: &impl ReadableTable<(u128, u128), ()>,
    meant: MessageId,
) -> Result<BTreeSet<u128>, redb::Error> {
    let name = key(meant);
    let mut ids = BTreeSet::from([name]);
    for row in sharers.range((name, 0)..=(name, u128::MAX))? {
        ids.insert(row?.0.value().1);
    }
    Ok(ids)
}

/// The first due time of a destination, but for the messages that are taken.
pub(super) fn head(
    due: &impl ReadableTable<DueKey<'static>, u8>,
    destination: &str,
    is_taken: impl Fn(u128) -> bool,
) -> Result<Option<i64>, redb::Error> {
    let mut first: Option<i64> = None;
    for priority in PRIORITIES {
        let from = (destination, priority, i64::MIN, 0);
        let to = (destination, priority, i64::MAX, u128::MAX);
        for row in due.range::<DueKey<'_>>((Included(from), Included(to)))? {
            let (at, _) = row?;
            let (_, _, since, id) = at.value();
            if !is_taken(id) {
                first = Some(first.map_or(since, |first| first.min(since)));
                break;
            }
        }
    }
    Ok(first)
}
