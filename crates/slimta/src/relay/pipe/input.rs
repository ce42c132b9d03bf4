//! What a command reads: the message with its envelope on top.

use std::fs::File;
use std::io::{self, Seek, Write};

use bytes::Bytes;
use memchr::memchr_iter;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::message::{Address, BodyType, Content, Envelope};

/// A file in memory, whole before the command is started: if this process dies,
/// the command does not take the end of a pipe for the end of the message.
///
/// Lines end with LF, as commands of this kind expect. A body that was declared to
/// hold any octets, and does, has no lines to end: it stays as it is (RFC 3030
/// section 3). Final delivery adds Return-Path (RFC 5321 section 4.4).
pub(super) fn file(
    envelope: &Envelope,
    recipient: &Address,
    content: &Content,
) -> io::Result<File> {
    let sender = &envelope.sender;
    let mut file = File::from(memfd_create("message", MemfdFlags::CLOEXEC)?);
    let mut top = format!("Return-Path: <{sender}>\nDelivered-To: {recipient}\n");
    if content.header_bytes().is_empty() {
        top.push('\n');
    }
    file.write_all(top.as_bytes())?;
    if envelope.body == BodyType::BinaryMime && !content.is_text() {
        write_lines(&mut file, &[content.header_bytes()])?;
        file.write_all(content.body_bytes())?;
    } else {
        write_lines(&mut file, &content.chunks())?;
    }
    file.rewind()?;
    Ok(file)
}

/// Writes each CRLF as LF, also one that lies across two chunks.
fn write_lines(to: &mut impl Write, chunks: &[&Bytes]) -> io::Result<()> {
    for (index, chunk) in chunks.iter().enumerate() {
        let next = chunks
            .iter()
            .skip(index + 1)
            .find_map(|chunk| chunk.first());
        let mut from = 0;
        for at in memchr_iter(b'\r', chunk) {
            if chunk.get(at + 1).or(next) == Some(&b'\n') {
                to.write_all(chunk.get(from..at).unwrap_or_default())?;
                from = at + 1;
            }
        }
        to.write_all(chunk.get(from..).unwrap_or_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_lf() {
        for (chunks, written) in [
            (["a\r\nb\r\n", "c\r\n"], "a\nb\nc\n"),
            (["a\r", "\nb"], "a\nb"),
            (["a\r", ""], "a\r"),
            (["\r\r\n", "a\rb\n\r\n"], "\r\na\rb\n\n"),
        ] {
            let chunks = chunks.map(|text| Bytes::from_static(text.as_bytes()));
            let mut lines = Vec::new();
            write_lines(&mut lines, &[&chunks[0], &chunks[1]]).unwrap();
            assert_eq!(String::from_utf8(lines).unwrap(), written);
        }
    }
}
