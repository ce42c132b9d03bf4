//! Replies as SMTP speaks them (RFC 5321 section 4.2, RFC 3463).

use std::fmt;

use serde::{Deserialize, Serialize};

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
}
