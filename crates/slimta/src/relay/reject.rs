//! Answers for a next hop that is not to be asked.

use std::str::FromStr;

use async_trait::async_trait;
use slimta_core::message::steers;

use super::{Delivery, Relay};
use crate::message::{Class, Code, EnhancedCode, Report, Response};

/// Longest text of such an answer; it has to fit a line of SMTP, and a notice.
const TEXT_BYTES_MAX: usize = 400;

/// Gives each recipient the same answer, a refusal: mail bounces if it is for good
/// (5yz), or waits by its schedule if it is for now (4yz).
#[derive(Clone, Debug)]
pub struct Reject(Response);

/// A text is not such an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RejectError {
    /// It does not begin with a code of refusal.
    #[error("it begins with a code, 5yz to bounce mail or 4yz to let it wait")]
    Code,
    /// Its enhanced code is of another class than its code.
    #[error("its enhanced code is of the same class as its code, as in \"550 5.1.2\"")]
    Class,
    /// Nothing is said, or too much, or in characters that nobody should see.
    #[error(
        "it has a text of one line and {TEXT_BYTES_MAX} bytes at most, which senders will read"
    )]
    Text,
}

/// `550 5.1.2 We have no business with them`; the enhanced code may be left out.
impl FromStr for Reject {
    type Err = RejectError;

    fn from_str(text: &str) -> Result<Self, RejectError> {
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        let digits = code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit());
        let code = code.parse().ok().filter(|_| digits).and_then(Code::new);
        let code = code.ok_or(RejectError::Code)?;
        if !matches!(code.class(), Class::Transient | Class::Permanent) {
            return Err(RejectError::Code);
        }
        let (enhanced, said) = match EnhancedCode::split_from(rest) {
            Some((enhanced, said)) => (Some(enhanced), said.trim()),
            None => (None, rest.trim()),
        };
        let fits = |enhanced: EnhancedCode| u16::from(enhanced.class) == code.get() / 100;
        if enhanced.is_some_and(|enhanced| !fits(enhanced)) {
            return Err(RejectError::Class);
        }
        if said.is_empty() || said.len() > TEXT_BYTES_MAX || said.contains(steers) {
            return Err(RejectError::Text);
        }
        Ok(Reject(Response::new(code.get(), enhanced, said)))
    }
}

#[async_trait]
impl Relay for Reject {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let recipients = delivery.message.envelope.recipients.len();
        Report::all(self.0.clone(), recipients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_refusal_with_a_reason() {
        for (text, shown) in [
            ("550 5.1.2 Gone away", "550 5.1.2 Gone away"),
            (
                "451 4.3.2  Closed for an hour ",
                "451 4.3.2 Closed for an hour",
            ),
        ] {
            let Reject(response) = text.parse().unwrap();
            assert_eq!(response.to_string(), shown);
        }
        let Reject(bare) = "554 No".parse().unwrap();
        assert_eq!((bare.code.get(), bare.text.as_str()), (554, "No"));
        for (text, error) in [
            ("", RejectError::Code),
            ("250 2.0.0 Fine", RejectError::Code),
            ("354 Go on", RejectError::Code),
            ("+55 x", RejectError::Code),
            ("5500 x", RejectError::Code),
            ("550 4.1.2 Gone", RejectError::Class),
            ("550", RejectError::Text),
            ("550 5.1.2", RejectError::Text),
            ("550 a\nb", RejectError::Text),
        ] {
            assert_eq!(text.parse::<Reject>().err(), Some(error), "{text:?}");
        }
    }
}
