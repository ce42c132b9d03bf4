//! What a person or a script reads: stdout, and the progress bar of long work.
//!
//! Much of it was said by strangers, and it may be read on a terminal: what
//! would steer that one does not leave here.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use slimta_core::message::steers;

use crate::failure::Failure;

/// Work shorter than this shows no bar: it would only flicker.
const PROGRESS_AFTER: Duration = Duration::from_millis(500);
const REDRAWS_A_SECOND: u8 = 10;

/// Prints one line. Every line is flushed, so that whoever waits for it, such
/// as a script for `listening on`, sees it at once.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", harmless_lines(text.as_ref()))
        .and_then(|()| out.flush())
        .map_err(|error| Failure::of_output(&error))
}

/// Prints a text of this program's own, which ends with its last line.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::of_output(&error))
}

/// Prints many lines with few writes.
pub(crate) struct Lines(io::BufWriter<io::StdoutLock<'static>>);

impl Lines {
    /// Takes stdout for itself.
    pub(crate) fn new() -> Self {
        Lines(io::BufWriter::new(io::stdout().lock()))
    }

    /// Prints a line, perhaps later.
    pub(crate) fn put(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        writeln!(self.0, "{}", harmless_lines(text.as_ref()))
            .map_err(|error| Failure::of_output(&error))
    }

    /// Prints what is left.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| Failure::of_output(&error))
    }
}

/// Says on stderr what is wrong. That nobody may hear it changes nothing.
pub(crate) fn complain(program: &str, text: &str) {
    let _ = writeln!(io::stderr(), "{program}: {}", harmless(text));
}

/// A text of a stranger as a part of a line.
pub(crate) fn harmless(text: &str) -> String {
    let shown = |c| if steers(c) && c != '\t' { '?' } else { c };
    text.chars().map(shown).collect()
}

/// A text that has lines.
pub(crate) fn harmless_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(harmless).collect();
    lines.join("\n")
}

/// JSON that means the same: what JSON itself leaves as it is, DEL and all that
/// is beyond ASCII, stands in strings only, where it can be escaped.
pub(crate) fn harmless_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) && c != '\n' {
            // None of them is beyond the first 65,536.
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A bar on stderr that counts to `total`; hidden unless stderr is a terminal
/// and the work takes long enough to be waited for.
pub(crate) fn progress(total: u64, unit: Unit) -> ProgressBar {
    let bar = ProgressBar::hidden();
    if !io::stderr().is_terminal() {
        return bar;
    }
    bar.set_length(total);
    let template = match unit {
        Unit::Messages => "{bar:40} {human_pos}/{human_len} messages {msg} eta {eta}",
        Unit::Bytes => "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let shown = bar.downgrade();
    std::thread::spawn(move || {
        std::thread::sleep(PROGRESS_AFTER);
        if let Some(bar) = shown.upgrade().filter(|bar| !bar.is_finished()) {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS_A_SECOND));
        }
    });
    bar
}

/// What a bar counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Messages.
    Messages,
    /// Bytes.
    Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_steer_the_terminal() {
        let evil = "550 \u{1b}[2J\u{7}no\u{9b}\u{202e}\t\r\nx";
        assert_eq!(harmless(evil), "550 ?[2J?no??\t??x");
        assert_eq!(harmless_lines(evil), "550 ?[2J?no??\t?\nx");
    }

    #[test]
    fn json_means_the_same() {
        let text = "\u{1b}\u{7f}\u{9b}\u{202e}\u{2028}\r\n\"\\\u{e9}\u{1f600}";
        let json = harmless_json(&serde_json::to_string(text).unwrap());
        assert!(!json.contains(steers), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
