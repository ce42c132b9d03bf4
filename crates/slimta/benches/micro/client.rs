//! The client end of SMTP: replies, and contents for DATA.

use bytes::BytesMut;
use slimta::message::{BodyType, Content, Envelope, Priority, Recipient, ReversePath};
use slimta::world::Timestamp;
use slimta_smtp::client::{Parcel, Session, Step, Stuffing, Timing};

use crate::measure::{Bench, Load};
use crate::server::text;

const NOW: Timestamp = Timestamp::from_secs(1_795_508_249);

const GREETING: &[u8] = b"220 mail.example.net ESMTP\r\n";
const EHLO: &[u8] =
    b"250-mail.example.net\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 52428800\r\n\
    250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250 CHUNKING\r\n";
const GO_AHEAD: &[u8] =
    b"250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n";
const TAKEN: &[u8] = b"250 2.6.0 Message queued as 0123456789abcdef\r\n";
/// What the relay writes at once.
const BLOCK_BYTES: usize = 64 << 10;

pub(crate) fn measure(bench: &mut Bench) {
    let content = Content::new("Subject: bench\r\n\r\nbench\r\n");
    let sender = ReversePath::parse("bench@sender.example").unwrap();
    let envelope = Envelope::new(sender, []);
    let recipients = [Recipient::new("somebody@next-hop.example".parse().unwrap())];
    let parcel = Parcel {
        envelope: &envelope,
        recipients: &recipients,
        content: &content,
        body: BodyType::SevenBit,
        priority: Priority::Normal,
        now: NOW,
    };
    let mut hop = NextHop::new();
    let (items, bytes) = (4, GO_AHEAD.len() + TAKEN.len());
    bench.run(
        "client: a reply, with its command",
        Load { items, bytes },
        || hop.takes(&parcel),
    );
    for (name, line) in [
        ("client: contents for DATA, 100 KiB", "x".repeat(70)),
        (
            "client: contents for DATA, each line with a dot",
            format!(".{}", "x".repeat(69)),
        ),
    ] {
        let text = text(&format!("{line}\r\n"), 100 << 10);
        let (items, bytes) = (1, text.len());
        let (content, mut out) = (Content::new(text), Vec::new());
        bench.run(name, Load { items, bytes }, || {
            let mut stuffing = Stuffing::new(&content);
            let mut written = 0;
            loop {
                out.clear();
                let has_more = stuffing.fill(&mut out, BLOCK_BYTES);
                written += out.len();
                if !has_more {
                    break;
                }
            }
            assert!(written >= content.len());
        });
    }
}

/// A session with a host that takes everything.
struct NextHop {
    session: Session,
    input: BytesMut,
}

impl NextHop {
    fn new() -> Self {
        let mut hop = NextHop {
            session: Session::new("client.example", Timing::default()),
            input: BytesMut::new(),
        };
        for said in [GREETING, EHLO] {
            assert!(matches!(hop.says(b""), Step::Read(_)));
            hop.input.extend_from_slice(said);
        }
        assert!(matches!(hop.says(b""), Step::Ready));
        hop
    }

    fn says(&mut self, said: &[u8]) -> Step {
        self.input.extend_from_slice(said);
        let step = self.session.step(&mut self.input);
        self.session.output().clear();
        step
    }

    fn takes(&mut self, parcel: &Parcel<'_>) {
        self.session.begin(parcel);
        assert!(matches!(self.says(b""), Step::Read(_)));
        assert!(matches!(self.says(GO_AHEAD), Step::Contents));
        self.session.contents_sent();
        let step = self.says(TAKEN);
        let Step::Done(outcome) = step else {
            panic!("the session was not to say {step:?}");
        };
        assert!(outcome.responses.iter().all(|r| r.code.get() == 250));
    }
}
