//! How a client says who it is (AUTH, RFC 4954), by the mechanisms PLAIN
//! (RFC 4616) and LOGIN (draft-murchison-sasl-login-00), and by others whose
//! messages are handed out.
//!
//! These two send the password itself: they are for connections that nobody
//! else can read. What is sent during an exchange is never taken for a command.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use slimta_core::message::Response;

use super::credentials::name;
use super::dispatch::Outcome;
use super::replies::{self, Reply};
use super::session::{Session, State};
use super::{Auth, Credentials, Mechanism, SaslMessage, Step};

/// What the client is to send next.
#[derive(Debug)]
pub(super) enum Exchange {
    /// Its name and password.
    Plain,
    /// Its name.
    LoginUser,
    /// The password of this name.
    LoginPassword(Box<str>),
    /// A message for the driver.
    Driven {
        mechanism: Mechanism,
        is_first: bool,
    },
}

/// What comes of a response.
enum Progress {
    /// Another one is due.
    Goes(Exchange),
    Ends(Credentials),
    /// The driver has it from here.
    Handed(SaslMessage),
}

impl Session {
    /// Whether AUTH, and the parameter of MAIL, is a thing of this connection.
    pub(super) fn knows_auth(&self) -> bool {
        match self.settings.auth {
            Auth::Absent => false,
            Auth::UnderTls => self.security.is_some(),
            Auth::InClear => true,
        }
    }

    /// Whether the client may still say who it is.
    pub(super) fn offers_auth(&self) -> bool {
        self.knows_auth() && self.user.is_none()
    }

    /// Whether the client may have its messages go first.
    pub(super) fn has_priorities(&self) -> bool {
        self.has_priorities || self.user.is_some()
    }

    /// Who the client has authenticated as; none if it has not.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(super) fn auth(&mut self, argument: &[u8]) -> Outcome {
        if self.settings.auth == Auth::Absent {
            return Err(replies::NOT_IMPLEMENTED);
        }
        if !self.hello.as_ref().is_some_and(|hello| hello.is_extended) {
            return Err(match self.settings.is_lmtp() {
                true => replies::LHLO_FIRST,
                false => replies::EHLO_FIRST,
            });
        }
        if self.needs_tls() {
            return Err(replies::TLS_FIRST);
        }
        if !self.knows_auth() {
            return Err(replies::AUTH_NEEDS_TLS);
        }
        if self.user.is_some() {
            return Err(replies::IS_AUTHENTICATED);
        }
        if self.transaction.is_some() {
            return Err(replies::NO_AUTH_IN_MAIL);
        }
        let mut words = argument.split(|b| *b == b' ').filter(|w| !w.is_empty());
        let mechanism = words.next().ok_or(replies::BAD_ARGUMENT)?;
        let initial = words.next();
        if words.next().is_some() {
            return Err(replies::BAD_ARGUMENT);
        }
        let exchange = self.mechanisms.begin(mechanism);
        let exchange = exchange.ok_or(replies::UNKNOWN_MECHANISM)?;
        match initial {
            None => Ok(self.await_response(exchange)),
            // An initial response that is there and empty.
            Some(b"=") => self.proceed(exchange, b""),
            Some(response) => self.proceed(exchange, response),
        }
    }

    /// Goes on with a line of the client, during an exchange.
    pub(super) fn respond_to(&mut self, exchange: Exchange, line: &[u8]) -> Option<Step> {
        let outcome = match line {
            b"*" => Err(replies::AUTH_CANCELED),
            line => self.proceed(exchange, line),
        };
        outcome.unwrap_or_else(|reply| {
            self.bad(reply);
            None
        })
    }

    fn proceed(&mut self, exchange: Exchange, response: &[u8]) -> Outcome {
        let response = STANDARD
            .decode(response)
            .map_err(|_| replies::BAD_EXCHANGE)?;
        Ok(match exchange.answered(&response)? {
            Progress::Goes(exchange) => self.await_response(exchange),
            Progress::Ends(credentials) => {
                self.state = State::User(credentials.user().into());
                Some(Step::Authenticate(credentials))
            }
            Progress::Handed(message) => {
                self.state = State::Driven(message.mechanism);
                Some(Step::Sasl(message))
            }
        })
    }

    fn await_response(&mut self, exchange: Exchange) -> Option<Step> {
        let challenge = exchange.challenge();
        self.state = State::Exchange(exchange);
        self.done(challenge)
    }

    /// Tells the client that it is who it said it is.
    pub fn accept_user(&mut self) {
        if let State::User(user) = &mut self.state {
            self.user = Some(std::mem::take(user));
            self.state = State::Command;
            self.push(replies::AUTHENTICATED);
        }
    }

    /// Tells the client that it is not who it said it is. That counts as a bad
    /// command, and the client has to wait.
    pub fn deny_user(&mut self) {
        if matches!(self.state, State::User(_) | State::Driven(_)) {
            self.state = State::Command;
            self.bad(replies::BAD_CREDENTIALS);
            self.must_pause = true;
        }
    }

    /// Tells the client that nobody can say for now who it is, or that it may
    /// not ask. Counts as well.
    pub fn refuse_user(&mut self, response: &Response) {
        if matches!(self.state, State::User(_) | State::Driven(_)) {
            self.state = State::Command;
            self.respond(response);
            if matches!(self.state, State::Command) {
                self.count_error();
            }
        }
    }

    /// The driver has not decided: it cannot say.
    pub(super) fn undecided_user(&mut self) {
        self.state = State::Command;
        self.bad(replies::NO_AUTH_NOW);
    }
}

impl Exchange {
    /// What the client is told to send.
    fn challenge(&self) -> Reply {
        match self {
            Exchange::Plain | Exchange::Driven { .. } => replies::INITIAL_PLEASE,
            Exchange::LoginUser => replies::USER_PLEASE,
            Exchange::LoginPassword(_) => replies::PASSWORD_PLEASE,
        }
    }

    /// Takes what the client sent, decoded.
    fn answered(self, response: &[u8]) -> Result<Progress, Reply> {
        let ended = match self {
            Exchange::Plain => plain(response)?,
            Exchange::LoginUser => {
                let user = name(response).ok_or(replies::BAD_EXCHANGE)?;
                return Ok(Progress::Goes(Exchange::LoginPassword(user.into())));
            }
            Exchange::LoginPassword(user) => Credentials::new(user.as_bytes(), response),
            Exchange::Driven {
                mechanism,
                is_first,
            } => {
                return Ok(Progress::Handed(SaslMessage {
                    mechanism,
                    is_first,
                    bytes: response.into(),
                }));
            }
        };
        ended.map(Progress::Ends).ok_or(replies::BAD_EXCHANGE)
    }
}

/// Reads a message of PLAIN: whom to act as, or nobody, a name and a password,
/// with NULs between them. Nobody may act as another.
fn plain(message: &[u8]) -> Result<Option<Credentials>, Reply> {
    let mut parts = message.splitn(3, |b| *b == 0);
    let (Some(whom), Some(user), Some(password)) = (parts.next(), parts.next(), parts.next())
    else {
        return Ok(None);
    };
    if !whom.is_empty() && whom != user {
        return Err(replies::BAD_CREDENTIALS);
    }
    Ok(Credentials::new(user, password))
}
