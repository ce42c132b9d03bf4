//! A next hop that keeps what it is sent, byte for byte, and answers as a
//! script says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What ends a line, and so a command and a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LineEnds {
    /// CR LF and nothing else (RFC 5321 section 2.3.8).
    Strict,
    /// CR, LF, or both, and NUL is passed over: the most that a smuggler can
    /// hope for.
    Lenient,
}

/// A message as it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Taken {
    /// The commands MAIL and RCPT.
    pub(crate) envelope: Vec<String>,
    /// The lines behind DATA without their ends, dots still stuffed.
    pub(crate) lines: Vec<Vec<u8>>,
}

impl Taken {
    /// The contents, without the dots that were put before lines.
    pub(crate) fn content(&self) -> Vec<u8> {
        let unstuffed = |line: &Vec<u8>| line.strip_prefix(b".").unwrap_or(line).to_vec();
        let lines = self.lines.iter().map(unstuffed);
        lines
            .flat_map(|line| [&line[..], b"\r\n"].concat())
            .collect()
    }
}

/// Answers a command with octets of its own; true if it has.
type Script = dyn Fn(&str, &mut TcpStream) -> bool + Send + Sync;

/// A running next hop; it lives as long as the tests.
pub(crate) struct Hop {
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Hop {
    /// One that takes all mail.
    pub(crate) fn taking(line_ends: LineEnds) -> Self {
        Hop::scripted(line_ends, |_, _| false)
    }

    /// One that answers what `script` leaves as a polite server would.
    pub(crate) fn scripted(
        line_ends: LineEnds,
        script: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hop = Hop {
            address: listener.local_addr().unwrap(),
            taken: Arc::default(),
        };
        let (script, taken): (Arc<Script>, _) = (Arc::new(script), hop.taken.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, taken) = (script.clone(), taken.clone());
                std::thread::spawn(move || Session::new(stream, line_ends).serve(&*script, &taken));
            }
        });
        hop
    }

    /// What `--relay` says.
    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// All that it has taken.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

struct Session {
    stream: TcpStream,
    line_ends: LineEnds,
    input: Vec<u8>,
    read: usize,
    after_cr: bool,
}

impl Session {
    fn new(stream: TcpStream, line_ends: LineEnds) -> Self {
        Session {
            stream,
            line_ends,
            input: Vec::new(),
            read: 0,
            after_cr: false,
        }
    }

    /// Serves until the client is gone.
    fn serve(mut self, script: &Script, taken: &Mutex<Vec<Taken>>) -> Option<()> {
        self.say("220 hop.test.example")?;
        let mut message = Taken::default();
        loop {
            let line = String::from_utf8(self.line()?).unwrap();
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_owned();
            let is_answered = script(&line, &mut self.stream);
            if verb == "MAIL" {
                message.envelope.clear();
            }
            if matches!(&*verb, "MAIL" | "RCPT") {
                message.envelope.push(line);
            }
            if is_answered {
                continue;
            }
            match &*verb {
                "EHLO" => self.say(
                    "250-hop.test.example\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 SIZE",
                )?,
                "DATA" => {
                    self.say("354 Go")?;
                    message.lines = self.contents()?;
                    taken.lock().unwrap().push(std::mem::take(&mut message));
                    self.say("250 Taken")?;
                }
                "QUIT" => self.say("221 Bye")?,
                _ => self.say("250 Fine")?,
            }
        }
    }

    fn contents(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line == b"." {
                return Some(lines);
            }
            lines.push(line);
        }
    }

    fn say(&mut self, reply: &str) -> Option<()> {
        self.stream
            .write_all(format!("{reply}\r\n").as_bytes())
            .ok()
    }

    /// The next line, without its end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let byte = self.byte()?;
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match (self.line_ends, byte) {
                (LineEnds::Strict, b'\n') if follows_cr => {
                    line.pop();
                    return Some(line);
                }
                (LineEnds::Lenient, b'\n') if follows_cr => {}
                (LineEnds::Lenient, b'\r' | b'\n') => return Some(line),
                (LineEnds::Lenient, 0) => {}
                _ => line.push(byte),
            }
        }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.read == self.input.len() {
            self.input.resize(8 << 10, 0);
            let len = self.stream.read(&mut self.input).ok()?;
            self.input.truncate(len);
            self.read = 0;
        }
        let byte = *self.input.get(self.read)?;
        self.read += 1;
        Some(byte)
    }
}
