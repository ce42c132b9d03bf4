//! Relays of their own for some destinations.

use std::sync::Arc;

use async_trait::async_trait;
use slimta_core::queue::ByDestination;

use super::{Delivery, NextHop, Relay};
use crate::message::{Destination, Envelope, Recipient, Report};
use crate::routing::{ByDomain, Router};

/// Which destinations have a relay of their own; the others have none here.
pub type Routes = ByDestination<Option<Arc<dyn Relay>>>;

/// Mail to a domain that has a relay of its own goes there, and its destination
/// is the domain; all else goes where `others` hands it. A message that waits
/// goes by the routes of the time of its attempt.
pub fn routed(others: NextHop, routes: Routes, local_domain: &str) -> NextHop {
    let routes = Arc::new(routes);
    let by_domain = ByDomain {
        local_domain: local_domain.to_owned(),
    };
    NextHop {
        relay: Box::new(RoutedRelay {
            others: others.relay,
            routes: routes.clone(),
        }),
        router: Box::new(RoutedRouter {
            others: others.router,
            by_domain,
            routes,
        }),
    }
}

struct RoutedRelay {
    others: Box<dyn Relay>,
    routes: Arc<Routes>,
}

#[async_trait]
impl Relay for RoutedRelay {
    async fn attempt(&self, delivery: Delivery) -> Report {
        match self.routes.get(&delivery.message.destination) {
            Some(relay) => relay.attempt(delivery).await,
            None => self.others.attempt(delivery).await,
        }
    }

    async fn site(&self, destination: &Destination) -> Option<Arc<str>> {
        match self.routes.get(destination) {
            Some(relay) => relay.site(destination).await,
            None => self.others.site(destination).await,
        }
    }
}

struct RoutedRouter {
    others: Box<dyn Router>,
    by_domain: ByDomain,
    routes: Arc<Routes>,
}

impl Router for RoutedRouter {
    fn destination(&self, envelope: &Envelope, recipient: &Recipient) -> Destination {
        let domain = self.by_domain.destination(envelope, recipient);
        match self.routes.get(&domain) {
            Some(_) => domain,
            None => self.others.destination(envelope, recipient),
        }
    }
}
