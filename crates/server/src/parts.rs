//! What settings open: files, and relays that connect later. A server begins with
//! such parts, and a reload puts new ones in their place.

use std::sync::Arc;

use slimta::bus;
use slimta::message::{Message, Response};
use slimta::policy::SignDkim;
use slimta::queue::{EdgeBus, Queue};
use slimta::relay::{Farewells, NextHop, Tls};
use slimta::storage::Storage;
use slimta::world::World;

use crate::assemble::queue;
use crate::config::{EdgeAuth, EdgeTls, Settings, TlsKept, warn_if_useless};
use crate::edges::{Means, Wanted, edge, wanted};
use crate::failure::Failure;
use crate::relays::{connections, next_hop};

/// Everything that can be opened without a port, a storage or a socket.
pub(crate) struct Parts {
    means: Means,
    next_hop: Option<NextHop>,
    /// How next hops are spoken to.
    pub(crate) tls: Tls,
    /// What is to go on when the settings are read anew.
    pub(crate) kept: TlsKept,
}

impl Parts {
    /// Opens it, but for what was `kept`. What its relays keep is ended by `farewells`.
    pub(crate) fn open(
        settings: &Settings,
        world: &World,
        kept: &TlsKept,
        farewells: &Farewells,
    ) -> Result<Self, Failure> {
        let trusted = settings.dns.trusted(&settings.tls)?;
        let mut connections = connections(settings, trusted.clone())?;
        if let Some(resolver) = trusted {
            tokio::spawn(warn_if_useless(settings.tls.clone(), resolver));
        }
        let way_out = connections.tls.clone();
        let policies = &settings.tls_policies;
        let kept = policies.open(settings, &way_out, world, kept)?;
        connections.farewells.clone_from(farewells);
        connections.mta_sts.clone_from(&kept.finder);
        connections.tls_reports.clone_from(&kept.counts);
        let (tls, users) = (settings.edge.tls.as_ref(), settings.edge.auth.as_ref());
        let (verify, spam_scan) = (settings.verify_senders.as_ref(), &settings.spam_scan);
        Ok(Parts {
            means: Means {
                tls: tls.map(EdgeTls::open).transpose()?,
                users: users.map(EdgeAuth::open).transpose()?,
                senders: users.map_or(Ok(None), EdgeAuth::open_senders)?,
                dkim: settings.dkim.signer()?,
                verify: verify.map(|it| it.open(settings, world)).transpose()?,
                spam_scan: spam_scan.as_ref().map(|it| it.policy(world.clone())),
                world: world.clone(),
            },
            next_hop: next_hop(settings, &connections, world)?,
            tls: way_out,
            kept,
        })
    }

    /// What signs.
    pub(crate) fn dkim(&self) -> &SignDkim {
        &self.means.dkim
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
