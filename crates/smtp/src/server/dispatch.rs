//! What each command does, and when it may be used (RFC 5321 section 4.1).

use std::fmt::Write as _;

use super::Step;
use super::chunk::{Chunk, Unwanted};
use super::command::{self, Verb};
use super::data::Data;
use super::decide::Pending;
use super::intake::Intake;
use super::path;
use super::priority::{self, Requested};
use super::replies::{self, Reply};
use super::session::{Hello, Session, State};
use super::transaction::Transaction;
use super::xclient;

/// The largest RCPTMAX that can be said (RFC 9422 section 4.2).
const RCPTMAX_MAX: usize = 999_999;

/// A command that is done, with its reply, or one that needs the driver.
pub(super) type Outcome = Result<Option<Step>, Reply>;

impl Session {
    /// Does what a command line says.
    pub(super) fn dispatch(&mut self, line: &[u8]) -> Option<Step> {
        if line.iter().any(u8::is_ascii_control) {
            self.bad(replies::CONTROLS);
            return None;
        }
        let (verb, argument) = command::parse(line);
        let is_lmtp = self.settings.is_lmtp();
        let outcome = match verb {
            Verb::Quit => self.quit(argument),
            _ if self.is_turned_away => Err(replies::ONLY_QUIT),
            Verb::Ehlo if !is_lmtp => self.hello(argument, true),
            Verb::Helo if !is_lmtp => self.hello(argument, false),
            Verb::Lhlo if is_lmtp => self.hello(argument, true),
            Verb::Mail => self.mail(argument),
            Verb::Rcpt => self.rcpt(argument),
            Verb::Data => self.data(argument),
            Verb::Bdat => self.bdat(argument),
            Verb::Rset => self.rset(argument),
            Verb::Noop => Ok(self.done(replies::OK)),
            Verb::Help if is_lmtp => Ok(self.done(replies::HELP_LMTP)),
            Verb::Help => Ok(self.done(replies::HELP)),
            Verb::Auth => self.auth(argument),
            Verb::StartTls => self.starttls(argument),
            Verb::XClient => self.xclient(argument),
            Verb::Vrfy if argument.is_empty() => Err(replies::BAD_ARGUMENT),
            Verb::Vrfy => Ok(self.done(replies::NOT_VERIFIED)),
            Verb::NotImplemented => Err(replies::NOT_IMPLEMENTED),
            Verb::Http => {
                self.close(replies::NOT_HTTP);
                Ok(None)
            }
            // Who greets so speaks the other protocol (RFC 2033 section 4.1).
            Verb::Ehlo | Verb::Helo | Verb::Lhlo | Verb::Unknown => Err(replies::UNKNOWN),
        };
        outcome.unwrap_or_else(|reply| {
            self.bad(reply);
            None
        })
    }

    pub(super) fn done(&mut self, reply: Reply) -> Option<Step> {
        self.push(reply);
        None
    }

    fn hello(&mut self, argument: &[u8], is_extended: bool) -> Outcome {
        let name = str::from_utf8(argument).ok().filter(|name| name.is_ascii());
        let name = name.filter(|name| path::is_host(name.strip_suffix('.').unwrap_or(name)));
        let name = name.ok_or(replies::BAD_NAME)?.into();
        Ok(Some(self.ask(Pending::Hello(Hello { name, is_extended }))))
    }

    /// Answers a greeting, which ends a message that is not complete.
    pub(super) fn greeted(&mut self, hello: Hello) {
        let is_extended = hello.is_extended;
        self.transaction = None;
        self.hello = Some(hello);
        let starttls = match self.offers_tls() {
            true => "250-STARTTLS\r\n",
            false => "",
        };
        let auth = match self.offers_auth() {
            true => self.mechanisms.offer(),
            false => String::new(),
        };
        let xclient = if self.may_be_proxy {
            xclient::OFFER
        } else {
            ""
        };
        let promises = self.promises_offer();
        let recipients_max = self.settings.recipients_max.min(RCPTMAX_MAX);
        let (output, settings) = (&mut self.output, &self.settings);
        let hostname = settings.hostname();
        // Writing to a buffer in memory does not fail.
        let _ = if is_extended {
            let priorities = priority::OFFER;
            write!(
                output,
                "250-{hostname}\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                 250-SIZE {}\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n\
                 250-LIMITS RCPTMAX={recipients_max}\r\n{priorities}\
                 {promises}{starttls}{auth}{xclient}250 CHUNKING\r\n",
                settings.message_bytes_max
            )
        } else {
            write!(output, "250 {hostname}\r\n")
        };
    }

    fn mail(&mut self, argument: &[u8]) -> Outcome {
        if self.hello.is_none() {
            return Err(self.settings.hello_first());
        }
        if self.needs_tls() {
            return Err(replies::TLS_FIRST);
        }
        self.user_first()?;
        if self.transaction.is_some() {
            return Err(replies::NESTED_MAIL);
        }
        let mut transaction = Transaction::begin(argument, &self.settings)?;
        if !self.has_priorities() {
            transaction.priority = transaction.priority.map(Requested::by_stranger);
        }
        if transaction.has_auth && !self.knows_auth() {
            return Err(replies::UNKNOWN_PARAMETER);
        }
        self.promise(&mut transaction)?;
        Ok(Some(self.ask(Pending::Mail(Box::new(transaction)))))
    }

    pub(super) fn mail_begins(&mut self, transaction: Transaction) {
        let requested = transaction.priority;
        self.transaction = Some(transaction);
        self.push(requested.map_or(replies::SENDER_OK, Requested::reply));
    }

    fn rcpt(&mut self, argument: &[u8]) -> Outcome {
        let transaction = self.transaction.as_ref().ok_or(replies::MAIL_FIRST)?;
        if transaction.chunks.is_some() {
            return Err(replies::CHUNKS_BEGUN);
        }
        let recipient = transaction.recipient(argument)?;
        if transaction.envelope.recipients.len() >= self.settings.recipients_max {
            // A list of many is no bad command: its sender comes again with
            // the rest.
            return Ok(self.done(replies::TOO_MANY_RECIPIENTS));
        }
        self.state = State::Recipient;
        Ok(Some(Step::Recipient(recipient)))
    }

    fn data(&mut self, argument: &[u8]) -> Outcome {
        if !argument.is_empty() {
            return Err(replies::BAD_ARGUMENT);
        }
        let transaction = self.transaction.as_ref().ok_or(replies::MAIL_FIRST)?;
        if transaction.chunks.is_some() {
            return Err(replies::CHUNKS_BEGUN);
        }
        if transaction.is_binary() {
            return Err(replies::BINARY_BY_BDAT);
        }
        if transaction.envelope.recipients.is_empty() {
            // Not a bad command either: a client that pipelines sends it before
            // it knows that its recipients were refused.
            let reply = match self.settings.is_lmtp() {
                // RFC 2033 section 4.2.
                true => replies::RECIPIENT_FIRST,
                false => replies::NO_RECIPIENTS,
            };
            return Ok(self.done(reply));
        }
        Ok(Some(self.ask(Pending::Data)))
    }

    pub(super) fn data_begins(&mut self) {
        if let Some(transaction) = &self.transaction {
            let intake = Intake::new(&self.settings, transaction.announced);
            self.state = State::Data(Data::new(intake));
            self.push(replies::GO_AHEAD);
        }
    }

    fn bdat(&mut self, argument: &[u8]) -> Outcome {
        let Some(mut chunk) = Chunk::parse(argument) else {
            self.close(replies::BAD_ARGUMENT);
            return Ok(None);
        };
        let reply = match &self.transaction {
            None => Some(replies::MAIL_FIRST),
            Some(begun) if begun.envelope.recipients.is_empty() => Some(replies::RECIPIENT_FIRST),
            Some(_) => None,
        };
        chunk.unwanted = chunk.unwanted.or(reply.map(Unwanted::Say));
        let has_begun = |transaction: &Transaction| transaction.chunks.is_some();
        if chunk.unwanted.is_none() && !self.transaction.as_ref().is_some_and(has_begun) {
            return Ok(Some(self.ask(Pending::Chunk(chunk))));
        }
        self.chunk_begins(chunk);
        Ok(None)
    }

    pub(super) fn chunk_begins(&mut self, chunk: Chunk) {
        if let (None, Some(transaction)) = (chunk.unwanted, &mut self.transaction) {
            let (settings, announced) = (&self.settings, transaction.announced);
            let intake = match transaction.is_binary() {
                true => Intake::binary,
                false => Intake::new,
            };
            transaction
                .chunks
                .get_or_insert_with(|| intake(settings, announced))
                .announce(chunk.left);
        }
        self.state = State::Chunk(chunk);
    }

    /// Answers a chunk whose octets have all been read. A message whose chunk
    /// is refused is over, or it would go on without these octets; what was
    /// pipelined behind has no transaction to belong to.
    pub(super) fn chunk_done(&mut self, chunk: Chunk) -> Option<Step> {
        self.commands_done += 1;
        match chunk.unwanted {
            None => {}
            Some(Unwanted::Say(reply)) => {
                self.transaction = None;
                return self.done(reply);
            }
            Some(Unwanted::Told) => {
                self.transaction = None;
                return None;
            }
        }
        let transaction = self.transaction.as_mut()?;
        let fault = transaction.chunks.as_ref().and_then(Intake::has_fault);
        if !chunk.is_last {
            let Some(fault) = fault else {
                return self.done(replies::CHUNK_OK);
            };
            // One reply by LMTP, too: the message has not come to its end
            // (RFC 2033 section 4.3).
            self.transaction = None;
            return self.done(fault.into());
        }
        let intake = transaction.chunks.take()?;
        self.complete(intake)
    }

    fn rset(&mut self, argument: &[u8]) -> Outcome {
        if !argument.is_empty() {
            return Err(replies::BAD_ARGUMENT);
        }
        self.transaction = None;
        Ok(self.done(replies::OK))
    }

    fn quit(&mut self, argument: &[u8]) -> Outcome {
        if !argument.is_empty() {
            return Err(replies::BAD_ARGUMENT);
        }
        self.close(replies::BYE);
        Ok(None)
    }
}
