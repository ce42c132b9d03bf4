//! The answer to a request, as its bytes come in (RFC 9112).

/// Longest head, over all informational answers before the last.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most fields of a head.
const FIELDS_MAX: usize = 64;
/// Longest line that says how long a chunk is.
const CHUNK_LINE_BYTES_MAX: usize = 1 << 10;

/// What a server said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) struct Answer {
    /// Its code, such as 200.
    pub(in crate::relay) status: u16,
    /// The value of Content-Type.
    pub(in crate::relay) content_type: Option<String>,
    /// All of its body.
    pub(in crate::relay) body: Vec<u8>,
}

/// An answer of which a part is there.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Not understood yet.
    input: Vec<u8>,
    head_bytes: usize,
    head: Option<(Answer, Framing)>,
    body_bytes_max: usize,
}

/// Where a body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    /// After so many more bytes.
    Length(usize),
    /// With the chunk that is empty; the next is so long, if that is known.
    Chunks(Option<usize>),
    /// With the connection.
    Connection,
    /// Nothing more of it comes.
    Complete,
}

type Broken = &'static str;

impl Incoming {
    /// An answer whose body may be so long.
    pub(super) fn new(body_bytes_max: usize) -> Self {
        Incoming {
            input: Vec::new(),
            head_bytes: 0,
            head: None,
            body_bytes_max,
        }
    }

    /// Takes what came, and says whether all is there.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<bool, Broken> {
        self.input.extend_from_slice(bytes);
        while self.head.is_none() {
            if !self.read_head()? {
                return Ok(false);
            }
        }
        let Some((answer, framing)) = &mut self.head else {
            return Ok(false);
        };
        framing.take(&mut self.input, &mut answer.body, self.body_bytes_max)?;
        Ok(*framing == Framing::Complete)
    }

    /// The answer, when all is there or the connection has ended.
    pub(super) fn end(self) -> Result<Answer, Broken> {
        match self.head {
            Some((answer, Framing::Complete | Framing::Connection)) => Ok(answer),
            _ => Err("the answer was cut short"),
        }
    }

    /// Reads a head if there is one. Informational ones say nothing.
    fn read_head(&mut self) -> Result<bool, Broken> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let parsed = head.parse(&self.input).map_err(|_| "it is not HTTP")?;
        let httparse::Status::Complete(length) = parsed else {
            let is_long = self.head_bytes + self.input.len() > HEAD_BYTES_MAX;
            return if is_long {
                Err(HEAD_TOO_LONG)
            } else {
                Ok(false)
            };
        };
        self.head_bytes += length;
        if self.head_bytes > HEAD_BYTES_MAX {
            return Err(HEAD_TOO_LONG);
        }
        let status = head.code.unwrap_or_default();
        if status >= 200 {
            let framing = Framing::of(status, head.headers)?;
            let named = value(head.headers, "Content-Type")?;
            let answer = Answer {
                status,
                content_type: named.map(str::to_owned),
                body: Vec::new(),
            };
            self.head = Some((answer, framing));
        }
        self.input.drain(..length);
        Ok(true)
    }
}

const HEAD_TOO_LONG: Broken = "the head of the answer is too long";
const BODY_TOO_LONG: Broken = "the answer is too long";

impl Framing {
    /// As the head says (RFC 9112 section 6.3).
    fn of(status: u16, fields: &[httparse::Header<'_>]) -> Result<Self, Broken> {
        if matches!(status, 204 | 304) {
            return Ok(Framing::Complete);
        }
        if value(fields, "Content-Encoding")?.is_some_and(|by| by != "identity") {
            return Err("the answer is compressed, though nobody asked for that");
        }
        let length = value(fields, "Content-Length")?;
        match (value(fields, "Transfer-Encoding")?, length) {
            (None, None) => Ok(Framing::Connection),
            (None, Some(length)) => {
                let is_number = length.bytes().all(|b| b.is_ascii_digit());
                let length = length.parse().ok().filter(|_| is_number);
                length
                    .map(Framing::Length)
                    .ok_or("its Content-Length is no number")
            }
            (Some(by), None) if by.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunks(None)),
            // Both would be two readings of one answer.
            (Some(_), _) => Err("its Transfer-Encoding is not understood"),
        }
    }

    /// Moves what is there of the body out of the input.
    fn take(
        &mut self,
        input: &mut Vec<u8>,
        body: &mut Vec<u8>,
        body_bytes_max: usize,
    ) -> Result<(), Broken> {
        let mut rest = input.as_slice();
        let room = |body: &Vec<u8>| body_bytes_max - body.len().min(body_bytes_max);
        loop {
            let before = (*self, rest.len());
            match self {
                Framing::Complete => {}
                Framing::Connection if rest.len() > room(body) => return Err(BODY_TOO_LONG),
                Framing::Connection => drop(take(&mut rest, usize::MAX, body)),
                Framing::Length(left) | Framing::Chunks(Some(left)) if *left > room(body) => {
                    return Err(BODY_TOO_LONG);
                }
                Framing::Length(0) => *self = Framing::Complete,
                Framing::Length(left) => *left -= take(&mut rest, *left, body),
                Framing::Chunks(Some(0)) => match rest {
                    // The line end behind a chunk.
                    [b'\r', b'\n', next @ ..] => {
                        rest = next;
                        *self = Framing::Chunks(None);
                    }
                    [] | [b'\r'] => {}
                    _ => return Err("a chunk has no end"),
                },
                Framing::Chunks(Some(left)) => *left -= take(&mut rest, *left, body),
                Framing::Chunks(None) => match chunk(rest)? {
                    Some((_, 0)) => *self = Framing::Complete,
                    Some((line, length)) => {
                        rest = rest.get(line..).unwrap_or_default();
                        *self = Framing::Chunks(Some(length));
                    }
                    None => {}
                },
            }
            if (*self, rest.len()) == before {
                break;
            }
        }
        let taken = input.len() - rest.len();
        input.drain(..taken);
        Ok(())
    }
}

/// Moves so many bytes, or what is there, behind `body`, and says how many.
fn take(rest: &mut &[u8], length: usize, body: &mut Vec<u8>) -> usize {
    let (taken, left) = rest.split_at(length.min(rest.len()));
    body.extend_from_slice(taken);
    *rest = left;
    taken.len()
}

/// The line before a chunk, if it is there: how long it is, and the chunk.
fn chunk(input: &[u8]) -> Result<Option<(usize, usize)>, Broken> {
    match httparse::parse_chunk_size(input) {
        Ok(httparse::Status::Complete((line, length))) => {
            let length = usize::try_from(length).map_err(|_| BODY_TOO_LONG)?;
            Ok(Some((line, length)))
        }
        Ok(httparse::Status::Partial) if input.len() <= CHUNK_LINE_BYTES_MAX => Ok(None),
        _ => Err("a chunk does not say how long it is"),
    }
}

/// The value of a field that may stand there once.
fn value<'f>(fields: &[httparse::Header<'f>], name: &str) -> Result<Option<&'f str>, Broken> {
    let mut named = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name));
    let Some(field) = named.next() else {
        return Ok(None);
    };
    if named.next().is_some() {
        return Err("a field of its head stands there twice");
    }
    let text = str::from_utf8(field.value).map_err(|_| "its head is not text")?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The answer when these bytes come in pieces of this size, and then the end.
    fn heard(bytes: &[u8], piece: usize) -> Result<Answer, Broken> {
        let mut incoming = Incoming::new(20);
        for piece in bytes.chunks(piece) {
            if incoming.hear(piece)? {
                break;
            }
        }
        incoming.end()
    }

    #[track_caller]
    fn answer(text: &str) -> Result<String, Broken> {
        let whole = heard(text.as_bytes(), usize::MAX);
        for piece in 1..7 {
            assert_eq!(heard(text.as_bytes(), piece), whole, "{piece}: {text:?}");
        }
        whole.map(|answer| {
            let body = String::from_utf8(answer.body).unwrap();
            format!(
                "{} {:?} {body}",
                answer.status,
                answer.content_type.unwrap_or_default()
            )
        })
    }

    #[test]
    fn a_body_ends_as_the_head_says() {
        let ok = |rest: &str| answer(&format!("HTTP/1.1 200 OK\r\n{rest}"));
        assert_eq!(
            ok("Content-Length: 3\r\n\r\nabcdef").unwrap(),
            "200 \"\" abc"
        );
        assert_eq!(ok("Content-Length: 0\r\n\r\n").unwrap(), "200 \"\" ");
        assert_eq!(
            ok("content-type: text/plain\r\n\r\nabc").unwrap(),
            "200 \"text/plain\" abc"
        );
        let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(ok(chunked).unwrap(), "200 \"\" abcde");
        let continued = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
        assert_eq!(answer(continued).unwrap(), "204 \"\" ");
    }

    #[test]
    fn what_is_cut_long_or_ambiguous_is_no_answer() {
        for (rest, why) in [
            ("Content-Length: 4\r\n\r\nabc", "cut short"),
            ("Content-Length: 4", "cut short"),
            ("Content-Length: 21\r\n\r\n", "too long"),
            ("\r\n123456789012345678901", "too long"),
            ("Transfer-Encoding: chunked\r\n\r\n15\r\n", "too long"),
            (
                "Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\nb\r\n12345678901\r\n",
                "too long",
            ),
            ("Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", "no end"),
            (
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                "cut short",
            ),
            ("Transfer-Encoding: chunked\r\n\r\nx\r\n", "how long"),
            ("Transfer-Encoding: gzip\r\n\r\n", "not understood"),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
                "not understood",
            ),
            ("Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "twice"),
            ("Content-Length: +1\r\n\r\na", "no number"),
            ("Content-Encoding: gzip\r\n\r\na", "compressed"),
        ] {
            let error = answer(&format!("HTTP/1.1 200 OK\r\n{rest}")).unwrap_err();
            assert!(error.contains(why), "{rest:?}: {error}");
        }
        assert_eq!(answer("220 mx ESMTP\r\n\r\n"), Err("it is not HTTP"));
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(heard(long.as_bytes(), 1000), Err(HEAD_TOO_LONG));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(rest: Vec<u8>, begin in 0usize..4, piece in 1usize..9) {
            let begin = [
                "",
                "HTTP/1.1 200 OK\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
            ][begin];
            let bytes = [begin.as_bytes(), &rest].concat();
            let whole = heard(&bytes, usize::MAX);
            prop_assert_eq!(heard(&bytes, piece).ok(), whole.clone().ok());
            if let Ok(answer) = whole {
                prop_assert!(answer.body.len() <= 20);
            }
        }
    }
}
