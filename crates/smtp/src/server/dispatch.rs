//! What each command does, and when it may be used (RFC 5321 section 4.1).

use std::fmt::Write as _;

use super::Step;
use super::auth;
use super::chunk::Chunk;
use super::command::{self, Verb};
use super::data::Data;
use super::intake::Intake;
use super::path;
use super::priority::{self, Requested};
use super::replies::{self, Reply};
use super::session::{Hello, Session, State};
use super::transaction::Transaction;

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
        let outcome = match verb {
            Verb::Ehlo => self.hello(argument, true),
            Verb::Helo => self.hello(argument, false),
            Verb::Mail => self.mail(argument),
            Verb::Rcpt => self.rcpt(argument),
            Verb::Data => self.data(argument),
            Verb::Bdat => self.bdat(argument),
            Verb::Rset => self.rset(argument),
            Verb::Quit => self.quit(argument),
            Verb::Noop => Ok(self.done(replies::OK)),
            Verb::Help => Ok(self.done(replies::HELP)),
            Verb::Auth => self.auth(argument),
            Verb::StartTls => self.starttls(argument),
            Verb::Vrfy if argument.is_empty() => Err(replies::BAD_ARGUMENT),
            Verb::Vrfy => Ok(self.done(replies::NOT_VERIFIED)),
            Verb::NotImplemented => Err(replies::NOT_IMPLEMENTED),
            Verb::Http => {
                self.close(replies::NOT_HTTP);
                Ok(None)
            }
            Verb::Unknown => Err(replies::UNKNOWN),
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
        self.transaction = None;
        self.hello = Some(Hello { name, is_extended });
        let starttls = match self.offers_tls() {
            true => "250-STARTTLS\r\n",
            false => "",
        };
        let auth = match self.offers_auth() {
            true => auth::OFFER,
            false => "",
        };
        let promises = self.promises_offer();
        let recipients_max = self.settings.recipients_max.min(RCPTMAX_MAX);
        let has_priorities = self.has_priorities();
        let (output, settings) = (&mut self.output, &self.settings);
        let hostname = settings.hostname();
        // Writing to a buffer in memory does not fail.
        let _ = if is_extended {
            let priorities = match has_priorities {
                true => format_args!("250-{}\r\n", priority::OFFER),
                false => format_args!(""),
            };
            write!(
                output,
                "250-{hostname}\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                 250-SIZE {}\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n\
                 250-LIMITS RCPTMAX={recipients_max}\r\n{priorities}\
                 {promises}{starttls}{auth}250 CHUNKING\r\n",
                settings.message_bytes_max
            )
        } else {
            write!(output, "250 {hostname}\r\n")
        };
        Ok(None)
    }

    fn mail(&mut self, argument: &[u8]) -> Outcome {
        if self.hello.is_none() {
            return Err(replies::HELLO_FIRST);
        }
        if self.needs_tls() {
            return Err(replies::TLS_FIRST);
        }
        if self.transaction.is_some() {
            return Err(replies::NESTED_MAIL);
        }
        let mut transaction = Transaction::begin(argument, &self.settings)?;
        let requested = transaction.priority;
        if requested.is_some() && !self.has_priorities() {
            return Err(replies::UNKNOWN_PARAMETER);
        }
        if transaction.has_auth && !self.knows_auth() {
            return Err(replies::UNKNOWN_PARAMETER);
        }
        self.promise(&mut transaction)?;
        self.transaction = Some(transaction);
        Ok(self.done(requested.map_or(replies::SENDER_OK, Requested::reply)))
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
        if transaction.envelope.recipients.is_empty() {
            // Not a bad command either: a client that pipelines sends it before
            // it knows that its recipients were refused.
            return Ok(self.done(replies::NO_RECIPIENTS));
        }
        let intake = Intake::new(&self.settings, transaction.announced);
        self.state = State::Data(Data::new(intake));
        Ok(self.done(replies::GO_AHEAD))
    }

    fn bdat(&mut self, argument: &[u8]) -> Outcome {
        let Some(mut chunk) = Chunk::parse(argument) else {
            self.close(replies::BAD_ARGUMENT);
            return Ok(None);
        };
        match &mut self.transaction {
            None => chunk.refusal = chunk.refusal.or(Some(replies::MAIL_FIRST)),
            Some(transaction) if transaction.envelope.recipients.is_empty() => {
                chunk.refusal = chunk.refusal.or(Some(replies::RECIPIENT_FIRST));
            }
            Some(transaction) if chunk.refusal.is_none() => {
                let (settings, announced) = (&self.settings, transaction.announced);
                transaction
                    .chunks
                    .get_or_insert_with(|| Intake::new(settings, announced))
                    .announce(chunk.left);
            }
            Some(_) => {}
        }
        self.state = State::Chunk(chunk);
        Ok(None)
    }

    /// Answers a chunk whose octets have all been read. A message whose chunk
    /// is refused is over, or it would go on without these octets; what was
    /// pipelined behind has no transaction to belong to.
    pub(super) fn chunk_done(&mut self, chunk: Chunk) -> Option<Step> {
        self.commands_done += 1;
        if let Some(refusal) = chunk.refusal {
            self.transaction = None;
            return self.done(refusal);
        }
        let transaction = self.transaction.as_mut()?;
        let fault = transaction.chunks.as_ref().and_then(Intake::has_fault);
        if !chunk.is_last && fault.is_none() {
            return self.done(replies::CHUNK_OK);
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
