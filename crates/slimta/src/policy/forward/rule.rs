//! One forward rule: a pattern, and what becomes of an address that it matches.

use std::fmt;

use regex::{Captures, Regex, RegexBuilder};

use crate::message::{Address, AddressError};

/// A pattern that needs more memory than this is no pattern of addresses.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Why something is no forward rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The pattern is no regular expression, or needs too much memory.
    #[error("the pattern {pattern:?} is no regular expression that can be used: {why}")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A dollar in the new address is followed by what names no group.
    #[error(
        "in {0:?} a dollar is not followed by the number of a group ($1), a name ({{name}}) or another dollar"
    )]
    Dollar(String),
    /// The new address names a group that the pattern does not have.
    #[error("{to:?} names the group {group}, which the pattern does not have")]
    Group {
        /// The new address as it was given.
        to: String,
        /// The group.
        group: String,
    },
    /// The new address has letters beyond ASCII.
    #[error("{0:?} is not ASCII: write the domain as xn--…")]
    NotAscii(String),
    /// The new address, which names no group, is no address.
    #[error("{to:?} is no address to forward to: {error}")]
    Address {
        /// As it was given.
        to: String,
        /// What is wrong with it.
        error: AddressError,
    },
}

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pattern: Regex,
    to: Vec<Piece>,
    /// Both as they were given.
    written: String,
}

/// A piece of the new address.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Group(usize),
    Named(String),
}

impl Rule {
    pub(super) fn new(pattern: &str, to: &str) -> Result<Self, ForwardError> {
        // By itself, too: it must not end the group that is put around it.
        let regex = compiled(pattern).and_then(|_| compiled(&format!("^(?:{pattern})$")));
        let regex = regex.map_err(|error| ForwardError::Pattern {
            pattern: pattern.to_owned(),
            why: error.to_string(),
        })?;
        if !to.is_ascii() {
            return Err(ForwardError::NotAscii(to.to_owned()));
        }
        let pieces = pieces(to).ok_or_else(|| ForwardError::Dollar(to.to_owned()))?;
        let rule = Rule {
            to: pieces,
            written: format!("{pattern} -> {to}"),
            pattern: regex,
        };
        rule.check(to)?;
        Ok(rule)
    }

    /// Whether its groups are there, and its address is one if that is certain.
    fn check(&self, to: &str) -> Result<(), ForwardError> {
        let missing = |group: String| ForwardError::Group {
            to: to.to_owned(),
            group,
        };
        let mut fixed = Some(String::new());
        for piece in &self.to {
            match piece {
                Piece::Text(text) => {
                    if let Some(fixed) = &mut fixed {
                        fixed.push_str(text);
                    }
                    continue;
                }
                Piece::Group(number) if *number >= self.pattern.captures_len() => {
                    return Err(missing(number.to_string()));
                }
                Piece::Named(name) => {
                    let mut names = self.pattern.capture_names().flatten();
                    if !names.any(|known| known == name) {
                        return Err(missing(name.clone()));
                    }
                }
                Piece::Group(_) => {}
            }
            fixed = None;
        }
        match fixed.map(|fixed| Address::parse(&fixed)) {
            Some(Err(error)) => Err(ForwardError::Address {
                to: to.to_owned(),
                error,
            }),
            _ => Ok(()),
        }
    }

    /// What becomes of an address, if the pattern matches the whole of it.
    pub(super) fn rewrite(&self, address: &Address) -> Option<Result<Address, AddressError>> {
        let groups = self.pattern.captures(address.as_str())?;
        let pieces = self.to.iter().map(|piece| piece.of(&groups));
        Some(Address::parse(&pieces.collect::<String>()))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Piece {
    /// A group that took no part in the match is empty.
    fn of<'a>(&'a self, groups: &'a Captures<'_>) -> &'a str {
        let group = match self {
            Piece::Text(text) => return text,
            Piece::Group(number) => groups.get(*number),
            Piece::Named(name) => groups.name(name),
        };
        group.map_or("", |group| group.as_str())
    }
}

fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
}

/// Reads what a new address is made of; none if a dollar says nothing.
fn pieces(mut to: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    while let Some((text, rest)) = to.split_once('$') {
        pieces.push(Piece::Text(text.to_owned()));
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (piece, rest) = if let Some(rest) = rest.strip_prefix('$') {
            (Piece::Text("$".to_owned()), rest)
        } else if let Some(braced) = rest.strip_prefix('{') {
            let (name, rest) = braced.split_once('}')?;
            (group(name)?, rest)
        } else {
            let (number, rest) = rest.split_at(digits);
            (Piece::Group(number.parse().ok()?), rest)
        };
        pieces.push(piece);
        to = rest;
    }
    pieces.push(Piece::Text(to.to_owned()));
    Some(pieces)
}

/// A group by its number or its name.
fn group(name: &str) -> Option<Piece> {
    match name.parse() {
        Ok(number) => Some(Piece::Group(number)),
        Err(_) => (!name.is_empty()).then(|| Piece::Named(name.to_owned())),
    }
}
