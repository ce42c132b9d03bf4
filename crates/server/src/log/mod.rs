//! The log: one line an event on stderr, for people or as JSON.

mod fields;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{LogFormat, LogLevel};
use crate::output::harmless_json;

/// What decides which lines of this process are written.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Begins to write the log. Only the first call of a process counts.
pub(crate) fn begin(format: LogFormat, level: LogLevel) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let registry = tracing_subscriber::registry().with(filter);
    let begun = match format {
        LogFormat::Human => {
            let lines = fmt::layer()
                .fmt_fields(fields::Fields)
                .with_ansi(io::stderr().is_terminal())
                .with_writer(io::stderr);
            registry.with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_writer(|| Json(io::stderr()));
            registry.with(lines).try_init()
        }
    };
    // An error means that somebody else in this process writes one already.
    if begun.is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// Changes what is worth a line of the log that was begun.
pub(crate) fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the log is gone.
        let _ = handle.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
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
