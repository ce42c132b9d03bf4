//! Header access and edits, on good and on bad headers.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn new_field(name: &str, value: &str) -> NewField {
    NewField::new(name, value).unwrap()
}

fn text(content: &Content) -> String {
    String::from_utf8(content.to_vec()).unwrap()
}

#[test]
fn fields_are_read_without_regard_to_case_and_unfolded() {
    let content =
        Content::new("To: a\r\nX-Long : one\r\n\ttwo\r\n three \r\nto: b\r\n\r\nTo: body\r\n");
    let values: Vec<_> = content
        .fields_named("TO")
        .map(|f| f.value().into_owned())
        .collect();
    assert_eq!(values, ["a", "b"]);
    let long = content.field("x-long").unwrap();
    assert_eq!((long.name(), &*long.value()), ("X-Long", "one\ttwo three"));
    assert_eq!(long.raw_value(), b" one\r\n\ttwo\r\n three \r\n");
    assert_eq!(content.field("Absent"), None);
    assert_eq!(content.fields().count(), 3);
}

#[test]
fn eight_bit_fields_can_be_read() {
    let content = Content::new(&b"A: \xc3\xa9 \xff\r\n\r\n"[..]);
    assert_eq!(content.field("A").unwrap().value(), "\u{e9} \u{fffd}");
}

#[test]
fn fields_go_on_top_or_below() {
    let mut content = Content::new("A: 1\r\n folded\r\n\r\nbody");
    content.prepend(&new_field("Top", "t"));
    content.append(&new_field("Low", "l"));
    assert_eq!(
        text(&content),
        "Top: t\r\nA: 1\r\n folded\r\nLow: l\r\n\r\nbody"
    );
}

#[test]
fn the_first_field_brings_the_empty_line() {
    for (before, after) in [
        ("test contents", "A: 1\r\n\r\ntest contents"),
        ("", "A: 1\r\n\r\n"),
        ("\r\nbody", "A: 1\r\n\r\nbody"),
        ("\nbody", "A: 1\r\n\nbody"),
    ] {
        for edit in [Content::prepend, Content::append] {
            let mut content = Content::new(before);
            edit(&mut content, &new_field("A", "1"));
            assert_eq!(text(&content), after);
        }
    }
}

#[test]
fn headers_that_lack_their_end_are_edited_as_they_are() {
    for (before, after) in [
        (
            "A: 1\r\nno field\r\nB: 2\r\n\r\nb",
            "T: t\r\nA: 1\r\nL: l\r\nno field\r\nB: 2\r\n\r\nb",
        ),
        ("A: 1", "T: t\r\nA: 1\r\nL: l\r\n"),
        ("A: 1\nB: 2\n\nbody\n", "T: t\nA: 1\nB: 2\nL: l\n\nbody\n"),
    ] {
        let mut content = Content::new(before);
        content.prepend(&new_field("T", "t"));
        content.append(&new_field("L", "l"));
        assert_eq!(text(&content), after);
    }
}

#[test]
fn fields_are_removed_and_replaced_by_name() {
    let mut content = Content::new("Bcc: a\r\nB: 2\r\nBCC: b\r\n c\r\n\r\nbody");
    content.replace(&new_field("b", "3"));
    assert_eq!(content.remove("bcc"), 2);
    assert_eq!(content.remove("bcc"), 0);
    assert_eq!(text(&content), "b: 3\r\n\r\nbody");
    content.replace(&new_field("C", "4"));
    assert_eq!(text(&content), "b: 3\r\nC: 4\r\n\r\nbody");
}

#[test]
fn some_fields_of_a_name_are_removed() {
    let mut content = Content::new("A: 1\r\na: 2\r\n folded\r\nB: 1\r\nA: 1\r\n\r\nbody");
    let is_one = |field: &Field<'_>| field.value() == "1";
    assert_eq!(content.remove_where("a", is_one), 2);
    assert_eq!(content.remove_where("a", is_one), 0);
    assert_eq!(text(&content), "a: 2\r\n folded\r\nB: 1\r\n\r\nbody");
}

#[test]
fn a_body_that_looks_like_a_header_stays_body() {
    let mut content = Content::new("A: 1\r\n\r\nB: 2\r\n");
    content.remove("A");
    assert_eq!(text(&content), "\r\nB: 2\r\n");
    assert_eq!(Content::new(content.to_vec()).fields().count(), 0);
}

#[test]
fn what_could_forge_a_field_is_refused() {
    for name in ["", "A B", "A:", "A\r\nB", "\u{e9}"] {
        assert_eq!(NewField::new(name, "x"), Err(FieldError::Name), "{name:?}");
    }
    for value in ["a\r\nB: c", "a\nb", "a\rb", "a\0b"] {
        assert_eq!(
            NewField::new("A", value),
            Err(FieldError::Value),
            "{value:?}"
        );
    }
    assert_eq!(
        NewField::new("A", &"x".repeat(1000)),
        Err(FieldError::TooLong)
    );
}

#[test]
fn added_fields_are_folded_where_they_have_blanks() {
    let value = format!("{} {}  {}", "a".repeat(60), "b".repeat(60), "c".repeat(60));
    let field = new_field("X-Long", &value);
    let lines: Vec<_> = field.text.split("\r\n").map(str::len).collect();
    assert_eq!(lines, [68, 61, 62]);
    let mut content = Content::default();
    content.prepend(&field);
    assert_eq!(content.field("X-Long").unwrap().value(), value);
}

/// Bytes that are often nearly a message.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(b"Subject: hi".to_vec()),
        Just(b" folded \xff".to_vec()),
        Just(b"no field".to_vec()),
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    let end = prop_oneof![Just("\r\n"), Just("\n"), Just("")];
    prop::collection::vec((line, end), 0..12).prop_map(|lines| {
        let lines = lines.into_iter();
        lines
            .flat_map(|(line, end)| [line, end.into()].concat())
            .collect()
    })
}

proptest! {
    #[test]
    fn removing_what_was_added_gives_back_the_same_bytes(
        bytes in contents(),
        value in "[ -~\u{e9}]{0,200}",
        on_top: bool,
    ) {
        let original = Content::new(bytes.clone());
        let ends_in_mid_line = !original.header_bytes().is_empty()
            && !original.header_bytes().ends_with(b"\n");
        prop_assume!(on_top || !ends_in_mid_line);
        let mut content = original.clone();
        let field = new_field("X-Proof", &value);
        if on_top { content.prepend(&field) } else { content.append(&field) }
        prop_assert_eq!(content.field("x-proof").unwrap().value(), value.trim());
        prop_assert!(content.to_vec().len() > bytes.len());
        prop_assert_eq!(content.remove("X-PROOF"), 1);
        prop_assert_eq!(content.to_vec(), bytes);
    }

    #[test]
    fn edits_leave_the_body_where_it_is(bytes in contents()) {
        let original = Content::new(bytes);
        let place = |body: &Bytes| (body.as_ptr(), body.len());
        let mut content = original.clone();
        content.prepend(&new_field("A", "1"));
        content.append(&new_field("B", "2"));
        content.replace(&new_field("Subject", "3"));
        content.remove("A");
        prop_assert_eq!(place(content.body_bytes()), place(original.body_bytes()));
    }

    #[test]
    fn what_is_added_is_read_again_after_storage(bytes in contents()) {
        let mut content = Content::new(bytes);
        content.prepend(&new_field("X-Proof", "yes"));
        let stored = Content::new(content.to_vec());
        prop_assert_eq!(&*stored.fields().next().unwrap().value(), "yes");
    }
}
