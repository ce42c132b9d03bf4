//! `slimta serve`: the server.

use std::sync::Arc;

use clap::Args;
use slimta_core::queue::Log;
use slimta_core::world::World;
use tokio::sync::oneshot;

use crate::assemble::Server;
use crate::checked::Checked;
use crate::commands::block_on;
use crate::config::Flags;
use crate::descriptors;
use crate::failure::Failure;
use crate::log;
use crate::reload::Reloader;
use crate::signals::{Signals, Wish};
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
    flags: Flags,
}

impl Serve {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let checked = Checked::read(self.flags.clone(), &World::system())?;
        let mut settings = checked.settings;
        log::begin(settings.log_format, settings.log_level);
        for warning in checked.warnings {
            tracing::warn!("{warning}");
        }
        descriptors::share(&mut settings, descriptors::raise());
        block_on(async {
            let mut signals = Signals::new()?;
            let server = tokio::select! {
                opened = Server::open(&settings, self.flags, World::system(), Log) => opened?,
                () = signals.stop() => {
                    tracing::info!("stopped before anything was open");
                    return Ok(());
                }
            };
            let reloader = server.reloader.clone();
            let (stop, stopped) = oneshot::channel();
            tokio::select! {
                ended = supervise::run(server, async { drop(stopped.await) }) => ended,
                () = listen(signals, stop, &reloader) => {
                    Err(Failure::Failed("cut short by a second signal".to_owned()))
                }
            }
        })?
    }
}

/// Passes the wish for an end on; completes at the second one. Reads the
/// configuration again whenever somebody wants it.
async fn listen(mut signals: Signals, stop: oneshot::Sender<()>, reloader: &Arc<Reloader>) {
    let mut stop = Some(stop);
    loop {
        match (signals.next().await, stop.take()) {
            // Whoever was told may have ended by itself.
            (Wish::Stop, Some(stop)) => drop(stop.send(())),
            (Wish::Stop, None) => return,
            (Wish::Reload, unused) => {
                stop = unused;
                // A wish for an end does not wait for a slow disk.
                let reloader = reloader.clone();
                tokio::spawn(async move { drop(reloader.reload().await) });
            }
        }
    }
}
