//! Limits: what a client may not exceed, and what it costs to try.

use super::*;

fn limited(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = settings();
    change(&mut settings);
    settings
}

#[test]
fn a_line_that_is_too_long_is_dropped_and_the_session_goes_on() {
    let played = played(format!("EHLO c\r\nNOOP {}\r\nNOOP\r\n", "x".repeat(9000)));
    assert_eq!(played.codes(), [250, 500, 250]);
}

#[test]
fn a_bare_line_feed_in_a_command_closes() {
    for line in ["NOOP\nNOOP\r\n", "\nNOOP\r\n", "NOOP\n"] {
        let played = played(format!("EHLO c\r\n{line}QUIT\r\n"));
        assert_eq!(played.codes(), [250, 500], "{line:?}");
        assert!(played.is_closed);
    }
}

#[test]
fn browsers_are_sent_away() {
    for line in [
        "GET / HTTP/1.1",
        "post /x HTTP/1.0",
        "CONNECT a:25 HTTP/1.1",
    ] {
        let played = played(format!("{line}\r\nEHLO c\r\n"));
        assert_eq!(played.codes(), [421], "{line}");
        assert!(played.is_closed && played.last().starts_with("421 4.7.0 "));
    }
}

#[test]
fn bad_commands_slow_a_client_down_and_end_its_session() {
    let played = played("X\r\n".repeat(30));
    let mut expected = vec![500; 20];
    expected.push(421);
    assert_eq!(played.codes(), expected);
    assert!(played.is_closed && played.pauses == 9);
    let refused = super::played(format!(
        "EHLO c\r\nMAIL FROM:<>\r\n{}",
        "RCPT TO:<no@d>\r\n".repeat(30)
    ));
    assert!(!refused.is_closed, "refused recipients are no bad commands");
}

#[test]
fn a_message_that_is_taken_redeems_a_client() {
    let bad = "X\r\n".repeat(19);
    let mail = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    let played = played(format!("EHLO c\r\n{bad}{mail}{bad}{mail}"));
    assert_eq!(played.messages.len(), 2);
}

#[test]
fn recipients_over_the_limit_are_for_another_time() {
    let settings = limited(|s| s.recipients_max = 2);
    let rcpt = "RCPT TO:<c@d>\r\n".repeat(3);
    let played = played_by(
        &settings,
        format!("EHLO c\r\nMAIL FROM:<a@b>\r\n{rcpt}DATA\r\n.\r\n"),
    );
    assert_eq!(played.codes()[2..], [250, 250, 452, 354, 250]);
    assert_eq!(played.messages[0].envelope.recipients.len(), 2);
}

#[test]
fn a_message_over_the_size_limit_is_read_and_refused() {
    let settings = limited(|s| s.message_bytes_max = 10);
    let played = |text: &str| played_by(&settings, format!("{text}NOOP\r\n"));
    // Stuffed dots do not count, line ends do.
    let fits = played(&format!("{UP_TO_DATA}..2345678\r\n.\r\n"));
    assert_eq!(fits.contents(), [b".2345678\r\n"]);
    let reply = "552 5.3.4 Message exceeded size limit.";
    let over = played(&format!("{UP_TO_DATA}123456789\r\n.\r\n"));
    assert_eq!(over.lines()[over.lines().len() - 2], reply);
    let chunk = played(&format!("{UP_TO_BDAT}BDAT 11 LAST\r\n123456789\r\n"));
    assert_eq!(chunk.lines()[chunk.lines().len() - 2], reply);
    let chunks = played(&format!(
        "{UP_TO_BDAT}BDAT 6\r\n123456BDAT 5 LAST\r\n789\r\n"
    ));
    assert_eq!(chunks.codes()[3..], [250, 552, 250]);
    assert!(over.messages.is_empty() && chunk.messages.is_empty() && chunks.messages.is_empty());
    // A fault that stays is told before one that may pass.
    let both = played(&format!("{UP_TO_DATA}1234567890\r\na\nb\r\n.\r\n"));
    assert_eq!(both.codes()[4..], [550, 250]);
}

#[test]
fn a_header_over_its_limit_is_read_and_refused() {
    let reply_to = |text: String| {
        let mut session = Session::new(Arc::new(settings()));
        let mut played = Played::default();
        advance(&mut session, &mut BytesMut::from(&*text), &mut played);
        played.last().to_owned()
    };
    let field = format!("A: {}\r\n", "x".repeat(59));
    let refusal = "552 5.3.4 Message header exceeded size limit";
    for (fields, expected) in [(16_383, "250 "), (16_384, refusal)] {
        let data = format!("{UP_TO_DATA}{}\r\n{field}.\r\n", field.repeat(fields));
        let reply = reply_to(data);
        assert!(reply.starts_with(expected), "{reply}");
    }
    let many = field.repeat(17_000);
    let chunk = format!("{UP_TO_BDAT}BDAT {} LAST\r\n{many}", many.len());
    assert_eq!(reply_to(chunk), refusal);
    // A body may look like a header.
    let reply = reply_to(format!("{UP_TO_DATA}\r\n{many}.\r\n"));
    assert!(reply.starts_with("250 "), "{reply}");
}

#[test]
fn messages_over_the_room_are_read_and_refused_for_now() {
    let settings = limited(|s| s.room = Room::new(1000));
    let line = format!("{}\r\n", "x".repeat(98));
    let over = format!("{UP_TO_DATA}{}.\r\n", line.repeat(11));
    let played = played_by(&settings, format!("{over}{over}"));
    assert_eq!(played.last(), "452 4.3.1 No room for the message now");
    assert_eq!(played.codes()[4..], [452, 250, 250, 250, 354, 452]);
    let announced = played_by(&settings, "EHLO c\r\nMAIL FROM:<> SIZE=1001\r\n");
    assert_eq!(announced.codes(), [250, 452]);
    assert_eq!(settings.room.used(), 0);
}

#[test]
fn room_is_given_back_however_a_message_ends() {
    let settings = limited(|s| s.room = Room::new(1 << 20));
    let begin = || {
        let mut session = Session::new(Arc::new(settings.clone()));
        let mut input = BytesMut::from(&*format!("{UP_TO_DATA}x"));
        advance(&mut session, &mut input, &mut Played::default());
        assert!(settings.room.used() > 0);
        session
    };
    drop(begin());
    assert_eq!(settings.room.used(), 0, "hung up");
    let mut session = begin();
    session.end(Ending::TimedOut);
    let mut input = BytesMut::new();
    assert!(matches!(step(&mut session, &mut input), Step::Close));
    assert_eq!(settings.room.used(), 0, "timed out");
    let mut session = begin();
    let mut input = BytesMut::from("\r\n.\r\n");
    assert!(matches!(step(&mut session, &mut input), Step::Message(_)));
    assert!(
        settings.room.used() > 0,
        "a message that is stored takes room"
    );
    session.answer(&Response::success(0, 0, ""));
    assert_eq!(settings.room.used(), 0, "stored");
}

#[test]
fn a_size_that_is_announced_sets_little_aside() {
    let settings = settings();
    let mut session = Session::new(Arc::new(settings.clone()));
    let text = UP_TO_DATA.replace("<a@b>", "<a@b> SIZE=50000000") + "x";
    let mut input = BytesMut::from(&*text);
    advance(&mut session, &mut input, &mut Played::default());
    assert!((1..=64 << 10).contains(&settings.room.used()));
}

#[test]
fn replies_that_pile_up_are_to_be_written() {
    let mut session = Session::new(Arc::new(settings()));
    let mut input = BytesMut::from(&*"EHLO c\r\n".repeat(10_000));
    let mut replies = 0;
    while let Step::Write = step(&mut session, &mut input) {
        assert!(session.output().len() < 20_000);
        let output = session.output().split();
        replies += memchr::memmem::find_iter(&output, "250 CHUNKING").count();
    }
    let output = session.output().split();
    replies += memchr::memmem::find_iter(&output, "250 CHUNKING").count();
    assert_eq!(replies, 10_000);
}

#[test]
fn a_stop_ends_a_session_at_its_next_command_and_not_in_a_message() {
    let mut session = Session::new(Arc::new(settings()));
    let mut played = Played::default();
    let mut input = BytesMut::from(UP_TO_DATA);
    advance(&mut session, &mut input, &mut played);
    session.stop();
    input.extend_from_slice(b"a\r\n.\r\nNOOP\r\n");
    advance(&mut session, &mut input, &mut played);
    assert_eq!(played.messages.len(), 1);
    assert!(played.is_closed);
    assert!(
        played
            .replies
            .ends_with("queued as 1\r\n421 4.3.2 Service shutting down\r\n")
    );
}

#[test]
fn commands_count_when_they_are_whole() {
    let mut session = Session::new(Arc::new(settings()));
    let mut input = BytesMut::new();
    let mut done = |text: &str| {
        input.extend_from_slice(text.as_bytes());
        advance(&mut session, &mut input, &mut Played::default());
        session.commands_done()
    };
    assert_eq!(done("EHLO "), 0);
    assert_eq!(done("c\r"), 0);
    assert_eq!(done("\n"), 1);
    assert_eq!(done(&"x".repeat(5000)), 1);
    assert_eq!(done("\r\nNOOP\r\n"), 3);
}
