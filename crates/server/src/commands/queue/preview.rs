//! What `--dry-run` says: which messages an action would be about.

use std::collections::BTreeSet;

use serde::Serialize;

use super::act::{Meant, plural};
use super::pace::Pace;
use super::{strange, table, to_json};
use crate::admin::{Door, Reply, Request, Verb, Which};
use crate::failure::Failure;
use crate::output;

/// More destinations are not counted one by one.
const DESTINATIONS_MAX: usize = 10_000;

/// What would be done.
#[derive(Serialize, Default)]
struct Preview {
    /// How many messages would be changed.
    would_change: u64,
    /// Their size, where several share contents, for each of them.
    bytes: u64,
    /// To how many destinations they go; null if they are very many.
    destinations: Option<usize>,
    /// How many are being attempted just now, and would be left alone.
    locked: u64,
    /// Whether it was stopped before the end.
    stopped: bool,
}

/// Counts, and changes nothing.
pub(super) async fn preview(
    door: &Door,
    meant: Meant,
    verb: Verb,
    json: bool,
) -> Result<(), Failure> {
    let mut pace = Pace::new(None)?;
    let mut destinations = BTreeSet::new();
    let mut seen = Preview::default();
    let all = match meant {
        Meant::Which(which) => vec![which],
        Meant::Ids(ids) => ids.into_iter().map(Which::id).collect(),
    };
    for which in all {
        let mut after = None;
        while !pace.is_stopping() {
            let request = Request::Preview {
                which: which.clone(),
                verb: verb.clone(),
                after,
            };
            let Reply::Previewed(page) = pace.step(door.ask(request)).await? else {
                return Err(strange());
            };
            seen.would_change += page.messages;
            seen.bytes += page.bytes;
            seen.locked += page.leased;
            if destinations.len() <= DESTINATIONS_MAX {
                destinations.extend(page.destinations);
            }
            pace.tell(seen.would_change, "counted");
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    pace.end();
    seen.stopped = pace.is_stopping();
    seen.destinations = Some(destinations.len()).filter(|count| *count <= DESTINATIONS_MAX);
    output::line(if json { to_json(&seen)? } else { said(&seen) })?;
    match seen.stopped {
        true => Err(Failure::Told),
        false => Ok(()),
    }
}

fn said(seen: &Preview) -> String {
    let destinations = match seen.destinations {
        Some(count) => format!("{count} destination{}", plural(count as u64)),
        None => format!("more than {DESTINATIONS_MAX} destinations"),
    };
    let mut text = format!(
        "{} message{} of {} for {destinations} would be changed",
        seen.would_change,
        plural(seen.would_change),
        table::size(seen.bytes),
    );
    if seen.locked > 0 {
        text += &format!(
            "; {} being attempted just now would be left alone",
            seen.locked
        );
    }
    if seen.stopped {
        text += "; stopped before the end";
    }
    text
}
