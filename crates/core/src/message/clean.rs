//! Text of strangers, made fit for a line of a notice, and which characters are
//! fit for no line at all.

use std::fmt::Write as _;

/// A word longer than this gets a blank, so that its line can be folded.
const WORD_BYTES_MAX: usize = 200;
/// Most blanks between two words, so that no line is all blanks.
const BLANKS_MAX: usize = 8;

/// Which characters a text may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Charset {
    /// ASCII; others are written `\x{E9}`, as RFC 6533 section 3 does.
    Ascii,
    /// All of Unicode but what steers.
    Utf8,
}

/// Whether a character ends a line, steers a terminal, or turns the direction
/// in which its neighbours are read: no text of a stranger may be shown with it.
pub fn steers(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    // The separators are line ends to some readers of UTF-8.
    turns || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A text without control characters: nothing in it can end its line, and so
/// forge a header field, a MIME part or a line of a log. Words are parted so
/// that it can be folded; what is longer than `bytes_max` ends with `...`.
pub(super) fn clean(text: &str, charset: Charset, bytes_max: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(bytes_max));
    let (mut word_bytes, mut blanks) = (0, 0);
    for c in text.trim().chars() {
        if cleaned.len() >= bytes_max {
            cleaned.push_str("...");
            break;
        }
        if c == ' ' || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            if blanks < BLANKS_MAX {
                cleaned.push(' ');
            }
            (word_bytes, blanks) = (0, blanks + 1);
            continue;
        }
        if word_bytes >= WORD_BYTES_MAX {
            cleaned.push(' ');
            word_bytes = 0;
        }
        let before = cleaned.len();
        if c.is_ascii() || (charset == Charset::Utf8 && !steers(c)) {
            cleaned.push(c);
        } else {
            // Writing to a String does not fail.
            let _ = write!(cleaned, "\\x{{{:X}}}", u32::from(c));
        }
        (word_bytes, blanks) = (word_bytes + cleaned.len() - before, 0);
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_line() {
        let evil = "550 x\r\nBcc: y\0\u{85}\u{2028}z\u{7f}";
        assert_eq!(clean(evil, Charset::Utf8, 99), "550 x  Bcc: y   z");
    }

    #[test]
    fn text_beyond_ascii_is_escaped_where_it_may_not_be() {
        assert_eq!(clean("é", Charset::Ascii, 99), "\\x{E9}");
        assert_eq!(clean("é", Charset::Utf8, 99), "é");
        let turned = clean("a\u{202e}b", Charset::Utf8, 99);
        assert_eq!(turned, "a\\x{202E}b");
    }

    #[test]
    fn endless_words_and_texts_are_parted() {
        let wide = format!("a{}b", " ".repeat(99));
        assert_eq!(clean(&wide, Charset::Ascii, 999).len(), 10);
        let cleaned = clean(&"a".repeat(5000), Charset::Ascii, 1000);
        assert!(
            cleaned.len() <= 1010 && cleaned.ends_with("..."),
            "{}",
            cleaned.len()
        );
        assert!(
            cleaned
                .split(' ')
                .all(|word| word.len() <= WORD_BYTES_MAX + 10)
        );
    }
}
