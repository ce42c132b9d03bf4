//! Pages of messages, with what lies in quarantine between them.

use slimta_core::storage::{Filter, Listing, Page, StorageError, Unreadable};

use super::engine::{Engine, unavailable};

/// A page, and what of it has to be put aside.
pub(super) fn list(
    engine: &Engine,
    filter: &Filter,
    page: Page,
) -> Result<(Listing, Vec<Unreadable>), StorageError> {
    let failed = |error| unavailable(&error);
    let (now, _, snapshot) = engine.look()?;
    let view = |id| engine.leases().view(id, now);
    let selection = snapshot.select(filter, page, view).map_err(failed)?;
    // What cannot be read fits no filter but the one for everything, and its id.
    let by_id_only = *filter
        == Filter {
            id: filter.id,
            ..Filter::default()
        };
    let mut unreadable = selection.unreadable.clone();
    if by_id_only {
        let limit = page.limit.max(1);
        let aside = snapshot.quarantined(page.after, selection.next, limit);
        let mut aside = aside.map_err(failed)?;
        aside.retain(|aside| filter.id.is_none_or(|id| aside.id == id));
        unreadable.extend(aside);
        unreadable.sort_by_key(|unreadable| unreadable.id);
    }
    let listing = Listing {
        messages: selection.messages,
        unreadable,
        next: selection.next,
    };
    Ok((listing, selection.unreadable))
}
