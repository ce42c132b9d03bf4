//! What a person or a script reads: stdout, and the progress bar of long work.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;

/// Work shorter than this shows no bar: it would only flicker.
const PROGRESS_AFTER: Duration = Duration::from_millis(500);
const REDRAWS_A_SECOND: u8 = 10;

/// Prints one line. Every line is flushed, so that whoever waits for it, such
/// as a script for `listening on`, sees it at once.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.as_ref())
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
        writeln!(self.0, "{}", text.as_ref()).map_err(|error| Failure::of_output(&error))
    }

    /// Prints what is left.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| Failure::of_output(&error))
    }
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
