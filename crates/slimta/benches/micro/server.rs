//! The server end of SMTP: commands, DATA, BDAT.

use std::sync::Arc;

use bytes::BytesMut;
use slimta::message::Response;
use slimta_smtp::server::{Received, Session, Settings, Step};

use crate::measure::{Bench, Load};

/// What the edge reads at once.
const READ_BYTES: usize = 64 << 10;
const LARGE_BYTES: usize = 100 << 10;
const MAIL: &str = "MAIL FROM:<bench@sender.example> SIZE=102400 BODY=8BITMIME\r\n";
const RCPT: &str = "RCPT TO:<somebody@next-hop.example>\r\n";

pub(crate) fn measure(bench: &mut Bench) {
    let mut client = Client::new();
    let commands = format!("{MAIL}{RCPT}RSET\r\n").repeat(10);
    let load = |bytes: usize, items| Load { items, bytes };
    let shape = load(commands.len(), 30);
    bench.run("server: a command", shape, || {
        client.plays(commands.as_bytes(), 0)
    });
    let line = format!("{}\r\n", "x".repeat(70));
    let dotted = format!("..{}\r\n", "x".repeat(70));
    for (name, line, bytes) in [
        ("server: DATA, 1 KiB", &line, 1 << 10),
        ("server: DATA, 100 KiB", &line, LARGE_BYTES),
        (
            "server: DATA, 100 KiB, each line with a dot",
            &dotted,
            LARGE_BYTES,
        ),
        (
            "server: DATA, 100 KiB of empty lines",
            &"\r\n".to_owned(),
            LARGE_BYTES,
        ),
    ] {
        let text = text(line, bytes);
        let whole = format!("{MAIL}{RCPT}DATA\r\n{text}.\r\n");
        bench.run(name, load(whole.len(), 1), || {
            client.plays(whole.as_bytes(), 1)
        });
    }
    for (name, bytes) in [
        ("server: BDAT, 1 KiB", 1 << 10),
        ("server: BDAT, 100 KiB", LARGE_BYTES),
    ] {
        let text = text(&line, bytes);
        let whole = format!("{MAIL}{RCPT}BDAT {} LAST\r\n{text}", text.len());
        bench.run(name, load(whole.len(), 1), || {
            client.plays(whole.as_bytes(), 1)
        });
    }
}

/// A message of about so many bytes, of one line again and again.
pub(crate) fn text(line: &str, bytes: usize) -> String {
    let header = "From: <bench@sender.example>\r\nSubject: bench\r\n\r\n";
    let lines = bytes.saturating_sub(header.len()) / line.len();
    format!("{header}{}", line.repeat(lines))
}

/// A session, and what its driver keeps.
struct Client {
    session: Session,
    input: BytesMut,
    queued: Response,
}

impl Client {
    fn new() -> Self {
        let settings = Arc::new(Settings::new("mail.example.net"));
        let mut client = Client {
            session: Session::new(settings),
            input: BytesMut::new(),
            queued: Response::success(6, 0, "Message queued as 0123456789abcdef"),
        };
        client.plays(b"EHLO client.example\r\n", 0);
        client
    }

    /// Says it all, as the edge would read it; must be understood, and bring so
    /// many messages.
    fn plays(&mut self, said: &[u8], messages: usize) -> Option<Box<Received>> {
        let (mut last, mut found) = (None, 0);
        for piece in said.chunks(READ_BYTES) {
            self.input.extend_from_slice(piece);
            loop {
                match self.session.step(&mut self.input) {
                    Step::Read(_) => break,
                    Step::Write => {}
                    Step::Decide(_) => self.session.allow(),
                    Step::Recipient(recipient) => self.session.accept_recipient(recipient),
                    Step::Message(received) => {
                        (last, found) = (Some(received), found + 1);
                        self.session.answer(&self.queued);
                    }
                    step => panic!("the session was not to say {step:?}"),
                }
            }
            let output = self.session.output();
            assert!(
                !output.starts_with(b"4") && !output.starts_with(b"5"),
                "{output:?}"
            );
            output.clear();
        }
        assert_eq!(found, messages);
        last
    }
}
