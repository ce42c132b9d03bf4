//! Who manages the queue, as far as they have said so.

use std::time::Duration;

use slimta_core::storage::{Owner, StorageError};

use super::ask;
use super::circuit::Asks;
use super::clock::{NOW, ServerClock};
use super::rows::{get, millis};

/// Says that `me` manages for `lasting`, and gives all who do.
pub(super) async fn manage(
    client: &impl Asks,
    clock: &ServerClock,
    me: &Owner,
    lasting: Duration,
) -> Result<Vec<Owner>, StorageError> {
    // A statement does not see what it writes itself, so who asks is added.
    let statement = format!(
        "WITH clock AS MATERIALIZED (SELECT {NOW} AS now), gone AS (
             DELETE FROM slimta_managers USING clock
             WHERE owner <> $2 AND lasts_until <= now OR owner = $2 AND $3::bigint = 0
         ), here AS (
             INSERT INTO slimta_managers (owner, lasts_until)
             SELECT $2, now + $3 FROM clock WHERE $3 > 0
             ON CONFLICT (owner) DO UPDATE SET lasts_until = EXCLUDED.lasts_until
         )
         SELECT owner FROM slimta_managers, clock WHERE owner <> $2 AND lasts_until > now"
    );
    let rows = ask::rows(
        client,
        &statement,
        &[&clock.parameter(), &me.as_str(), &millis(lasting)],
    )
    .await?;
    let others = rows
        .iter()
        .map(|row| get::<String>(row, "owner").map(Owner::new));
    let mut all = others.collect::<Result<Vec<_>, _>>()?;
    all.extend((!lasting.is_zero()).then(|| me.clone()));
    Ok(all)
}
