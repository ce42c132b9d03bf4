//! How a session begins: greeting, EHLO or LHLO, STARTTLS (RFC 3207) if it is to be
//! encrypted and the next hop offers that, and then AUTH if that is wanted.

use slimta_core::message::{Class, Response};

use super::{Asked, Session, State, unexpected};
use crate::client::dialect::Dialect;
use crate::client::extensions::Extensions;
use crate::client::tls::{Channel, TlsLevel};

impl Session {
    /// Sets what it speaks. Default: SMTP.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// What it speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Sets how much encryption the session needs. Default: off, as it is for a
    /// connection that is encrypted before its first byte.
    #[must_use]
    pub fn with_tls(mut self, level: TlsLevel) -> Self {
        self.level = level;
        self
    }

    /// Says that the connection was encrypted before its first byte.
    #[must_use]
    pub fn in_tls(mut self) -> Self {
        self.channel = Channel::Encrypted;
        self
    }

    /// How far the session is encrypted.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Whether it was given up though nothing is wrong with the connection: the next hop
    /// is told by QUIT, which the driver may say before it closes it (RFC 5321 section
    /// 4.1.1.10).
    pub fn owes_quit(&self) -> bool {
        self.owes_quit
    }

    /// Ends a session that is of no use, and whose next hop waits for a command.
    pub(super) fn give_up(&mut self, why: Response) {
        self.fail(why);
        self.owes_quit = true;
    }

    /// A next hop that does not want to talk at all says nothing of a message:
    /// whatever its code, the message waits.
    pub(super) fn hear_opening(&mut self, asked: Asked, reply: Response) {
        match (asked, reply.class()) {
            (Asked::Greeting, Class::Success) => self.say_hello(),
            (Asked::Ehlo, Class::Success) => {
                self.extensions = Extensions::read(&reply);
                self.ask_for_tls();
            }
            // Whoever knows no EHLO has no extension.
            (Asked::Helo, Class::Success) => self.ask_for_tls(),
            // LMTP has no older form (RFC 2033 section 4.1).
            (Asked::Ehlo, Class::Permanent) if self.dialect == Dialect::Smtp => {
                let line = format!("HELO {}", self.hostname);
                self.ask(Asked::Helo, &line);
            }
            (_, Class::Transient) => self.give_up(reply),
            _ => {
                let text = format!("The next hop refused the session: {reply}");
                self.give_up(Response::transient(3, 2, text));
            }
        }
    }

    fn say_hello(&mut self) {
        let verb = match self.dialect {
            Dialect::Smtp => "EHLO",
            Dialect::Lmtp => "LHLO",
        };
        let line = format!("{verb} {}", self.hostname);
        self.ask(Asked::Ehlo, &line);
    }

    /// Asks for TLS if it is wanted and offered. If it is needed and not offered
    /// the message waits: somebody may have taken the offer out of the reply.
    fn ask_for_tls(&mut self) {
        if self.level == TlsLevel::Off || self.channel == Channel::Encrypted {
            return self.log_in();
        }
        if self.extensions.starttls {
            self.channel = Channel::Starting;
            self.ask(Asked::StartTls, "STARTTLS");
        } else if self.level.is_needed() {
            let text = "Required STARTTLS not available: the next hop does not offer it";
            self.give_up(Response::transient(7, 4, text));
        } else {
            self.log_in();
        }
    }

    pub(super) fn hear_starttls(&mut self, reply: &Response) {
        match reply.class() {
            // It must not be there before the command has left.
            Class::Success if !self.output.is_empty() => self.tampered(),
            Class::Success => self.state = State::Tls,
            Class::Intermediate => self.fail(unexpected("STARTTLS", reply)),
            Class::Transient | Class::Permanent => {
                self.channel = Channel::Clear;
                if self.level.is_needed() {
                    let text = format!("Required STARTTLS not available: {reply}");
                    self.give_up(Response::transient(7, 4, text));
                } else {
                    self.log_in();
                }
            }
        }
    }

    /// What stands in clear behind the answer to STARTTLS would be taken for the
    /// first replies of the encrypted session, by whomever it was put there.
    pub(super) fn tampered(&mut self) {
        self.channel = Channel::Tampered;
        let text = "The next hop, or somebody on the way, spoke in clear where TLS was to begin";
        self.fail(Response::transient(7, 0, text));
    }

    /// The driver has encrypted the connection. What the next hop offered before
    /// may be another's word: it is asked anew (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Tls) {
            self.state = State::Open;
            self.extensions = Extensions::default();
            self.say_hello();
        }
    }
}
