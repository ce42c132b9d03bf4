//! `slimta demo`: the main job in one command.

use clap::Args;

use crate::failure::Failure;

/// Watch the main job: receive, store, relay, retry, bounce.
#[derive(Args, Debug)]
pub(crate) struct Demo {}

impl Demo {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        Ok(())
    }
}
