//! Octets as lines of ASCII (RFC 2045 sections 6.7 and 6.8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest line.
const LINE_BYTES_MAX: usize = 76;
/// The octets that make a line of base64 so long.
const BASE64_LINE_OCTETS: usize = 57;

/// Base64, in whole lines.
pub(super) fn base64(body: &[u8]) -> Vec<u8> {
    let lines = body.chunks(BASE64_LINE_OCTETS);
    lines.fold(Vec::with_capacity(body.len() * 7 / 5), |mut out, line| {
        out.extend_from_slice(STANDARD.encode(line).as_bytes());
        out.extend_from_slice(b"\r\n");
        out
    })
}

/// Quoted-printable: its line ends are those of the text.
pub(super) fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() * 3 / 2);
    for line in body.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text
            .strip_suffix(b"\r")
            .filter(|_| line.ends_with(b"\n"))
            .unwrap_or(text);
        let mut column = 0;
        for (at, byte) in text.iter().enumerate() {
            let is_last = at + 1 == text.len();
            let is_plain = match byte {
                b'=' => false,
                // Blanks at the end of a line may get lost.
                b' ' | b'\t' => !is_last,
                byte => byte.is_ascii_graphic(),
            };
            let length = if is_plain { 1 } else { 3 };
            // Room for the mark of a line that goes on.
            if column + length > LINE_BYTES_MAX - usize::from(!is_last) {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            match is_plain {
                true => out.push(*byte),
                false => out.extend_from_slice(format!("={byte:02X}").as_bytes()),
            }
            column += length;
        }
        if line.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}
