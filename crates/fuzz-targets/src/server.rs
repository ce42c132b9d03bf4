//! The server end: however its input is cut changes nothing, what it hands on
//! is whole, and what it keeps in memory is bounded.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use slimta_core::message::{BodyType, Response};
use slimta_core::world::Timestamp;
use slimta_smtp::server::{
    Asked, Auth, Fact, Mechanisms, Received, Role, Session, Settings, StartTls, Step,
};

use crate::pieces::Pieces;

/// Longest line, which is one of an authentication: more than this is never left
/// in the input.
const LINE_BYTES_MAX: usize = 12_288;
/// Replies are written out before there is more than this and the longest
/// answers to one command.
const OUTPUT_BYTES_MAX: usize = (16 << 10) + (8 << 10);
/// Longest line of a message.
const DATA_LINE_BYTES_MAX: usize = 64 << 10;
/// Above this, cutting at every byte takes too long to be of use.
const CUT_BYTES_MAX: usize = 250;

const UP_TO_BDAT: &str = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
const UP_TO_BINARY_BDAT: &str = "EHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\n";
const UP_TO_DATA: &str = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";

/// What a client's bytes led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) replies: String,
    pub(crate) messages: Vec<Received>,
    pauses: usize,
    is_closed: bool,
}

/// Plays the pieces of what a client sends. Recipients that begin with `no` are
/// refused.
pub(crate) fn play(pieces: impl IntoIterator<Item = BytesMut>) -> Played {
    play_as(Role::Relay, pieces)
}

/// The same where mail is taken for something else.
fn play_as(role: Role, pieces: impl IntoIterator<Item = BytesMut>) -> Played {
    let mut settings = Settings::new("mail.example.net");
    settings.role = role;
    settings.message_bytes_max = 1 << 20;
    settings.recipients_max = 100;
    settings.starttls = StartTls::Offered;
    settings.auth = Auth::InClear;
    settings.hold_time_max = Some(Duration::from_secs(86_400));
    let room = settings.room.clone();
    let all = Mechanisms {
        scram_sha_256: true,
        oauthbearer: true,
        ..Mechanisms::default()
    };
    let session = Session::new(Arc::new(settings)).with_mechanisms(all);
    let session = session.with_xclient(true);
    let mut session = session.with_priorities(true);
    session.tell_time(Timestamp::from_secs(1_795_508_249));
    let mut input = BytesMut::new();
    let mut played = Played::default();
    session.banner();
    advance(&mut session, &mut input, &mut played);
    for piece in pieces {
        input.extend_from_slice(&piece);
        advance(&mut session, &mut input, &mut played);
        assert!(input.len() <= LINE_BYTES_MAX, "input is left over");
    }
    drop(session);
    assert_eq!(room.used(), 0, "room is not given back");
    played
}

/// Lets a session do all it can with its input.
fn advance(session: &mut Session, input: &mut BytesMut, played: &mut Played) {
    loop {
        let step = session.step(input);
        let output = session.output().split();
        assert!(output.len() <= OUTPUT_BYTES_MAX, "{} bytes", output.len());
        let output = str::from_utf8(&output).expect("replies are text");
        played.replies.push_str(output);
        match step {
            Step::Read(_) => return,
            Step::Write => {}
            Step::Pause => played.pauses += 1,
            Step::Decide(asked) => decide(session, asked),
            // Whether something was sent behind it depends on the cut.
            Step::StartTls => session.refuse_tls(),
            Step::Authenticate(credentials) => match credentials.password() {
                b"secret" => session.accept_user(),
                _ => session.deny_user(),
            },
            Step::XClient(told) => match told.login {
                Fact::Unknown => session.refuse_xclient(&Response::permanent(7, 0, "No")),
                _ => {
                    session.accept_xclient(false);
                    session.banner();
                }
            },
            Step::Sasl(message) => match message.bytes.len() % 3 {
                0 => session.accept_user_as("ann"),
                1 => session.deny_user(),
                _ => session.challenge(&message.bytes),
            },
            Step::Recipient(recipient) if recipient.address.as_str().starts_with("no") => {
                session.refuse_recipient(&Response::permanent(1, 1, "No such user"));
            }
            Step::Recipient(recipient) => session.accept_recipient(recipient),
            Step::Message(received) => {
                played.messages.push(*received);
                session.answer(&Response::success(6, 0, "Message queued"));
            }
            Step::Close => {
                played.is_closed = true;
                return;
            }
        }
    }
}

/// Refuses commands of who has a name that begins with `no`.
fn decide(session: &mut Session, asked: Asked) {
    let envelope = session.envelope();
    let name = match asked {
        Asked::Hello => session.client().ehlo,
        Asked::Mail => envelope.map(|envelope| envelope.sender.as_str().to_owned()),
        Asked::Data => envelope.and_then(|envelope| envelope.envid.clone()),
    };
    match name.is_some_and(|name| name.starts_with("no")) {
        true => session.refuse(&Response::permanent(7, 1, "Not you")),
        false => session.allow(),
    }
}

/// Plays text whole and cut at every byte, and checks what came of it.
fn play_cut(text: &[u8]) -> Played {
    play_cut_as(Role::Relay, text)
}

fn play_cut_as(role: Role, text: &[u8]) -> Played {
    let play = |pieces: &mut dyn Iterator<Item = BytesMut>| play_as(role, pieces);
    let whole = play(&mut [BytesMut::from(text)].into_iter());
    if text.len() <= CUT_BYTES_MAX {
        let mut bytes = text.chunks(1).map(BytesMut::from);
        assert_eq!(play(&mut bytes), whole, "byte by byte");
        for at in 1..text.len() {
            let (front, back) = text.split_at(at);
            let both = [BytesMut::from(front), BytesMut::from(back)];
            let cut = play(&mut both.into_iter());
            assert_eq!(cut, whole, "cut at {at}");
        }
    } else {
        for size in [1, 7, 509, 4096] {
            let cut = play(&mut text.chunks(size).map(BytesMut::from));
            assert_eq!(cut, whole, "pieces of {size}");
        }
    }
    check_replies(&whole.replies);
    for message in &whole.messages {
        check_message(message);
    }
    whole
}

/// Every reply is a line of its own, of a code and a text.
fn check_replies(replies: &str) {
    assert!(replies.ends_with("\r\n"), "{replies:?}");
    for line in replies.trim_end_matches("\r\n").split("\r\n") {
        assert!(line.len() <= 510, "{line:?}");
        assert!(!line.contains(char::is_control), "{line:?}");
        let code: u16 = line[..3].parse().expect("a code");
        assert!((200..600).contains(&code), "{line:?}");
        assert!(matches!(line.as_bytes().get(3), None | Some(b' ' | b'-')));
    }
}

/// What is handed on holds whole lines, and nothing that the next host could
/// read as commands. A body may be declared to hold more, a header never.
fn check_message(message: &Received) {
    let mut content = message.content.to_vec();
    if message.envelope.body == BodyType::BinaryMime {
        content.truncate(held_to_lines(&content));
    }
    let mut line = 0;
    for (at, byte) in content.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| content.get(at));
        match byte {
            0 => panic!("NUL is handed on"),
            b'\n' => assert_eq!(before, Some(&b'\r'), "a bare LF"),
            b'\r' => assert_eq!(content.get(at + 1), Some(&b'\n'), "a bare CR"),
            _ => {}
        }
        line = if *byte == b'\n' { 0 } else { line + 1 };
        assert!(line <= DATA_LINE_BYTES_MAX, "a line too long");
    }
    let envelope = &message.envelope;
    assert!(!envelope.recipients.is_empty());
    let clean = |text: &str| assert!(!text.contains(char::is_control), "{text:?}");
    clean(envelope.sender.as_str());
    clean(envelope.envid.as_deref().unwrap_or_default());
    clean(message.client.ehlo.as_deref().unwrap_or_default());
    clean(message.client.host.as_deref().unwrap_or_default());
    clean(message.client.auth.as_deref().unwrap_or_default());
    for recipient in &envelope.recipients {
        clean(recipient.address.as_str());
        if let Some(original) = &recipient.original {
            clean(&original.kind);
            clean(&original.address);
        }
    }
}

/// How much of a message of any octets is held to be lines: up to and with the
/// first empty one.
fn held_to_lines(content: &[u8]) -> usize {
    if content.starts_with(b"\r\n") {
        return 2;
    }
    memchr::memmem::find(content, b"\r\n\r\n").map_or(content.len(), |at| at + 4)
}

/// A whole session, whatever it is.
pub(crate) fn session(bytes: &[u8]) {
    play_cut(bytes);
}

/// The data of a message: it ends where a plain reading says, and nowhere else.
pub(crate) fn data(bytes: &[u8]) {
    let text = [UP_TO_DATA.as_bytes(), bytes].concat();
    let played = play_cut(&text);
    // The line end of the command is one that the first dot may follow.
    let wire = [b"\r\n", bytes].concat();
    let end = memchr::memmem::find(&wire, b"\r\n.\r\n");
    let Some(end) = end else {
        assert!(played.messages.is_empty(), "handed on before its end");
        return;
    };
    let plain = unstuffed(&wire[2..end + 2]);
    let is_clean = is_canonical(&plain);
    let first = played.messages.first().map(|m| m.content.to_vec());
    if let Some(first) = first.filter(|_| is_clean) {
        assert_eq!(first, plain);
    }
}

/// RFC 5321 section 4.5.2, line by line.
fn unstuffed(wire: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(wire.len());
    let mut rest = wire;
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n").map_or(rest.len(), |at| at + 2);
        let (line, behind) = rest.split_at(end);
        plain.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        rest = behind;
    }
    plain
}

/// Whether all CR and LF of a text stand together, and there is no NUL.
fn is_canonical(text: &[u8]) -> bool {
    let without = text.split(|b| *b == b'\n');
    let mut lines: Vec<&[u8]> = without.collect();
    let last = lines.pop().unwrap_or_default();
    let whole =
        |line: &&[u8]| line.last() == Some(&b'\r') && !line[..line.len() - 1].contains(&b'\r');
    lines.iter().all(whole) && !last.contains(&b'\r') && !text.contains(&0)
}

/// Chunks: they make the message that DATA would make of the same contents, or one
/// of just these octets if they were declared so.
pub(crate) fn bdat(bytes: &[u8]) {
    let mut pieces = Pieces::new(bytes);
    let sizes: Vec<usize> = (0..pieces.pick(6)).map(|_| pieces.pick(64)).collect();
    let kind = pieces.pick(8);
    let (lies, is_binary) = (kind == 0, kind > 5);
    let mut wire = match is_binary {
        true => UP_TO_BINARY_BDAT.as_bytes().to_vec(),
        false => UP_TO_BDAT.as_bytes().to_vec(),
    };
    let mut content = Vec::new();
    for size in sizes {
        let chunk = pieces.take(size);
        let said = if lies { size } else { chunk.len() };
        wire.extend_from_slice(format!("BDAT {said}\r\n").as_bytes());
        wire.extend_from_slice(chunk);
        content.extend_from_slice(chunk);
    }
    let last = pieces.rest();
    let mut line = String::new();
    let _ = write!(line, "BDAT {} LAST\r\n", last.len());
    wire.extend_from_slice(line.as_bytes());
    wire.extend_from_slice(last);
    content.extend_from_slice(last);
    let played = play_cut(&wire);
    let chunked: Vec<_> = played.messages.iter().map(|m| m.content.to_vec()).collect();
    if is_binary {
        let header = &content[..held_to_lines(&content)];
        let is_taken = is_canonical(header);
        assert_eq!(chunked, if is_taken { vec![content] } else { vec![] });
        return;
    }
    if lies || !is_canonical(&content) {
        return;
    }
    if content.is_empty() || content.ends_with(b"\r\n") {
        assert_eq!(chunked, [content.clone()]);
        let mut dotted = UP_TO_DATA.as_bytes().to_vec();
        for line in content.split_inclusive(|b| *b == b'\n') {
            dotted.extend_from_slice(if line.starts_with(b".") { b"." } else { b"" });
            dotted.extend_from_slice(line);
        }
        dotted.extend_from_slice(b".\r\n");
        let dotted = play([BytesMut::from(&dotted[..])]);
        assert_eq!(dotted.messages, played.messages);
    }
}

/// A session of LMTP, whatever it is; and a message to some recipients, with an
/// answer for each that was taken.
pub(crate) fn lmtp(bytes: &[u8]) {
    play_cut_as(Role::Lmtp, &[b"LHLO c\r\n", bytes].concat());

    let mut pieces = Pieces::new(bytes);
    let mut wire = b"LHLO c\r\nMAIL FROM:<a@b>\r\n".to_vec();
    let (count, mut taken) = (pieces.pick(6), 0);
    for _ in 0..count {
        let name = if pieces.pick(3) == 0 { "no" } else { "a" };
        taken += usize::from(name == "a");
        wire.extend_from_slice(format!("RCPT TO:<{name}@d>\r\n").as_bytes());
    }
    let is_chunk = pieces.pick(2) == 0;
    let content = pieces.rest();
    match is_chunk {
        true => {
            let command = format!("BDAT {} LAST\r\n", content.len());
            wire.extend_from_slice(command.as_bytes());
            wire.extend_from_slice(content);
        }
        // Without a recipient no data follows.
        false if taken == 0 => wire.extend_from_slice(b"DATA\r\n"),
        false => {
            wire.extend_from_slice(b"DATA\r\n");
            let plain = content.iter().map(|b| if *b == b'.' { b',' } else { *b });
            wire.extend(plain);
            wire.extend_from_slice(b"\r\n.\r\n");
        }
    }
    wire.extend_from_slice(b"QUIT\r\n");
    let played = play_as(Role::Lmtp, [BytesMut::from(&wire[..])]);
    let go_ahead = usize::from(!is_chunk && taken > 0);
    // Those to the connection, LHLO and MAIL come first, that to QUIT last.
    let replies = played
        .replies
        .lines()
        .filter(|line| line.as_bytes()[3] == b' ');
    let expected = 3 + count + go_ahead + taken.max(1) + 1;
    assert_eq!(replies.count(), expected, "{}", played.replies);
}
