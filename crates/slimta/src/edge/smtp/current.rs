//! An edge that is replaced while it serves.

use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use slimta_smtp::server::Settings;

use super::{Listener, SmtpEdge, listen};

/// The edge of a listener, as it is now. A client is served to its end by the edge
/// that was current when it came.
///
/// ```
/// # use slimta::edge::smtp::{CurrentEdge, SmtpEdge};
/// # async fn example(edge: SmtpEdge, other: SmtpEdge) -> std::io::Result<()> {
/// let current = CurrentEdge::new(edge);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:2525").await?;
/// tokio::spawn(current.clone().serve(listener, std::future::pending()));
/// current.replace(other);
/// # Ok(())
/// # }
/// ```
///
/// Clones are the same one.
#[derive(Clone)]
pub struct CurrentEdge(Arc<ArcSwap<Serving>>);

/// What sessions begin with.
pub(super) struct Serving {
    pub(super) edge: Arc<SmtpEdge>,
    pub(super) settings: Arc<Settings>,
}

impl CurrentEdge {
    /// Begins with this one.
    pub fn new(edge: SmtpEdge) -> Self {
        CurrentEdge(Arc::new(ArcSwap::from_pointee(Serving::new(edge))))
    }

    /// Serves clients that come from now on by another edge. Connections,
    /// handshakes, memory and failures of AUTH are counted on, within the limits of
    /// the first edge; so is what one address does, within those of the other.
    pub fn replace(&self, edge: SmtpEdge) {
        let old = self.get();
        old.edge.origins.adopt(&edge.origins);
        self.0.store(Arc::new(Serving::new(SmtpEdge {
            connections: old.edge.connections.clone(),
            handshakes: old.edge.handshakes.clone(),
            room: old.edge.room.clone(),
            failures: old.edge.failures.clone(),
            origins: old.edge.origins.clone(),
            ..edge
        })));
    }

    /// As [`SmtpEdge::serve`].
    pub async fn serve(self, listener: impl Listener, stop: impl Future<Output = ()> + Send) {
        listen::serve(self, listener, stop).await;
    }

    pub(super) fn get(&self) -> Arc<Serving> {
        self.0.load_full()
    }
}

impl Serving {
    fn new(edge: SmtpEdge) -> Self {
        Serving {
            settings: Arc::new(edge.settings()),
            edge: Arc::new(edge),
        }
    }
}
