//! `slimta queue suspend` and `resume`.

use clap::Args;
use serde::Serialize;
use slimta_core::queue::DestinationPattern;
use slimta_core::world::Timestamp;

use super::{strange, table, to_json};
use crate::admin::{Door, Ends, Reply, Request};
use crate::config::Span;
use crate::failure::Failure;
use crate::output;

/// What is kept back, why and for how long.
#[derive(Args, Debug)]
pub(super) struct Suspend {
    /// A destination as `slimta queue list` names it, or all below a domain:
    /// *.example.org
    destination: DestinationPattern,
    /// Why, for whoever looks later
    #[arg(long, value_name = "TEXT", default_value = "Suspended by the operator")]
    reason: String,
    /// Ends by itself after so long, such as 30m or 2h
    #[arg(long = "for", value_name = "TIME", conflicts_with = "until")]
    lasting: Option<Span>,
    /// Ends by itself at this time, such as 2026-11-24T18:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl Suspend {
    /// Suspends, and says so.
    pub(super) async fn run(self, door: &Door, json: bool) -> Result<(), Failure> {
        let lasting = self.lasting.map(|span| {
            let millis = span.get().as_millis();
            Ends::InMillis(u64::try_from(millis).unwrap_or(u64::MAX))
        });
        let request = Request::Suspend {
            destinations: self.destination,
            reason: self.reason,
            ends: lasting.or(self.until.map(Ends::At)),
        };
        let Reply::Suspended(suspended) = door.ask(request).await? else {
            return Err(strange());
        };
        output::line(if json {
            to_json(&suspended)?
        } else {
            table::suspended(&suspended)
        })
    }
}

#[derive(Serialize)]
struct Resumed {
    resumed: DestinationPattern,
}

/// Resumes, and says so.
pub(super) async fn resume(
    door: &Door,
    destinations: DestinationPattern,
    json: bool,
) -> Result<(), Failure> {
    let request = Request::Resume {
        destinations: destinations.clone(),
    };
    match door.ask(request).await? {
        Reply::Resumed(true) if json => output::line(to_json(&Resumed {
            resumed: destinations,
        })?),
        Reply::Resumed(true) => output::line(format!("mail for {destinations} goes on")),
        Reply::Resumed(false) => Err(Failure::Failed(format!(
            "nothing is suspended under the name {destinations}: \
             slimta queue destinations shows what is"
        ))),
        _ => Err(strange()),
    }
}
