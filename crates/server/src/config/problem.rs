//! What is wrong, or only risky, in what somebody configured, and where it
//! stands.

use crate::failure::Failure;

/// One thing that is wrong with the options.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    /// The option, as the file writes it: `destination."example.org".retry`.
    /// Empty for the file as a whole.
    pub(super) key: String,
    /// What is wrong, and what would be right.
    pub(super) why: String,
    /// Where it stands, in bytes from the beginning of the file; none if that
    /// has to be found by the key.
    pub(super) at: Option<usize>,
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let (key, why) = match failure {
            Failure::Setting { key, why } => (key, why),
            other => (String::new(), other.to_string()),
        };
        Problem { key, why, at: None }
    }
}

/// Line and column of a place in `text`, both from 1; columns are characters.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[begin..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_as_editors_do() {
        let text = "a = 1\nä = 2\n\nb";
        for (at, place) in [
            (0, (1, 1)),
            (4, (1, 5)),
            (6, (2, 1)),
            (8, (2, 2)),
            (14, (4, 1)),
        ] {
            assert_eq!(line_and_column(text, at), place, "{at}");
        }
        assert_eq!(line_and_column("", 0), (1, 1));
    }
}
