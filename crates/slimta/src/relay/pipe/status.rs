//! What the end of a command says of the message, by sysexits(3).

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::message::{EnhancedCode, Response, steers};

/// Longest line of a command that is told.
const LINE_BYTES_MAX: usize = 500;

/// The answer for the recipient; `said` is what the command wrote to stderr, of
/// which the first line is told.
pub(super) fn response(status: ExitStatus, said: &[u8]) -> Response {
    let Some(code) = status.code() else {
        let signal = status.signal().unwrap_or_default();
        return failed_for_now(format!("The command was killed by signal {signal}"));
    };
    let said = first_line(said);
    let text = said.unwrap_or_else(|| format!("The command ended with status {code}"));
    let permanent = |subject, detail| Response::permanent(subject, detail, text.clone());
    match code {
        0 => Response::success(0, 0, "Message delivered successfully."),
        65 => permanent(6, 0),
        67 => permanent(1, 1),
        68 => permanent(1, 2),
        // EX_OSERR, EX_IOERR, EX_TEMPFAIL. Shells and env(1) say 126 and 127
        // where there was nothing to run.
        71 | 74 | 75 | 126 | 127 => failed_for_now(text),
        73 => permanent(2, 0),
        76 => permanent(5, 0),
        77 => permanent(7, 0),
        78 => permanent(3, 5),
        _ => permanent(3, 0),
    }
}

/// A failure for now that is this host's own.
pub(super) fn failed_for_now(text: impl Into<String>) -> Response {
    Response::new(450, Some(EnhancedCode::new(4, 3, 0)), text)
}

/// The first line that is not blank, fit to be shown.
fn first_line(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    let mut text = String::new();
    for c in line.chars() {
        if text.len() + c.len_utf8() > LINE_BYTES_MAX {
            break;
        }
        text.push(if steers(c) { ' ' } else { c });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i32, said: &str) -> String {
        response(ExitStatus::from_raw(code << 8), said.as_bytes()).to_string()
    }

    #[test]
    fn an_exit_status_is_an_answer() {
        assert_eq!(
            answer(0, "a warning"),
            "250 2.0.0 Message delivered successfully."
        );
        assert_eq!(answer(75, "\nover quota\nmore"), "450 4.3.0 over quota");
        for (code, begin) in [
            (1, "550 5.3.0"),
            (64, "550 5.3.0"),
            (65, "550 5.6.0"),
            (67, "550 5.1.1"),
            (69, "550 5.3.0"),
            (71, "450 4.3.0"),
            (73, "550 5.2.0"),
            (74, "450 4.3.0"),
            (77, "550 5.7.0"),
            (78, "550 5.3.5"),
            (127, "450 4.3.0"),
            (255, "550 5.3.0"),
        ] {
            let said = answer(code, "");
            assert_eq!(
                said,
                format!("{begin} The command ended with status {code}")
            );
        }
        let killed = response(ExitStatus::from_raw(9), b"delivered").to_string();
        assert_eq!(killed, "450 4.3.0 The command was killed by signal 9");
    }

    #[test]
    fn what_a_command_says_is_one_short_clean_line() {
        assert_eq!(answer(75, "a\u{1b}[31m\tb"), "450 4.3.0 a [31m b");
        assert!(answer(75, &"\u{e9}".repeat(4000)).len() <= LINE_BYTES_MAX + 10);
    }
}
