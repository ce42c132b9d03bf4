//! The log: one line an event on stderr, for people or as JSON.

mod fields;

use std::io::{self, IsTerminal, Write};

use tracing::level_filters::LevelFilter;

use crate::config::{LogFormat, LogLevel};
use crate::output::harmless_json;

/// Begins to write the log. Only the first call of a process counts.
pub(crate) fn begin(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt().with_max_level(level);
    // An error means that somebody else in this process writes one already.
    let _ = match format {
        LogFormat::Human => lines
            .fmt_fields(fields::Fields)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            .try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_writer(|| Json(io::stderr()))
            .try_init(),
    };
}

/// Where lines of JSON go. Each comes in one piece.
struct Json(io::Stderr);

impl Write for Json {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = harmless_json(&String::from_utf8_lossy(line));
        self.0.write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
