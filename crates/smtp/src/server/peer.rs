//! Who the client is, as far as the session knows.

use slimta_core::message::Client;

use super::decide::Pending;
use super::session::{Session, State};

impl Session {
    /// Who the client is: what it has said, with the command that was handed
    /// out. The address is for the driver to fill in.
    pub fn client(&self) -> Client {
        self.client_of(self.envelope().is_some_and(|envelope| envelope.smtputf8))
    }

    /// The same for a message, in the words of a Received field (RFC 3848,
    /// which has none for HELO under TLS, and RFC 6531 section 4.3).
    pub(super) fn client_of(&self, is_smtputf8: bool) -> Client {
        let hello = match &self.state {
            State::Asked(Pending::Hello(hello)) => Some(hello),
            _ => self.hello.as_ref(),
        };
        // What a proxy tells of its client counts, not how the proxy speaks.
        let behind = self.behind.as_ref();
        let told = behind.and_then(|behind| behind.is_extended);
        let is_extended = told.unwrap_or(hello.is_some_and(|hello| hello.is_extended));
        let helo = behind.and_then(|behind| behind.helo.clone());
        let protocol = match (is_extended, is_smtputf8) {
            (true, true) if self.settings.is_lmtp() => "UTF8LMTP",
            (true, false) if self.settings.is_lmtp() => "LMTP",
            (true, true) => "UTF8SMTP",
            (true, false) => "ESMTP",
            (false, _) => "SMTP",
        };
        let said = |letter, is_so: bool| if is_so && is_extended { letter } else { "" };
        let secured = said("S", self.security.is_some());
        let authenticated = said("A", self.user.is_some());
        Client {
            protocol: [protocol, secured, authenticated].concat(),
            auth: self.user.as_deref().map(str::to_owned),
            ehlo: helo.or_else(|| hello.map(|hello| hello.name.to_string())),
            host: behind.and_then(|behind| behind.name.clone()),
            security: self.security.as_deref().map(str::to_owned),
            receiver: Some(self.settings.hostname().to_owned()),
            ..Client::default()
        }
    }
}
