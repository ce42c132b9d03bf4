//! A small SMTP client for the commands that hand mail in: one connection, one
//! message after the other, an answer for each recipient.
//!
//! Not the client of the relay, which guards a queue's mail: here a person or
//! a benchmark waits, and what fails is simply said.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use slimta_core::message::{EnhancedCode, Response, ReversePath};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::dsn::Dsn;
use crate::values::ServerAddress;

/// Longest reply that is read.
const REPLY_BYTES_MAX: usize = 64 << 10;
const READ_BYTES: usize = 4 << 10;
/// A batch of commands is written before any of its replies is read. It must
/// fit the buffers between the two ends, or both would wait (RFC 2920
/// section 3.1).
const BATCH_RECIPIENTS_MAX: usize = 100;

/// Why a session broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// The connection failed or was closed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server said nothing for so long.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The server said what is no SMTP reply.
    #[error("not an SMTP reply: {0:?}")]
    Garbled(String),
    /// The server does not want this session.
    #[error("the server answered {command} with {response}")]
    Refused {
        /// What was asked.
        command: &'static str,
        /// Its answer.
        response: Response,
    },
}

/// An open session.
pub(crate) struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: Vec<u8>,
    timeout: Duration,
    extensions: Extensions,
}

/// What the server offers and this client makes use of.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Extensions {
    /// Commands may be sent in one batch (RFC 2920).
    pub(crate) pipelining: bool,
    /// Octets above 127 in the body (RFC 6152).
    pub(crate) eight_bit: bool,
    /// UTF-8 in addresses and headers (RFC 6531).
    pub(crate) utf8: bool,
    /// What the sender wants to be told (RFC 3461).
    pub(crate) dsn: bool,
    /// For how many seconds mail may be held at most, if it may (RFC 4865).
    pub(crate) hold_seconds_max: Option<u64>,
}

/// Parameters of MAIL FROM and RCPT TO.
#[derive(Clone, Default)]
pub(crate) struct Parameters {
    /// `BODY=8BITMIME`
    pub(crate) eight_bit: bool,
    /// `SMTPUTF8`
    pub(crate) utf8: bool,
    /// `RET`, `ENVID` and `NOTIFY`
    pub(crate) dsn: Dsn,
    /// `HOLDFOR` (RFC 4865): before so many seconds it is not to be sent.
    pub(crate) hold_seconds: Option<u64>,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What each recipient heard, in order: its refusal, or the answer to the
    /// message.
    pub(crate) responses: Vec<Response>,
}

impl Connection {
    /// Connects and says hello; every wait ends after `timeout`.
    pub(crate) async fn open(
        server: &ServerAddress,
        hostname: &str,
        timeout: Duration,
    ) -> Result<Self, SessionError> {
        let stream = tokio::time::timeout(timeout, TcpStream::connect(&server.0))
            .await
            .map_err(|_| SessionError::Silent(timeout))??;
        stream.set_nodelay(true)?;
        let mut connection = Connection {
            stream,
            input: BytesMut::new(),
            output: Vec::new(),
            timeout,
            extensions: Extensions::default(),
        };
        connection.expect("the connection", 220).await?;
        connection.hello(hostname).await?;
        Ok(connection)
    }

    async fn hello(&mut self, hostname: &str) -> Result<(), SessionError> {
        self.command(&format!("EHLO {hostname}"));
        self.flush().await?;
        let response = self.reply().await?;
        if !response.is_success() {
            self.command(&format!("HELO {hostname}"));
            self.flush().await?;
            self.expect("HELO", 250).await?;
            return Ok(());
        }
        for line in response.text.lines().skip(1) {
            let mut words = line.split(' ');
            let keyword = words.next().unwrap_or_default();
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => self.extensions.pipelining = true,
                "8BITMIME" => self.extensions.eight_bit = true,
                "SMTPUTF8" => self.extensions.utf8 = true,
                "DSN" => self.extensions.dsn = true,
                "FUTURERELEASE" => {
                    let most = words.next().and_then(|word| word.parse().ok());
                    self.extensions.hold_seconds_max = most;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the server offers.
    pub(crate) fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// Sends each command alone from now on, whatever the server offers.
    pub(crate) fn without_pipelining(&mut self) {
        self.extensions.pipelining = false;
    }

    /// Sends one message. `data` is ready for the wire: see [`dot_stuffed`].
    /// `sent` hears how many bytes of it went out.
    pub(crate) async fn send(
        &mut self,
        sender: &ReversePath,
        recipients: &[&str],
        parameters: &Parameters,
        data: &[u8],
        mut sent: impl FnMut(usize),
    ) -> Result<Outcome, SessionError> {
        let batch = self.extensions.pipelining && recipients.len() <= BATCH_RECIPIENTS_MAX;
        let body = if parameters.eight_bit {
            " BODY=8BITMIME"
        } else {
            ""
        };
        let utf8 = if parameters.utf8 { " SMTPUTF8" } else { "" };
        let hold = parameters.hold_seconds;
        let hold = hold.map_or(String::new(), |seconds| format!(" HOLDFOR={seconds}"));
        let (on_mail, on_rcpt) = (parameters.dsn.on_mail(), parameters.dsn.on_rcpt());
        self.command(&format!("MAIL FROM:<{sender}>{body}{utf8}{hold}{on_mail}"));
        let mail = if batch { None } else { Some(self.ask().await?) };
        let mut responses = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            self.command(&format!("RCPT TO:<{recipient}>{on_rcpt}"));
            if !batch {
                responses.push(self.ask().await?);
            }
        }
        self.command("DATA");
        self.flush().await?;
        let mail = match mail {
            Some(mail) => mail,
            None => self.reply().await?,
        };
        if batch {
            for _ in recipients {
                responses.push(self.reply().await?);
            }
        }
        let go = self.reply().await?;
        if go.code.get() == 354 {
            let answer = self.transfer(data, &mut sent).await?;
            for response in responses.iter_mut().filter(|r| r.is_success()) {
                *response = answer.clone();
            }
        } else {
            self.command("RSET");
            self.ask().await?;
            for response in &mut responses {
                // What followed a refused MAIL was only out of order.
                if !mail.is_success() {
                    *response = mail.clone();
                } else if response.is_success() {
                    *response = go.clone();
                }
            }
        }
        Ok(Outcome { responses })
    }

    async fn transfer(
        &mut self,
        data: &[u8],
        sent: &mut impl FnMut(usize),
    ) -> Result<Response, SessionError> {
        const PIECE_BYTES: usize = 256 << 10;
        for piece in data.chunks(PIECE_BYTES) {
            self.output.extend_from_slice(piece);
            if data.len() > PIECE_BYTES {
                self.flush().await?;
            }
            sent(piece.len());
        }
        self.output.extend_from_slice(b".\r\n");
        self.ask().await
    }

    /// Ends the session politely; nothing depends on the answer.
    pub(crate) async fn quit(mut self) {
        self.command("QUIT");
        let _ = self.ask().await;
    }

    fn command(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    async fn flush(&mut self) -> Result<(), SessionError> {
        let writing = self.stream.write_all(&self.output);
        tokio::time::timeout(self.timeout, writing)
            .await
            .map_err(|_| SessionError::Silent(self.timeout))??;
        self.output.clear();
        Ok(())
    }

    async fn ask(&mut self) -> Result<Response, SessionError> {
        self.flush().await?;
        self.reply().await
    }

    async fn expect(&mut self, command: &'static str, code: u16) -> Result<(), SessionError> {
        let response = self.reply().await?;
        if response.code.get() == code {
            return Ok(());
        }
        Err(SessionError::Refused { command, response })
    }

    /// Reads one reply, of as many lines as it has.
    async fn reply(&mut self) -> Result<Response, SessionError> {
        loop {
            if let Some(length) = reply_length(&self.input) {
                let bytes = self.input.split_to(length);
                let text = String::from_utf8_lossy(&bytes);
                return response(&text)
                    .ok_or_else(|| SessionError::Garbled(text.chars().take(80).collect()));
            }
            if self.input.len() > REPLY_BYTES_MAX {
                return Err(SessionError::Garbled("a reply without end".to_owned()));
            }
            self.input.reserve(READ_BYTES);
            let reading = self.stream.read_buf(&mut self.input);
            let read = tokio::time::timeout(self.timeout, reading)
                .await
                .map_err(|_| SessionError::Silent(self.timeout))??;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

/// How many bytes the reply at the front has; none if its last line is not
/// there yet.
fn reply_length(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = input.get(at..)?;
        let end = memchr::memchr(b'\n', line)?;
        at += end + 1;
        if line.get(3) != Some(&b'-') || end < 4 {
            return Some(at);
        }
    }
}

fn response(text: &str) -> Option<Response> {
    let mut lines = text.lines();
    let first = lines.next()?;
    let code = first.get(..3)?.parse::<u16>().ok()?;
    if !(200..=599).contains(&code) || !matches!(first.get(3..4), None | Some(" " | "-")) {
        return None;
    }
    let mut whole = String::new();
    let mut enhanced = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.get(4..).unwrap_or_default();
        let (found, rest) = match EnhancedCode::split_from(line) {
            Some((found, rest)) => (Some(found), rest),
            None => (None, line),
        };
        if number == 0 {
            enhanced = found;
        } else {
            whole.push('\n');
        }
        whole.push_str(rest);
    }
    Some(Response::new(code, enhanced, whole))
}

/// Contents as DATA carries them (RFC 5321 section 4.5.2): every line ends with
/// CRLF, also the last, and a dot at the front of a line is doubled.
pub(crate) fn dot_stuffed(content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(content.len() + content.len() / 32 + 2);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(text);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_crlf_and_dots_are_doubled() {
        assert_eq!(dot_stuffed(b".a\n..\r\nb"), b"..a\r\n...\r\nb\r\n");
        assert_eq!(dot_stuffed(b""), b"");
        assert_eq!(dot_stuffed(b"\n"), b"\r\n");
    }

    #[test]
    fn replies_are_read_whole() {
        assert_eq!(reply_length(b"250-a\r\n250"), None);
        assert_eq!(reply_length(b"250-a\r\n250 b\r\n354"), Some(14));
        assert_eq!(reply_length(b"250\r\n"), Some(5));
        let reply = response("250-2.1.0 a\r\n250 2.1.0 b\r\n").unwrap();
        assert_eq!((reply.code.get(), reply.text.as_str()), (250, "a\nb"));
        assert_eq!(reply.enhanced, Some(EnhancedCode::new(2, 1, 0)));
        for text in ["", "25", "2500 x", "099 x", "hello"] {
            assert_eq!(response(text), None, "{text}");
        }
    }
}
