//! Who this host says it is to its smarthosts.

use std::path::PathBuf;

use slimta::relay::SmtpLogin;

use super::Options;
use crate::failure::Failure;

/// The relays to one server by SMTP.
const SCHEMES: [&str; 2] = ["smtp://", "smtps://"];

/// A name, and the file of its password.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RelayLogin {
    user: String,
    password_file: PathBuf,
    is_for_clear: bool,
}

/// What was said of it, for one relay.
pub(super) struct Said<'a> {
    pub(super) user: &'a Option<String>,
    pub(super) password_file: &'a Option<PathBuf>,
    pub(super) in_clear: Option<bool>,
    /// The URL of the relay, if it was said beside it.
    pub(super) relay: Option<&'a str>,
    /// What stands before the options where it was said: `destination."x".`, or
    /// nothing.
    pub(super) table: &'a str,
}

impl Options {
    pub(super) fn relay_login(&self, relay: &str) -> Result<Option<RelayLogin>, Failure> {
        RelayLogin::of(&Said {
            user: &self.relay_user,
            password_file: &self.relay_password_file,
            in_clear: self.relay_auth_in_clear,
            relay: Some(relay),
            table: "",
        })
    }
}

impl RelayLogin {
    /// What options say; none if it is nothing.
    pub(super) fn of(said: &Said<'_>) -> Result<Option<Self>, Failure> {
        let wrong = |option: &str, why: &str| {
            let key = format!("{}{option}", said.table);
            Err(Failure::setting(key, why))
        };
        let (user, password_file) = match (said.user, said.password_file) {
            (Some(user), Some(file)) => (user.clone(), file.clone()),
            (None, None) if said.in_clear.is_none() => return Ok(None),
            (Some(_), None) => return wrong("relay-user", "it needs its relay-password-file"),
            (None, Some(_)) => return wrong("relay-password-file", "it needs a relay-user"),
            (None, None) => return wrong("relay-auth-in-clear", "it needs a relay-user"),
        };
        let is_smarthost = |url: &str| SCHEMES.iter().any(|scheme| url.starts_with(scheme));
        if !said.relay.is_some_and(is_smarthost) {
            return wrong(
                "relay-user",
                "it needs a relay of its own, smtp:// or smtps://, beside it",
            );
        }
        Ok(Some(RelayLogin {
            user,
            password_file,
            is_for_clear: said.in_clear.unwrap_or(false),
        }))
    }

    /// Whether its password is sent where others can read it.
    pub(super) fn is_for_clear(&self) -> bool {
        self.is_for_clear
    }

    /// Looks whether the password is there. `key` is the option that named its file.
    pub(crate) fn open(&self, key: &str) -> Result<SmtpLogin, Failure> {
        let login = SmtpLogin::with_password_file(&self.user, &self.password_file);
        let usable = login.check();
        usable.map_err(|error| Failure::setting(key, error))?;
        Ok(match self.is_for_clear {
            true => login.even_in_clear(),
            false => login,
        })
    }
}
