//! The turn from the clear to TLS (RFC 3207).
//!
//! What came in the clear, anybody on the way may have put there. So nothing of
//! it outlives the turn: no command that was sent ahead of the handshake is done
//! behind it (CVE-2011-0411), and what the client said before is forgotten.

use bytes::BytesMut;
use slimta_core::message::Response;

use super::dispatch::Outcome;
use super::line::Lines;
use super::replies;
use super::session::{Session, State};
use super::{StartTls, Step};

/// Something was sent behind STARTTLS before its answer, by the client or by
/// somebody on the way, who wants it to be taken for what came under TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Injected;

impl Session {
    /// Whether the client may turn to TLS.
    pub(super) fn offers_tls(&self) -> bool {
        self.security.is_none() && self.settings.starttls != StartTls::Absent
    }

    /// Whether the client must turn to TLS before it hands in mail.
    pub(super) fn needs_tls(&self) -> bool {
        self.security.is_none() && self.settings.starttls == StartTls::Required
    }

    pub(super) fn starttls(&mut self, argument: &[u8]) -> Outcome {
        if self.security.is_some() {
            return Err(replies::TLS_IS_ON);
        }
        if !self.offers_tls() {
            return Err(replies::NOT_IMPLEMENTED);
        }
        if !argument.is_empty() {
            return Err(replies::BAD_ARGUMENT);
        }
        self.state = State::StartTls;
        Ok(Some(Step::StartTls))
    }

    /// Tells the client to begin the handshake, unless there is something in
    /// the input already: then the session closes. The input of the driver is
    /// empty when the handshake begins.
    pub fn accept_tls(&mut self, input: &BytesMut) -> Result<(), Injected> {
        if !matches!(self.state, State::StartTls) {
            return Ok(());
        }
        if !input.is_empty() {
            self.close(replies::INJECTED);
            return Err(Injected);
        }
        self.state = State::Handshake;
        self.push(replies::START_TLS);
        Ok(())
    }

    /// Tells the client that there can be no TLS for now. It may go on in the
    /// clear.
    pub fn refuse_tls(&mut self) {
        if matches!(self.state, State::StartTls) {
            self.state = State::Command;
            self.push(replies::NO_TLS_NOW);
        }
    }

    /// The same, with a response of the driver's own.
    pub fn refuse_tls_with(&mut self, response: &Response) {
        if matches!(self.state, State::StartTls) {
            self.state = State::Command;
            self.refuse_with(response);
        }
    }

    /// The connection is encrypted from here on, by `security`, such as
    /// `TLSv1.3`: after [`accept_tls`](Self::accept_tls), or before the banner
    /// where it is so from its start (RFC 8314 section 3.3). All that the
    /// client said in the clear is forgotten, but not how many bad commands it
    /// sent.
    pub fn secured(&mut self, security: &str) {
        self.security = Some(security.into());
        self.lines = Lines::default();
        self.hello = None;
        self.transaction = None;
        self.user = None;
        if matches!(self.state, State::Handshake) {
            self.state = State::Command;
        }
    }
}
