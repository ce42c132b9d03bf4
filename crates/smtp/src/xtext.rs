//! xtext: how a parameter of MAIL or RCPT carries what may not stand in a
//! command line (RFC 3461 section 4), with the form that RFC 6533 section 3
//! gives to characters beyond ASCII. Both ends use it.
//!
//! What is decoded never holds a control character: it goes into notices, logs
//! and the commands of the next hop, where one could end a line early.

use std::fmt::Write as _;

/// Reads an xtext: `+HH` is an octet, `\x{HEX}` a character.
///
/// None if the syntax is broken, or if the result is not UTF-8 or holds a
/// control character. Characters beyond ASCII may stand for themselves, as
/// RFC 6533 allows where SMTPUTF8 is in use.
pub fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        match c {
            '+' => {
                let digits = rest.get(..2).filter(|digits| is_hex(digits))?;
                octets.push(u8::from_str_radix(digits, 16).ok()?);
                rest = rest.get(2..)?;
            }
            '\\' => match embedded(rest) {
                Some((c, behind)) => {
                    octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = behind;
                }
                // In a plain xtext a backslash is a character like others.
                None => octets.push(b'\\'),
            },
            '=' | ' ' => return None,
            c => octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    let decoded = String::from_utf8(octets).ok()?;
    let is_clean = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    decoded.chars().all(is_clean).then_some(decoded)
}

/// Reads an xtext of RFC 3461 alone, in which a backslash is a character like others.
///
/// None if the syntax is broken, or if the result is not printable ASCII, as that
/// has to be of which it is made (RFC 3461 sections 4.2 and 4.4). Nor may it hold a
/// control character for those who read it in the other way.
pub fn decode_ascii(text: &str) -> Option<String> {
    decode(text)?;
    // So that no backslash begins anything else.
    let decoded = decode(&text.replace('\\', "+5C"))?;
    decoded.is_ascii().then_some(decoded)
}

/// Writes a text as xtext, in ASCII. [`decode`] gives it back.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a String does not fail.
        let _ = match c {
            // Encoded, so that no text looks as if it had a `\x{...}` in it.
            '+' | '=' | '\\' => write!(encoded, "+{:02X}", u32::from(c)),
            '!'..='~' => {
                encoded.push(c);
                Ok(())
            }
            c if c.is_ascii() => write!(encoded, "+{:02X}", u32::from(c)),
            c => write!(encoded, "\\x{{{:X}}}", u32::from(c)),
        };
    }
    encoded
}

/// Writes an address of the type `utf-8` in ASCII (`utf-8-addr-xtext` of RFC 6533
/// section 3), which has no `+HH`. [`decode`] gives it back.
pub fn encode_utf8(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '!'..='~' if !matches!(c, '+' | '=' | '\\') => encoded.push(c),
            c => {
                // Writing to a String does not fail.
                let _ = write!(encoded, "\\x{{{:02X}}}", u32::from(c));
            }
        }
    }
    encoded
}

/// The character of `x{HEX}` at the front of a text, and what is behind it.
///
/// Printable ASCII has no such form but for the characters that xtext itself
/// needs (the HEXPOINT of RFC 6533), so that a plain xtext which has a
/// backslash in it is hardly ever misread.
fn embedded(text: &str) -> Option<(char, &str)> {
    let (digits, behind) = text.strip_prefix("x{")?.split_once('}')?;
    let has_length = (2..=6).contains(&digits.len());
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| {
        // The parser of numbers takes a sign, too.
        has_length && is_hex(digits)
    })?;
    let c = char::from_u32(number)?;
    let is_meant = !('!'..='~').contains(&c) || matches!(c, '+' | '=' | '\\');
    is_meant.then_some((c, behind))
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_decoded() {
        for (text, decoded) in [
            ("", ""),
            ("bob@example.org", "bob@example.org"),
            ("a+2Bb+3Dc+20d", "a+b=c d"),
            ("a+2bb", "a+b"),
            ("gr+C3+A5", "gr\u{e5}"),
            ("gr\\x{E5}@example.org", "gr\u{e5}@example.org"),
            ("\\x{1F600}", "\u{1f600}"),
            ("\\x{2B}\\x{5C}", "+\\"),
            ("gr\u{e5}", "gr\u{e5}"),
            ("a\\b\\x\\x{", "a\\b\\x\\x{"),
            ("\\x{41}", "\\x{41}"),
            ("+5Cx{E5}", "\\x{E5}"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(decoded), "{text:?}");
        }
    }

    #[test]
    fn a_plain_xtext_is_ascii_and_has_no_characters_by_number() {
        assert_eq!(
            decode_ascii("a\\x{E5}+2B+20"),
            Some("a\\x{E5}+ ".to_owned())
        );
        assert_eq!(decode_ascii(""), Some(String::new()));
        for text in ["gr+C3+A5", "gr\u{e5}", "+0A", "\\x{0A}", "+7F", "a=b", "a+"] {
            assert_eq!(decode_ascii(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_could_end_a_line_or_is_broken_is_refused() {
        for text in [
            "a+",
            "a+2",
            "a+2G",
            "a++2",
            "+-1",
            "a=b",
            "a b",
            "+0D+0A",
            "+00",
            "+7F",
            "\\x{0A}",
            "\\x{85}",
            "\\x{2028}",
            "a\r\nb",
            "a\tb",
            "+FF",
            "+C3",
            "a+\u{e5}",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn texts_are_encoded_in_ascii() {
        assert_eq!(
            encode("a+b=c d\\\u{e5}\u{7f}"),
            "a+2Bb+3Dc+20d+5C\\x{E5}+7F"
        );
        assert_eq!(
            encode_utf8("a+b=c d\\\u{e5}@x"),
            "a\\x{2B}b\\x{3D}c\\x{20}d\\x{5C}\\x{E5}@x"
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_alike(text in "[ -~\u{a0}-\u{ff}\u{4e00}\u{1f600}]{0,40}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|b| (33..=126).contains(&b)));
            prop_assert_eq!(decode(&encoded), Some(text.clone()));
            let encoded = encode_utf8(&text);
            prop_assert!(encoded.bytes().all(|b| (33..=126).contains(&b) && b != b'+'));
            prop_assert_eq!(decode(&encoded), Some(text));
        }

        #[test]
        fn no_text_makes_it_panic_or_gives_a_control_character(text in any::<String>()) {
            for text in [encode(&text), text] {
                if let Some(decoded) = decode(&text) {
                    prop_assert!(!decoded.contains(char::is_control));
                }
            }
        }
    }
}
