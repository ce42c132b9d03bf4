//! Each destination as operators see it: what waits for it, what is in hand,
//! and whether it is left alone or suspended.

use std::collections::BTreeMap;

use slimta_core::message::Destination;
use slimta_core::queue::{Queue, QueueError};
use slimta_core::storage::{Session, StorageError};

use super::view::{DestinationView, SuspensionView};

/// Destinations of which something waits that are shown, those with the longest
/// due mail first.
const WAITING_MAX: usize = 1_000;
/// How many are counted by one call.
const AT_ONCE: usize = 20;
/// Where counting the messages of one destination ends, and of all.
const COUNT_MAX: usize = 100_000;
const COUNT_ALL_MAX: usize = 1_000_000;

/// All that there is to say. It reads no message, and a bounded part of the
/// order in which they are due.
pub(super) async fn destinations(
    queue: &Queue,
    session: &dyn Session,
) -> Result<Vec<DestinationView>, QueueError> {
    let suspensions = queue.suspensions(session).await?;
    let mut views: BTreeMap<String, DestinationView> = BTreeMap::new();
    for one in queue.destinations() {
        views.insert(one.destination.to_string(), DestinationView::new(one));
    }
    for due in session.waiting_destinations(None, WAITING_MAX).await? {
        let name = due.destination.to_string();
        let view = || match queue.destination(&due.destination) {
            // One of several tenants: its mail in hand is told with the next hop's.
            Some(known) => DestinationView {
                messages: 0,
                attempts: 0,
                per_hour: None,
                ..DestinationView::new(known)
            },
            None => DestinationView::named(name.clone()),
        };
        views.entry(name.clone()).or_insert_with(view);
    }
    let (of_one, of_several) = suspensions
        .into_iter()
        .partition::<Vec<_>, _>(|suspension| !suspension.destinations.contains('*'));
    for suspension in of_one {
        let name = suspension.destinations;
        let named = DestinationView::named(name.clone());
        views.entry(name).or_insert(named);
    }
    for view in views.values_mut() {
        let destination = Destination::new(view.destination.as_str());
        let suspension = queue.suspension(session, &destination);
        view.suspended = suspension.map(SuspensionView::from);
    }
    count(&mut views, session).await?;
    let of_several = of_several.into_iter().map(|suspension| {
        let named = DestinationView::named(suspension.destinations.clone());
        DestinationView {
            suspended: Some(suspension.into()),
            ..named
        }
    });
    Ok(views.into_values().chain(of_several).collect())
}

/// Counts what waits, of some destinations at a time, until it is enough.
async fn count(
    views: &mut BTreeMap<String, DestinationView>,
    session: &dyn Session,
) -> Result<(), StorageError> {
    let mut views: Vec<&mut DestinationView> = views.values_mut().collect();
    let mut counted = 0;
    for views in views.chunks_mut(AT_ONCE) {
        if counted >= COUNT_ALL_MAX {
            return Ok(());
        }
        let names = views.iter().map(|view| view.destination.as_str());
        let names: Vec<Destination> = names.map(Destination::new).collect();
        let backlogs = session.backlogs(&names, COUNT_MAX).await?;
        for (view, backlog) in views.iter_mut().zip(backlogs) {
            view.waiting = Some(backlog.waiting);
            view.due = Some(backlog.due);
            view.more = backlog.waiting >= COUNT_MAX;
            view.estimate();
            counted += backlog.waiting;
        }
    }
    Ok(())
}
