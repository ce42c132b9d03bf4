//! Reads what follows BDAT: so many octets as it says, whatever they are, and
//! no dot means anything (RFC 3030 section 2).

use bytes::{Buf, BytesMut};

use super::intake::Intake;
use super::replies::{self, Reply};

/// What a BDAT command says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk {
    /// How many octets are still to come.
    pub(super) left: u64,
    /// Whether it is the last one of the message.
    pub(super) is_last: bool,
    /// Why it is not taken. Its octets are read nevertheless, or they would be
    /// taken for commands.
    pub(super) unwanted: Option<Unwanted>,
}

/// Why a chunk is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unwanted {
    /// The client is told behind its octets.
    Say(Reply),
    /// It has been told.
    Told,
}

impl Chunk {
    /// Reads the argument of BDAT; none if the size cannot be read, and so
    /// nobody can say where the next command begins.
    pub(super) fn parse(argument: &[u8]) -> Option<Self> {
        let argument = str::from_utf8(argument).ok()?;
        let mut words = argument.split(' ').filter(|word| !word.is_empty());
        let size = words.next()?;
        if !size.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let left = size.parse().ok()?;
        let (is_last, unwanted) = match (words.next(), words.next()) {
            (None, _) => (false, None),
            (Some(word), None) if word.eq_ignore_ascii_case("LAST") => (true, None),
            _ => (false, Some(Unwanted::Say(replies::BAD_ARGUMENT))),
        };
        Some(Chunk {
            left,
            is_last,
            unwanted,
        })
    }

    /// Reads on, and says whether the chunk has come to its end. What follows
    /// it is left in the input.
    pub(super) fn read(&mut self, input: &mut BytesMut, intake: Option<&mut Intake>) -> bool {
        let here = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        let octets = input.get(..here).unwrap_or_default();
        if let (None, Some(intake)) = (self.unwanted, intake) {
            let mut rest = octets;
            while let Some(next) = intake.line(rest) {
                rest = rest.get(next..).unwrap_or_default();
            }
            intake.keep(octets);
        }
        input.advance(here);
        self.left -= here as u64;
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_or_the_command_is_not_understood() {
        let chunk = |argument: &str| {
            Chunk::parse(argument.as_bytes()).map(|c| (c.left, c.is_last, c.unwanted.is_some()))
        };
        assert_eq!(chunk("0"), Some((0, false, false)));
        assert_eq!(chunk("1000 last"), Some((1000, true, false)));
        assert_eq!(
            chunk("18446744073709551615  LAST"),
            Some((u64::MAX, true, false))
        );
        assert_eq!(chunk("10 FIRST"), Some((10, false, true)));
        assert_eq!(chunk("10 LAST LAST"), Some((10, false, true)));
        for argument in [
            "",
            "LAST",
            "x",
            "-1",
            "+1",
            "1x",
            "0x10",
            "18446744073709551616",
        ] {
            assert_eq!(chunk(argument), None, "{argument}");
        }
    }
}
