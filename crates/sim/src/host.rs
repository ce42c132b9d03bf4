//! A next hop at the other end of a connection: a real server session, behind
//! which somebody may lie, mumble, fall silent or hang up.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use slimta_core::message::{Recipient, Response, ReversePath};
use slimta_smtp::server::{Received, Session, Settings, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::books::Books;
use crate::flaky::Weather;
use crate::mail::keys;
use crate::nature::{Nature, NextHop};
use crate::wire::Line;

/// How long a host waits for its client.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// Steps within which a bad host shows what it is.
const STEPS_MAX: u64 = 9;

/// What a host does at its moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Vice {
    None,
    /// Sends what is no reply, and hangs up.
    Garbage,
    /// Answers before it is asked.
    Eager,
    /// Says 421 and hangs up.
    Farewell,
    /// Hangs up without a word.
    HangsUp,
    /// Says nothing any more.
    Mute,
    /// Leaves out a reply.
    TooFew,
    /// Says a reply twice.
    TooMany,
    /// Takes its time.
    Slow,
}

/// One connection, as the next hop has it.
pub(crate) struct Host {
    pub(crate) stream: DuplexStream,
    pub(crate) hop: NextHop,
    pub(crate) line: Arc<Line>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) books: Books,
    /// It says that it takes messages, and does not.
    pub(crate) is_liar: bool,
}

impl Host {
    pub(crate) async fn run(mut self) {
        let vice = self.vice();
        let mut moment = self.weather.chance.below(STEPS_MAX);
        if matches!(self.hop.nature(), Nature::Mute | Nature::Slow) {
            moment = 0;
        }
        let mut session = Session::new(Arc::new(Settings::new("hop.example")));
        let mut input = BytesMut::new();
        session.banner();
        loop {
            match session.step(&mut input) {
                Step::Read(_) | Step::Write => {
                    let is_now = moment == 0 && vice != Vice::None && !self.hop.is_good();
                    moment = moment.saturating_sub(1);
                    let mut said = std::mem::take(session.output());
                    if is_now && !said.is_empty() && self.misbehave(vice, &mut said).await.is_none()
                    {
                        return;
                    }
                    if self.stream.write_all(&said).await.is_err() {
                        return;
                    }
                    let reading = self.stream.read_buf(&mut input);
                    let read = self.weather.chance.0.timeout(PATIENCE, reading).await;
                    if !matches!(read, Some(Ok(1..))) {
                        return;
                    }
                }
                Step::Pause => {}
                Step::StartTls => session.refuse_tls(),
                Step::Decide(_) => session.allow(),
                Step::XClient(_) => session.refuse_xclient(&said(550)),
                Step::Authenticate(_) | Step::Sasl(_) => session.deny_user(),
                Step::Recipient(recipient) => match self.code(&recipient) {
                    250 => session.accept_recipient(recipient),
                    code => session.refuse_recipient(&said(code)),
                },
                Step::Message(received) => {
                    let response = self.receive(&received);
                    session.answer(&response);
                }
                Step::Close => {
                    let _ = self.stream.write_all(session.output()).await;
                    return;
                }
            }
        }
    }

    fn vice(&self) -> Vice {
        let draw = self.weather.chance.below(100);
        match self.hop.nature() {
            Nature::Good => return Vice::None,
            Nature::Mute => return Vice::Mute,
            Nature::Slow => return Vice::Slow,
            Nature::Lying => {
                return match draw % 8 {
                    0 => Vice::Garbage,
                    1 | 2 if !self.line.is_slow => Vice::Eager,
                    3 | 4 => Vice::TooFew,
                    5 | 6 => Vice::TooMany,
                    _ => Vice::None,
                };
            }
            _ => {}
        }
        match draw {
            0..2 => Vice::Garbage,
            2..4 if !self.line.is_slow => Vice::Eager,
            4..7 => Vice::Farewell,
            7..10 => Vice::HangsUp,
            10..12 => Vice::Mute,
            12..15 => Vice::TooFew,
            15..18 => Vice::TooMany,
            18..24 => Vice::Slow,
            _ => Vice::None,
        }
    }

    /// Does what the host is bad at to what would be said; none if that is the
    /// end.
    async fn misbehave(&mut self, vice: Vice, said: &mut BytesMut) -> Option<()> {
        let chance = self.weather.chance.clone();
        self.line.spoil();
        let at = chance.0.monotonic().as_secs_f64();
        self.books
            .tell_fault(format!("{at:>12.3} next hop: {vice:?}"));
        let (line, end_of_line) = some_line(said, chance.below(said.len() as u64));
        let end = match vice {
            Vice::None => return Some(()),
            Vice::Slow => {
                chance.0.sleep(chance.time(Duration::from_secs(900))).await;
                return Some(());
            }
            // Had it taken the last one, it has said so: from now on it lies.
            Vice::Eager => {
                self.is_liar = true;
                said.extend_from_slice(b"250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n");
                return Some(());
            }
            // A refusal left out would turn the one to DATA against others.
            Vice::TooFew if matches!(said.get(line), Some(b'2' | b'3')) => {
                let rest = said.split_off(end_of_line);
                said.truncate(line);
                said.unsplit(rest);
                return Some(());
            }
            Vice::TooFew => return Some(()),
            Vice::TooMany => {
                let rest = said.split_off(line);
                said.extend_from_slice(rest.get(..end_of_line - line).unwrap_or_default());
                said.extend_from_slice(&rest);
                return Some(());
            }
            Vice::Garbage => &b"\x00\xff 2500 what\r250-\n\r\n99 x\r\n"[..],
            Vice::Farewell => b"421 4.3.2 Shutting down\r\n",
            Vice::HangsUp => b"",
            Vice::Mute => {
                chance.0.sleep(PATIENCE).await;
                b""
            }
        };
        let _ = self.stream.write_all(end).await;
        None
    }

    fn code(&self, recipient: &Recipient) -> u16 {
        let is_sender = recipient.address.as_str().ends_with("@sender.example");
        match (self.hop.nature(), self.weather.chance.below(100)) {
            (Nature::Good, _) if self.hop.defers(recipient.address.as_str()) => 450,
            (Nature::Good, _) => 250,
            (Nature::Deferring, 0..90) => 450,
            (Nature::Refusing, 0..90) if !is_sender => 550,
            (_, 0..15) => 450,
            // What is refused twice is told to nobody, by design.
            (_, 15..27) if !is_sender => 550,
            _ => 250,
        }
    }

    /// Takes a message, or says that it does not.
    fn receive(&self, received: &Received) -> Response {
        let is_notice = received.envelope.sender == ReversePath::Null;
        if self.is_liar {
            return said(250);
        }
        if self.weather.chance.permille(60) && !self.hop.is_good() {
            let is_final = self.weather.chance.permille(500) && !is_notice;
            return said(if is_final { 554 } else { 451 });
        }
        let attempt = self.line.attempt();
        let is_as_stored = self.books.is_as_stored(attempt, &received.content);
        for recipient in &received.envelope.recipients {
            let keys = keys(&received.content, &received.envelope, recipient);
            if !is_as_stored {
                keys.iter().for_each(|key| self.books.is_altered(key));
            }
            self.books
                .takes(attempt, recipient, keys, is_notice, &self.line);
        }
        said(250)
    }
}

/// Where the line that holds a byte begins and ends.
fn some_line(text: &[u8], at: u64) -> (usize, usize) {
    let at = usize::try_from(at).unwrap_or(0);
    let (before, after) = text.split_at_checked(at).unwrap_or((text, &[]));
    let begin = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |n| n + 1);
    let end = after
        .iter()
        .position(|b| *b == b'\n')
        .map_or(text.len(), |n| at + n + 1);
    (begin, end)
}

fn said(code: u16) -> Response {
    Response::new(code, None, "said the next hop")
}
