//! `slimta serve`: the server.

use clap::Args;
use slimta_core::queue::Log;
use slimta_core::world::World;

use crate::assemble::Server;
use crate::commands::block_on;
use crate::config::{Options, Settings};
use crate::failure::Failure;
use crate::log;
use crate::signals::Signals;
use crate::supervise;

/// Run the server: take mail, keep it safe, hand it on.
///
/// Prints a line for each address as soon as mail is taken there. SIGTERM and
/// SIGINT end it in good order: what is taken is kept, what is being handed on
/// may finish. A second one ends it at once; nothing that was answered 250 is
/// lost then either.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    options: Options,
}

impl Serve {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let settings = Settings::read(self.options)?;
        log::begin(settings.log_format, settings.log_level);
        block_on(async {
            let signals = Signals::new()?;
            let server = Server::open(&settings, World::system(), Log).await?;
            supervise::run(server, signals).await
        })?
    }
}
