//! What settings open: files, and relays that connect later. A server begins with
//! such parts, and a reload puts new ones in their place.

use std::sync::Arc;

use slimta::bus;
use slimta::edge::smtp::{CredentialsFile, Tls};
use slimta::message::{Message, Response};
use slimta::policy::SignDkim;
use slimta::queue::{EdgeBus, Queue};
use slimta::relay::NextHop;
use slimta::storage::Storage;
use slimta::world::World;

use crate::assemble::{next_hop, queue};
use crate::config::{EdgeAuth, EdgeTls, Settings};
use crate::edges::{Wanted, edge, wanted};
use crate::failure::Failure;

/// Everything that can be opened without a port, a storage or a socket.
pub(crate) struct Parts {
    tls: Option<Tls>,
    users: Option<CredentialsFile>,
    next_hop: Option<NextHop>,
    dkim: SignDkim,
}

impl Parts {
    /// Opens it.
    pub(crate) fn open(settings: &Settings, world: &World) -> Result<Self, Failure> {
        let (tls, users) = (settings.edge.tls.as_ref(), settings.edge.auth.as_ref());
        Ok(Parts {
            tls: tls.map(EdgeTls::open).transpose()?,
            users: users.map(EdgeAuth::open).transpose()?,
            next_hop: next_hop(settings, world)?,
            dkim: settings.dkim.signer()?,
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
        let Parts {
            tls,
            users,
            next_hop,
            dkim,
        } = self;
        let queue = queue(settings, queue_end, next_hop, storage, &dkim)?;
        let smtp = edge(settings, edge_end, dkim, users, world);
        Ok((queue, wanted(settings, &smtp, tls)))
    }
}
