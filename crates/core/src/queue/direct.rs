//! A relay as the far end of a relay bus, without a bus between.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::bus::{BusError, Client, Server};
use crate::message::Report;
use crate::relay::{Delivery, Relay};

/// The client end of a relay bus that calls the relay itself: what one process
/// needs, and one hand-over less.
pub struct Direct<R>(pub R);

#[async_trait]
impl<R: Relay> Client<Delivery, Report> for Direct<R> {
    async fn send(&self, mut deliveries: Vec<Delivery>) -> Result<Vec<Report>, BusError> {
        if deliveries.len() == 1
            && let Some(delivery) = deliveries.pop()
        {
            return Ok(vec![self.0.attempt(delivery).await]);
        }
        Ok(join_all(deliveries.into_iter().map(|d| self.0.attempt(d))).await)
    }
}

/// Serves the answering end of a relay bus with a relay until the bus closes:
/// each request in a task of its own.
pub async fn serve_relay(bus: impl Server<Delivery, Report>, relay: impl Relay) {
    let relay = Arc::new(Direct(relay));
    while let Ok(transaction) = bus.accept().await {
        let relay = relay.clone();
        tokio::spawn(async move {
            let (deliveries, reply) = transaction.into_parts();
            if let Ok(reports) = relay.send(deliveries).await {
                // The queue may have given up the wait; it then counts the
                // message as not delivered.
                let _ = reply.send(reports);
            }
        });
    }
}
