//! `slimta reload`: a running server reads its configuration again.

use clap::Args;

use crate::admin::{Door, Reply, Request};
use crate::assemble;
use crate::commands::block_on;
use crate::commands::queue::Place;
use crate::failure::Failure;
use crate::output;

/// Have the running server read its configuration again, as SIGHUP does.
///
/// All of it counts from then on, or nothing: if something is wrong the server
/// goes on as before, each mistake is told with its place, and the status is 1.
/// Options that need a new start are named.
#[derive(Args, Debug)]
pub(crate) struct Reload {
    #[command(flatten)]
    place: Place,
}

impl Reload {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let place = self.place.begin()?;
        block_on(async {
            let Some(door) = assemble::beside(&place).await? else {
                return Err(Failure::Failed(
                    "no server answers at the admin socket: name its --config, --storage or \
                     --admin-socket"
                        .to_owned(),
                ));
            };
            tell(&door).await
        })?
    }
}

async fn tell(door: &Door) -> Result<(), Failure> {
    let Reply::Reloaded(reloaded) = door.ask(Request::Reload).await? else {
        return Err(Failure::Failed("the server gave another answer".to_owned()));
    };
    for warning in &reloaded.warnings {
        eprintln!("{}", output::harmless_lines(warning));
    }
    output::line("reloaded")?;
    for option in &reloaded.later {
        output::line(format!(
            "{option} has changed, but counts only when the server is started anew"
        ))?;
    }
    Ok(())
}
