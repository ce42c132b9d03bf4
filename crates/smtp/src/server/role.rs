//! What a server takes mail for, and what that asks of its clients.

use super::replies::{self, Reply};
use super::{Auth, Session};

/// What a server takes mail for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// Mail that hosts hand to each other (RFC 5321).
    #[default]
    Relay,
    /// Mail that begins its way here (RFC 6409). Who may hand it in without
    /// saying who they are is told by [`Session::with_permission`].
    Submission,
    /// Mail for mailboxes, by LMTP (RFC 2033): clients greet with LHLO, and
    /// what becomes of a message is answered for each of its recipients. Never
    /// on port 25 (section 5).
    Lmtp,
}

impl Session {
    /// Says whether the client may hand in mail without saying who it is.
    /// Where mail is submitted others hear `530 5.7.0` to MAIL, if there is a
    /// way for them to say it (RFC 6409 section 4.3). Default: it may not.
    #[must_use]
    pub fn with_permission(mut self, is_permitted: bool) -> Self {
        self.is_permitted = is_permitted;
        self
    }

    /// Refuses MAIL of a client that has to say who it is first.
    pub(super) fn user_first(&self) -> Result<(), Reply> {
        let is_known = self.is_permitted || self.user.is_some();
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
