//! A client that sends octets, not commands, and reads codes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a server.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
    errors: usize,
}

impl Wire {
    /// Connects, and reads nothing.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Wire {
            stream,
            input: Vec::new(),
            errors: 0,
        }
    }

    /// Connects, and says hello.
    #[track_caller]
    pub(crate) fn greeted(address: SocketAddr) -> Self {
        let mut wire = Wire::connect(address);
        wire.reply("220 ");
        wire.ask("EHLO client.test.example", "250");
        wire
    }

    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).unwrap();
    }

    /// Says a line and reads the answer, which must begin as expected.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str, expected: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.reply(expected)
    }

    /// Hands a message in, which must be taken.
    #[track_caller]
    pub(crate) fn deliver(&mut self, sender: &str, recipient: &str) {
        self.ask(&format!("MAIL FROM:<{sender}>"), "250 ");
        self.ask(&format!("RCPT TO:<{recipient}>"), "250 ");
        self.ask("DATA", "354 ");
        self.ask("Subject: x\r\n\r\nx\r\n.", "250 2.6.0 ");
    }

    /// Whether the server has not closed it.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        // What it has said and nobody has read does not matter.
        let mut unread = vec![0; 64 << 10];
        let mut stream = &self.stream;
        loop {
            match stream.read(&mut unread) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Reads a whole reply, which must begin as expected.
    #[track_caller]
    pub(crate) fn reply(&mut self, expected: &str) -> String {
        let reply = self.next();
        assert!(reply.starts_with(expected), "{reply:?} is not {expected:?}");
        self.errors += usize::from(reply.starts_with("50"));
        reply
    }

    /// How many commands were bad: a server loses its patience at some number.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// The next reply; empty at the end.
    pub(crate) fn next(&mut self) -> String {
        let mut reply = String::new();
        while let Some(line) = self.line() {
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        reply
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.iter().position(|b| *b == b'\n') {
                let line = self.input.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more).unwrap() {
                0 => return None,
                len => self.input.extend_from_slice(&more[..len]),
            }
        }
    }
}
