//! The messages of a benchmark: each carries its number, so that whoever
//! receives it can tell what is lost, doubled or altered.

use slimta_core::message::{Address, ReversePath};

/// The header field of the stamp: run and number.
const FIELD: &[u8] = b"X-Slimta-Bench: ";
/// How far into a message the stamp is looked for. The server under test adds
/// fields before it.
const HEADER_BYTES_MAX: usize = 32 << 10;
const LINE: &[u8] =
    b"Neither snow nor rain nor heat nor gloom of night stays these couriers.   ##\r\n";

/// What all messages of a run share.
pub(crate) struct Mold {
    run: u32,
    head: String,
    body: Vec<u8>,
    body_crc: u32,
}

impl Mold {
    /// Messages of `size` bytes, or of what the header takes if that is more.
    pub(crate) fn new(run: u32, sender: &ReversePath, recipient: &Address, size: usize) -> Self {
        let head = format!("From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: slimta bench\r\n");
        let stamp = FIELD.len() + "00000000 00000000".len() + 4;
        let mut body: Vec<u8> = LINE
            .iter()
            .copied()
            .cycle()
            .take(size.saturating_sub(head.len() + stamp))
            .collect();
        // The last line must end like one; SMTP cannot carry it otherwise.
        match body.len() {
            0 => {}
            1 => body.clear(),
            length => body.splice(length - 2.., *b"\r\n").for_each(drop),
        }
        Mold {
            run,
            head,
            body_crc: crc32fast::hash(&body),
            body,
        }
    }

    /// Message `number`, ready for the wire, in `buffer`.
    pub(crate) fn cast(&self, number: usize, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(self.head.as_bytes());
        buffer.extend_from_slice(FIELD);
        buffer.extend_from_slice(format!("{:08x} {number:08}\r\n\r\n", self.run).as_bytes());
        buffer.extend_from_slice(&self.body);
    }

    /// The number of a message that came through; none if it is not of this
    /// run.
    pub(crate) fn recognize(&self, data: &[u8]) -> Option<Recognized> {
        let header = data.get(..HEADER_BYTES_MAX).unwrap_or(data);
        let at = memchr::memmem::find(header, FIELD)? + FIELD.len();
        let stamp = std::str::from_utf8(data.get(at..at + 17)?).ok()?;
        let (run, number) = stamp.split_once(' ')?;
        if u32::from_str_radix(run, 16) != Ok(self.run) {
            return None;
        }
        let body = memchr::memmem::find(data, b"\r\n\r\n").and_then(|at| data.get(at + 4..))?;
        Some(Recognized {
            number: number.parse().ok()?,
            intact: crc32fast::hash(body) == self.body_crc,
        })
    }
}

/// A message of this run.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Recognized {
    /// Which.
    pub(crate) number: usize,
    /// Whether its body is as it was sent.
    pub(crate) intact: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mold(run: u32, size: usize) -> Mold {
        Mold::new(
            run,
            &ReversePath::Null,
            &Address::parse("a@b").unwrap(),
            size,
        )
    }

    #[test]
    fn a_message_has_its_size_and_is_recognized_behind_added_headers() {
        for size in [0, 100, 101, 1024, 102_400] {
            let (mold, mut message) = (mold(7, size), Vec::new());
            mold.cast(42, &mut message);
            assert!(message.len() == size || size < 110, "{size}");
            assert!(message.ends_with(b"\r\n"));
            let mut received = b"Received: by x\r\n".to_vec();
            received.extend_from_slice(&message);
            let recognized = Recognized {
                number: 42,
                intact: true,
            };
            assert_eq!(mold.recognize(&received), Some(recognized));
        }
    }

    #[test]
    fn strangers_and_altered_bodies_are_told_apart() {
        let (mold, other, mut message) = (mold(7, 1024), mold(8, 1024), Vec::new());
        mold.cast(1, &mut message);
        assert_eq!(other.recognize(&message), None);
        assert_eq!(mold.recognize(b"Subject: x\r\n\r\nhello\r\n"), None);
        let last = message.len() - 10;
        message[last] ^= 1;
        assert!(!mold.recognize(&message).unwrap().intact);
    }
}
