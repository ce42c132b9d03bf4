//! LMTP (RFC 2033): the session of SMTP with another greeting, and with an
//! answer for each recipient behind the contents.

use slimta_core::message::Response;

use super::replies::{self, Reply};
use super::session::{Session, State};
use super::transaction::Transaction;
use super::{Role, Settings};

impl Settings {
    pub(super) fn is_lmtp(&self) -> bool {
        self.role == Role::Lmtp
    }

    /// How many answers the end of a message gets: by LMTP as many as recipients
    /// were taken (section 4.2).
    pub(super) fn answers_to(&self, transaction: &Transaction) -> usize {
        match self.role {
            Role::Lmtp => transaction.envelope.recipients.len(),
            Role::Relay | Role::Submission => 1,
        }
    }

    /// What a client is told that has not greeted.
    pub(super) fn hello_first(&self) -> Reply {
        match self.role {
            Role::Lmtp => replies::LHLO_FIRST,
            Role::Relay | Role::Submission => replies::HELLO_FIRST,
        }
    }
}

impl Session {
    /// Tells the client what became of the message that was handed out; by LMTP
    /// for all of its recipients.
    pub fn answer(&mut self, response: &Response) {
        self.answer_each(std::slice::from_ref(response));
    }

    /// The same by LMTP for each recipient, in the order of the envelope. If
    /// there are fewer responses the last one is for the others, too. In a
    /// session of SMTP only the first one is told.
    pub fn answer_each(&mut self, responses: &[Response]) {
        let State::Answer { answers, .. } = self.state else {
            return;
        };
        // Gives the room of the message back.
        self.state = State::Command;
        if responses.iter().any(Response::is_success) {
            self.errors = 0;
        }
        for number in 0..answers {
            if matches!(self.state, State::Closed) {
                // Behind 421 nothing is said.
                break;
            }
            match responses.get(number).or(responses.last()) {
                Some(response) => self.respond(response),
                None => self.push(replies::LOCAL_ERROR),
            }
        }
    }

    /// The same reply for each recipient.
    pub(super) fn push_each(&mut self, answers: usize, reply: Reply) {
        for _ in 0..answers {
            self.push(reply);
        }
    }
}
