//! Header edits: they touch what they name, and nothing else.

use slimta_core::message::{Content, NewField};

use crate::pieces::Pieces;

const NAMES: [&str; 4] = ["Subject", "received", "X", "Message-ID"];

/// A few edits of any contents.
pub(crate) fn edits(bytes: &[u8]) {
    let mut pieces = Pieces::new(bytes);
    let edits: Vec<(u8, &str, String)> = (0..pieces.pick(4))
        .map(|_| (pieces.byte(), NAMES[pieces.pick(4)], pieces.text()))
        .collect();
    let bytes = pieces.rest();
    let mut content = Content::new(bytes.to_vec());
    assert_eq!(content.to_vec(), bytes, "reading changes nothing");
    for (edit, name, value) in edits {
        let Ok(field) = NewField::new(name, &value) else {
            let has_line_end = value.contains(['\r', '\n', '\0']);
            assert!(has_line_end || longest_piece(&value) > 900, "{value:?}");
            continue;
        };
        let before = content.clone();
        apply(edit, &field, name, &mut content);
        assert_eq!(
            content.body_bytes(),
            before.body_bytes(),
            "the body is touched"
        );
        check(edit, &value, name, &before, &content);
    }
}

/// The longest word with the blanks before it: a line cannot be folded within.
fn longest_piece(value: &str) -> usize {
    let (mut longest, mut rest) = (0, value);
    while !rest.is_empty() {
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let word = rest[blanks..].find([' ', '\t']);
        let piece = word.map_or(rest.len(), |word| blanks + word);
        longest = longest.max(piece);
        rest = &rest[piece..];
    }
    longest
}

fn apply(edit: u8, field: &NewField, name: &str, content: &mut Content) {
    match edit % 4 {
        0 => content.prepend(field),
        1 => content.append(field),
        2 => drop(content.remove(name)),
        _ => content.replace(field),
    }
}

/// The raw fields that are not of this name.
fn others(content: &Content, name: &str) -> Vec<(String, Vec<u8>)> {
    let fields = content.fields();
    let others = fields.filter(|field| !field.name().eq_ignore_ascii_case(name));
    others
        .map(|field| {
            (
                field.name().to_owned(),
                field.raw_value().trim_ascii_end().to_vec(),
            )
        })
        .collect()
}

fn check(edit: u8, value: &str, name: &str, before: &Content, after: &Content) {
    assert_eq!(
        others(after, name),
        others(before, name),
        "another field is touched"
    );
    let of = |content: &Content| content.fields_named(name).count();
    let (had, has) = (of(before), of(after));
    match edit % 4 {
        0 | 1 => assert_eq!(has, had + 1),
        2 => assert_eq!(has, 0),
        _ => assert_eq!(has, 1),
    }
    let written = match edit % 4 {
        0 | 3 => after.field(name),
        1 => after.fields_named(name).last(),
        _ => None,
    };
    if let Some(written) = written {
        assert_eq!(
            written.value(),
            String::from_utf8_lossy(value.as_bytes().trim_ascii())
        );
    }
    // Whoever reads it anew sees the same header and the same body.
    let again = Content::new(after.to_vec());
    let fields = |content: &Content| content.fields().count();
    assert!(fields(&again) >= fields(after).min(1), "the header is lost");
}
