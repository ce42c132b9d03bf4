//! The answers of a delivery, as they come in one or more transactions.

use slimta_smtp::client::Outcome;

use crate::message::{Recipient, Response};

/// The recipients of a delivery, as far as they have their answers.
pub(super) struct Answers<'a> {
    recipients: &'a [Recipient],
    responses: Vec<Option<Response>>,
    /// Those without an answer, in order.
    open: Vec<usize>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(recipients: &'a [Recipient]) -> Self {
        Answers {
            recipients,
            responses: vec![None; recipients.len()],
            open: (0..recipients.len()).collect(),
        }
    }

    /// Whether all have one.
    pub(super) fn are_complete(&self) -> bool {
        self.open.is_empty()
    }

    /// Who goes into the next transaction of so many at most: those before the first
    /// that is not admitted.
    pub(super) fn next_batch(
        &self,
        most: usize,
        mut admits: impl FnMut(&Recipient) -> bool,
    ) -> Vec<Recipient> {
        let open = self.open.iter().take(most);
        open.filter_map(|index| self.recipients.get(*index))
            .take_while(|to| admits(to))
            .cloned()
            .collect()
    }

    /// The answers of a transaction of the first `asked`. Who was one too many goes
    /// into the next at once, as long as each takes somebody (RFC 5321 section
    /// 4.5.3.1.10).
    pub(super) fn take(&mut self, outcome: Outcome, asked: usize) {
        let is_progress = outcome.responses.iter().any(Response::is_success);
        let asked = self.open.len().min(asked);
        let mut again = Vec::new();
        let answers = outcome.responses.into_iter().map(Some);
        let answers = answers.chain(std::iter::repeat(None));
        for (place, (index, response)) in self.open.drain(..asked).zip(answers).enumerate() {
            if is_progress && outcome.too_many.contains(&place) {
                again.push(index);
            } else if let Some(answer) = self.responses.get_mut(index) {
                *answer = response;
            }
        }
        self.open.extend(again);
    }

    /// The same answer for all that have none.
    pub(super) fn close(&mut self, response: &Response) {
        for index in self.open.drain(..) {
            if let Some(answer) = self.responses.get_mut(index) {
                *answer = Some(response.clone());
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Response> {
        let unanswered = || Response::transient(5, 0, "The next hop gave no answer");
        let responses = self.responses.into_iter();
        responses
            .map(|response| response.unwrap_or_else(unanswered))
            .collect()
    }
}
