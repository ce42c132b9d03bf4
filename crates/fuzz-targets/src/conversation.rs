//! Our client end against our server end, over a line that cuts as it likes and
//! may break: what the one delivered, the other has, and it is the same. Contents
//! that were declared BINARYMIME are the same octet by octet.

use std::sync::Arc;

use bytes::BytesMut;
use slimta_core::message::{
    BodyType, Content, Envelope, Notify, OriginalRecipient, Priority, Recipient, Response, Ret,
    ReversePath,
};
use slimta_core::world::Timestamp;
use slimta_smtp::client::{Outcome, Parcel, Session as Client, Step as ClientStep, Timing};
use slimta_smtp::server::{Received, Session as Server, Settings, Step as ServerStep};

use crate::pieces::Pieces;

const NOW: Timestamp = Timestamp::from_secs(1_795_508_249);

const TURNS_MAX: usize = 100_000;

/// One message, and how the line behaves.
struct Play {
    envelope: Envelope,
    recipients: Vec<Recipient>,
    content: Content,
    cut: usize,
    breaks_after: Option<usize>,
    size_max: u64,
}

/// Both ends of one session.
pub(crate) fn conversation(bytes: &[u8]) {
    let play = Play::read(bytes);
    let (outcome, received) = play.run();
    assert_eq!(outcome.responses.len(), play.recipients.len());
    let delivered: Vec<_> = outcome
        .responses
        .iter()
        .zip(&play.recipients)
        .filter(|(response, _)| response.is_success())
        .map(|(_, recipient)| recipient)
        .collect();
    let Some(received) = received else {
        assert!(delivered.is_empty(), "delivered, but never received");
        return;
    };
    let has = &received.envelope.recipients;
    for recipient in &delivered {
        let is_same = |other: &Recipient| is_same(recipient, other);
        assert!(
            has.iter().any(is_same),
            "{recipient:?} was changed: {has:?}"
        );
    }
    assert!(play.breaks_after.is_some() || delivered.len() == has.len());
    assert_eq!(received.envelope.sender, play.envelope.sender);
    assert_eq!(
        received.envelope.body == BodyType::BinaryMime,
        play.is_binary()
    );
    match play.is_binary() {
        true => assert_eq!(received.content.to_vec(), play.content.to_vec()),
        false => assert_eq!(received.content.to_vec(), play.canonical()),
    }
}

/// A client that knows no original recipient names the one it has (RFC 3461
/// section 5.2.1).
fn is_same(sent: &Recipient, has: &Recipient) -> bool {
    let original = sent.original.is_none() || sent.original == has.original;
    sent.address == has.address && sent.notify == has.notify && original
}

impl Play {
    fn read(bytes: &[u8]) -> Self {
        let mut pieces = Pieces::new(bytes);
        let cut = 1 + pieces.pick(200);
        let breaks_after = pieces.flag().then(|| 8 * usize::from(pieces.byte()));
        let size_max = if pieces.pick(4) == 0 { 64 } else { 1 << 20 };
        let mut envelope = Envelope::new(sender(&pieces.text()), []);
        envelope.body = match pieces.pick(3) {
            0 => BodyType::SevenBit,
            1 => BodyType::EightBitMime,
            _ => BodyType::BinaryMime,
        };
        envelope.smtputf8 = pieces.flag();
        envelope.ret = [None, Some(Ret::Full), Some(Ret::Headers)][pieces.pick(3)];
        envelope.envid = Some(pieces.text()).filter(|text| !text.is_empty());
        let recipients = (0..1 + pieces.pick(3)).map(|n| recipient(n, &mut pieces));
        let recipients = recipients.collect();
        Play {
            envelope,
            recipients,
            content: Content::new(pieces.rest().to_vec()),
            cut,
            breaks_after,
            size_max,
        }
    }

    fn is_binary(&self) -> bool {
        self.envelope.body == BodyType::BinaryMime
    }

    /// Every CR, LF and CR LF is a line end, the last line has one.
    fn canonical(&self) -> Vec<u8> {
        let bytes = self.content.to_vec();
        let (mut text, mut at) = (Vec::new(), 0);
        while let Some(byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'\r' | b'\n' => {
                    at += usize::from(*byte == b'\r' && bytes.get(at) == Some(&b'\n'));
                    text.extend_from_slice(b"\r\n");
                }
                byte => text.push(*byte),
            }
        }
        if !text.is_empty() && !text.ends_with(b"\r\n") {
            text.extend_from_slice(b"\r\n");
        }
        text
    }

    fn run(&self) -> (Outcome, Option<Received>) {
        let parcel = Parcel {
            envelope: &self.envelope,
            recipients: &self.recipients,
            content: &self.content,
            body: self.envelope.body,
            priority: Priority::Normal,
            now: NOW,
        };
        let mut settings = Settings::new("server.example");
        settings.message_bytes_max = self.size_max;
        let mut server = Server::new(Arc::new(settings)).with_priorities(true);
        server.banner();
        let mut client = Client::new("client.example", Timing::default());
        let mut line = Line::new(self.cut, self.breaks_after);
        let (mut has_begun, mut received) = (false, None);
        for _ in 0..TURNS_MAX {
            serve(&mut server, &mut line, &mut received);
            let step = client.step(&mut line.to_client.arrived);
            line.to_server.waiting.extend_from_slice(client.output());
            client.output().clear();
            match step {
                ClientStep::Ready | ClientStep::Closed(_) if !has_begun => {
                    has_begun = true;
                    client.begin(&parcel);
                }
                ClientStep::Ready | ClientStep::Closed(_) => panic!("no outcome"),
                ClientStep::StartTls => panic!("nobody asked for TLS"),
                ClientStep::Contents => {
                    let (mut wire, mut text) = (client.wire(&self.content), Vec::new());
                    while wire.fill(&mut text, self.cut + 4) {}
                    wire.end(&mut text);
                    line.to_server.waiting.extend_from_slice(&text);
                    client.contents_sent();
                }
                ClientStep::Read(_) if line.carry() => {}
                ClientStep::Read(_) => client.fail(Response::transient(4, 2, "Connection lost")),
                ClientStep::Done(outcome) => return (outcome, received),
            }
        }
        panic!("no end");
    }
}

fn sender(text: &str) -> ReversePath {
    ReversePath::parse(text).unwrap_or(ReversePath::Null)
}

fn recipient(n: usize, pieces: &mut Pieces<'_>) -> Recipient {
    let text = pieces.text();
    let fallback = || format!("r{n}@to.example").parse().expect("an address");
    // The same recipient twice would be told apart by nobody.
    let address = if n == 0 { text.parse().ok() } else { None };
    let mut recipient = Recipient::new(address.unwrap_or_else(fallback));
    recipient.notify = match pieces.pick(4) {
        0 => None,
        1 => Some(Notify::NEVER),
        n => Some(Notify {
            success: n == 2,
            failure: true,
            delay: n == 3,
        }),
    };
    let original = pieces.text();
    let is_clean = !original.is_empty() && original.len() < 40 && original.is_ascii();
    if is_clean && !original.contains(char::is_control) {
        recipient.original = Some(OriginalRecipient {
            kind: "rfc822".to_owned(),
            address: original,
        });
    }
    recipient
}

/// Lets the server do all it can with what arrived.
fn serve(server: &mut Server, line: &mut Line, received: &mut Option<Received>) {
    loop {
        let step = server.step(&mut line.to_server.arrived);
        let output = server.output().split();
        line.to_client.waiting.extend_from_slice(&output);
        match step {
            ServerStep::Read(_) | ServerStep::Close => return,
            ServerStep::Write | ServerStep::Pause => {}
            ServerStep::StartTls => server.refuse_tls(),
            ServerStep::Decide(_) => server.allow(),
            ServerStep::XClient(_) => panic!("nobody is a proxy"),
            ServerStep::Authenticate(_) | ServerStep::Sasl(_) => server.deny_user(),
            ServerStep::Recipient(recipient) => server.accept_recipient(recipient),
            ServerStep::Message(message) => {
                assert!(received.is_none(), "received twice");
                *received = Some(*message);
                server.answer(&Response::success(6, 0, "Message queued"));
            }
        }
    }
}

/// What is under way between the two ends.
struct Line {
    to_server: Way,
    to_client: Way,
    cut: usize,
    /// How many bytes it still carries.
    left: usize,
}

#[derive(Default)]
struct Way {
    waiting: BytesMut,
    arrived: BytesMut,
}

impl Line {
    fn new(cut: usize, breaks_after: Option<usize>) -> Self {
        Line {
            to_server: Way::default(),
            to_client: Way::default(),
            cut,
            left: breaks_after.unwrap_or(usize::MAX),
        }
    }

    /// Carries a piece each way; false if there is nothing, or it is broken.
    fn carry(&mut self) -> bool {
        let before = self.left;
        for way in [&mut self.to_server, &mut self.to_client] {
            let len = self.cut.min(way.waiting.len()).min(self.left);
            way.arrived.extend_from_slice(&way.waiting.split_to(len));
            self.left -= len;
        }
        before != self.left
    }
}
