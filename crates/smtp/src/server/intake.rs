//! Where a message is put together while it is received, by DATA or BDAT: its
//! size, its line ends and the memory it takes are checked as it grows.
//!
//! A message with a fault is read to its end and not kept. Only text whose
//! lines all end with CR LF leaves here, so that no host behind this one can
//! see the end of a message where this one saw none (CVE-2023-51764). The body
//! of a message that was declared BINARYMIME is free of that: it may only go on
//! in chunks, which have their length, or encoded.

use bytes::Bytes;
use memchr::memchr3;
use slimta_core::message::Content;

use super::Settings;
use super::room::Share;

/// Longest line of a message, without its end. RFC 5321 section 4.5.3.1.6 asks
/// for 1000; mail with longer ones exists.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Largest header. Each of its fields is looked at again and again, here and at
/// every host behind this one; 1 MiB has room for some ten thousand of them.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// How much is set aside at once because a client announced it.
const FIRST_BYTES_MAX: u64 = 64 << 10;

/// Why a message is not taken. Of several the first in this order is told: what
/// is wrong for good before what is wrong for now, and whatever the order in
/// which they were met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fault {
    /// A carriage return or a line feed without the other.
    LineEnds,
    /// A NUL character.
    Nuls,
    /// A line over the limit.
    LongLine,
    /// A header over the limit.
    LargeHeader,
    /// More than the largest message.
    TooLarge,
    /// Too many messages are being received.
    NoRoom,
}

/// Up to where a message is held to be lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lines {
    /// All of it.
    All,
    /// Up to and with the first empty one (RFC 3030 section 3).
    ToBody,
    /// The body has begun, in which any octets may stand.
    Over,
}

/// A message that is being received.
#[derive(Debug)]
pub(super) struct Intake {
    /// A vector, because that one can be grown to an exact size.
    content: Vec<u8>,
    share: Share,
    /// Its size so far, kept or not.
    bytes: u64,
    bytes_max: u64,
    /// What the client said its size would be, within the limit.
    announced: Option<u64>,
    lines: Lines,
    /// The length of the line that is being read.
    line_bytes: usize,
    /// Whether the last byte was a carriage return whose line feed is due.
    after_cr: bool,
    fault: Option<Fault>,
}

impl Intake {
    /// A message of the size that MAIL announced, if it did.
    pub(super) fn new(settings: &Settings, announced: Option<u64>) -> Self {
        Intake {
            content: Vec::new(),
            share: settings.room.share(),
            bytes: 0,
            bytes_max: settings.message_bytes_max,
            announced,
            lines: Lines::All,
            line_bytes: 0,
            after_cr: false,
            fault: None,
        }
    }

    /// The same for a message whose body may hold any octets (BINARYMIME).
    ///
    /// Its header is what every host takes for one: it goes to the first empty
    /// line, also if the fields end before that.
    pub(super) fn binary(settings: &Settings, announced: Option<u64>) -> Self {
        Intake {
            lines: Lines::ToBody,
            ..Intake::new(settings, announced)
        }
    }

    /// Notes a fault, and lets go of what was kept: it will not be needed.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.fault = Some(self.fault.map_or(fault, |known| known.min(fault)));
        self.content = Vec::new();
        self.share.clear();
    }

    /// Notes that so many bytes more will come.
    pub(super) fn announce(&mut self, bytes: u64) {
        if self.bytes.saturating_add(bytes) > self.bytes_max {
            self.fault(Fault::TooLarge);
        }
    }

    /// Checks the rest of a line, and says where behind its CR LF the next one
    /// begins; none if all of `bytes` is of this line.
    pub(super) fn line(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.lines == Lines::Over {
            return None;
        }
        let mut rest = bytes;
        loop {
            if self.after_cr {
                let (first, behind) = rest.split_first()?;
                self.after_cr = false;
                if *first == b'\n' {
                    if self.lines == Lines::ToBody && self.line_bytes == 0 {
                        self.lines = Lines::Over;
                    }
                    self.line_bytes = 0;
                    return Some(bytes.len() - behind.len());
                }
                self.fault(Fault::LineEnds);
            }
            let at = memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
            let (plain, special) = rest.split_at(at);
            self.lengthen(plain.len());
            let (special, behind) = special.split_first()?;
            match special {
                b'\r' => self.after_cr = true,
                b'\n' => self.fault(Fault::LineEnds),
                _ => self.fault(Fault::Nuls),
            }
            rest = behind;
        }
    }

    fn lengthen(&mut self, bytes: usize) {
        self.line_bytes = self.line_bytes.saturating_add(bytes);
        if self.line_bytes > LINE_BYTES_MAX {
            self.fault(Fault::LongLine);
        }
    }

    /// Adds bytes that were checked, unless there is a fault.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.bytes_max {
            self.fault(Fault::TooLarge);
        }
        if self.fault.is_some() {
            return;
        }
        let Some(capacity) = self.capacity() else {
            self.content.extend_from_slice(bytes);
            return;
        };
        if !self.share.grow_to(capacity as u64) {
            self.fault(Fault::NoRoom);
            return;
        }
        self.content
            .reserve_exact(capacity.saturating_sub(self.content.len()));
        self.content.extend_from_slice(bytes);
    }

    /// How large the memory has to become for `self.bytes`; none if it fits.
    ///
    /// It doubles, so that a byte is moved only once or twice, but not beyond
    /// what was announced. An announcement itself costs little.
    fn capacity(&self) -> Option<usize> {
        let now = self.content.capacity() as u64;
        if self.bytes <= now {
            return None;
        }
        let announced = self.announced.unwrap_or(0);
        let wanted = match now {
            0 => announced.min(FIRST_BYTES_MAX),
            _ if self.bytes <= announced => announced.min(now.saturating_mul(2)),
            _ => now.saturating_mul(2),
        };
        usize::try_from(wanted.max(self.bytes)).ok()
    }

    /// The message, with the room that it takes until it is handed on, or why
    /// it is not taken.
    pub(super) fn finish(mut self) -> Result<(Content, Share), Fault> {
        if self.after_cr {
            self.fault(Fault::LineEnds);
        }
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let content = Content::new(Bytes::from(self.content));
        if content.header_bytes().len() > HEADER_BYTES_MAX {
            return Err(Fault::LargeHeader);
        }
        Ok((content, self.share))
    }

    /// The fault so far.
    pub(super) fn has_fault(&self) -> Option<Fault> {
        self.fault
    }
}
