//! The end of a transaction: DATA or a chunk, the contents, and who answers for them. By
//! SMTP one reply is for all recipients; by LMTP each that was accepted has its
//! own, in the order of the RCPT commands (RFC 2033 section 4.2).

use slimta_core::message::{Class, Content, Response};

use super::{Asked, Session, State, unexpected};
use crate::client::dialect::Dialect;
use crate::client::outcome::Stage;
use crate::client::stuffing::Stuffing;
use crate::client::wire::{Transfer, Wire};

impl Session {
    pub(super) fn hear_data(&mut self, reply: Response) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        match reply.class() {
            Class::Intermediate if transaction.has_accepted() => {
                transaction.reach(Stage::Contents);
                self.state = State::Contents;
            }
            Class::Intermediate if self.dialect == Dialect::Lmtp => {
                // With nobody accepted no reply would follow the dot, nor would
                // one end the transaction (RFC 2033 section 4.2).
                self.fail(unexpected("DATA", &reply));
            }
            Class::Intermediate => {
                // All recipients were refused, and still it wants to read
                // (RFC 2920 section 3.1): it gets nothing.
                self.output.extend_from_slice(Stuffing::END);
                self.asked.push_back(Asked::Nothing);
            }
            Class::Transient | Class::Permanent => transaction.settle_accepted(&reply),
            Class::Success => self.fail(unexpected("DATA", &reply)),
        }
    }

    /// A chunk has no command that is answered before it: it follows the answers
    /// for the recipients, whether its turn has come.
    pub(super) fn begin_chunk(&mut self) -> bool {
        let Some(transaction) = &mut self.transaction else {
            return false;
        };
        if !transaction.awaits_chunk() {
            return false;
        }
        transaction.reach(Stage::Contents);
        self.state = State::Contents;
        true
    }

    /// The contents of the parcel as this transaction writes them.
    pub fn wire(&self, content: &Content) -> Wire {
        Wire::new(self.transfer(), content)
    }

    fn transfer(&self) -> Transfer {
        let transaction = self.transaction.as_ref();
        transaction.map_or(Transfer::Data, |transaction| transaction.transfer())
    }

    /// The contents and their end were written.
    pub fn contents_sent(&mut self) {
        if !matches!(self.state, State::Contents) {
            return;
        }
        self.state = State::Open;
        match (self.dialect, &self.transaction) {
            (Dialect::Lmtp, Some(transaction)) => {
                let answers = transaction.accepted().map(Asked::ContentsFor);
                self.asked.extend(answers);
            }
            _ => self.asked.push_back(Asked::Contents),
        }
    }

    /// The one answer to the contents. Behind a chunk that failed nobody knows what
    /// the next hop still has (RFC 3030 section 2).
    pub(super) fn hear_contents(&mut self, reply: &Response) {
        if reply.class() == Class::Intermediate {
            return self.fail(unexpected("the message", reply));
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.settle_accepted(reply);
        }
        self.is_soiled = self.transfer() == Transfer::Chunk && !reply.is_success();
    }

    /// The answer to the contents for one recipient. Behind a chunk one of them may
    /// have been such a failure.
    pub(super) fn hear_contents_for(&mut self, index: usize, reply: Response) {
        if reply.class() == Class::Intermediate {
            return self.fail(unexpected("the message", &reply));
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.settle(index, reply);
        }
        if self.asked.is_empty() {
            self.is_soiled = self.transfer() == Transfer::Chunk;
        }
    }
}
