//! Destinations whose mail is kept back: one table, of few rows.

use redb::{ReadableTable, Table};
use slimta_core::storage::{SUSPENSIONS_MAX, Suspension};
use slimta_core::world::Timestamp;

use super::tables::SuspensionRow;

type Done<T> = Result<T, redb::Error>;

/// A change of what is suspended.
#[derive(Debug)]
pub(super) enum Suspending {
    Begin(Suspension),
    /// Of what is for these destinations.
    End(String),
}

/// Makes a change; says whether there was room to begin, or something to end.
pub(super) fn change(
    table: &mut Table<'_, &'static str, SuspensionRow>,
    change: &Suspending,
    now: Timestamp,
) -> Done<bool> {
    match change {
        Suspending::Begin(new) => {
            let name = new.destinations.as_str();
            let ends = |row: SuspensionRowValue<'_>| row.0.map(Timestamp::from_millis);
            table.retain(|_, row| ends(row).is_none_or(|ends| ends > now))?;
            let others = table.iter()?.filter(|row| match row {
                Ok((at, _)) => at.value() != name,
                Err(_) => true,
            });
            if others.count() >= SUSPENSIONS_MAX {
                return Ok(false);
            }
            let until = new.until.map(Timestamp::as_millis);
            table.insert(name, (until, new.reason.as_str()))?;
            Ok(true)
        }
        Suspending::End(destinations) => {
            let row = table.remove(destinations.as_str())?;
            let ended = row.map(|row| read(destinations, row.value()));
            Ok(ended.is_some_and(|ended| ended.is_in_force(now)))
        }
    }
}

/// Those in force.
pub(super) fn in_force(
    table: &impl ReadableTable<&'static str, SuspensionRow>,
    now: Timestamp,
) -> Done<Vec<Suspension>> {
    let mut all = Vec::new();
    for row in table.iter()? {
        let (at, row) = row?;
        all.push(read(at.value(), row.value()));
    }
    all.retain(|suspension| suspension.is_in_force(now));
    Ok(all)
}

type SuspensionRowValue<'a> = (Option<i64>, &'a str);

fn read(destinations: &str, (until, reason): SuspensionRowValue<'_>) -> Suspension {
    Suspension {
        destinations: destinations.to_owned(),
        reason: reason.to_owned(),
        until: until.map(Timestamp::from_millis),
    }
}
