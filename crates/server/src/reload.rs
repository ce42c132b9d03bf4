//! Other settings for a server that runs: all of them, or none.
//!
//! The file is read and checked as at a start, and everything that it names is
//! opened. Only then the running parts are replaced, which cannot fail: queue and
//! edges each have one place where their settings stand.

use std::net::SocketAddr;
use std::sync::Arc;

use slimta::bus;
use slimta::edge::smtp::CurrentEdge;
use slimta::message::{Message, Response};
use slimta::queue::Queue;
use slimta::relay::Farewells;
use slimta::storage::Storage;
use slimta::world::World;
use tokio::sync::Mutex;

use crate::admin::Reloaded;
use crate::checked::Checked;
use crate::config::{Flags, Settings, TlsKept};
use crate::descriptors;
use crate::edges::Wanted;
use crate::failure::Failure;
use crate::log;
use crate::parts::Parts;

/// What a reload needs of a server.
pub(crate) struct Reloader {
    /// What the server was started with.
    pub(crate) flags: Flags,
    pub(crate) queue: Queue,
    pub(crate) bus: Arc<bus::LocalClient<Message, Response>>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) world: World,
    /// What it knows of the TLS of others since it began.
    pub(crate) kept: TlsKept,
    /// What ends the connections that relays keep.
    pub(crate) farewells: Farewells,
    /// Where it listens, and what it serves there.
    pub(crate) listeners: Vec<(SocketAddr, CurrentEdge)>,
    /// The settings of the moment. One reload at a time has them.
    pub(crate) running: Mutex<Settings>,
}

/// New settings, and what is to be replaced by them.
struct Renewal {
    settings: Settings,
    queue: Queue,
    wanted: Vec<Wanted>,
    reloaded: Reloaded,
}

impl Reloader {
    /// Reads the configuration again and goes by it from now on. If anything is
    /// wrong with it nothing changes, and the failure says what.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<Reloaded, Failure> {
        let mut running = self.running.lock().await;
        let (own, old) = (self.clone(), running.clone());
        let replaced = self.farewells.of_now();
        // It reads files.
        let preparing = tokio::task::spawn_blocking(move || own.prepare(&old));
        let prepared = preparing
            .await
            .unwrap_or_else(|error| Err(Failure::Failed(error.to_string())));
        let renewal = match prepared {
            Ok(renewal) => renewal,
            Err(failure) => {
                tracing::error!("not reloaded, all settings are as before: {failure}");
                return Err(failure);
            }
        };
        let Renewal {
            settings,
            queue,
            wanted,
            reloaded,
        } = renewal;
        self.queue.adopt(&queue);
        replaced.end();
        // What listens is kept, so it is wanted in the order in which it was.
        for ((address, current), wanted) in self.listeners.iter().zip(wanted) {
            if wanted.address == *address {
                current.replace(wanted.smtp);
            }
        }
        log::set_level(settings.log_level);
        *running = settings;
        tracing::info!("reloaded");
        for option in &reloaded.later {
            tracing::warn!(
                option,
                "changed, but counts only when the server is started anew"
            );
        }
        for warning in &reloaded.warnings {
            tracing::warn!("{warning}");
        }
        Ok(reloaded)
    }

    fn prepare(&self, running: &Settings) -> Result<Renewal, Failure> {
        let Checked {
            mut settings,
            warnings,
            ..
        } = Checked::read(self.flags.clone(), &self.world)?;
        descriptors::share(&mut settings, descriptors::raise());
        let later = settings.keep(running);
        let parts = Parts::open(&settings, &self.world, &self.kept, &self.farewells)?;
        let (bus, storage) = (self.bus.clone(), self.storage.clone());
        let (queue, wanted) = parts.assemble(&settings, None, bus, storage, &self.world)?;
        Ok(Renewal {
            settings,
            queue,
            wanted,
            reloaded: Reloaded { later, warnings },
        })
    }
}
