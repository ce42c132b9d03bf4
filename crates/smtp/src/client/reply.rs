//! Reads replies (RFC 5321 section 4.2): lines of one code, of which the last
//! has a blank behind it.

use std::borrow::Cow;

use bytes::BytesMut;
use slimta_core::message::{Code, EnhancedCode, Response};

/// Longest line that is read. RFC 5321 allows 512; some servers write more.
const LINE_BYTES_MAX: usize = 4096;
/// Most lines of one reply.
const LINES_MAX: usize = 100;
/// How much text of a reply is kept.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// How much of what is no reply is quoted.
const QUOTED_CHARS_MAX: usize = 80;

/// What came is not a reply. The session cannot go on: which answer belongs to
/// which command is no longer known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// A line does not begin with a code and a blank or hyphen.
    #[error("not an SMTP reply: \"{0}\"")]
    Garbled(String),
    /// The lines of a reply have different codes.
    #[error("the code changed within a reply, from {0} to {1}")]
    CodeChanged(Code, Code),
    /// A line of a reply is longer than 4,096 octets.
    #[error("a line of the reply is too long")]
    LineTooLong,
    /// A reply has more than a hundred lines.
    #[error("the reply has too many lines")]
    TooManyLines,
}

/// Puts replies together, a line at a time.
#[derive(Debug, Default)]
pub(super) struct Reader {
    code: Option<Code>,
    enhanced: Option<EnhancedCode>,
    text: String,
    lines: usize,
}

impl Reader {
    /// Takes one reply from the front of `input`; none if its end is not there
    /// yet.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<Option<Response>, ReplyError> {
        loop {
            let end = memchr::memchr(b'\n', input);
            if end.unwrap_or(input.len()) > LINE_BYTES_MAX {
                return Err(ReplyError::LineTooLong);
            }
            let Some(end) = end else {
                return Ok(None);
            };
            let line = input.split_to(end + 1);
            if self.line(line.trim_ascii_end())? {
                return Ok(self.finish());
            }
        }
    }

    /// Adds a line; whether it was the last.
    fn line(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        let text = String::from_utf8_lossy(line);
        let garbled = || ReplyError::Garbled(clean(&text).chars().take(QUOTED_CHARS_MAX).collect());
        let (code, rest) = code(&text).ok_or_else(garbled)?;
        let (is_last, rest) = match rest.as_bytes().first() {
            None | Some(b' ') => (true, rest.get(1..).unwrap_or_default()),
            Some(b'-') => (false, &rest[1..]),
            Some(_) => return Err(garbled()),
        };
        match self.code {
            Some(before) if before != code => return Err(ReplyError::CodeChanged(before, code)),
            _ => self.code = Some(code),
        }
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(ReplyError::TooManyLines);
        }
        self.keep(code, rest);
        Ok(is_last)
    }

    /// Keeps the text of a line, and the enhanced code that may stand before it.
    fn keep(&mut self, code: Code, line: &str) {
        let enhanced = EnhancedCode::split_from(line)
            .filter(|(enhanced, _)| u16::from(enhanced.class) == code.get() / 100);
        let text = match enhanced {
            Some((enhanced, rest)) => {
                self.enhanced.get_or_insert(enhanced);
                rest
            }
            None => line,
        };
        if self.lines > 1 {
            self.text.push('\n');
        }
        if self.text.len() + text.len() <= TEXT_BYTES_MAX {
            self.text.push_str(&clean(text));
        }
    }

    fn finish(&mut self) -> Option<Response> {
        let read = std::mem::take(self);
        Some(Response {
            code: read.code?,
            enhanced: read.enhanced,
            text: read.text,
            data: None,
        })
    }
}

/// The code at the front of a line, and what follows it.
fn code(line: &str) -> Option<(Code, &str)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    let number = is_number.then(|| digits.parse().ok()).flatten()?;
    Some((Code::new(number)?, rest))
}

/// Without characters that end or hide a line where the reply is shown.
fn clean(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        true => Cow::Owned(text.replace(char::is_control, " ")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Response>, ReplyError> {
        Reader::default().read(&mut BytesMut::from(text))
    }

    #[test]
    fn a_reply_may_have_one_line_or_many_or_no_text() {
        let one = read("250 2.1.5 Fine\r\n").unwrap().unwrap();
        assert_eq!(one, Response::success(1, 5, "Fine"));
        let many = read("550-5.1.1 No\r\n550 5.1.1 such user\n")
            .unwrap()
            .unwrap();
        assert_eq!(many, Response::permanent(1, 1, "No\nsuch user"));
        assert_eq!(
            read("250\r\n").unwrap().unwrap(),
            Response::new(250, None, "")
        );
        assert_eq!(read("250-a\r\n250").unwrap(), None);
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_text() {
        let reply = read("450 5.1.1 odd\r\n").unwrap().unwrap();
        assert_eq!((reply.enhanced, reply.text.as_str()), (None, "5.1.1 odd"));
    }

    #[test]
    fn a_reply_is_the_same_however_it_is_cut() {
        let text = "250-one\r\n250-two\r\n250 three\r\n354 go\r\n";
        let mut reader = Reader::default();
        let (mut input, mut replies) = (BytesMut::new(), Vec::new());
        for byte in text.bytes() {
            input.extend_from_slice(&[byte]);
            replies.extend(reader.read(&mut input).unwrap());
        }
        let texts: Vec<_> = replies.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(texts, ["one\ntwo\nthree", "go"]);
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for text in [
            "\r\n",
            "HTTP/1.1 400 Bad\r\n",
            "25\r\n",
            "099 x\r\n",
            "600 x\r\n",
            "+50 x\r\n",
        ] {
            assert!(matches!(read(text), Err(ReplyError::Garbled(_))), "{text}");
        }
        assert!(matches!(read("250x\r\n"), Err(ReplyError::Garbled(_))));
        assert!(matches!(
            read("250-a\r\n251 b\r\n"),
            Err(ReplyError::CodeChanged(..))
        ));
        assert_eq!(read(&"2".repeat(5000)), Err(ReplyError::LineTooLong));
        let endless = "250-x\r\n".repeat(101);
        assert_eq!(read(&endless), Err(ReplyError::TooManyLines));
    }

    #[test]
    fn what_is_kept_of_a_reply_is_bounded_and_clean() {
        let long = format!("550-{}\r\n", "x".repeat(4000)).repeat(9) + "550 a\x1b[31m\rb\r\n";
        let reply = read(&long).unwrap().unwrap();
        assert!(reply.text.len() < TEXT_BYTES_MAX + 100);
        assert!(
            reply.text.ends_with("a [31m b"),
            "{:?}",
            &reply.text[8000..]
        );
    }
}
