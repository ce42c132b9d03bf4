//! The PROXY protocol, versions 1 and 2, as a server reads it: a proxy that
//! passes a connection on says in front of it who the client is
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! Nothing behind the header is ever asked for: it may be the first byte of TLS,
//! which is for somebody else to read. Whom a header may be believed from is for
//! the caller to know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// What a header of version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, and four bytes that say what follows.
const FIXED_BYTES: usize = 16;
/// Most bytes that may follow these: addresses, and what else a proxy tells.
const REST_BYTES_MAX: usize = 4 << 10;
/// What a header of version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// The longest header of version 1, with its CR LF.
const LINE_BYTES_MAX: usize = 107;

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    /// The connection is that of this client.
    Client(SocketAddr),
    /// The proxy has no client to name: it looks whether the server is well
    /// (`LOCAL`), or cannot say whose connection it is (`UNKNOWN`).
    Nobody,
}

/// What is known of a header by what has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// At least so many bytes more belong to it; more must not be read.
    Needs(usize),
    /// It is whole; behind it nothing was read.
    Done(Header),
}

/// There is no header, or one that is not as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the connection does not begin with a header of the PROXY protocol")]
pub struct NoHeader;

/// Reads a header, of which `input` is the front, all that was read so far.
pub fn read(input: &[u8]) -> Result<Progress, NoHeader> {
    if input.len() < SIGNATURE.len() && SIGNATURE.starts_with(input) {
        return Ok(Progress::Needs(SIGNATURE.len() - input.len()));
    }
    match input.strip_prefix(SIGNATURE) {
        Some(rest) => read_bytes(rest),
        None => read_line(input),
    }
}

/// Reads version 2 behind its signature.
fn read_bytes(rest: &[u8]) -> Result<Progress, NoHeader> {
    let [command, family, high, low, rest @ ..] = rest else {
        return Ok(Progress::Needs(FIXED_BYTES - SIGNATURE.len() - rest.len()));
    };
    let bytes = usize::from(u16::from_be_bytes([*high, *low]));
    if bytes > REST_BYTES_MAX || rest.len() > bytes {
        return Err(NoHeader);
    }
    let header = |rest| match (command, family) {
        // The proxy itself: whatever follows says nothing.
        (0x20, _) => Ok(Header::Nobody),
        (0x21, 0x11) => from_bytes::<4>(rest),
        (0x21, 0x21) => from_bytes::<16>(rest),
        // A client of a kind that cannot be named.
        (0x21, 0x00) => Ok(Header::Nobody),
        _ => Err(NoHeader),
    };
    match bytes - rest.len() {
        0 => header(rest).map(Progress::Done),
        needs => Ok(Progress::Needs(needs)),
    }
}

/// Two addresses of N bytes and two ports, the client's first of each; what
/// follows them (TLV) is left alone.
fn from_bytes<const N: usize>(rest: &[u8]) -> Result<Header, NoHeader>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = rest.split_first_chunk::<N>().ok_or(NoHeader)?;
    let (_, rest) = rest.split_first_chunk::<N>().ok_or(NoHeader)?;
    let (port, rest) = rest.split_first_chunk::<2>().ok_or(NoHeader)?;
    rest.split_first_chunk::<2>().ok_or(NoHeader)?;
    let port = u16::from_be_bytes(*port);
    Ok(Header::Client(SocketAddr::new(IpAddr::from(*source), port)))
}

/// Reads version 1: a line.
fn read_line(input: &[u8]) -> Result<Progress, NoHeader> {
    if input.len() <= WORD.len() {
        return match WORD.starts_with(input) {
            // With an end that says nothing: the shortest line is longer.
            true => Ok(Progress::Needs(WORD.len() - input.len() + 2)),
            false => Err(NoHeader),
        };
    }
    let text = input.strip_prefix(WORD).ok_or(NoHeader)?;
    if let Some(at) = text.iter().position(|b| *b == b'\n') {
        let line = text.strip_suffix(b"\r\n").filter(|_| at + 1 == text.len());
        let line = line.filter(|_| input.len() <= LINE_BYTES_MAX);
        return from_line(line.ok_or(NoHeader)?).map(Progress::Done);
    }
    let needs = match text.last() {
        Some(b'\r') => 1,
        _ => 2,
    };
    match input.len() + needs <= LINE_BYTES_MAX {
        true => Ok(Progress::Needs(needs)),
        false => Err(NoHeader),
    }
}

/// What stands between the word and the end of the line: the addresses of both
/// ends, and then their ports.
fn from_line(line: &[u8]) -> Result<Header, NoHeader> {
    let line = str::from_utf8(line).map_err(|_| NoHeader)?;
    let words: Vec<&str> = line.split(' ').collect();
    let named = match words[..] {
        // Whatever follows says nothing.
        ["UNKNOWN", ..] => return Ok(Header::Nobody),
        ["TCP4", source, to, port, to_port] => ends::<Ipv4Addr>([source, to], [port, to_port]),
        ["TCP6", source, to, port, to_port] => ends::<Ipv6Addr>([source, to], [port, to_port]),
        _ => None,
    };
    named.map(Header::Client).ok_or(NoHeader)
}

/// The first end, if both are written as they should be.
fn ends<A>(addresses: [&str; 2], ports: [&str; 2]) -> Option<SocketAddr>
where
    A: FromStr + Into<IpAddr>,
{
    let [source, to] = addresses.map(|text| text.parse::<A>().ok());
    let [port, to_port] = ports.map(port);
    to.zip(to_port)?;
    Some(SocketAddr::new(source?.into(), port?))
}

/// A port: digits, without zeros in front.
fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a header as a driver does: never more than it is told to. Gives what
    /// it says, and how much of `wire` was read.
    fn driven(wire: &[u8]) -> (Result<Option<Header>, NoHeader>, usize) {
        let mut len = 0;
        loop {
            match read(&wire[..len]) {
                Err(error) => return (Err(error), len),
                Ok(Progress::Done(header)) => return (Ok(Some(header)), len),
                Ok(Progress::Needs(more)) => {
                    assert!(more > 0 && len + more <= FIXED_BYTES + REST_BYTES_MAX);
                    if len == wire.len() {
                        return (Ok(None), len);
                    }
                    len = wire.len().min(len + more);
                }
            }
        }
    }

    fn client(text: &str) -> Header {
        Header::Client(text.parse().unwrap())
    }

    /// Version 2: a command, a family and what follows.
    fn bytes(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, rest].concat()
    }

    const V4: &[u8] = &[192, 0, 2, 1, 127, 0, 0, 1, 0x12, 0x34, 0, 25];

    #[test]
    fn a_header_names_the_client_and_what_follows_is_not_read() {
        let v6 = [
            &[0x20, 1, 0x0d, 0xb8],
            &[0; 12][..],
            &[0; 16],
            &[0, 7, 0, 25],
        ]
        .concat();
        let tlv = [V4, &[1, 0, 2, b'h', b'2']].concat();
        for (header, named) in [
            (
                b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 25\r\n".to_vec(),
                client("192.0.2.1:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n".to_vec(),
                client("[2001:db8::1]:0"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Header::Nobody),
            (b"PROXY UNKNOWN a b c\r\n".to_vec(), Header::Nobody),
            (bytes(0x21, 0x11, V4), client("192.0.2.1:4660")),
            (bytes(0x21, 0x11, &tlv), client("192.0.2.1:4660")),
            (bytes(0x21, 0x21, &v6), client("[2001:db8::]:7")),
            (bytes(0x20, 0x00, &[]), Header::Nobody),
            (bytes(0x20, 0x11, V4), Header::Nobody),
            (bytes(0x21, 0x00, b"x"), Header::Nobody),
        ] {
            let wire = [&header[..], b"\x16\x03\x01\r\n"].concat();
            assert_eq!(driven(&wire), (Ok(Some(named)), header.len()), "{header:?}");
            for at in 0..header.len() {
                assert_eq!(driven(&header[..at]), (Ok(None), at), "{header:?} {at}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        assert_eq!(long.len(), LINE_BYTES_MAX + 1);
        let large = vec![0; REST_BYTES_MAX + 1];
        for wire in [
            &b"EHLO client.example\r\n"[..],
            b"PROXX",
            b"proxy TCP4 192.0.2.1 127.0.0.1 1 25\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 1 25\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 1\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 1 25 \r\n",
            b"PROXY TCP4  192.0.2.1 127.0.0.1 1 25\r\n",
            b"PROXY TCP4 192.0.2.1 ::1 1 25\r\n",
            b"PROXY TCP4 192.0.2.01 127.0.0.1 1 25\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 01 25\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 +1 25\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 65536 25\r\n",
            b"PROXY TCP6 192.0.2.1 127.0.0.1 1 25\r\n",
            b"PROXY UDP4 192.0.2.1 127.0.0.1 1 25\r\n",
            b"PROXY UNKNOWN\n\r\n",
            long.as_bytes(),
            b"\r\n\r\n\0\r\nQUIT\r",
            &bytes(0x11, 0x11, V4),
            &bytes(0x22, 0x11, V4),
            &bytes(0x21, 0x12, V4),
            &bytes(0x21, 0x31, V4),
            &bytes(0x21, 0x11, &V4[1..]),
            &bytes(0x21, 0x21, V4),
            &bytes(0x21, 0x11, &large),
        ] {
            let shown = wire.escape_ascii();
            assert_eq!(driven(wire).0, Err(NoHeader), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_bounds(
            front in prop::sample::select(vec![&b""[..], WORD, SIGNATURE, b"PROXY TCP4 "]),
            behind in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let wire = [front, &behind].concat();
            let (_, used) = driven(&wire);
            prop_assert!(used <= wire.len());
        }
    }
}
