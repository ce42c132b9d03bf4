//! What a server takes mail for, and what that asks of its clients.

use super::replies::{self, Reply};
use super::{Auth, Session};

/// What a server takes mail for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// Mail that hosts hand to each other (RFC 5321).
    #[default]
    Relay,
    /// Mail that begins its way here (RFC 6409). Clients that may not have
    /// it go first ([`Session::with_priorities`]) have to say who they are
    /// before MAIL.
    Submission,
    /// Mail for mailboxes, by LMTP (RFC 2033): clients greet with LHLO, and
    /// what becomes of a message is answered for each of its recipients. Never
    /// on port 25 (section 5).
    Lmtp,
}

impl Session {
    /// Refuses MAIL of a client that has to say who it is first.
    pub(super) fn user_first(&self) -> Result<(), Reply> {
        // Whom the driver trusts with this is trusted with mail.
        let is_known = self.has_priorities();
        if self.settings.role != Role::Submission || is_known {
            return Ok(());
        }
        if self.knows_auth() {
            return Err(replies::USER_FIRST);
        }
        match self.settings.auth {
            Auth::UnderTls if self.offers_tls() => Err(replies::TLS_FIRST),
            // Nothing that it says would help: its recipients are refused.
            _ => Ok(()),
        }
    }
}
