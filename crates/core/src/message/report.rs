//! What a relay says of one attempt.

use super::Response;

/// The outcome of one attempt: a [`Response`] for each recipient, in the order
/// of the envelope.
///
/// Not delivering is an answer, not an error. A report that is too short is no
/// proof of anything: the queue treats what is missing as failed for now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// One response a recipient.
    pub responses: Vec<Response>,
    /// The name of the host that answered, for notices (Remote-MTA).
    pub remote: Option<String>,
    /// Who tells a sender of success that asked for it. When there were several
    /// transactions, all of them are meant.
    pub on_success: OnSuccess,
}

/// Who tells the sender of a delivered message that it was delivered, if it
/// asked for that (NOTIFY=SUCCESS, RFC 3461 section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnSuccess {
    /// The queue does: the message was relayed to a host that does not tell.
    #[default]
    Relayed,
    /// The queue does: the message was delivered to its recipients.
    Delivered,
    /// The queue does, also to who asked for no more than a time (DELIVERBY,
    /// RFC 2852): the message was relayed to a host that does not heed it, or each
    /// relaying is to be told.
    Traced,
    /// The next hop does, which was told what the sender asked for.
    PassedOn,
}

impl Report {
    /// The same response for each of `recipients`.
    pub fn all(response: Response, recipients: usize) -> Self {
        Report {
            responses: vec![response; recipients],
            remote: None,
            on_success: OnSuccess::default(),
        }
    }
}
