//! Who clients are (AUTH, RFC 4954): what checks it, how often one may be
//! wrong, and what the client is told.

#[cfg(feature = "credentials")]
mod entries;
mod failures;
#[cfg(feature = "credentials")]
mod file;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slimta_smtp::server::{Auth, Credentials};

use super::connection::{Connection, reached};
use super::listen::Phase;
use crate::message::{EnhancedCode, Response};

#[cfg(feature = "credentials")]
pub use entries::password_line;
pub(super) use failures::Failures;
#[cfg(feature = "credentials")]
pub use file::{CredentialsError, CredentialsFile};

/// How long a check may take before the client is told to come again.
const CHECK_TIME_MAX: Duration = Duration::from_secs(30);

/// Checks who a client is: a [`CredentialsFile`], or what your program knows.
///
/// To whom does not know, a name that does not exist should look like one whose
/// password is wrong, also by the time that the check takes.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Whether the password is that of the user. After 30 seconds the client is
    /// told to come again.
    async fn check(&self, credentials: &Credentials) -> Verdict;
}

/// What a check has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The client is who it says: `235 2.7.0`.
    Accepted,
    /// It is not, or there is no such user: `535 5.7.8`.
    Denied,
    /// Nobody can say for now: `454 4.7.0`.
    Unavailable,
}

/// Where clients may say who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthMode {
    /// Under TLS only. In the clear AUTH is not offered, and answered
    /// `538 5.7.11`.
    UnderTls,
    /// In the clear too, where others can read the passwords.
    InClear,
}

/// What an edge checks its clients with.
#[derive(Clone)]
pub(super) struct Authentication {
    authenticator: Arc<dyn Authenticator>,
    mode: AuthMode,
}

impl Authentication {
    pub(super) fn new(authenticator: impl Authenticator, mode: AuthMode) -> Self {
        Authentication {
            authenticator: Arc::new(authenticator),
            mode,
        }
    }

    /// What sessions are told of it.
    pub(super) fn offer(&self) -> Auth {
        match self.mode {
            AuthMode::UnderTls => Auth::UnderTls,
            AuthMode::InClear => Auth::InClear,
        }
    }
}

impl<S> Connection<S> {
    /// Finds out whether the client is who it says, and tells it.
    pub(super) async fn authenticate(&mut self, credentials: &Credentials) {
        let (ip, user) = (self.ip, credentials.user());
        let edge = self.edge.clone();
        if !edge.failures.begin(ip, edge.world.monotonic()) {
            tracing::warn!(%ip, user, "authentication not tried: too many failures");
            let later = later("Too many failed attempts, try again later");
            return self.session.refuse_user(&later);
        }
        match self.verdict(credentials).await {
            Verdict::Accepted => {
                edge.failures.forgive(ip);
                tracing::info!(%ip, user, "client authenticated");
                self.session.accept_user();
            }
            Verdict::Denied => {
                tracing::warn!(%ip, user, "authentication failed");
                self.session.deny_user();
            }
            Verdict::Unavailable => {
                edge.failures.forgive(ip);
                tracing::warn!(%ip, user, "authentication not possible now");
                let later = later("Temporary authentication failure");
                self.session.refuse_user(&later);
            }
        }
    }

    async fn verdict(&mut self, credentials: &Credentials) -> Verdict {
        let Some(authentication) = self.edge.authentication.clone() else {
            return Verdict::Unavailable;
        };
        let checking = authentication.authenticator.check(credentials);
        let checked = tokio::select! {
            biased;
            checked = self.edge.world.timeout(CHECK_TIME_MAX, checking) => checked,
            () = reached(&mut self.phase, Phase::Over) => None,
        };
        checked.unwrap_or(Verdict::Unavailable)
    }
}

fn later(text: &str) -> Response {
    Response::new(454, Some(EnhancedCode::new(4, 7, 0)), text)
}
