//! What the driver decides before a command takes effect.
//!
//! A command that is refused leaves the session as it was before.

use std::mem;

use slimta_core::message::{Envelope, Response};

use super::Step;
use super::chunk::{Chunk, Unwanted};
use super::replies;
use super::session::{Hello, Session, State};
use super::transaction::Transaction;

/// Which command waits for the driver's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// EHLO or HELO. [`Session::client`] knows the name already.
    Hello,
    /// MAIL. [`Session::envelope`] has the sender and what the client says of
    /// the message.
    Mail,
    /// DATA, or the first BDAT of a message: the contents come next.
    /// [`Session::envelope`] has all recipients.
    Data,
}

/// A command that waits, with what it becomes if it is allowed.
#[derive(Debug)]
pub(super) enum Pending {
    Hello(Hello),
    Mail(Box<Transaction>),
    Data,
    Chunk(Chunk),
}

impl Session {
    /// Lets the driver decide.
    pub(super) fn ask(&mut self, pending: Pending) -> Step {
        let asked = match pending {
            Pending::Hello(_) => Asked::Hello,
            Pending::Mail(_) => Asked::Mail,
            Pending::Data | Pending::Chunk(_) => Asked::Data,
        };
        self.state = State::Asked(pending);
        Step::Decide(asked)
    }

    /// Lets a command that was handed out take effect.
    pub fn allow(&mut self) {
        match self.take_pending() {
            None => {}
            Some(Pending::Hello(hello)) => self.greeted(hello),
            Some(Pending::Mail(transaction)) => self.mail_begins(*transaction),
            Some(Pending::Data) => self.data_begins(),
            Some(Pending::Chunk(chunk)) => self.chunk_begins(chunk),
        }
    }

    /// Refuses a command that was handed out: the session stays as it was, but
    /// that a message whose first chunk is refused is over.
    ///
    /// What is not 4yz or 5yz refuses nothing and says so to nobody: the client
    /// hears 451 4.3.0.
    pub fn refuse(&mut self, response: &Response) {
        let Some(pending) = self.take_pending() else {
            return;
        };
        self.refuse_with(response);
        if let (Pending::Chunk(mut chunk), State::Command) = (pending, &self.state) {
            // Its octets come nevertheless.
            chunk.unwanted = Some(Unwanted::Told);
            self.state = State::Chunk(chunk);
        }
    }

    /// The driver has not decided: it cannot say.
    pub(super) fn undecided(&mut self) {
        self.refuse(&Response::transient(3, 0, "Error in processing"));
    }

    fn take_pending(&mut self) -> Option<Pending> {
        if !matches!(self.state, State::Asked(_)) {
            return None;
        }
        match mem::replace(&mut self.state, State::Command) {
            State::Asked(pending) => Some(pending),
            _ => None,
        }
    }

    /// What is known of the message that the client is about to send, with the
    /// command that was handed out: who it is from, and the recipients that
    /// were taken so far. None between messages.
    pub fn envelope(&self) -> Option<&Envelope> {
        match (&self.state, &self.transaction) {
            (State::Asked(Pending::Mail(transaction)), _) => Some(&transaction.envelope),
            (_, transaction) => transaction.as_ref().map(|t| &t.envelope),
        }
    }

    /// Tells a client that has just connected, in the place of a greeting, why
    /// it is not served. Then it may only QUIT (RFC 5321 section 3.1); 421
    /// closes.
    pub fn turn_away(&mut self, response: &Response) {
        self.is_turned_away = true;
        self.refuse_with(response);
    }

    pub(super) fn refuse_with(&mut self, response: &Response) {
        match response.is_success() {
            true => self.push(replies::LOCAL_ERROR),
            false => self.respond(response),
        }
    }
}
