//! Who clients are (AUTH, RFC 4954): what checks it, how often one may be
//! wrong, and what the client is told.

mod bearer;
#[cfg(feature = "credentials")]
mod entries;
mod exchange;
mod failures;
#[cfg(feature = "credentials")]
mod file;
#[cfg(feature = "credentials")]
mod scram;
#[cfg(feature = "credentials")]
mod verifier;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slimta_smtp::server::{Auth, Credentials, Mechanisms};

use super::connection::{Connection, reached};
use super::listen::Phase;
use crate::message::{EnhancedCode, Response};

pub use bearer::{BearerToken, TokenVerdict};
#[cfg(feature = "credentials")]
pub use entries::{password_line, scram_line};
pub(super) use exchange::Exchange;
pub(super) use failures::Failures;
#[cfg(feature = "credentials")]
pub use file::CredentialsFile;
#[cfg(feature = "credentials")]
pub use scram::{ScramKeys, ScramKeysError};

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

    /// By which mechanisms clients may say who they are. Asked for each client
    /// that connects. PLAIN and LOGIN, if this is not written.
    fn mechanisms(&self) -> Mechanisms {
        Mechanisms::default()
    }

    /// What is kept of the password of a user, to check a proof of it by
    /// SCRAM-SHA-256; none if nobody can say for now. For a name that is not
    /// there give [`ScramKeys::of_nobody`]. Asked only if
    /// [`mechanisms`](Self::mechanisms) has it.
    #[cfg(feature = "credentials")]
    async fn scram_keys(&self, _user: &str) -> Option<ScramKeys> {
        None
    }

    /// Whose a token is (OAUTHBEARER, RFC 7628). Asked only if
    /// [`mechanisms`](Self::mechanisms) has it. After 30 seconds the client is
    /// told to come again.
    ///
    /// ```
    /// # use slimta::edge::smtp::{
    /// #     Authenticator, BearerToken, Credentials, Mechanisms, TokenVerdict, Verdict,
    /// # };
    /// # struct Tokens;
    /// # impl Tokens { fn owner(&self, token: &str) -> Option<String> { None } }
    /// #[async_trait::async_trait]
    /// impl Authenticator for Tokens {
    ///     fn mechanisms(&self) -> Mechanisms {
    ///         Mechanisms { password: false, oauthbearer: true, ..Mechanisms::default() }
    ///     }
    ///
    ///     async fn check(&self, _: &Credentials) -> Verdict {
    ///         Verdict::Denied
    ///     }
    ///
    ///     async fn check_token(&self, token: &BearerToken) -> TokenVerdict {
    ///         match self.owner(token.token()) {
    ///             Some(owner) if token.user().is_none_or(|user| user == owner) => {
    ///                 TokenVerdict::Accepted(owner)
    ///             }
    ///             _ => TokenVerdict::Denied,
    ///         }
    ///     }
    /// }
    /// ```
    async fn check_token(&self, _token: &BearerToken) -> TokenVerdict {
        TokenVerdict::Unavailable
    }
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

    /// What a session offers.
    pub(super) fn mechanisms(&self) -> Mechanisms {
        let mechanisms = self.authenticator.mechanisms();
        Mechanisms {
            scram_sha_256: mechanisms.scram_sha_256 && cfg!(feature = "credentials"),
            ..mechanisms
        }
    }
}

impl<S> Connection<S> {
    /// Finds out whether the client is who it says, and tells it.
    pub(super) async fn authenticate(&mut self, credentials: &Credentials) {
        let (ip, user) = (self.ip, credentials.user());
        if !self.may_try(user) {
            return;
        }
        match self.verdict(credentials).await {
            Verdict::Accepted => {
                self.edge.failures.forgive(ip);
                tracing::info!(%ip, user, "client authenticated");
                self.session.accept_user();
            }
            Verdict::Denied => {
                self.log_failure(user);
                self.session.deny_user();
            }
            Verdict::Unavailable => self.unavailable(user),
        }
    }

    /// Whether the client may try to be somebody, which counts as a failure
    /// until that is forgiven. If it may not it is told so.
    fn may_try(&mut self, user: &str) -> bool {
        let (ip, now) = (self.ip, self.edge.world.monotonic());
        let may_try = self.edge.failures.begin(ip, now);
        if !may_try {
            tracing::warn!(%ip, user, "authentication not tried: too many failures");
            let later = later("Too many failed attempts, try again later");
            self.session.refuse_user(&later);
        }
        may_try
    }

    fn log_failure(&self, user: &str) {
        tracing::warn!(ip = %self.ip, user, "authentication failed");
    }

    /// Nobody can say for now who the client is: no failure of its own.
    fn unavailable(&mut self, user: &str) {
        self.edge.failures.forgive(self.ip);
        tracing::warn!(ip = %self.ip, user, "authentication not possible now");
        let later = later("Temporary authentication failure");
        self.session.refuse_user(&later);
    }

    async fn verdict(&mut self, credentials: &Credentials) -> Verdict {
        let Some(authentication) = self.edge.authentication.clone() else {
            return Verdict::Unavailable;
        };
        let checking = authentication.authenticator.check(credentials);
        let checked = self.checked(checking).await;
        checked.unwrap_or(Verdict::Unavailable)
    }

    /// Waits for a check as long as it may take.
    async fn checked<T>(&mut self, checking: impl Future<Output = T>) -> Option<T> {
        let edge = self.edge.clone();
        tokio::select! {
            biased;
            checked = edge.world.timeout(CHECK_TIME_MAX, checking) => checked,
            () = reached(&mut self.phase, Phase::Over) => None,
        }
    }
}

fn later(text: &str) -> Response {
    Response::new(454, Some(EnhancedCode::new(4, 7, 0)), text)
}
