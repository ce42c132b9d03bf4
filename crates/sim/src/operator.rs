//! An operator at work beside the managers: holds messages back, lets them go,
//! makes them due, and removes some.

use slimta_core::storage::{Action, Filter, Page, Session, StorageError};
use slimta_core::world::Timestamp;

use crate::books::Books;
use crate::chance::Chance;

/// Most messages that an operator looks at.
const MESSAGES_MAX: usize = 10_000;

/// Does something to a message, if there is one that is not being attempted.
pub(crate) async fn act(
    session: &dyn Session,
    chance: &Chance,
    books: &Books,
    now: Timestamp,
) -> Result<(), StorageError> {
    let page = Page::first(MESSAGES_MAX);
    let listing = session.list(&Filter::default(), page).await?;
    let drawn = chance.below(listing.messages.len().max(1) as u64);
    let action = match chance.below(10) {
        0..3 => Action::Hold("looks odd".to_owned()),
        3..6 => Action::Release,
        6..8 => Action::SetDue(now),
        _ => Action::Delete,
    };
    let Some(found) = listing.messages.get(usize::try_from(drawn).unwrap_or(0)) else {
        return Ok(());
    };
    let message = &found.message;
    let which = Filter {
        id: Some(message.id),
        destination: Some(message.destination.clone()),
        ..Filter::default()
    };
    let acted = session.act(&which, page, &action).await?;
    for id in acted.changed {
        books.tell(format!("an operator does to {id}: {action:?}"));
        // Its id may be that of a whole submission.
        let mut messages = listing.messages.iter().map(|listed| &listed.message);
        match messages.find(|message| message.id == id) {
            Some(message) if action == Action::Delete => books.removes(id, &message.envelope),
            Some(_) => {}
            None => books.fault(format!("{id} was changed and not listed")),
        }
    }
    Ok(())
}

/// Lets all go that is held, but what is being attempted just now.
pub(crate) async fn release_held(session: &dyn Session) -> Result<(), StorageError> {
    if session.stats().await?.held == 0 {
        return Ok(());
    }
    let page = Page::first(MESSAGES_MAX);
    session
        .act(&Filter::default(), page, &Action::Release)
        .await
        .map(drop)
}
