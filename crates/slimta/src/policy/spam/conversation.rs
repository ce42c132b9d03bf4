//! One question to a filter and its answer, over a connection of its own.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::place::{Place, Stream};
use super::scanner::ScanError;
use crate::message::Content;

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 10;
/// How much of an odd answer is told.
const SAID_CHARS_MAX: usize = 100;

/// An answer: what stands before the first empty line, and behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer<'a> {
    /// The lines of its head.
    pub(super) head: Vec<&'a str>,
    /// The rest.
    pub(super) body: &'a str,
}

/// Sends the head of a question with the message behind it, and reads until the
/// filter closes the connection or has said all that it announced.
pub(super) async fn ask(place: &Place, head: &str, content: &Content) -> Result<String, ScanError> {
    let away = |error| ScanError::Away {
        place: place.to_string(),
        error,
    };
    let mut stream = place.connect().await.map_err(away)?;
    // A filter that refuses a question may close before it has read it all.
    let sent = send(&mut *stream, head, content).await;
    let mut answer = Vec::new();
    let mut bounded = stream.take(ANSWER_BYTES_MAX);
    while !is_whole(&answer) {
        match bounded.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if answer.is_empty() => return Err(away(error)),
            Err(_) => break,
        }
    }
    match sent {
        Err(error) if answer.is_empty() => Err(away(error)),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

async fn send(stream: &mut dyn Stream, head: &str, content: &Content) -> std::io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    for chunk in content.chunks() {
        stream.write_all(chunk).await?;
    }
    stream.flush().await
}

/// Whether an answer has all that its Content-Length announces.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some(read) = Answer::read(&text) else {
        return false;
    };
    let length = read
        .field("content-length")
        .and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| read.body.len() >= length)
}

/// What a filter said that is no verdict.
pub(super) fn odd(place: &Place, said: &str) -> ScanError {
    let said = said.chars().take(SAID_CHARS_MAX);
    ScanError::Odd {
        place: place.to_string(),
        said: said.collect(),
    }
}

impl<'a> Answer<'a> {
    /// Parts an answer; none before its head has an end.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Answer {
            head: head.split("\r\n").collect(),
            body,
        })
    }

    /// The value of the first field of its head that has this name.
    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        let fields = self.head.iter().skip(1);
        let mut fields = fields.filter_map(|line| line.split_once(':'));
        fields
            .find(|(known, _)| known.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}
