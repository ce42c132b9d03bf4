//! What settings open: files, and relays that connect later. A server begins with
//! such parts, and a reload puts new ones in their place.

use std::sync::Arc;

use slimta::bus;
use slimta::message::{Message, Response};
use slimta::queue::{EdgeBus, Queue};
use slimta::relay::NextHop;
use slimta::storage::Storage;
use slimta::world::World;

use crate::assemble::queue;
use crate::config::{EdgeAuth, EdgeTls, Settings};
use crate::edges::{Means, Wanted, edge, wanted};
use crate::failure::Failure;
use crate::relays::next_hop;

/// Everything that can be opened without a port, a storage or a socket.
pub(crate) struct Parts {
    means: Means,
    next_hop: Option<NextHop>,
}

impl Parts {
    /// Opens it.
    pub(crate) fn open(settings: &Settings, world: &World) -> Result<Self, Failure> {
        let (tls, users) = (settings.edge.tls.as_ref(), settings.edge.auth.as_ref());
        Ok(Parts {
            means: Means {
                tls: tls.map(EdgeTls::open).transpose()?,
                users: users.map(EdgeAuth::open).transpose()?,
                dkim: settings.dkim.signer()?,
                world: world.clone(),
            },
            next_hop: next_hop(settings, world)?,
        })
    }

    /// A queue with these settings, and what is served before it.
    pub(crate) fn assemble(
        self,
        settings: &Settings,
        queue_end: Option<EdgeBus>,
        edge_end: Arc<bus::LocalClient<Message, Response>>,
        storage: Arc<dyn Storage>,
        world: &World,
    ) -> Result<(Queue, Vec<Wanted>), Failure> {
        let queue = queue(
            settings,
            queue_end,
            self.next_hop,
            storage,
            &self.means.dkim,
        )?;
        let smtp = edge(settings, edge_end, world);
        Ok((queue, wanted(settings, &smtp, &self.means)?))
    }
}
