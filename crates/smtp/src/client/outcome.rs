//! What became of each recipient of a transaction.

use slimta_core::message::{Class, Response};

use super::wire::Transfer;

/// The end of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// One response a recipient, in the order of the parcel.
    pub responses: Vec<Response>,
    /// How far it came.
    pub stage: Stage,
    /// Who was answered 452 at RCPT, as places in the parcel: a further
    /// transaction may take them (RFC 5321 section 4.5.3.1.10).
    pub too_many: Vec<usize>,
    /// Whether the next hop was told which notices the sender asked for (DSN,
    /// RFC 3461).
    pub passed_on: bool,
}

/// How far a transaction came: what was answered last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Nothing of it was sent: it was clear that it would fail.
    Unsent,
    /// MAIL, or not even that.
    Sender,
    /// Reverse-path accepted: recipients were asked.
    Recipients,
    /// The next hop asked for the contents, or has been asked for all recipients
    /// before a chunk.
    Contents,
}

/// The recipients of a transaction that is under way.
#[derive(Debug)]
pub(super) struct Transaction {
    recipients: Vec<Fate>,
    too_many: Vec<usize>,
    stage: Stage,
    transfer: Transfer,
}

#[derive(Debug)]
enum Fate {
    Open,
    /// RCPT was answered with 2yz.
    Accepted,
    Settled(Response),
}

impl Transaction {
    pub(super) fn new(recipients: usize, transfer: Transfer) -> Self {
        Transaction {
            recipients: (0..recipients).map(|_| Fate::Open).collect(),
            too_many: Vec::new(),
            stage: Stage::Unsent,
            transfer,
        }
    }

    pub(super) fn transfer(&self) -> Transfer {
        self.transfer
    }

    /// Whether a chunk may go, now that all is answered: somebody wants it, and
    /// none has gone (RFC 3030 section 2).
    pub(super) fn awaits_chunk(&self) -> bool {
        let is_asked = self.transfer == Transfer::Chunk && self.stage == Stage::Recipients;
        is_asked && self.has_accepted()
    }

    pub(super) fn reach(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }

    /// The answer to RCPT.
    pub(super) fn answer(&mut self, index: usize, mut reply: Response) {
        if reply.code.get() == 552 {
            // What servers of old say for "too many recipients" (RFC 5321
            // section 4.5.3.1.10).
            reply = Response {
                enhanced: None,
                ..Response::new(452, None, reply.text)
            };
        }
        if let Some(fate @ Fate::Open) = self.recipients.get_mut(index) {
            if reply.code.get() == 452 {
                self.too_many.push(index);
            }
            *fate = match reply.class() {
                Class::Success => Fate::Accepted,
                _ => Fate::Settled(reply),
            };
        }
    }

    /// Settles one that was accepted: the answer to the contents for it.
    pub(super) fn settle(&mut self, index: usize, reply: Response) {
        if let Some(fate @ Fate::Accepted) = self.recipients.get_mut(index) {
            *fate = Fate::Settled(reply);
        }
    }

    /// Settles those that were accepted: the answer to DATA or to the contents.
    pub(super) fn settle_accepted(&mut self, reply: &Response) {
        for fate in &mut self.recipients {
            if matches!(fate, Fate::Accepted) {
                *fate = Fate::Settled(reply.clone());
            }
        }
    }

    /// Settles all that are not settled: the transaction goes no further.
    pub(super) fn settle_all(&mut self, reply: &Response) {
        for fate in &mut self.recipients {
            if !matches!(fate, Fate::Settled(_)) {
                *fate = Fate::Settled(reply.clone());
            }
        }
    }

    pub(super) fn has_accepted(&self) -> bool {
        self.accepted().next().is_some()
    }

    /// Who was accepted and has no answer yet, in order.
    pub(super) fn accepted(&self) -> impl Iterator<Item = usize> {
        let places = self.recipients.iter().enumerate();
        places.filter_map(|(index, fate)| matches!(fate, Fate::Accepted).then_some(index))
    }

    pub(super) fn is_open(&self, index: usize) -> bool {
        matches!(self.recipients.get(index), Some(Fate::Open))
    }

    pub(super) fn finish(self, passed_on: bool) -> Outcome {
        let response = |fate| match fate {
            Fate::Settled(response) => response,
            Fate::Open | Fate::Accepted => Response::transient(5, 0, "The next hop gave no answer"),
        };
        Outcome {
            responses: self.recipients.into_iter().map(response).collect(),
            stage: self.stage,
            too_many: self.too_many,
            passed_on,
        }
    }
}
