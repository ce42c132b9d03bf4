//! Adds the Date that a message must have (RFC 5322 section 3.6.1).

use async_trait::async_trait;

use super::{Policy, field};
use crate::message::{Message, Response};

/// Adds a `Date` of the time of reception to messages without one (the
/// original's `add_date_header`).
#[derive(Clone, Copy, Debug, Default)]
pub struct AddDate;

#[async_trait]
impl Policy for AddDate {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        if message.content.field("Date").is_none() {
            let date = field("Date", &message.timestamp.rfc5322())?;
            message.content.append(&date);
        }
        Ok(vec![message])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{applied, message};
    use super::*;

    #[tokio::test]
    async fn a_missing_date_is_that_of_reception() {
        let text = applied(&AddDate, message("A: 1\r\n\r\n", &[])).await;
        assert_eq!(
            text,
            "A: 1\r\nDate: Tue, 24 Nov 2026 08:17:29 +0000\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_date_stays_however_odd() {
        let dated = "date : long ago\r\n\r\n";
        assert_eq!(applied(&AddDate, message(dated, &[])).await, dated);
    }
}
