//! Clients that speak before they are greeted. Hosts wait for the greeting (RFC
//! 5321 section 3.1); programs that only want to be rid of mail often do not.

use bytes::BytesMut;
use slimta_smtp::server::Role;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{COMMAND_READ_BYTES, Connection, reached, receive};
use super::listen::Phase;
use crate::message::{EnhancedCode, Response};

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection<S> {
    /// Lets a client wait for its greeting that has to; what it hears instead if it
    /// speaks meanwhile.
    pub(super) async fn patience(&mut self) -> Result<(), Response> {
        let has_to = !self.is_permitted && self.edge.role == Role::Relay;
        let Some(wait) = self.edge.limits.greeting_wait.filter(|_| has_to) else {
            return Ok(());
        };
        let mut nothing = BytesMut::new();
        let hearing = receive(
            &mut self.stream,
            &mut self.input,
            &mut nothing,
            COMMAND_READ_BYTES,
        );
        let heard = tokio::select! {
            biased;
            () = reached(&mut self.phase, Phase::Stopping) => None,
            heard = self.edge.world.timeout(wait, hearing) => heard,
        };
        // Who hangs up, or stays away, is seen by the first command.
        let Some(Ok(1..)) = heard else {
            return Ok(());
        };
        tracing::info!(ip = %self.ip, "client turned away: it spoke before it was greeted");
        self.input.clear();
        let code = EnhancedCode::new(5, 5, 1);
        Err(Response::new(554, Some(code), "Wait for the greeting"))
    }
}
