//! What the header of a message says about its way, and what it must have before
//! it goes: a From, no Bcc, and an empty line behind it.

use slimta_core::message::{Address, Content, NewField};

use super::mailboxes::{NoMailbox, mailboxes};

/// The fields that name recipients.
const RECIPIENTS: [&str; 3] = ["To", "Cc", "Bcc"];
/// Those of a message that somebody sends on, which then count alone (RFC 5322
/// section 3.6.6).
const RESENT_RECIPIENTS: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
/// What no recipient may see (RFC 5322 section 3.6.3).
const SECRET: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// Those that the header names; `domain` is that of names without one.
pub(super) fn recipients(content: &Content, domain: &str) -> Vec<Result<Address, NoMailbox>> {
    let has = |names: &[&str]| names.iter().any(|name| content.field(name).is_some());
    let names = match has(&RESENT_RECIPIENTS) {
        true => RESENT_RECIPIENTS,
        false => RECIPIENTS,
    };
    let is_meant = |found: &str| names.iter().any(|name| found.eq_ignore_ascii_case(name));
    let fields = content.fields().filter(|field| is_meant(field.name()));
    fields
        .flat_map(|field| mailboxes(&field.value(), domain))
        .collect()
}

/// The contents as they go; `from` is who they are from if they do not say so.
pub(super) fn ready(content: Content, from: &NewField) -> Content {
    let mut content = parted(content);
    for name in SECRET {
        content.remove(name);
    }
    if content.field(from.name()).is_none() {
        content.prepend(from);
    }
    content
}

/// With an empty line behind the header, which scripts forget.
fn parted(content: Content) -> Content {
    let header = content.header_bytes();
    if header.is_empty() || header.ends_with(b"\r\n\r\n") {
        return content;
    }
    let header = [&header[..], b"\r\n"].concat();
    Content::from_parts(header, content.body_bytes().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        let content = Content::new(text.as_bytes().to_vec());
        let found = recipients(&content, "here.example").into_iter();
        let shown: Vec<_> = found.map(|one| one.unwrap().to_string()).collect();
        shown.join(" ")
    }

    #[test]
    fn recipients_stand_in_to_cc_and_bcc() {
        let header = "From: x@y\r\nBCC : d@e\r\nTo: a@b,\r\n root\r\nSubject: To: z@z\r\ncc: c@d\r\n\
                      X-To: z@z\r\nTo: f@g\r\n\r\nTo: z@z\r\n";
        assert_eq!(named(header), "d@e a@b root@here.example c@d f@g");
        let resent = format!("Resent-Bcc: r@s\r\n{header}");
        assert_eq!(named(&resent), "r@s");
        assert_eq!(named("Resent-From: r@s\r\nTo: a@b\r\n\r\n"), "a@b");
        assert_eq!(named("hello To: a@b\r\n"), "");
    }

    fn sent(text: &str) -> String {
        let from = NewField::new("From", "me@here.example").unwrap();
        let content = Content::new(text.as_bytes().to_vec());
        String::from_utf8(ready(content, &from).to_vec()).unwrap()
    }

    #[test]
    fn bcc_goes_and_from_comes() {
        let from = "From: me@here.example\r\n";
        for (text, expected) in [
            (
                "A: 1\r\nBcc: a@b,\r\n c@d\r\nResent-bcc: e\r\n\r\nBcc: x\r\n",
                format!("{from}A: 1\r\n\r\nBcc: x\r\n"),
            ),
            (
                "from: a@b\r\nbcc: c\r\n\r\nx\r\n",
                "from: a@b\r\n\r\nx\r\n".to_owned(),
            ),
            ("hello\r\n", format!("{from}\r\nhello\r\n")),
            ("\r\nhello\r\n", format!("{from}\r\nhello\r\n")),
            ("\r\nA: 1\r\n", format!("{from}\r\nA: 1\r\n")),
            ("A: 1\r\nhello\r\n", format!("{from}A: 1\r\n\r\nhello\r\n")),
            ("A: 1\r\n", format!("{from}A: 1\r\n\r\n")),
            ("Bcc: a@b\r\nhello\r\n", format!("{from}\r\nhello\r\n")),
            ("Bcc: a@b\r\n\r\nA: 1\r\n", format!("{from}\r\nA: 1\r\n")),
            ("Bcc: a@b\r\n", format!("{from}\r\n")),
            ("", format!("{from}\r\n")),
        ] {
            assert_eq!(sent(text), expected, "{text:?}");
        }
    }
}
