//! Gives a lease back on every way out, cancellation included.

use std::sync::Arc;

use crate::storage::{Lease, Session};

/// Unlocks its lease when it is dropped, unless the lease was taken out.
#[derive(Debug)]
pub(super) struct Unlock {
    session: Arc<dyn Session>,
    lease: Option<Lease>,
}

impl Unlock {
    pub(super) fn new(session: Arc<dyn Session>, lease: Lease) -> Self {
        Unlock {
            session,
            lease: Some(lease),
        }
    }

    /// Takes the lease out: it is no longer given back.
    pub(super) fn keep(mut self) -> Option<Lease> {
        self.lease.take()
    }

    /// Gives the lease back now.
    pub(super) async fn unlock(mut self) {
        if let Some(lease) = self.lease.take() {
            give_back(&*self.session, &lease).await;
        }
    }
}

impl Drop for Unlock {
    /// A cancelled caller cannot wait, so a task of its own gives the lease
    /// back. Outside of a runtime the lease runs out instead.
    fn drop(&mut self) {
        if let (Some(lease), Ok(runtime)) =
            (self.lease.take(), tokio::runtime::Handle::try_current())
        {
            let session = self.session.clone();
            runtime.spawn(async move { give_back(&*session, &lease).await });
        }
    }
}

async fn give_back(session: &dyn Session, lease: &Lease) {
    if let Err(error) = session.unlock(lease).await {
        tracing::warn!(id = %lease.id(), %error, "lease could not be given back; it runs out");
    }
}
