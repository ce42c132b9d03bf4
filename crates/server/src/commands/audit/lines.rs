//! Reads the log: lines of JSON in, events out.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use serde::Deserialize;
use slimta_core::message::MessageId;
use slimta_oracle::Window;
use slimta_oracle::audit::{Audit, Event, Millis};

use super::number;
use crate::failure::Failure;

/// How every line begins.
const BEGIN: &[u8] = b"{\"timestamp\":";

/// The files of a log, in the order in which they were written.
pub(super) struct Log {
    files: Vec<LogFile>,
    /// The storage that is audited, by its name.
    storage: String,
    /// Lines that were read.
    pub(super) lines: u64,
    /// Lines that are not JSON.
    pub(super) unreadable: u64,
    /// Lines that tell of messages, or of the server's beginning and end.
    pub(super) events: u64,
}

struct LogFile {
    name: String,
    reading: Box<dyn BufRead + Send>,
    /// A line whose end is not written yet.
    begun: Vec<u8>,
}

impl Log {
    /// Opens all its files. What they say of other storages than this one is
    /// passed over.
    pub(super) fn open(names: &[String], storage: String) -> Result<Self, Failure> {
        let files: Result<_, _> = names.iter().map(|name| LogFile::open(name)).collect();
        Ok(Log {
            files: files?,
            storage,
            lines: 0,
            unreadable: 0,
            events: 0,
        })
    }

    /// Reads what has been written since the last time.
    pub(super) fn read(&mut self, audit: &mut Audit) -> Result<(), Failure> {
        for at in 0..self.files.len() {
            while let Some(line) = self
                .files
                .get_mut(at)
                .map(LogFile::line)
                .transpose()?
                .flatten()
            {
                self.take(&line, audit);
            }
        }
        Ok(())
    }

    /// Takes last lines that have no end, too.
    pub(super) fn end(&mut self, audit: &mut Audit) -> Result<(), Failure> {
        let begun = self.files.iter_mut();
        let begun: Vec<_> = begun.map(|file| std::mem::take(&mut file.begun)).collect();
        for line in begun.iter().filter(|line| !line.is_empty()) {
            self.take(line, audit);
        }
        match self.events {
            0 => Err(Failure::Failed(
                "there is no event in the log: was it written with --log-format json?".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn take(&mut self, line: &[u8], audit: &mut Audit) {
        self.lines += 1;
        match understand(line, &self.storage) {
            Ok(Some((at, event))) => {
                self.events += 1;
                audit.tell(at, &event);
            }
            Ok(None) => {}
            Err(_) => self.unreadable += 1,
        }
    }
}

impl LogFile {
    fn open(name: &str) -> Result<Self, Failure> {
        let reading: Box<dyn BufRead + Send> = match name {
            "-" => Box::new(BufReader::new(io::stdin())),
            path => Box::new(BufReader::new(File::open(path).map_err(|error| {
                Failure::Usage(format!("the log {path} cannot be opened: {error}"))
            })?)),
        };
        Ok(LogFile {
            name: name.to_owned(),
            reading,
            begun: Vec::new(),
        })
    }

    /// The next line whose end is there.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let read = self.reading.read_until(b'\n', &mut self.begun);
        read.map_err(|error| {
            Failure::Failed(format!("the log {} cannot be read: {error}", self.name))
        })?;
        let is_whole = self.begun.ends_with(b"\n");
        Ok(is_whole.then(|| std::mem::take(&mut self.begun)))
    }
}

/// The parts of a line that matter here.
#[derive(Deserialize)]
struct Line {
    timestamp: String,
    message: String,
    id: Option<String>,
    notice: Option<String>,
    recipient: Option<String>,
    /// Many recipients.
    to: Option<String>,
    /// From where a message was moved, or to where.
    storage: Option<String>,
}

/// What a line says; nothing if it is about something else. A line that was
/// cut when the server died may have the next one behind it.
fn understand(line: &[u8], storage: &str) -> serde_json::Result<Option<(Millis, Event)>> {
    let parsed = serde_json::from_slice(line).or_else(|error| {
        match memchr::memmem::rfind(line, BEGIN).and_then(|at| line.get(at..)) {
            Some(whole) => serde_json::from_slice(whole),
            None => Err(error),
        }
    });
    // Any other object is a line of JSON, too.
    let line: Line = match parsed {
        Err(error) if error.is_data() => return Ok(None),
        parsed => parsed?,
    };
    let at = line.timestamp.parse::<jiff::Timestamp>().ok();
    let at = at.and_then(|at| Millis::try_from(at.as_millisecond()).ok());
    Ok(at.zip(line.event(storage)))
}

/// The addresses in a list of them: what stands between spaces that are not in
/// quotes.
fn names(list: &str) -> Vec<String> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let ends = |c: char| {
        let ends = c == ' ' && !is_quoted;
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && is_quoted && !is_escaped;
        ends
    };
    let names = list.split(ends).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

impl Line {
    fn event(self, storage: &str) -> Option<Event> {
        let parse = |text: &Option<String>| text.as_deref()?.parse::<MessageId>().ok();
        let id = parse(&self.id).map(number);
        let is_here = self.storage.as_deref() == Some(storage);
        Some(match (self.message.as_str(), id) {
            ("started", _) => Event::Started,
            ("stopped", _) => Event::Stopped,
            // What was under way then may have been stored without a line.
            (
                "some messages could not be handed back; their leases run out"
                | "an operator's request was cut; what it did may have no line"
                | "the storage failed to write and refuses all further writes",
                _,
            ) => Event::Cut,
            ("received", Some(id)) => Event::Received(id, names(self.to.as_deref()?)),
            ("delivered", Some(id)) => Event::Delivered(id, self.recipient?),
            ("bounced", Some(id)) => {
                Event::Bounced(id, self.recipient?, parse(&self.notice).map(number))
            }
            ("double bounce: nobody is told", Some(id)) => {
                Event::Bounced(id, self.recipient?, None)
            }
            ("deleted by operator", Some(id)) => Event::Removed(id),
            ("moved to another storage", Some(id)) if is_here => Event::Removed(id),
            ("moved from another storage" | "imported", Some(id)) if is_here => {
                Event::Received(id, names(self.to.as_deref()?))
            }
            ("moved to another storage" | "moved from another storage" | "imported", _) => {
                return None;
            }
            ("a message cannot be read and is put into quarantine", Some(id)) => {
                Event::Quarantined(id)
            }
            ("lease lost", Some(id)) => {
                Event::Unrecorded(id, names(self.to.as_deref()?), Window::LeaseLost)
            }
            ("result could not be recorded", Some(id)) => {
                Event::Unrecorded(id, names(self.to.as_deref()?), Window::Crash)
            }
            (_, Some(id)) => Event::Seen(id, self.recipient),
            (_, None) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "018f3c5e-7a3b-7c11-9d2e-5b8a4f6c1d20";

    fn line(message: &str, more: &str) -> String {
        format!(
            r#"{{"timestamp":"1970-01-01T00:00:01.234567Z","level":"INFO","message":"{message}","id":"{ID}"{more},"target":"x"}}"#
        )
    }

    fn event(line: &str) -> Option<Event> {
        understand(line.as_bytes(), "embedded:/here")
            .unwrap()
            .map(|(_, event)| event)
    }

    #[test]
    fn lines_become_events() {
        let id = number(ID.parse().unwrap());
        let notice = format!(r#","notice":"{ID}""#);
        let to = r#","recipient":"a@x""#;
        let bounced = |notice| Event::Bounced(id, "a@x".to_owned(), notice);
        for (line, expected) in [
            (line("started", ""), Event::Started),
            (
                line("received", r#","recipients":2,"to":"a@x \"b c\"@y""#),
                Event::Received(id, vec!["a@x".to_owned(), "\"b c\"@y".to_owned()]),
            ),
            (line("bounced", &format!("{to}{notice}")), bounced(Some(id))),
            (
                line("bounced", &format!(r#"{to},"notice":null"#)),
                bounced(None),
            ),
            (line("double bounce: nobody is told", to), bounced(None)),
            (
                line("delivered", to),
                Event::Delivered(id, "a@x".to_owned()),
            ),
            (line("deleted by operator", ""), Event::Removed(id)),
            (
                line("moved to another storage", r#","storage":"embedded:/here""#),
                Event::Removed(id),
            ),
            (
                line("imported", r#","to":"a@x","storage":"embedded:/here""#),
                Event::Received(id, vec!["a@x".to_owned()]),
            ),
            (
                line("lease lost", r#","possible_duplicates":1,"to":"a@x""#),
                Event::Unrecorded(id, vec!["a@x".to_owned()], Window::LeaseLost),
            ),
            (
                line("deferred", to),
                Event::Seen(id, Some("a@x".to_owned())),
            ),
            (line("handed back", ""), Event::Seen(id, None)),
        ] {
            assert_eq!(event(&line), Some(expected), "{line}");
        }
        let at = understand(line("started", "").as_bytes(), "")
            .unwrap()
            .unwrap()
            .0;
        assert_eq!(at, 1_234);
        assert_eq!(event(r#"{"an": "object"}"#), None);
        assert!(understand(b"INFO slimta: received", "").is_err());
    }

    #[test]
    fn lists_are_split_where_no_quote_is_open() {
        for expected in [
            &[][..],
            &["a@x"],
            &["a@x", "a@x", "postmaster"],
            &[r#""a b"@x"#, "c@y"],
            &[r#""a\" \\"@x"#, r#"" "@[IPv6:::1]"#, "d@z"],
        ] {
            assert_eq!(names(&expected.join(" ")), expected);
        }
    }

    #[test]
    fn a_cut_line_does_not_hide_the_next() {
        let cut = &line("delivered", "")[..60];
        let torn = format!("{cut}\0\0{}", line("started", ""));
        assert_eq!(event(&torn), Some(Event::Started));
        assert!(understand(cut.as_bytes(), "").is_err());
    }
}
