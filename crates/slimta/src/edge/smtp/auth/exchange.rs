//! Exchanges of several messages with a client: SCRAM-SHA-256, and tokens.
//!
//! Each counts as a failure from its first message until the client has proven
//! who it is, whether or not it goes on: who only asks for salts, or hangs up
//! before its proof is looked at, has no more tries than others.

use slimta_smtp::server::{Mechanism, SaslMessage};

#[cfg(feature = "credentials")]
use super::scram::{Begun, First, Proof};
use super::{BearerToken, TokenVerdict};
use crate::edge::smtp::connection::Connection;
use crate::message::{EnhancedCode, Response};

/// Why a token is refused, as the client is told before it hears 535 (RFC 7628
/// section 3.2.2).
const INVALID_TOKEN: &[u8] = br#"{"status":"invalid_token"}"#;
/// Who a client is in the log that shows a token without a name.
const UNNAMED: &str = "";

/// An exchange that goes on.
#[derive(Debug)]
pub(in crate::edge::smtp) enum Exchange {
    /// The client has what it needs for its proof.
    #[cfg(feature = "credentials")]
    Scram(Begun),
    /// The client has proven who it is, and has our proof to look at.
    #[cfg(feature = "credentials")]
    Proven(String),
    /// The client has been told why its token is refused.
    Refused,
}

impl<S> Connection<S> {
    /// Goes on with a message of the client.
    pub(in crate::edge::smtp) async fn exchange(&mut self, message: SaslMessage) {
        let before = self.exchange.take().filter(|_| !message.is_first);
        match (message.mechanism, before.map(|before| *before)) {
            #[cfg(feature = "credentials")]
            (Mechanism::ScramSha256, None) => self.begin_scram(&message.bytes).await,
            #[cfg(feature = "credentials")]
            (Mechanism::ScramSha256, Some(Exchange::Scram(begun))) => {
                self.finish_scram(begun, &message.bytes);
            }
            #[cfg(feature = "credentials")]
            (Mechanism::ScramSha256, Some(Exchange::Proven(user))) if message.bytes.is_empty() => {
                self.accepted(&user);
            }
            (Mechanism::OAuthBearer, None) => self.check_token(&message.bytes).await,
            (Mechanism::OAuthBearer, Some(Exchange::Refused)) => self.session.deny_user(),
            _ => self.misunderstood(),
        }
    }

    #[cfg(feature = "credentials")]
    async fn begin_scram(&mut self, message: &[u8]) {
        let Some(first) = First::parse(message) else {
            return self.misunderstood();
        };
        if !self.may_try(&first.user) {
            return;
        }
        let user = first.user.clone();
        let authentication = self.edge.authentication.clone();
        let asking = async move {
            let authenticator = authentication?.authenticator;
            authenticator.scram_keys(&user).await
        };
        let Some(keys) = self.checked(asking).await.flatten() else {
            return self.unavailable(&first.user);
        };
        let nonce: [u8; 18] = self.edge.world.random();
        let (begun, answer) = first.answered(keys, &nonce_text(&nonce));
        self.go_on(Exchange::Scram(begun), answer.as_bytes());
    }

    #[cfg(feature = "credentials")]
    fn finish_scram(&mut self, begun: Begun, message: &[u8]) {
        let user = begun.user.clone();
        match begun.finish(message) {
            Proof::Good(signature) => {
                self.edge.failures.forgive(self.ip);
                self.go_on(Exchange::Proven(user), signature.as_bytes());
            }
            Proof::Bad => {
                self.log_failure(&user);
                self.session.deny_user();
            }
            Proof::Malformed => self.misunderstood(),
        }
    }

    async fn check_token(&mut self, message: &[u8]) {
        let Some(token) = BearerToken::parse(message) else {
            return self.misunderstood();
        };
        let user = token.user().unwrap_or(UNNAMED).to_owned();
        if !self.may_try(&user) {
            return;
        }
        let authentication = self.edge.authentication.clone();
        let asking = async move {
            let authenticator = authentication?.authenticator;
            Some(authenticator.check_token(&token).await)
        };
        match self.checked(asking).await.flatten() {
            Some(TokenVerdict::Accepted(user)) => {
                self.edge.failures.forgive(self.ip);
                self.accepted(&user);
            }
            Some(TokenVerdict::Denied) => {
                self.log_failure(&user);
                self.go_on(Exchange::Refused, INVALID_TOKEN);
            }
            Some(TokenVerdict::Unavailable) | None => self.unavailable(&user),
        }
    }

    fn accepted(&mut self, user: &str) {
        tracing::info!(ip = %self.ip, user, "client authenticated");
        self.session.accept_user_as(user);
    }

    fn go_on(&mut self, exchange: Exchange, challenge: &[u8]) {
        self.exchange = Some(Box::new(exchange));
        self.session.challenge(challenge);
    }

    /// The client says what is no message of its mechanism.
    fn misunderstood(&mut self) {
        let code = EnhancedCode::new(5, 5, 2);
        let told = Response::new(501, Some(code), "Cannot decode the response");
        self.session.refuse_user(&told);
    }
}

/// A nonce as text that holds no comma.
#[cfg(feature = "credentials")]
fn nonce_text(nonce: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(nonce)
}
