//! Pages of messages, for operators and their actions.

use slimta_core::message::MessageId;
use slimta_core::storage::{
    Acted, Action, Filter, Listed, Listing, Page, StorageError, Unreadable,
};

use super::Shared;
use super::rows::{Fields, Row, limit, score};
use super::scripts::{self, Args};
use super::settle::rows;
use super::shards::Shard;
use super::store::record;

/// How many messages one page looks at.
const SCAN_MAX: usize = 1000;
/// How often messages may be changed by others while an action reaches them.
const ROUNDS_MAX: usize = 10;

/// A message with the shard that it lies on.
type Found<'s> = (&'s Shard, Row);

/// What a page has found.
#[derive(Default)]
struct Selection<'s> {
    found: Vec<(&'s Shard, String, Listed)>,
    unreadable: Vec<(&'s Shard, Unreadable, bool)>,
    next: Option<MessageId>,
}

/// One page of what a filter means.
pub(super) async fn list(
    shared: &Shared,
    filter: &Filter,
    page: Page,
) -> Result<Listing, StorageError> {
    let selection = select(shared, filter, page).await?;
    let mut listing = Listing {
        messages: selection
            .found
            .into_iter()
            .map(|(_, _, listed)| listed)
            .collect(),
        unreadable: Vec::new(),
        next: selection.next,
    };
    for (shard, unreadable, is_quarantined) in selection.unreadable {
        if !is_quarantined {
            shared.quarantine(shard, &unreadable).await?;
        }
        listing.unreadable.push(unreadable);
    }
    Ok(listing)
}

/// Acts on one page of what a filter means.
pub(super) async fn act(
    shared: &Shared,
    filter: &Filter,
    page: Page,
    action: &Action,
) -> Result<Acted, StorageError> {
    let selection = select(shared, filter, page).await?;
    let mut acted = Acted {
        next: selection.next,
        ..Acted::default()
    };
    for shard in shared.shards()? {
        let here = selection
            .found
            .iter()
            .filter(|(on, ..)| on.number == shard.number);
        let here = here.map(|(_, revision, listed)| (revision.clone(), listed.clone()));
        edit(shared, shard, here.collect(), filter, action, &mut acted).await?;
    }
    acted.changed.sort_unstable();
    Ok(acted)
}

/// Acts on messages of one shard, as they were read. What others have changed
/// since is read anew.
async fn edit(
    shared: &Shared,
    shard: &Shard,
    mut found: Vec<(String, Listed)>,
    filter: &Filter,
    action: &Action,
    acted: &mut Acted,
) -> Result<(), StorageError> {
    for _ in 0..ROUNDS_MAX {
        let mut ids = Vec::new();
        let mut args = Args::new();
        for (revision, Listed { mut message, lease }) in found.drain(..) {
            if lease.is_some() {
                acted.leased += 1;
                continue;
            }
            let id = message.id;
            if *action == Action::Delete {
                args = args.shown(id).owned(revision.into_bytes()).text("remove");
            } else if action.apply(&mut message) {
                args = args
                    .shown(id)
                    .owned(revision.into_bytes())
                    .text("write")
                    .shown(score(message.due))
                    .shown(u8::from(message.held.is_some()))
                    .shown(&message.destination)
                    .owned(record(&message)?);
            } else {
                continue;
            }
            ids.push(id);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let answers: Vec<i64> = shared
            .call(shard, &scripts::EDIT, &args.behind(ids.len()))
            .await?;
        let mut again = Vec::new();
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer {
                1 => acted.changed.push(id),
                2 => again.push(id),
                3 => acted.leased += 1,
                _ => {}
            }
        }
        for row in rows(shared, shard, &again).await?.into_iter().flatten() {
            found.extend(row.read.ok().map(|listed| (row.revision, listed)));
        }
        found.retain(|(_, listed)| filter.matches(listed));
    }
    let why = "messages were changed again and again while an action reached them";
    Err(StorageError::Unavailable(why.to_owned()))
}

async fn select<'s>(
    shared: &'s Shared,
    filter: &Filter,
    page: Page,
) -> Result<Selection<'s>, StorageError> {
    let mut selection = Selection::default();
    let mut after = page.after;
    let mut looked_at = 0;
    while selection.found.len() < page.limit && looked_at < SCAN_MAX {
        let wanted = (page.limit - selection.found.len()).clamp(1, SCAN_MAX - looked_at);
        let rows = page_of(shared, filter, after, wanted).await?;
        let is_last = rows.len() < wanted;
        looked_at += rows.len();
        for (shard, row) in rows {
            after = Some(row.id);
            match row.read {
                Ok(listed) if filter.matches(&listed) => {
                    selection.found.push((shard, row.revision, listed));
                }
                Ok(_) => {}
                Err(unreadable) => {
                    selection
                        .unreadable
                        .push((shard, unreadable, row.is_quarantined));
                }
            }
        }
        if is_last {
            return Ok(selection);
        }
    }
    selection.next = after;
    Ok(selection)
}

/// So many messages behind one, of all shards, in the order of their ids; only
/// those that the filter's id means, or else of its destination. What is not said
/// here is sorted out by the filter itself.
async fn page_of<'s>(
    shared: &'s Shared,
    filter: &Filter,
    after: Option<MessageId>,
    wanted: usize,
) -> Result<Vec<Found<'s>>, StorageError> {
    let (script, args) = match filter.id {
        Some(id) => (&scripts::SUBMISSION, Args::new().shown(id)),
        None => {
            let after = after.map(|after| after.to_string()).unwrap_or_default();
            let args = Args::new().shown(after).shown(limit(wanted));
            let args = match &filter.destination {
                Some(destination) => args.text(destination.as_str()),
                None => args,
            };
            (&scripts::PAGE, args)
        }
    };
    let all = shared.on_all::<Vec<Option<Fields>>>(script, &args).await?;
    let mut rows = Vec::new();
    for (shard, found) in all {
        for fields in found.into_iter().flatten() {
            rows.push((shard, Row::new(fields)?));
        }
    }
    rows.retain(|(_, row)| after.is_none_or(|after| row.id > after));
    rows.sort_unstable_by_key(|(_, row)| row.id);
    rows.truncate(wanted);
    Ok(rows)
}
