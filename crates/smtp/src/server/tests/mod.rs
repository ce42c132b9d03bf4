//! Whole conversations with the server end, each cut into pieces in many ways.

mod auth;
mod binary;
mod chunks;
mod content;
mod decide;
mod limits;
mod order;
mod paths;
mod promises;
mod properties;
mod roles;
mod sasl;
mod starttls;
mod xclient;

use std::sync::Arc;

use bytes::BytesMut;
use slimta_core::message::{EnhancedCode, Response};

use super::line::EXCHANGE_BYTES_MAX;
use super::*;

/// What a client's bytes led to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Played {
    replies: String,
    messages: Vec<Received>,
    /// Who has authenticated.
    users: Vec<String>,
    /// How often the client had to wait.
    pauses: usize,
    is_closed: bool,
}

impl Played {
    /// The replies but the banner, one a line.
    fn lines(&self) -> Vec<&str> {
        self.replies.lines().skip(1).collect()
    }

    /// The codes of the last lines of the replies but the banner.
    fn codes(&self) -> Vec<u16> {
        self.lines()
            .into_iter()
            .filter(|line| line.as_bytes().get(3) != Some(&b'-'))
            .map(|line| line[..3].parse().unwrap())
            .collect()
    }

    /// The last reply.
    fn last(&self) -> &str {
        self.replies.lines().last().unwrap()
    }

    /// The contents of the messages.
    fn contents(&self) -> Vec<Vec<u8>> {
        self.messages.iter().map(|m| m.content.to_vec()).collect()
    }
}

fn settings() -> Settings {
    Settings::new("mail.example.net")
}

/// Plays the pieces of what a client sends. Recipients that begin with `no`
/// are refused, messages are numbered. The password of everybody is `secret`.
fn play<'a>(settings: &Settings, pieces: impl Iterator<Item = &'a [u8]>) -> Played {
    converse(Session::new(Arc::new(settings.clone())), pieces)
}

/// The same in a session that was made for it.
fn converse<'a>(mut session: Session, pieces: impl Iterator<Item = &'a [u8]>) -> Played {
    let (mut input, mut played) = (BytesMut::new(), Played::default());
    session.banner();
    advance(&mut session, &mut input, &mut played);
    for piece in pieces {
        input.extend_from_slice(piece);
        advance(&mut session, &mut input, &mut played);
        assert!(input.len() < EXCHANGE_BYTES_MAX, "input is left over");
    }
    played
}

/// The next step but those that ask whether a command may be done.
fn step(session: &mut Session, input: &mut BytesMut) -> Step {
    loop {
        match session.step(input) {
            Step::Decide(_) => session.allow(),
            step => return step,
        }
    }
}

/// Lets a session do all it can with its input.
fn advance(session: &mut Session, input: &mut BytesMut, played: &mut Played) {
    loop {
        let step = session.step(input);
        let output = session.output().split();
        played.replies.push_str(str::from_utf8(&output).unwrap());
        match step {
            Step::Read(_) => return,
            Step::Write => {}
            Step::Pause => played.pauses += 1,
            Step::Decide(asked) => decide::decide(session, asked),
            Step::Recipient(recipient) if recipient.address.as_str().starts_with("no") => {
                let unknown = Response::permanent(1, 1, "No such user");
                session.refuse_recipient(&unknown);
            }
            Step::Recipient(recipient) => session.accept_recipient(recipient),
            Step::Authenticate(credentials) => match (credentials.user(), credentials.password()) {
                ("busy", _) => {
                    let code = EnhancedCode::new(4, 7, 0);
                    let busy = Response::new(454, Some(code), "Try again later");
                    session.refuse_user(&busy);
                }
                (user, b"secret") => {
                    played.users.push(user.to_owned());
                    session.accept_user();
                }
                _ => session.deny_user(),
            },
            Step::XClient(told) => xclient::believe(session, &told),
            Step::Sasl(message) => sasl::respond(session, &message),
            Step::StartTls => {
                if session.accept_tls(input).is_ok() {
                    let output = session.output().split();
                    played.replies.push_str(str::from_utf8(&output).unwrap());
                    // What comes from here on comes out of the encryption.
                    session.secured("TLSv1.3");
                }
            }
            Step::Message(received) => {
                played.messages.push(*received);
                let text = format!("Message queued as {}", played.messages.len());
                session.answer(&Response::success(6, 0, text));
            }
            Step::Close => {
                played.is_closed = true;
                return;
            }
        }
    }
}

/// Plays what a client sends whole, and cut into pieces of every size: the cut
/// must not change a thing.
fn played_by(settings: &Settings, text: impl AsRef<[u8]>) -> Played {
    let text = text.as_ref();
    let whole = play(settings, [text].into_iter());
    let size_max = text.len().max(1);
    for size in (1..size_max.min(100)).chain([size_max / 2 + 1, 4096, 65_536]) {
        assert_eq!(play(settings, text.chunks(size)), whole, "pieces of {size}");
    }
    whole
}

fn played(text: impl AsRef<[u8]>) -> Played {
    played_by(&settings(), text)
}

/// Plays commands after EHLO, and gives the replies to them.
fn after_ehlo(commands: &str) -> Vec<String> {
    let played = played(format!("EHLO client.example.com\r\n{commands}"));
    let lines = behind_ehlo(played.lines());
    lines.iter().map(ToString::to_string).collect()
}

/// The lines behind the answer to EHLO, which is the first.
fn behind_ehlo(lines: Vec<&str>) -> Vec<&str> {
    let mut lines = lines.into_iter();
    lines.find(|line| line.starts_with("250 "));
    lines.collect()
}

/// A session up to the data of a message, as a client that pipelines sends it.
const UP_TO_DATA: &str = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
/// The same up to the first chunk.
const UP_TO_BDAT: &str = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
