//! What holds for every input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Cuts a text where `cuts` say, each relative to the one before.
fn pieces<'a>(text: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    for cut in cuts {
        let (piece, behind) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// Dots put before lines as RFC 5321 section 4.5.2 says, and the end.
fn stuffed(content: &str) -> String {
    let lines = content.split_inclusive("\r\n");
    let stuff = |line: &str| {
        if line.starts_with('.') {
            format!(".{line}")
        } else {
            line.to_owned()
        }
    };
    let mut stuffed: String = lines.map(stuff).collect();
    stuffed.push_str(".\r\n");
    stuffed
}

/// Text whose lines end as they should, with many dots.
fn any_content() -> impl Strategy<Value = String> {
    vec("\\.{0,3}[ -~\u{e5}]{0,9}\\.{0,2}\r\n", 0..20).prop_map(|lines| lines.concat())
}

/// Pieces of sessions, whole and broken, in any order.
fn any_input() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "EHLO c\r\n",
        "MAIL FROM:<a@b>\r\n",
        "MAIL FROM:<a@b> SIZE=5 SMTPUTF8\r\n",
        "RCPT TO:<c@d>\r\n",
        "RCPT TO:<no@d>\r\n",
        "DATA\r\n",
        "BDAT 5\r\n",
        "BDAT 9 LAST\r\n",
        "RSET\r\n",
        "text\r\n",
        "..\r\n",
        ".\r\n",
        "\r\n.\r\n",
        "\n.\n",
        "\r",
        "\n",
        ".",
        "\0",
        "BDAT x\r\n",
        "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n",
        "AUTH PLAIN\r\n",
        "AUTH LOGIN\r\n",
        "YW5u\r\n",
        "*\r\n",
        "QUIT\r\n",
    ]);
    let known = known.prop_map(|text| text.as_bytes().to_vec());
    let noise = vec(any::<u8>(), 0..40);
    vec(prop_oneof![9 => known, 1 => noise], 0..40).prop_map(|parts| parts.concat())
}

/// A server that offers all it can.
fn all_offered() -> Settings {
    let mut settings = settings();
    settings.auth = Auth::InClear;
    settings
}

proptest! {
    #[test]
    fn the_cut_of_any_input_changes_nothing(
        input in any_input(),
        cuts in vec(0_usize..30, 0..30),
    ) {
        let whole = play(&all_offered(), [&input[..]].into_iter());
        prop_assert_eq!(&play(&all_offered(), input.chunks(1)), &whole);
        prop_assert_eq!(&play(&all_offered(), pieces(&input, &cuts).into_iter()), &whole);
    }

    #[test]
    fn what_is_stuffed_is_unstuffed(
        content in any_content(),
        cuts in vec(0_usize..20, 0..30),
    ) {
        let text = format!("{UP_TO_DATA}{}NOOP\r\n", stuffed(&content));
        let played = play(&settings(), pieces(text.as_bytes(), &cuts).into_iter());
        prop_assert_eq!(played.contents(), [content.as_bytes()]);
        prop_assert_eq!(played.last(), "250 2.0.0 Ok");
    }

    #[test]
    fn chunks_of_any_size_make_the_same_message(
        content in any_content(),
        cuts in vec(0_usize..20, 0..10),
        cut in 1_usize..50,
    ) {
        let mut text = UP_TO_BDAT.as_bytes().to_vec();
        for piece in pieces(content.as_bytes(), &cuts) {
            text.extend_from_slice(format!("BDAT {}\r\n", piece.len()).as_bytes());
            text.extend_from_slice(piece);
        }
        text.extend_from_slice(b"BDAT 0 LAST\r\nNOOP\r\n");
        let played = play(&settings(), text.chunks(cut));
        prop_assert_eq!(played.contents(), [content.as_bytes()]);
        prop_assert_eq!(played.last(), "250 2.0.0 Ok");
    }

    #[test]
    fn data_ends_only_where_it_should(
        noise in vec(prop_oneof![
            Just(b'\r'), Just(b'\n'), Just(b'.'), Just(0), any::<u8>()
        ], 0..60),
        cut in 1_usize..60,
    ) {
        let text = [UP_TO_DATA.as_bytes(), &noise].concat();
        let played = play(&settings(), text.chunks(cut));
        // The line end of the command is one that the first dot may follow.
        let data = [b"\r\n", &noise[..]].concat();
        let end = memchr::memmem::find(&data, b"\r\n.\r\n");
        prop_assert_eq!(played.codes().len() > 4, end.is_some());
        if let Some(handed_on) = played.contents().first() {
            let content = String::from_utf8_lossy(&data[2..end.unwrap() + 2]);
            let lines = content.split_inclusive("\r\n");
            let unstuffed: String = lines.map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
            prop_assert_eq!(String::from_utf8_lossy(handed_on), unstuffed);
        }
    }

    #[test]
    fn what_is_handed_on_has_only_whole_line_ends(input in any_input()) {
        for content in play(&all_offered(), [&input[..]].into_iter()).contents() {
            let text = String::from_utf8_lossy(&content).replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n', '\0']));
        }
    }

    #[test]
    fn every_reply_has_its_enhanced_code(input in any_input()) {
        let played = play(&all_offered(), [&input[..]].into_iter());
        for line in played.lines() {
            let is_ehlo = line.starts_with("250") && !line[4..].starts_with("2.");
            let class = &line[..1];
            prop_assert!(is_ehlo || class == "3" || line[4..].starts_with(&format!("{class}.")), "{}", line);
        }
    }
}
