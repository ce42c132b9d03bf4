//! Whose mail it is: the addresses in a From field (RFC 5322 section 3.6.2).

use std::str::Chars;

use crate::message::Address;

/// The angle brackets of the address that is being read.
#[derive(PartialEq)]
enum Brackets {
    None,
    Open,
    Closed,
}

/// The addresses of an unfolded From field, without the names beside them. None
/// if it has none, or holds something else: then nobody can say whose it is.
pub(super) fn authors(value: &str) -> Option<Vec<Address>> {
    let mut authors = Vec::new();
    let (mut text, mut brackets) = (String::new(), Brackets::None);
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '(' => skip_comment(&mut chars)?,
            '"' => read_quoted(&mut chars, &mut text)?,
            c if c.is_ascii_whitespace() => {}
            // Before it stood the name of a person.
            '<' => {
                text.clear();
                brackets = Brackets::Open;
            }
            '>' if brackets == Brackets::Open => {
                read_address(&mut text, &mut authors)?;
                brackets = Brackets::Closed;
            }
            // Before it stood the name of a group, or a route.
            ':' => text.clear(),
            ',' | ';' if brackets != Brackets::Open => {
                read_address(&mut text, &mut authors)?;
                brackets = Brackets::None;
            }
            _ if brackets == Brackets::Closed => return None,
            c => text.push(c),
        }
    }
    read_address(&mut text, &mut authors)?;
    let is_whole = brackets != Brackets::Open;
    (is_whole && !authors.is_empty()).then_some(authors)
}

/// Takes what was read for an address, if anything was.
fn read_address(text: &mut String, authors: &mut Vec<Address>) -> Option<()> {
    if !text.is_empty() {
        authors.push(text.parse().ok()?);
        text.clear();
    }
    Some(())
}

/// Reads on behind a comment, which may hold others.
fn skip_comment(chars: &mut Chars<'_>) -> Option<()> {
    let mut depth = 1;
    while depth > 0 {
        match chars.next()? {
            '\\' => {
                chars.next()?;
            }
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
    }
    Some(())
}

/// Reads on behind a quoted string, and keeps it: it may be a local-part.
fn read_quoted(chars: &mut Chars<'_>, text: &mut String) -> Option<()> {
    text.push('"');
    loop {
        let c = chars.next()?;
        text.push(c);
        match c {
            '"' => return Some(()),
            '\\' => text.push(chars.next()?),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Vec<String>> {
        let authors = authors(value)?;
        Some(authors.iter().map(|a| a.to_string()).collect())
    }

    #[test]
    fn addresses_are_found_among_names_comments_and_groups() {
        for (value, addresses) in [
            ("a@b.example", &["a@b.example"][..]),
            ("A Name <a@b.example>", &["a@b.example"]),
            ("\"Doe, J. <x@y.example>\" <a@b.example>", &["a@b.example"]),
            ("\"odd \\\" name\" <a@b.example> (note)", &["a@b.example"]),
            ("a@b.example (A (nested) \\) Name)", &["a@b.example"]),
            ("(c) <a @ b.example>", &["a@b.example"]),
            ("\"a@x\"@b.example", &["\"a@x\"@b.example"]),
            ("<@relay.example,@r2.example:a@b.example>", &["a@b.example"]),
            (
                "a@b.example, C <c@d.example>",
                &["a@b.example", "c@d.example"],
            ),
            (
                "Us: a@b.example, <c@d.example>;",
                &["a@b.example", "c@d.example"],
            ),
            ("=?utf-8?q?J=C3=B6?= <a@b.example>", &["a@b.example"]),
            ("a@b.example,", &["a@b.example"]),
        ] {
            assert_eq!(read(value).unwrap_or_default(), addresses, "{value}");
        }
    }

    #[test]
    fn what_names_nobody_for_certain_is_not_read() {
        for value in [
            "",
            "undisclosed:;",
            "A Name",
            "Doe, J <a@b.example>",
            "a@b.example c@d.example",
            "<a@b.example> c@d.example",
            "\"no end <a@b.example>",
            "(no end <a@b.example>",
            "<a@b.example",
            "a@b.example>",
            "<a@b.example, c@d.example>",
            "<>",
            "\\",
            "\"a\\",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
