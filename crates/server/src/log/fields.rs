//! How the log for people shows what an event carries: `name=value`, and the
//! value in quotes unless it is one plain word.
//!
//! Values are said by strangers. In quotes they can neither end the line, nor
//! look like another field, nor steer the terminal that the log is read on.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::output::harmless;

/// Writes fields so.
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            is_begun: false,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

/// The fields of an event, one behind the other.
struct Line<'writer> {
    writer: Writer<'writer>,
    is_begun: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, field: &Field, value: &str) -> fmt::Result {
        if std::mem::replace(&mut self.is_begun, true) {
            self.writer.write_char(' ')?;
        }
        // What happened is said by this program or its libraries, in words.
        let is_message = field.name() == "message";
        if !is_message && self.writer.has_ansi_escapes() {
            write!(self.writer, "\u{1b}[3m{field}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?;
        } else if !is_message {
            write!(self.writer, "{field}=")?;
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
        let is_word = !value.is_empty() && value.chars().all(is_plain);
        match (is_message, is_word) {
            (true, _) => self.writer.write_str(&harmless(value)),
            (false, true) => self.writer.write_str(value),
            (false, false) => write!(self.writer, "{value:?}"),
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.put(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
