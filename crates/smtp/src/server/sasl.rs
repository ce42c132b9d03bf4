//! Mechanisms of AUTH whose messages the driver understands: the session only
//! carries them (RFC 4954 section 4).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::auth::Exchange;
use super::credentials::name;
use super::replies;
use super::session::{Session, State};

/// By which mechanisms clients may say who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mechanisms {
    /// PLAIN and LOGIN, which show the password:
    /// [`Step::Authenticate`](super::Step).
    pub password: bool,
    /// SCRAM-SHA-256 (RFC 7677): [`Step::Sasl`](super::Step).
    pub scram_sha_256: bool,
    /// OAUTHBEARER (RFC 7628): [`Step::Sasl`](super::Step).
    pub oauthbearer: bool,
}

impl Default for Mechanisms {
    /// Those that need nothing but a password.
    fn default() -> Self {
        Mechanisms {
            password: true,
            scram_sha_256: false,
            oauthbearer: false,
        }
    }
}

impl Mechanisms {
    /// What EHLO says, the one that is preferred first; nothing if there is
    /// none.
    pub(super) fn offer(self) -> String {
        let words = [
            (self.scram_sha_256, " SCRAM-SHA-256"),
            (self.oauthbearer, " OAUTHBEARER"),
            (self.password, " PLAIN LOGIN"),
        ];
        let offered = words.into_iter().filter(|(is_offered, _)| *is_offered);
        let offered: String = offered.map(|(_, words)| words).collect();
        match offered.is_empty() {
            true => offered,
            false => format!("250-AUTH{offered}\r\n"),
        }
    }

    /// The exchange that a word behind AUTH begins.
    pub(super) fn begin(self, word: &[u8]) -> Option<Exchange> {
        let driven = |mechanism| Exchange::Driven {
            mechanism,
            is_first: true,
        };
        let all = [
            (self.password, "PLAIN", Exchange::Plain),
            (self.password, "LOGIN", Exchange::LoginUser),
            (
                self.scram_sha_256,
                "SCRAM-SHA-256",
                driven(Mechanism::ScramSha256),
            ),
            (
                self.oauthbearer,
                "OAUTHBEARER",
                driven(Mechanism::OAuthBearer),
            ),
        ];
        let mut known = all.into_iter();
        let (_, _, exchange) = known.find(|(is_offered, name, _)| {
            *is_offered && word.eq_ignore_ascii_case(name.as_bytes())
        })?;
        Some(exchange)
    }
}

/// A mechanism whose messages are for the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// SCRAM-SHA-256.
    ScramSha256,
    /// OAUTHBEARER.
    OAuthBearer,
}

/// A message of the client in an exchange. What it says is a secret, and in no
/// [`Debug`](fmt::Debug) output.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslMessage {
    /// By which mechanism.
    pub mechanism: Mechanism,
    /// Whether the exchange begins with it: then nothing that was said before
    /// counts.
    pub is_first: bool,
    /// What it says, decoded.
    pub bytes: Box<[u8]>,
}

impl fmt::Debug for SaslMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SaslMessage");
        shown.field("mechanism", &self.mechanism);
        shown
            .field("is_first", &self.is_first)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Says by which mechanisms the client may say who it is, where AUTH is
    /// offered. Default: PLAIN and LOGIN.
    #[must_use]
    pub fn with_mechanisms(mut self, mechanisms: Mechanisms) -> Self {
        self.mechanisms = mechanisms;
        self
    }

    /// Answers a message of the client that was handed out with one to which the
    /// client has to respond.
    pub fn challenge(&mut self, message: &[u8]) {
        if let State::Driven(mechanism) = self.state {
            let is_first = false;
            self.state = State::Exchange(Exchange::Driven {
                mechanism,
                is_first,
            });
            let line = format!("334 {}\r\n", STANDARD.encode(message));
            self.output.extend_from_slice(line.as_bytes());
        }
    }

    /// Tells the client, whose message was handed out, that it is this user. A
    /// name that no client could give is no user.
    pub fn accept_user_as(&mut self, user: &str) {
        if !matches!(self.state, State::Driven(_)) {
            return;
        }
        match name(user.as_bytes()) {
            Some(user) => {
                self.user = Some(user.into());
                self.state = State::Command;
                self.push(replies::AUTHENTICATED);
            }
            None => self.undecided_user(),
        }
    }
}
