//! The client end against a next hop that says anything at all: a recipient is
//! delivered only if the contents went out and were taken.

use bytes::BytesMut;
use slimta_core::message::{
    BodyType, Content, Envelope, Priority, Recipient, Response, ReversePath,
};
use slimta_core::world::Timestamp;
use slimta_smtp::client::{
    Channel, Dialect, Login, Outcome, Parcel, Session, Stage, Step, Timing, TlsLevel,
};

use crate::pieces::Pieces;

/// With so many recipients this host says who it is first.
const LOGS_IN_FOR: usize = 4;
/// The end of AUTH PLAIN and LOGIN: what is secret in both.
const SECRETS: [&[u8]; 2] = [b"AGFubgBjYW5hcnk=", b"Y2FuYXJ5"];
const NOW: Timestamp = Timestamp::from_secs(1_795_508_249);
const CONTENT: &str = "Subject: a\r\n\r\n.b\r\n";
/// Contents that go in a chunk.
const OCTETS: &str = "Subject: a\r\n\r\n\0\n.\nQUIT\r";
/// What a reply keeps of its text.
const TEXT_BYTES_MAX: usize = 3 * ((8 << 10) + 4096);
/// No transaction needs more turns than this: a command has one reply.
const TURNS_MAX: usize = 4096;

/// What a next hop heard, and what the client made of what it said.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    heard: Vec<u8>,
    outcome: Outcome,
    has_sent: bool,
    is_open: bool,
    channel: Channel,
}

/// Replies as one stream, in answer to what was asked or before.
pub(crate) fn any_replies(bytes: &[u8]) {
    let mut pieces = Pieces::new(bytes);
    let recipients = 1 + pieces.pick(4);
    // A next hop that waits for its turn, or one that does not.
    let in_turn = pieces.flag();
    let kind = pieces.byte();
    let mail = Mail {
        dialect: match kind & 1 {
            0 => Dialect::Smtp,
            _ => Dialect::Lmtp,
        },
        body: match kind & 6 {
            6 => BodyType::BinaryMime,
            _ => BodyType::SevenBit,
        },
        recipients,
    };
    let bytes = pieces.rest();
    let whole = play(mail, &turns(bytes, in_turn), usize::MAX);
    // Cut finer within a turn, nothing changes. A reply that comes too early is
    // noticed only if it is there when the next command is sent.
    if in_turn {
        assert_eq!(play(mail, &turns(bytes, in_turn), 1), whole);
        assert_eq!(play(mail, &turns(bytes, in_turn), 3), whole);
    }
    check(mail, &whole);
}

/// What is to be handed over, and how.
#[derive(Clone, Copy)]
struct Mail {
    dialect: Dialect,
    body: BodyType,
    recipients: usize,
}

impl Mail {
    fn content(self) -> &'static str {
        match self.body {
            BodyType::BinaryMime => OCTETS,
            BodyType::SevenBit | BodyType::EightBitMime => CONTENT,
        }
    }
}

/// What is said at each turn.
fn turns(bytes: &[u8], in_turn: bool) -> Vec<&[u8]> {
    if !in_turn {
        return vec![bytes];
    }
    let (mut turns, mut from, mut at) = (Vec::new(), 0, 0);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        at += line.len();
        if line.get(3) != Some(&b'-') {
            turns.push(&bytes[from..at]);
            from = at;
        }
    }
    turns.push(&bytes[from..]);
    turns
}

fn play(mail: Mail, turns: &[&[u8]], piece: usize) -> Played {
    let (content, count) = (Content::new(mail.content()), mail.recipients);
    let envelope = Envelope::new(ReversePath::parse("f@from.example").expect("a path"), []);
    let names = (0..count).map(|n| format!("r{n}@to.example").parse().expect("an address"));
    let recipients: Vec<_> = names.map(Recipient::new).collect();
    let parcel = Parcel {
        envelope: &envelope,
        recipients: &recipients,
        content: &content,
        body: mail.body,
        priority: Priority::High,
        now: NOW,
    };
    let session = Session::new("client.example", Timing::default());
    let session = session.with_dialect(mail.dialect);
    let mut session = session.with_tls(TlsLevel::Opportunistic);
    if count == LOGS_IN_FOR {
        session = session.with_login(Login::new("ann", b"canary").expect("a login"));
    }
    let mut said = turns
        .iter()
        .flat_map(|turn| turn.chunks(piece.min(turn.len().max(1))));
    let (mut input, mut heard) = (BytesMut::new(), Vec::new());
    let (mut has_begun, mut has_sent) = (false, false);
    for _ in 0..TURNS_MAX * 64 {
        let step = session.step(&mut input);
        heard.append(session.output());
        match step {
            Step::Ready if !has_begun => {
                has_begun = true;
                session.begin(&parcel);
            }
            Step::Closed(why) if !has_begun => {
                has_begun = true;
                assert!(
                    why.code.get() / 100 == 4,
                    "a session that fails, fails for now"
                );
                session.begin(&parcel);
            }
            Step::Ready | Step::Closed(_) => panic!("no outcome"),
            Step::StartTls => session.tls_started(),
            Step::Contents => {
                has_sent = true;
                let mut wire = session.wire(&content);
                while wire.fill(&mut heard, 16) {}
                wire.end(&mut heard);
                session.contents_sent();
            }
            Step::Read(_) => match said.next() {
                Some(said) => input.extend_from_slice(said),
                None => session.fail(Response::transient(4, 2, "Connection lost")),
            },
            Step::Done(outcome) => {
                let is_open = session.is_open();
                part(&mut session);
                return Played {
                    heard,
                    outcome,
                    has_sent,
                    is_open,
                    channel: session.channel(),
                };
            }
        }
    }
    panic!("no end");
}

/// Before its connection is closed a session says QUIT, if the next hop waits for a
/// command, and nothing else; one reply is all that it waits for.
fn part(session: &mut Session) {
    let is_awaited = session.is_open() || session.owes_quit();
    session.quit();
    let said: &[u8] = if is_awaited { b"QUIT\r\n" } else { b"" };
    assert_eq!(*session.output(), said);
    let step = session.step(&mut BytesMut::from("221 bye\r\n"));
    assert!(matches!(step, Step::Closed(_)), "{step:?}");
}

fn check(mail: Mail, played: &Played) {
    let outcome = &played.outcome;
    assert_eq!(outcome.responses.len(), mail.recipients);
    for response in &outcome.responses {
        assert!(
            response.text.len() <= TEXT_BYTES_MAX,
            "{}",
            response.text.len()
        );
        let controls = response
            .text
            .chars()
            .filter(|c| c.is_control() && *c != '\n');
        assert_eq!(controls.count(), 0, "{:?}", response.text);
        match response.code.get() / 100 {
            2 => assert!(played.has_sent && outcome.stage == Stage::Contents),
            4 | 5 => {}
            _ => panic!("{response} is no outcome"),
        }
    }
    // Who spoke out of turn where TLS was to begin gets nothing.
    assert!(played.channel != Channel::Tampered || outcome.stage == Stage::Unsent);
    let has_secret = |secret| memchr::memmem::find(&played.heard, secret).is_some();
    assert!(played.channel == Channel::Encrypted || !SECRETS.into_iter().any(has_secret));
    let contents = memchr::memmem::find(&played.heard, b"\r\nSubject: a\r\n");
    assert_eq!(contents.is_some(), played.has_sent);
    let chunk = format!("BDAT {} LAST\r\n{OCTETS}", OCTETS.len());
    let chunk_at = memchr::memmem::find(&played.heard, chunk.as_bytes());
    let is_chunk = played.has_sent && mail.body == BodyType::BinaryMime;
    assert_eq!(
        chunk_at.is_some(),
        is_chunk,
        "a chunk is whole, and is no text"
    );
    let (before, rest) = played.heard.split_at(chunk_at.unwrap_or_default());
    let behind = rest.get(chunk_at.map_or(0, |_| chunk.len())..);
    let commands = [before, behind.unwrap_or_default()].concat();
    // Nothing that the next hop says ends up in a command.
    for line in commands.split_inclusive(|b| *b == b'\n') {
        assert!(line.ends_with(b"\r\n"), "{line:?}");
    }
}
