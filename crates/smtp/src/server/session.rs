//! One client's session: what it may do next, and what is to be done for it.

use std::fmt::Write as _;
use std::mem;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use slimta_core::message::{Class, EnhancedCode, Recipient, Response};
use slimta_core::world::Timestamp;

use super::auth::Exchange;
use super::chunk::Chunk;
use super::data::Data;
use super::decide::Pending;
use super::intake::Intake;
use super::line::{EXCHANGE_BYTES_MAX, LINE_BYTES_MAX, Line, Lines};
use super::priority::Requested;
use super::replies::{self, Reply};
use super::room::Share;
use super::transaction::Transaction;
use super::xclient::Behind;
use super::{Awaits, Ending, Mechanism, Mechanisms, Received, Settings, Step, XClient};

/// Replies that gather before they have to be written: a client may send
/// thousands of commands at once.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// What comes next in the input.
#[derive(Debug)]
pub(super) enum State {
    Command,
    Data(Data),
    Chunk(Chunk),
    /// A command was handed out and not decided on.
    Asked(Pending),
    /// A recipient was handed out and not decided on.
    Recipient,
    /// A message was handed out and not answered. It keeps its room till then.
    Answer {
        #[expect(dead_code, reason = "kept for its drop")]
        share: Share,
        /// How many replies the client waits for.
        answers: usize,
    },
    /// A response of the client is due (RFC 4954).
    Exchange(Exchange),
    /// Credentials of this name were handed out and not decided on.
    User(Box<str>),
    /// A message of this mechanism was handed out and not decided on.
    Driven(Mechanism),
    /// What a proxy says was handed out and not decided on.
    XClient(Box<XClient>),
    /// The wish for TLS was handed out and not decided on.
    StartTls,
    /// The client was told to begin the handshake.
    Handshake,
    Closed,
}

/// How the client greeted.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) name: Box<str>,
    pub(super) is_extended: bool,
}

/// One client's session. See the [module](super) for how it is driven.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) output: BytesMut,
    pub(super) lines: Lines,
    pub(super) state: State,
    pub(super) hello: Option<Hello>,
    pub(super) transaction: Option<Transaction>,
    pub(super) commands_done: u64,
    pub(super) errors: u32,
    pub(super) must_pause: bool,
    pub(super) is_stopping: bool,
    pub(super) has_priorities: bool,
    /// Whether the client was told to go when it came.
    pub(super) is_turned_away: bool,
    /// What time it is, if the driver says it.
    pub(super) now: Option<Timestamp>,
    /// What protects the connection; none in the clear.
    pub(super) security: Option<Box<str>>,
    /// Who the client has authenticated as.
    pub(super) user: Option<Box<str>>,
    /// By which mechanisms it may.
    pub(super) mechanisms: Mechanisms,
    /// Whether it may speak for others.
    pub(super) may_be_proxy: bool,
    /// Whom it speaks for.
    pub(super) behind: Option<Box<Behind>>,
}

impl Session {
    /// A session at its beginning.
    pub fn new(settings: Arc<Settings>) -> Self {
        Session {
            settings,
            output: BytesMut::new(),
            lines: Lines::default(),
            state: State::Command,
            hello: None,
            transaction: None,
            commands_done: 0,
            errors: 0,
            must_pause: false,
            is_stopping: false,
            has_priorities: false,
            is_turned_away: false,
            now: None,
            security: None,
            user: None,
            mechanisms: Mechanisms::default(),
            may_be_proxy: false,
            behind: None,
        }
    }

    /// Says whether the client may have its messages go before others (MT-PRIORITY,
    /// RFC 6710), and hand in mail of any octets (BINARYMIME, RFC 3030): it is for
    /// clients that are trusted. So where mail
    /// is submitted they need not say who they are, and others hear `530 5.7.0`
    /// to MAIL if there is a way for them to say it (RFC 6409 section 4.3).
    /// Default: it may not.
    #[must_use]
    pub fn with_priorities(mut self, has_priorities: bool) -> Self {
        self.has_priorities = has_priorities;
        self
    }

    /// Greets the client, which speaks only after that.
    pub fn banner(&mut self) {
        // Writing to a buffer in memory does not fail.
        let _ = write!(
            self.output,
            "220 {} {} slimta\r\n",
            self.settings.hostname(),
            if self.settings.is_lmtp() {
                "LMTP"
            } else {
                "ESMTP"
            }
        );
    }

    /// What is to be written to the client. The driver takes away what it has
    /// written.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// How many commands have been read, good or bad, and messages brought to
    /// their end.
    pub fn commands_done(&self) -> u64 {
        self.commands_done
    }

    /// Goes on with what is in the input, and takes away what it has used.
    ///
    /// What was handed out and not decided on by now is refused for now.
    pub fn step(&mut self, input: &mut BytesMut) -> Step {
        loop {
            if !matches!(self.state, State::Closed) && self.output.len() > OUTPUT_BYTES_MAX {
                return Step::Write;
            }
            if let Some(step) = self.advance(input) {
                return step;
            }
        }
    }

    fn advance(&mut self, input: &mut BytesMut) -> Option<Step> {
        match &mut self.state {
            State::Command => self.next_line(input, LINE_BYTES_MAX),
            State::Exchange(_) => self.next_line(input, EXCHANGE_BYTES_MAX),
            State::Data(data) => {
                if !data.read(input) {
                    return Some(Step::Read(Awaits::Data));
                }
                match mem::replace(&mut self.state, State::Command) {
                    State::Data(data) => self.complete(data.into_intake()),
                    _ => None,
                }
            }
            State::Chunk(chunk) => {
                let transaction = self.transaction.as_mut();
                let intake = transaction.and_then(|transaction| transaction.chunks.as_mut());
                if !chunk.read(input, intake) {
                    return Some(Step::Read(Awaits::Data));
                }
                let chunk = *chunk;
                self.state = State::Command;
                self.chunk_done(chunk)
            }
            State::Asked(_) => {
                self.undecided();
                None
            }
            State::Recipient | State::XClient(_) => {
                self.state = State::Command;
                self.push(replies::LOCAL_ERROR);
                None
            }
            State::Answer { .. } => {
                self.answer_each(&[]);
                None
            }
            State::User(_) | State::Driven(_) => {
                self.undecided_user();
                None
            }
            State::StartTls => {
                self.refuse_tls();
                None
            }
            State::Handshake => {
                // None was made, and in the clear nothing more is said.
                self.state = State::Closed;
                None
            }
            State::Closed => {
                input.clear();
                Some(Step::Close)
            }
        }
    }

    fn next_line(&mut self, input: &mut BytesMut, bytes_max: usize) -> Option<Step> {
        if self.is_stopping {
            self.close(replies::SHUTDOWN);
            return None;
        }
        if mem::take(&mut self.must_pause) {
            return Some(Step::Pause);
        }
        let Some(line) = self.lines.next(input, bytes_max) else {
            return Some(Step::Read(Awaits::Command));
        };
        self.commands_done += 1;
        match line {
            Line::Whole(len) => {
                let line = input.get(..len).unwrap_or_default();
                let step = match mem::replace(&mut self.state, State::Command) {
                    State::Exchange(exchange) => self.respond_to(exchange, line),
                    _ => self.dispatch(line),
                };
                input.advance(input.len().min(len + 2));
                step
            }
            Line::TooLong => {
                let reply = match mem::replace(&mut self.state, State::Command) {
                    State::Exchange(_) => replies::EXCHANGE_TOO_LONG,
                    _ => replies::LINE_TOO_LONG,
                };
                self.bad(reply);
                None
            }
            Line::BareLf => {
                self.close(replies::BARE_LF);
                None
            }
        }
    }

    /// Hands on a message whose data has come to its end, or says what is
    /// wrong with it. Either way the transaction is over.
    pub(super) fn complete(&mut self, intake: Intake) -> Option<Step> {
        self.commands_done += 1;
        let transaction = self.transaction.take()?;
        let answers = self.settings.answers_to(&transaction);
        let Transaction {
            envelope, priority, ..
        } = transaction;
        match intake.finish() {
            Ok((content, share)) => {
                self.state = State::Answer { share, answers };
                Some(Step::Message(Box::new(Received {
                    client: self.client_of(envelope.smtputf8),
                    envelope,
                    content,
                    priority: priority.map(Requested::granted).unwrap_or_default(),
                })))
            }
            Err(fault) => {
                self.push_each(answers, fault.into());
                None
            }
        }
    }

    /// Takes a recipient that was handed out into the envelope.
    pub fn accept_recipient(&mut self, recipient: Recipient) {
        if let (State::Recipient, Some(transaction)) = (&self.state, &mut self.transaction) {
            transaction.envelope.recipients.push(recipient);
            self.state = State::Command;
            self.push(replies::RECIPIENT_OK);
        }
    }

    /// Refuses a recipient that was handed out.
    pub fn refuse_recipient(&mut self, response: &Response) {
        if matches!(self.state, State::Recipient) {
            self.state = State::Command;
            self.respond(response);
        }
    }

    /// Says goodbye and closes, whatever the session is about. What it has
    /// received of a message is dropped.
    pub fn end(&mut self, ending: Ending) {
        if !matches!(self.state, State::Closed) {
            self.transaction = None;
            self.close(ending.into());
        }
    }

    /// Lets the client finish the message that it is sending, and then says
    /// that the server shuts down.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Replies with a response from outside, made to fit the protocol: no 3yz
    /// is an outcome, an enhanced code is never absent (RFC 2034 section 4),
    /// and 421 closes (RFC 5321 section 3.8).
    pub(super) fn respond(&mut self, response: &Response) {
        let class = match response.class() {
            Class::Success => 2,
            Class::Intermediate => return self.push(replies::LOCAL_ERROR),
            Class::Transient => 4,
            Class::Permanent => 5,
        };
        let reply = match response.enhanced {
            Some(enhanced) if enhanced.class == class => response.to_smtp(),
            _ => {
                let mut response = response.clone();
                response.enhanced = Some(EnhancedCode::new(class, 0, 0));
                response.to_smtp()
            }
        };
        self.output.extend_from_slice(reply.as_bytes());
        if response.code.get() == 421 {
            self.state = State::Closed;
        }
    }

    pub(super) fn push(&mut self, reply: Reply) {
        self.output.extend_from_slice(reply.as_bytes());
    }

    pub(super) fn close(&mut self, reply: Reply) {
        self.push(reply);
        self.state = State::Closed;
    }

    /// Replies to a command that is not as it should be. A program that sends
    /// nothing else looks for a way in.
    pub(super) fn bad(&mut self, reply: Reply) {
        self.push(reply);
        self.count_error();
    }

    /// Counts one of them that has had its reply.
    pub(super) fn count_error(&mut self) {
        self.errors += 1;
        if self.errors >= self.settings.errors_max {
            self.close(replies::TOO_MANY_ERRORS);
        }
        self.must_pause = self.errors > self.settings.errors_max / 2;
    }
}
