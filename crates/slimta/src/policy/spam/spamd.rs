//! SpamAssassin's server, by its protocol (spamd/PROTOCOL in its sources).

use async_trait::async_trait;

use super::conversation::{Answer, ask, odd};
use super::place::Place;
use super::scanner::{ScanError, SpamScanner, SpamVerdict};
use crate::message::Message;

/// spamd, which is asked for its score and the names of the tests that hit
/// (`SYMBOLS`).
#[derive(Clone, Debug)]
pub(super) struct Spamd {
    place: Place,
}

impl Spamd {
    pub(super) const SCHEME: &'static str = "spamd";
    pub(super) const PORT: u16 = 783;

    pub(super) fn new(place: Place) -> Self {
        Spamd { place }
    }
}

#[async_trait]
impl SpamScanner for Spamd {
    async fn scan(&self, message: &Message) -> Result<SpamVerdict, ScanError> {
        let length = message.content.len();
        let head = format!("SYMBOLS SPAMC/1.5\r\nContent-length: {length}\r\n\r\n");
        let answer = ask(&self.place, &head, &message.content).await?;
        verdict(&answer).ok_or_else(|| odd(&self.place, &answer))
    }
}

/// Reads what spamd answers: `SPAMD/1.1 0 EX_OK`, a field
/// `Spam: True ; 15.0 / 5.0`, and the names of the tests with commas.
pub(super) fn verdict(answer: &str) -> Option<SpamVerdict> {
    let answer = Answer::read(answer)?;
    let mut status = answer.head.first()?.split_ascii_whitespace();
    status.next().filter(|word| word.starts_with("SPAMD/"))?;
    status.next().filter(|code| *code == "0")?;
    let (is_spam, numbers) = answer.field("spam")?.split_once(';')?;
    let is_spam = match is_spam.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" => true,
        "false" | "no" => false,
        _ => return None,
    };
    let (score, threshold) = numbers.split_once('/')?;
    let tests = answer.body.split([',', '\r', '\n']).map(str::trim);
    let tests = tests.filter(|test| !test.is_empty()).map(str::to_owned);
    let number = |text: &str| text.trim().parse().ok();
    SpamVerdict::new(is_spam, number(score)?, number(threshold)?, tests.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_verdict_or_none() {
        let answer = "SPAMD/1.1 0 EX_OK\r\nContent-length: 13\r\nSpam: True ; 15.5 / 5.0\r\n\r\nGTUBE,NO_RELAYS\r\n";
        let tests = vec!["GTUBE".to_owned(), "NO_RELAYS".to_owned()];
        assert_eq!(verdict(answer), SpamVerdict::new(true, 15.5, 5.0, tests));
        let ham = "SPAMD/1.5 0 EX_OK\r\nspam: False ; -0.1 / 5.0\r\n\r\n\r\n";
        assert_eq!(verdict(ham), SpamVerdict::new(false, -0.1, 5.0, Vec::new()));
        for odd in [
            "",
            "SPAMD/1.0 76 EX_PROTOCOL\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 15.5\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nSpam: Maybe ; 1.0 / 5.0\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nSpam: True ; nan / 5.0\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 1.0 / inf\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 15.5 / 5.0\r\n",
            "220 mx.example ESMTP\r\n\r\n",
        ] {
            assert_eq!(verdict(odd), None, "{odd:?}");
        }
    }
}
