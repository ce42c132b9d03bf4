//! Reads a message from a script: lines that end in LF or CRLF, as they come.
//!
//! What comes out is contents as SMTP carries them. A server refuses a CR that
//! ends no line, which is common in the output of programs that show how far they
//! are: it becomes a blank, as Postfix makes it one.

use std::io::{self, BufRead};

use super::status::{Ended, Status};

/// The contents, with CRLF behind each line; at most `bytes_max` are read. Unless
/// it `keeps_dots`, a line with a single dot is the end. The line `From ` that
/// mailboxes put before a message is left out.
pub(super) fn read(
    input: impl BufRead,
    keeps_dots: bool,
    bytes_max: usize,
) -> Result<Vec<u8>, Ended> {
    let mut input = input.take(bytes_max as u64 + 1);
    let (mut content, mut line) = (Vec::new(), Vec::new());
    let mut is_first = true;
    while next(&mut input, &mut line)? {
        if input.limit() == 0 {
            return Err(Status::Unavailable.because(format!(
                "the message has more than {bytes_max} bytes (message-bytes-max): it was not sent"
            )));
        }
        let text = text(&line);
        if text == b"." && !keeps_dots {
            break;
        }
        if is_first && is_from_line(text) {
            continue;
        }
        is_first = false;
        content.extend(text.iter().map(|byte| match byte {
            b'\r' => b' ',
            other => *other,
        }));
        content.extend_from_slice(b"\r\n");
    }
    Ok(content)
}

/// Reads a line; false at the end.
fn next(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, Ended> {
    line.clear();
    let read = input.read_until(b'\n', line);
    read.map(|bytes| bytes > 0).map_err(|error: io::Error| {
        Status::Io.because(format!("the message cannot be read from stdin: {error}"))
    })
}

/// A line without its end.
fn text(line: &[u8]) -> &[u8] {
    let mut text = line.strip_suffix(b"\n").unwrap_or(line);
    while let Some(shorter) = text.strip_suffix(b"\r") {
        text = shorter;
    }
    text
}

/// Whether it is `From user date`, also if it was quoted.
fn is_from_line(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|byte| **byte == b'>').count();
    line.get(quotes..)
        .is_some_and(|line| line.starts_with(b"From "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str, keeps_dots: bool) -> String {
        String::from_utf8(read(text.as_bytes(), keeps_dots, 100).unwrap()).unwrap()
    }

    #[test]
    fn lines_end_in_crlf_however_they_came() {
        for (text, expected) in [
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\nb", "a\r\nb\r\n"),
            ("a\r\r\n\n\r\n", "a\r\n\r\n\r\n"),
            ("1%\r2%\n", "1% 2%\r\n"),
            ("", ""),
            (
                "From a@b Mon\n>From x\nA: 1\nFrom c\n",
                "A: 1\r\nFrom c\r\n",
            ),
        ] {
            assert_eq!(from(text, true), expected, "{text:?}");
        }
    }

    #[test]
    fn a_lone_dot_ends_the_message_unless_it_is_text() {
        for text in ["a\n.\nb\n", "a\r\n.\r\nb\r\n"] {
            assert_eq!(from(text, false), "a\r\n");
            assert_eq!(from(text, true), "a\r\n.\r\nb\r\n");
        }
        assert_eq!(from("a\n..\n. \n.", false), "a\r\n..\r\n. \r\n");
    }

    #[test]
    fn an_endless_message_is_refused() {
        let whole = "x".repeat(100);
        assert_eq!(from(&whole, true).len(), 102);
        let long = read("x".repeat(101).as_bytes(), true, 100);
        assert!(matches!(long, Err(Ended::With(Status::Unavailable, _))));
    }

    #[test]
    fn what_cannot_be_read_is_no_message() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::Other.into())
            }
        }
        let read = read(io::BufReader::new(Broken), true, 100);
        assert!(matches!(read, Err(Ended::With(Status::Io, _))));
    }
}
