//! A person's name as it stands before an address (RFC 5322 section 3.2.5): as it
//! is, quoted, or encoded (RFC 2047), so that the field stays ASCII.

use std::fmt::Write as _;

/// What an encoded word can hold: RFC 2047 section 2 allows 75 characters with
/// what stands around them.
const ENCODED_BYTES_MAX: usize = 60;

/// The name, for a field. It must hold no control characters.
pub(super) fn phrase(name: &str) -> String {
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~ ".contains(&b);
    if !name.is_ascii() {
        return encoded(name);
    }
    // What looks like an encoded word would be decoded where it stands bare.
    if name.bytes().all(is_atext) && !name.contains("=?") {
        return name.to_owned();
    }
    quoted(name)
}

/// A text as one word of a field or an address, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// Encoded words with blanks between them, which readers drop.
fn encoded(name: &str) -> String {
    let mut words = vec![String::new()];
    for c in name.chars() {
        let mut letter = String::new();
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a String does not fail.
            let _ = match byte {
                b' ' => write!(letter, "_"),
                b if b.is_ascii_alphanumeric() => write!(letter, "{}", char::from(b)),
                b => write!(letter, "={b:02X}"),
            };
        }
        match words.last_mut() {
            Some(word) if word.len() + letter.len() <= ENCODED_BYTES_MAX => *word += &letter,
            // A character is never parted.
            _ => words.push(letter),
        }
    }
    let words = words.iter().map(|word| format!("=?UTF-8?Q?{word}?="));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_so_that_they_are_read_alike() {
        for (name, expected) in [
            ("Cron Daemon", "Cron Daemon"),
            ("root", "root"),
            ("John Q. Public", "\"John Q. Public\""),
            ("a \"b\" \\c", "\"a \\\"b\\\" \\\\c\""),
            ("x <a@b>", "\"x <a@b>\""),
            ("=?x?=", "\"=?x?=\""),
            ("J\u{f6}rg B.", "=?UTF-8?Q?J=C3=B6rg_B=2E?="),
        ] {
            assert_eq!(phrase(name), expected);
        }
        let long = phrase(&"\u{1f600}".repeat(20));
        assert_eq!(long.split(' ').count(), 4);
        assert!(long.split(' ').all(|word| word.len() <= 75));
        assert!(long.is_ascii());
    }
}
