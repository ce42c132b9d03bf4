//! Rspamd, asked by HTTP (`/checkv2`).

use std::fmt::Write as _;

use async_trait::async_trait;
use serde_json::Value;

use super::conversation::{Answer, ask, odd};
use super::place::Place;
use super::scanner::{ScanError, SpamScanner, SpamVerdict};
use crate::message::{Message, steers};

/// Most recipients that are told.
const RECIPIENTS_MAX: usize = 100;
/// Longest value of a field that is told, in characters.
const VALUE_CHARS_MAX: usize = 512;
/// What it would do with spam.
const ACTIONS_ON_SPAM: [&str; 3] = ["reject", "add header", "rewrite subject"];

/// Rspamd's normal worker, which is told of the client and the envelope. Of what
/// it advises counts whether that is something to be done with spam.
#[derive(Clone, Debug)]
pub(super) struct Rspamd {
    place: Place,
}

impl Rspamd {
    pub(super) const SCHEME: &'static str = "rspamd";
    pub(super) const PORT: u16 = 11333;

    pub(super) fn new(place: Place) -> Self {
        Rspamd { place }
    }
}

#[async_trait]
impl SpamScanner for Rspamd {
    async fn scan(&self, message: &Message) -> Result<SpamVerdict, ScanError> {
        let answer = ask(&self.place, &head(message), &message.content).await?;
        verdict(&answer).ok_or_else(|| odd(&self.place, &answer))
    }
}

/// The head of the question. By HTTP/1.0 the answer comes in one piece, and the
/// connection ends with it.
fn head(message: &Message) -> String {
    let length = message.content.len();
    let mut head = format!(
        "POST /checkv2 HTTP/1.0\r\nHost: rspamd\r\nContent-Type: message/rfc822\r\n\
         Content-Length: {length}\r\n"
    );
    let mut tell = |name: &str, value: &str| {
        let value = value.chars().filter(|c| !steers(*c));
        let value: String = value.take(VALUE_CHARS_MAX).collect();
        // Writing to a String does not fail.
        let _ = write!(head, "{name}: {value}\r\n");
    };
    let client = &message.client;
    if let Some(ip) = client.ip {
        tell("IP", &ip.to_canonical().to_string());
    }
    for (name, value) in [
        ("Helo", &client.ehlo),
        ("Hostname", &client.host),
        ("User", &client.auth),
    ] {
        if let Some(value) = value {
            tell(name, value);
        }
    }
    tell("From", &format!("<{}>", message.envelope.sender));
    for recipient in message.envelope.recipients.iter().take(RECIPIENTS_MAX) {
        tell("Rcpt", recipient.address.as_str());
    }
    head.push_str("\r\n");
    head
}

/// Reads what it answers: an object with `score`, `required_score`, `action` and
/// `symbols`.
pub(super) fn verdict(answer: &str) -> Option<SpamVerdict> {
    let answer = Answer::read(answer)?;
    let mut status = answer.head.first()?.split_ascii_whitespace();
    status.next().filter(|word| word.starts_with("HTTP/1."))?;
    status.next().filter(|code| *code == "200")?;
    let said: Value = serde_json::from_str(answer.body).ok()?;
    let action = said.get("action")?.as_str()?;
    let symbols = said.get("symbols").and_then(Value::as_object);
    let tests = symbols.map(|symbols| symbols.keys().cloned().collect());
    SpamVerdict::new(
        ACTIONS_ON_SPAM.contains(&action),
        said.get("score")?.as_f64()?,
        said.get("required_score")?.as_f64()?,
        tests.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::message;
    use super::*;
    use crate::message::ReversePath;

    #[test]
    fn an_answer_is_a_verdict_or_none() {
        let of = |body: &str| verdict(&format!("HTTP/1.1 200 OK\r\nServer: rspamd\r\n\r\n{body}"));
        let spam = r#"{"score":15.2,"required_score":15,"action":"reject","symbols":{"B":{"score":1},"A":{}}}"#;
        let tests = vec!["A".to_owned(), "B".to_owned()];
        assert_eq!(of(spam), SpamVerdict::new(true, 15.2, 15.0, tests));
        let ham = r#"{"score":-1,"required_score":15,"action":"greylist"}"#;
        assert_eq!(of(ham), SpamVerdict::new(false, -1.0, 15.0, Vec::new()));
        for odd in [
            "",
            "{}",
            "[1]",
            r#"{"score":"1","required_score":15,"action":"reject"}"#,
        ] {
            assert_eq!(of(odd), None, "{odd:?}");
        }
        let failed = format!("HTTP/1.1 500 Error\r\n\r\n{spam}");
        assert_eq!(verdict(&failed), None);
    }

    #[test]
    fn nothing_that_a_client_says_ends_a_line_of_the_question() {
        let mut message = message("A: 1\r\n\r\nbody", &["b@to.example", "c@to.example"]);
        message.client.ehlo = Some("x\r\nPass: all".to_owned());
        message.client.ip = Some("::ffff:192.0.2.1".parse().unwrap());
        message.envelope.sender = ReversePath::parse("a@from.example").unwrap();
        assert_eq!(
            head(&message),
            "POST /checkv2 HTTP/1.0\r\nHost: rspamd\r\nContent-Type: message/rfc822\r\n\
             Content-Length: 12\r\nIP: 192.0.2.1\r\nHelo: xPass: all\r\nFrom: <a@from.example>\r\n\
             Rcpt: b@to.example\r\nRcpt: c@to.example\r\n\r\n"
        );
    }
}
