//! Replies as SMTP speaks them (RFC 5321 section 4.2, RFC 3463).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clean::{Charset, clean};
use super::header::fold_at;

/// Longest line of a reply, without its line end (RFC 5321 section 4.5.3.1.5).
const REPLY_LINE_BYTES_MAX: usize = 510;
/// Longest line of text that is told at all; it is spread over several lines.
const TEXT_LINE_BYTES_MAX: usize = 2000;
/// Most lines of text that are told.
const TEXT_LINES_MAX: usize = 50;

/// A reply code, 200 to 599.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Code(u16);

/// What a reply's first digit says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// 2yz: done.
    Success,
    /// 3yz: go on. Never an outcome.
    Intermediate,
    /// 4yz: failed for now.
    Transient,
    /// 5yz: failed for good.
    Permanent,
}

impl Code {
    /// A code; none unless it is 200 to 599.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            200..=599 => Some(Code(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// What its first digit says.
    pub const fn class(self) -> Class {
        match self.0 {
            200..=299 => Class::Success,
            300..=399 => Class::Intermediate,
            400..=499 => Class::Transient,
            _ => Class::Permanent,
        }
    }
}

impl TryFrom<u16> for Code {
    type Error = &'static str;

    fn try_from(code: u16) -> Result<Self, Self::Error> {
        Code::new(code).ok_or("a reply code lies between 200 and 599")
    }
}

impl From<Code> for u16 {
    fn from(code: Code) -> u16 {
        code.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An enhanced status code, `class.subject.detail` (RFC 3463).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct EnhancedCode {
    /// 2, 4 or 5.
    pub class: u8,
    /// What it is about, 0 to 999.
    pub subject: u16,
    /// What exactly, 0 to 999.
    pub detail: u16,
}

impl EnhancedCode {
    /// `class.subject.detail`.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        EnhancedCode {
            class,
            subject,
            detail,
        }
    }

    /// Reads `x.y.z` from the front of a reply's text and gives what follows.
    pub fn split_from(text: &str) -> Option<(Self, &str)> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut numbers = word.split('.');
        let class = number(numbers.next()?, 1)?;
        let subject = number(numbers.next()?, 3)?;
        let detail = number(numbers.next()?, 3)?;
        if numbers.next().is_some() || !matches!(class, 2 | 4 | 5) {
            return None;
        }
        let class = u8::try_from(class).ok()?;
        Some((EnhancedCode::new(class, subject, detail), rest))
    }
}

fn number(text: &str, digits_max: usize) -> Option<u16> {
    let digits = (1..=digits_max).contains(&text.len());
    (digits && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A reply: what a relay says of a recipient, and what an edge tells a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Response {
    /// The reply code.
    pub code: Code,
    /// The enhanced status code, if there is one.
    pub enhanced: Option<EnhancedCode>,
    /// The text without codes; lines are separated by `\n`.
    pub text: String,
    /// What the reply carries beside its text: the id of a queued message.
    pub data: Option<String>,
}

impl Response {
    /// A reply of literal code; codes outside 200 to 599 become 451.
    pub fn new(code: u16, enhanced: Option<EnhancedCode>, text: impl Into<String>) -> Self {
        Response {
            code: Code::new(code).unwrap_or(Code(451)),
            enhanced,
            text: text.into(),
            data: None,
        }
    }

    /// A success: `250` with the given subject and detail.
    pub fn success(subject: u16, detail: u16, text: impl Into<String>) -> Self {
        Response::new(250, Some(EnhancedCode::new(2, subject, detail)), text)
    }

    /// A failure for now: `451` with the given subject and detail.
    pub fn transient(subject: u16, detail: u16, text: impl Into<String>) -> Self {
        Response::new(451, Some(EnhancedCode::new(4, subject, detail)), text)
    }

    /// A failure for good: `550` with the given subject and detail.
    pub fn permanent(subject: u16, detail: u16, text: impl Into<String>) -> Self {
        Response::new(550, Some(EnhancedCode::new(5, subject, detail)), text)
    }

    /// What the first digit of the code says.
    pub fn class(&self) -> Class {
        self.code.class()
    }

    /// Whether it is a 2yz.
    pub fn is_success(&self) -> bool {
        self.class() == Class::Success
    }

    /// The text of its first line, with the enhanced code before it.
    pub fn message(&self) -> String {
        match self.enhanced {
            Some(enhanced) => format!("{enhanced} {}", self.text),
            None => self.text.clone(),
        }
    }

    /// As an SMTP server sends it: the code on every line, the enhanced code
    /// behind it (RFC 2034 section 4), lines of at most 512 octets.
    ///
    /// Whatever the text holds, it cannot end a line early; characters that a
    /// reply may not hold are replaced. An enhanced code of another class than
    /// the code says nothing and is left out.
    pub fn to_smtp(&self) -> String {
        let enhanced = self
            .enhanced
            .filter(|e| u16::from(e.class) == self.code.get() / 100)
            .map(|e| format!("{e} "))
            .unwrap_or_default();
        // Room for code, sign and enhanced code.
        let room = REPLY_LINE_BYTES_MAX - 4 - enhanced.len();
        let lines: Vec<String> = self
            .text
            .lines()
            .take(TEXT_LINES_MAX)
            .map(|line| fold_at(&clean(line, Charset::Ascii, TEXT_LINE_BYTES_MAX), room))
            .collect();
        let text = lines.join("\r\n");
        let mut reply = String::with_capacity(text.len() + 32);
        let mut lines = text.split("\r\n").peekable();
        while let Some(line) = lines.next() {
            let sign = if lines.peek().is_some() { '-' } else { ' ' };
            let line = format!("{}{sign}{enhanced}{}", self.code, line.trim_start());
            reply.push_str(line.trim_end());
            reply.push_str("\r\n");
        }
        reply
    }

    /// As an HTTP server says it, by the original's table: a success is `200`;
    /// `421` and `450` say "try again" with `503`, other failures for now are
    /// `500`; failed authentication (`535`) is `403`, all else `400`.
    pub fn http_status(&self) -> u16 {
        match (self.class(), self.code.get()) {
            (Class::Success, _) => 200,
            (_, 421 | 450) => 503,
            (Class::Transient, _) => 500,
            (_, 535) => 403,
            _ => 400,
        }
    }
}

/// As one line: `450 4.2.0 Greylisted`.
impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for (i, line) in self.text.lines().enumerate() {
            f.write_str(if i == 0 { " " } else { " / " })?;
            f.write_str(line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digit_decides() {
        assert_eq!(Code::new(299).unwrap().class(), Class::Success);
        assert_eq!(Code::new(354).unwrap().class(), Class::Intermediate);
        assert_eq!(Code::new(499).unwrap().class(), Class::Transient);
        assert_eq!(Code::new(599).unwrap().class(), Class::Permanent);
        assert_eq!(Code::new(199), None);
        assert_eq!(Code::new(600), None);
    }

    #[test]
    fn enhanced_codes_are_split_from_text() {
        let (code, rest) = EnhancedCode::split_from("4.2.0 Greylisted").unwrap();
        assert_eq!((code.to_string().as_str(), rest), ("4.2.0", "Greylisted"));
        for text in ["", "4.2", "4.2.0.1 x", "3.1.1 x", "4.+2.0 x", "4.1000.0 x"] {
            assert_eq!(EnhancedCode::split_from(text), None, "{text}");
        }
    }

    #[test]
    fn every_line_of_a_reply_has_its_codes() {
        let smtp = |code, enhanced, text: &str| Response::new(code, enhanced, text).to_smtp();
        let no_user = Some(EnhancedCode::new(5, 1, 1));
        assert_eq!(
            smtp(550, no_user, "No such user"),
            "550 5.1.1 No such user\r\n"
        );
        let two = "550-5.1.1 No\r\n550 5.1.1 such user\r\n";
        assert_eq!(smtp(550, no_user, "No\nsuch user\n"), two);
        assert_eq!(smtp(354, None, "Go on"), "354 Go on\r\n");
        assert_eq!(
            smtp(450, no_user, "classes differ"),
            "450 classes differ\r\n"
        );
        assert_eq!(smtp(250, None, ""), "250\r\n");
    }

    #[test]
    fn no_text_forges_or_overflows_a_line() {
        let evil = format!(
            "a\r250 ok\0\u{e9} {}\n{}",
            "b c ".repeat(900),
            "d".repeat(9000)
        );
        let reply = Response::transient(3, 0, evil).to_smtp();
        let lines: Vec<_> = reply.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        for (i, line) in lines.iter().enumerate() {
            let start = if i + 1 < lines.len() {
                "451-4.3.0 "
            } else {
                "451 4.3.0 "
            };
            assert!(line.starts_with(start) && line.len() <= 510, "{line}");
            assert!(
                line.is_ascii() && !line.contains(char::is_control),
                "{line}"
            );
        }
        assert!(lines.len() > 8);
        let many = Response::permanent(0, 0, "x\n".repeat(5000)).to_smtp();
        assert_eq!(many.matches("\r\n").count(), 50);
    }

    #[test]
    fn replies_have_an_http_status() {
        let codes = [250, 251, 421, 450, 451, 452, 535, 550, 554, 354];
        let status = codes.map(|code| Response::new(code, None, "").http_status());
        assert_eq!(status, [200, 200, 503, 503, 500, 500, 403, 400, 400, 400]);
    }
}
