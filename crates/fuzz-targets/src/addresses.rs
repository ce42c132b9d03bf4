//! Addresses, paths and xtext: what is taken is kept as it was written, and
//! never holds what could end a line.

use bytes::BytesMut;
use slimta_core::message::{Address, ReversePath};
use slimta_server::fuzz;
use slimta_smtp::xtext as codec;

use crate::server::play;

/// Longest mailbox that is taken.
const MAILBOX_BYTES_MAX: usize = 256 + 1 + 255;

/// A mailbox, alone and in a command.
pub(crate) fn addresses(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parsed = Address::parse(&text);
    if let Ok(address) = &parsed {
        assert_eq!(address.as_str(), text);
        assert!(text.len() <= MAILBOX_BYTES_MAX);
        assert!(!text.chars().any(char::is_control), "{text:?}");
        match address.domain() {
            Some(domain) => {
                assert_eq!(format!("{}@{domain}", address.local_part()), text);
                assert!(!domain.contains(['@', '<', '>', ' ']), "{text:?}");
            }
            None => assert!(text.eq_ignore_ascii_case("postmaster")),
        }
        assert_eq!(Address::parse(address.as_str()).as_ref(), Ok(address));
    }
    match ReversePath::parse(&text) {
        Ok(ReversePath::Null) => assert!(matches!(&*text, "" | "<>"), "{text:?}"),
        Ok(ReversePath::Mailbox(address)) => assert_eq!(Ok(address), parsed),
        Err(_) => assert!(parsed.is_err(), "{text:?}"),
    }
    in_a_command(&text, parsed.as_ref().ok());
}

/// What the server takes out of a path is what the parser takes alone.
fn in_a_command(text: &str, address: Option<&Address>) {
    let parameter = if text.is_ascii() { "" } else { " SMTPUTF8" };
    let line = format!(
        "EHLO c\r\nMAIL FROM:<a@b>{parameter}\r\nRCPT TO:<{text}>\r\nDATA\r\n.\r\nQUIT\r\n"
    );
    let played = play([BytesMut::from(line.as_bytes())]);
    let taken = played.messages.first().map(|m| &m.envelope.recipients);
    if let (Some(address), Some([recipient])) = (address, taken.map(Vec::as_slice)) {
        assert_eq!(recipient.address, *address);
    }
    // Recipients that begin so are refused by the one who plays.
    if let Some(address) = address
        && !text.starts_with("no")
    {
        assert!(
            taken.is_some(),
            "{address:?} was refused: {}",
            played.replies
        );
    }
}

/// Longest of what is told of a piece that names nobody.
const TOLD_BYTES_MAX: usize = 500;

/// The value of a To: each address is one that SMTP takes, and is read alike when it
/// is written in a list again, on any host.
pub(crate) fn mailbox_lists(bytes: &[u8]) {
    let (named, told) = fuzz::mailboxes(bytes, "here.example");
    for address in &named {
        assert!(address.domain().is_some(), "{address:?}");
        assert_eq!(Address::parse(address.as_str()).as_ref(), Ok(address));
    }
    for told in told {
        assert!(told.len() <= TOLD_BYTES_MAX, "{} bytes", told.len());
    }
    let written: Vec<_> = named.iter().map(|one| format!("N. <{one}>")).collect();
    let again = fuzz::mailboxes(written.join(",").as_bytes(), "other.example");
    assert_eq!(again, (named, Vec::new()));
}

/// xtext: decoded texts hold no control character, and survive being encoded.
pub(crate) fn xtext(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let encoded = codec::encode(&text);
    assert!(
        encoded.bytes().all(|b| (33..=126).contains(&b)),
        "{encoded:?}"
    );
    assert!(encoded.len() <= 10 * text.len());
    if let Some(decoded) = codec::decode(&encoded) {
        assert_eq!(decoded, text);
    } else {
        let is_line_end = |c: char| matches!(c, '\u{2028}' | '\u{2029}');
        assert!(
            text.chars().any(|c| c.is_control() || is_line_end(c)),
            "{text:?}"
        );
    }
    if let Some(decoded) = codec::decode(&text) {
        assert!(!decoded.contains(char::is_control));
        assert_eq!(codec::decode(&codec::encode(&decoded)), Some(decoded));
    }
}
