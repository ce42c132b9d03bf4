//! One SMTP session of a sink, without I/O: bytes in, replies out.
//!
//! It takes what any client sends and believes it: no checks of syntax or
//! order, which is the work of a server that is responsible for mail. What it
//! must be is quick, because it stands behind the server that is measured.

use bytes::BytesMut;
use memchr::memmem::Finder;
use slimta_core::message::Code;

use super::Answers;

/// Longest command line.
const COMMAND_BYTES_MAX: usize = 4096;
/// Largest message, which is held in memory until its end is seen.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What a session tells of what it took.
pub(crate) trait Taker {
    /// A message came in for so many recipients; `data` is as it was sent,
    /// with its dots still stuffed and without the final dot.
    fn message(&self, data: &[u8], recipients: u64);
    /// A recipient was answered by a rule.
    fn refused(&self, recipient: &str, code: Code);
}

/// Whether a session goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// It waits for more.
    Continues,
    /// It ends once the replies are sent.
    Ends,
}

/// The state of one session.
pub(crate) struct Session {
    recipients: u64,
    /// Inside of DATA, and how far was looked for its end.
    data: Option<Scan>,
    end: Finder<'static>,
}

#[derive(Default)]
struct Scan {
    looked: usize,
    oversized: bool,
}

impl Session {
    /// A fresh session.
    pub(crate) fn new() -> Self {
        Session {
            recipients: 0,
            data: None,
            end: Finder::new(b"\r\n.\r\n"),
        }
    }

    /// What is said first.
    pub(crate) fn banner(out: &mut Vec<u8>) {
        out.extend_from_slice(b"220 sink.invalid ESMTP slimta sink\r\n");
    }

    /// Works through all that can be understood of `input` and leaves the rest.
    pub(crate) fn feed(
        &mut self,
        input: &mut BytesMut,
        out: &mut Vec<u8>,
        answers: &Answers,
        taker: &impl Taker,
    ) -> Flow {
        loop {
            if self.data.is_some() {
                if !self.take_data(input, out, taker) {
                    return Flow::Continues;
                }
                continue;
            }
            let Some(newline) = memchr::memchr(b'\n', input) else {
                if input.len() <= COMMAND_BYTES_MAX {
                    return Flow::Continues;
                }
                out.extend_from_slice(b"500 5.5.2 Line too long\r\n");
                return Flow::Ends;
            };
            let line = input.split_to(newline + 1);
            if self.command(line.trim_ascii_end(), out, answers, taker) == Flow::Ends {
                return Flow::Ends;
            }
        }
    }

    fn command(
        &mut self,
        line: &[u8],
        out: &mut Vec<u8>,
        answers: &Answers,
        taker: &impl Taker,
    ) -> Flow {
        let verb: Vec<u8> = line.iter().take(4).map(u8::to_ascii_uppercase).collect();
        match verb.as_slice() {
            b"RCPT" => return self.recipient(line, out, answers, taker),
            b"DATA" => self.begin_data(out),
            b"MAIL" | b"RSET" | b"HELO" => {
                self.recipients = 0;
                out.extend_from_slice(b"250 2.0.0 Ok\r\n");
            }
            b"EHLO" => {
                self.recipients = 0;
                out.extend_from_slice(
                    b"250-sink.invalid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                      250-SIZE 67108864\r\n250 ENHANCEDSTATUSCODES\r\n",
                );
            }
            b"NOOP" => out.extend_from_slice(b"250 2.0.0 Ok\r\n"),
            b"VRFY" => out.extend_from_slice(b"252 2.0.0 Try it\r\n"),
            b"QUIT" => {
                out.extend_from_slice(b"221 2.0.0 Bye\r\n");
                return Flow::Ends;
            }
            _ => out.extend_from_slice(b"502 5.5.1 Command not implemented\r\n"),
        }
        Flow::Continues
    }

    fn recipient(
        &mut self,
        line: &[u8],
        out: &mut Vec<u8>,
        answers: &Answers,
        taker: &impl Taker,
    ) -> Flow {
        let text = String::from_utf8_lossy(line);
        let recipient = text
            .split_once('<')
            .and_then(|(_, rest)| rest.rsplit_once('>'))
            .map_or("", |(path, _)| path);
        match answers.for_recipient(recipient) {
            Some((code, text)) => {
                out.extend_from_slice(format!("{code} {text}\r\n").as_bytes());
                if code.get() / 100 == 2 {
                    self.recipients += 1;
                } else {
                    taker.refused(recipient, code);
                }
                if code.get() == 421 {
                    return Flow::Ends;
                }
            }
            None => {
                self.recipients += 1;
                out.extend_from_slice(b"250 2.1.5 Ok\r\n");
            }
        }
        Flow::Continues
    }

    fn begin_data(&mut self, out: &mut Vec<u8>) {
        if self.recipients == 0 {
            out.extend_from_slice(b"554 5.5.1 No valid recipients\r\n");
            return;
        }
        self.data = Some(Scan::default());
        out.extend_from_slice(b"354 End with a dot\r\n");
    }

    /// Takes the message if its end is there; whether it was.
    fn take_data(&mut self, input: &mut BytesMut, out: &mut Vec<u8>, taker: &impl Taker) -> bool {
        let Some(scan) = &mut self.data else {
            return false;
        };
        let (content, with_end) = if !scan.oversized && input.starts_with(b".\r\n") {
            (0, 3)
        } else {
            // The end may lie across what was looked through and what is new.
            let from = scan.looked.saturating_sub(4);
            match self.end.find(&input[from..]) {
                Some(at) => (from + at + 2, from + at + 5),
                None => {
                    scan.looked = input.len();
                    if input.len() > MESSAGE_BYTES_MAX {
                        let _ = input.split_to(input.len() - 4);
                        scan.looked = 0;
                        scan.oversized = true;
                    }
                    return false;
                }
            }
        };
        let data = input.split_to(with_end);
        if scan.oversized {
            out.extend_from_slice(b"552 5.3.4 Message too big\r\n");
        } else {
            taker.message(&data[..content], self.recipients);
            out.extend_from_slice(b"250 2.0.0 Ok\r\n");
        }
        self.data = None;
        self.recipients = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Default)]
    struct Taken(RefCell<Vec<(Vec<u8>, u64)>>);

    impl Taker for Taken {
        fn message(&self, data: &[u8], recipients: u64) {
            self.0.borrow_mut().push((data.to_vec(), recipients));
        }
        fn refused(&self, _: &str, _: Code) {}
    }

    const TALK: &str = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<no@x>\r\nRCPT TO:<a@x>\r\nDATA\r\n\
                        A: 1\r\n\r\n..\r\n.x\r\n.\r\nmail from:<>\r\nrcpt to:<b@x> NOTIFY=NEVER\r\n\
                        data\r\n.\r\nQUIT\r\n";

    /// Replies and messages of the talk, fed in pieces of the given size.
    fn talk(piece: usize) -> (String, Vec<(Vec<u8>, u64)>) {
        let answers = Answers::new(vec!["^no@=550".parse().unwrap()]);
        let (taken, mut session) = (Taken::default(), Session::new());
        let (mut input, mut out) = (BytesMut::new(), Vec::new());
        let mut flow = Flow::Continues;
        for bytes in TALK.as_bytes().chunks(piece) {
            input.extend_from_slice(bytes);
            flow = session.feed(&mut input, &mut out, &answers, &taken);
        }
        assert_eq!((flow, input.len()), (Flow::Ends, 0));
        (String::from_utf8(out).unwrap(), taken.0.into_inner())
    }

    #[test]
    fn a_talk_is_understood_however_it_is_cut() {
        let whole = talk(TALK.len());
        assert_eq!(
            whole.1,
            [(b"A: 1\r\n\r\n..\r\n.x\r\n".to_vec(), 1), (b"".to_vec(), 1)]
        );
        let codes: Vec<&str> = whole.0.lines().map(|line| &line[..3]).collect();
        assert_eq!(
            codes[6..],
            [
                "250", "550", "250", "354", "250", "250", "250", "354", "250", "221"
            ]
        );
        for piece in 1..20 {
            assert_eq!(talk(piece), whole);
        }
    }
}
