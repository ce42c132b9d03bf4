//! One client's session: what it may do next, and what is to be done for it.

use std::fmt::Write as _;
use std::mem;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use slimta_core::message::{
    Class, Client, Content, EnhancedCode, Envelope, Priority, Recipient, Response,
};

use super::Settings;
use super::chunk::Chunk;
use super::data::Data;
use super::intake::Intake;
use super::line::{Line, Lines};
use super::priority::Requested;
use super::replies::{self, Reply};
use super::room::Share;
use super::transaction::Transaction;

/// Replies that gather before they have to be written: a client may send
/// thousands of commands at once.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Write the output, read more into the input, and call
    /// [`step`](Session::step) again.
    Read(Awaits),
    /// Write the output before going on: there is much of it.
    Write,
    /// Let the client wait for its replies: it sends many bad commands.
    Pause,
    /// Decide on a recipient with [`Session::accept_recipient`] or
    /// [`Session::refuse_recipient`].
    Recipient(Recipient),
    /// The client wants to turn to TLS. Answer with
    /// [`Session::accept_tls`], write the output, make the handshake and call
    /// [`Session::secured`]; or answer with [`Session::refuse_tls`]. Comes only
    /// if the settings offer it.
    StartTls,
    /// A complete message. Store it and tell the client with
    /// [`Session::answer`].
    Message(Box<Received>),
    /// Write the output and close the connection.
    Close,
}

/// What a session needs from its client, which says how long to wait for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Awaits {
    /// A command. Whether one has come is told by [`Session::commands_done`],
    /// so that a byte now and then cannot hold a session for ever.
    Command,
    /// A part of a message.
    Data,
}

/// Why the driver ends a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The server shuts down.
    Shutdown,
    /// The client took too long.
    TimedOut,
}

/// A message as it came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Who sent it, as far as the session knows: protocol, greeting and the
    /// name of this server. The address is for the driver to fill in.
    pub client: Client,
    /// Who it is from and for.
    pub envelope: Envelope,
    /// Its header and body; all lines end with CR LF.
    pub content: Content,
    /// Which goes first.
    pub priority: Priority,
}

/// What comes next in the input.
#[derive(Debug)]
pub(super) enum State {
    Command,
    Data(Data),
    Chunk(Chunk),
    /// A recipient was handed out and not decided on.
    Recipient,
    /// A message was handed out and not answered. It keeps its room till then.
    Answer(#[expect(dead_code, reason = "kept for its drop")] Share),
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
    /// What protects the connection; none in the clear.
    pub(super) security: Option<Box<str>>,
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
            security: None,
        }
    }

    /// Says whether the client may say which of its messages go first
    /// (MT-PRIORITY, RFC 6710): it is for clients that are trusted. Default: it
    /// may not.
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
            "220 {} ESMTP slimta\r\n",
            self.settings.hostname()
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
            State::Command => self.next_command(input),
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
            State::Recipient | State::Answer(_) => {
                self.state = State::Command;
                self.push(replies::LOCAL_ERROR);
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

    fn next_command(&mut self, input: &mut BytesMut) -> Option<Step> {
        if self.is_stopping {
            self.close(replies::SHUTDOWN);
            return None;
        }
        if mem::take(&mut self.must_pause) {
            return Some(Step::Pause);
        }
        let Some(line) = self.lines.next(input) else {
            return Some(Step::Read(Awaits::Command));
        };
        self.commands_done += 1;
        match line {
            Line::Whole(len) => {
                let step = self.dispatch(input.get(..len).unwrap_or_default());
                input.advance(input.len().min(len + 2));
                step
            }
            Line::TooLong => {
                self.bad(replies::LINE_TOO_LONG);
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
        let Transaction {
            envelope, priority, ..
        } = self.transaction.take()?;
        match intake.finish() {
            Ok((content, share)) => {
                self.state = State::Answer(share);
                Some(Step::Message(Box::new(Received {
                    client: self.client(&envelope),
                    envelope,
                    content,
                    priority: priority.map(Requested::granted).unwrap_or_default(),
                })))
            }
            Err(fault) => {
                self.push(fault.into());
                None
            }
        }
    }

    /// Who the client is, in the words of a Received field (RFC 3848, which has
    /// none for HELO under TLS, and RFC 6531 section 4.3).
    fn client(&self, envelope: &Envelope) -> Client {
        let is_extended = self.hello.as_ref().is_some_and(|hello| hello.is_extended);
        let is_secured = self.security.is_some();
        let protocol = match (is_extended, envelope.smtputf8, is_secured) {
            (true, true, true) => "UTF8SMTPS",
            (true, true, false) => "UTF8SMTP",
            (true, false, true) => "ESMTPS",
            (true, false, false) => "ESMTP",
            (false, _, _) => "SMTP",
        };
        Client {
            protocol: protocol.to_owned(),
            ehlo: self.hello.as_ref().map(|hello| hello.name.to_string()),
            security: self.security.as_deref().map(str::to_owned),
            receiver: Some(self.settings.hostname().to_owned()),
            ..Client::default()
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

    /// Tells the client what became of the message that was handed out.
    pub fn answer(&mut self, response: &Response) {
        if matches!(self.state, State::Answer(_)) {
            // Gives the room of the message back.
            self.state = State::Command;
            if response.is_success() {
                self.errors = 0;
            }
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
    fn respond(&mut self, response: &Response) {
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
        self.errors += 1;
        if self.errors >= self.settings.errors_max {
            self.close(replies::TOO_MANY_ERRORS);
        }
        self.must_pause = self.errors > self.settings.errors_max / 2;
    }
}
