//! Clients that a proxy speaks for (XCLIENT): what they may do is decided by
//! who they are, not by who the proxy is.

use std::net::Ipv4Addr;

use slimta_smtp::server::{Fact, XClient};

use super::connection::Connection;
use super::origin::Turned;

impl<S> Connection<S> {
    /// Goes on as the connection of whom the proxy speaks for, if there is a
    /// place for it.
    pub(super) async fn speak_for(&mut self, told: &XClient) {
        let ip = match told.addr {
            Fact::Untold => self.ip,
            // It is nobody whom an operator could have named.
            Fact::Unknown => Ipv4Addr::UNSPECIFIED.into(),
            Fact::Known(ip) => ip,
        };
        // Given back first: it may be the one that is needed.
        self.place = None;
        match self.edge.enter(ip) {
            Ok(place) => self.place = place,
            Err(turned) => return self.turn_away(turned, told),
        }
        let proxy = self.ip;
        self.ip = ip;
        self.is_permitted = (self.edge.permit)(ip);
        self.exchange = None;
        tracing::debug!(%proxy, %ip, port = ?told.port, to = ?told.destaddr, "client by a proxy");
        self.session.accept_xclient(self.is_permitted);
        self.greet().await;
    }

    fn turn_away(&mut self, turned: Turned, told: &XClient) {
        let now = self.edge.world.monotonic();
        if let Some(untold) = self.edge.origins.telling.tell(now) {
            let ip = &told.addr;
            tracing::info!(proxy = %self.ip, ?ip, untold, "client refused: {}", turned.reason());
        }
        self.session.refuse_xclient(&turned.response());
    }
}
