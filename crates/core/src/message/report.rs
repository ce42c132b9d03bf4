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
}

impl Report {
    /// The same response for each of `recipients`.
    pub fn all(response: Response, recipients: usize) -> Self {
        Report {
            responses: vec![response; recipients],
            remote: None,
        }
    }
}
