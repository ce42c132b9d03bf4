//! Reads what follows DATA: takes away the dots that were put before lines
//! (RFC 5321 section 4.5.2) and finds the end, which is CR LF . CR LF and
//! nothing else (section 2.3.8).

use bytes::{Buf, BytesMut};

use super::intake::{Fault, Intake};

/// The data of one message.
#[derive(Debug)]
pub(super) struct Data {
    intake: Intake,
    place: Place,
}

/// Where in a line the reader is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At its first byte.
    Start,
    /// Behind a dot at its front, which is never part of the message.
    Dot,
    /// Behind a dot and a carriage return: a line feed ends the data.
    DotCr,
    /// Behind its first byte.
    Within,
}

impl Data {
    pub(super) fn new(intake: Intake) -> Self {
        let place = Place::Start;
        Data { intake, place }
    }

    /// Reads on, and says whether the data has come to its end. What follows
    /// the end is left in the input.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> bool {
        let (used, has_ended) = self.scan(input);
        input.advance(used);
        has_ended
    }

    pub(super) fn into_intake(self) -> Intake {
        self.intake
    }

    /// How many of `bytes` belong to the data, and whether it ends with them.
    ///
    /// Whole runs of lines are kept at once; a run ends only where a dot is
    /// taken out.
    fn scan(&mut self, bytes: &[u8]) -> (usize, bool) {
        let (mut run, mut rest) = (bytes, bytes);
        while let Some((first, behind)) = rest.split_first() {
            match (self.place, first) {
                (Place::Start, b'.') => {
                    self.keep(run, rest);
                    (run, rest) = (behind, behind);
                    self.place = Place::Dot;
                }
                (Place::Dot, b'\r') => {
                    (run, rest) = (behind, behind);
                    self.place = Place::DotCr;
                }
                (Place::DotCr, b'\n') => return (bytes.len() - behind.len(), true),
                (Place::DotCr, _) => {
                    // The carriage return was a bare one.
                    self.intake.fault(Fault::LineEnds);
                    self.place = Place::Within;
                }
                (Place::Start | Place::Dot | Place::Within, _) => {
                    let next = self.intake.line(rest);
                    rest = next.map_or(&[], |next| rest.get(next..).unwrap_or_default());
                    self.place = next.map_or(Place::Within, |_| Place::Start);
                }
            }
        }
        self.keep(run, &[]);
        (bytes.len(), false)
    }

    /// Keeps a run up to where `rest` begins.
    fn keep(&mut self, run: &[u8], rest: &[u8]) {
        let len = run.len().saturating_sub(rest.len());
        self.intake.keep(run.get(..len).unwrap_or_default());
    }
}
