//! Command lines, taken apart into verb and argument.

/// What a line asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    /// Two spellings of a greeting: with and without extensions.
    Ehlo,
    Helo,
    /// The greeting of LMTP.
    Lhlo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Vrfy,
    Help,
    StartTls,
    Auth,
    /// A proxy says whom it speaks for.
    XClient,
    Quit,
    /// A command of SMTP that is not done here.
    NotImplemented,
    /// A browser, or a program that is made to speak through one.
    Http,
    Unknown,
}

const VERBS: &[(&str, Verb)] = &[
    ("EHLO", Verb::Ehlo),
    ("HELO", Verb::Helo),
    ("LHLO", Verb::Lhlo),
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("RSET", Verb::Rset),
    ("NOOP", Verb::Noop),
    ("VRFY", Verb::Vrfy),
    ("HELP", Verb::Help),
    ("QUIT", Verb::Quit),
    ("STARTTLS", Verb::StartTls),
    ("EXPN", Verb::NotImplemented),
    ("AUTH", Verb::Auth),
    ("XCLIENT", Verb::XClient),
    ("ETRN", Verb::NotImplemented),
    ("TURN", Verb::NotImplemented),
    ("SEND", Verb::NotImplemented),
    ("SOML", Verb::NotImplemented),
    ("SAML", Verb::NotImplemented),
    ("GET", Verb::Http),
    ("POST", Verb::Http),
    ("PUT", Verb::Http),
    ("HEAD", Verb::Http),
    ("OPTIONS", Verb::Http),
    ("CONNECT", Verb::Http),
];

/// The verb of a line and its argument, without the blanks around it.
pub(super) fn parse(line: &[u8]) -> (Verb, &[u8]) {
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    let (word, argument) = line.split_at(end);
    let verb = VERBS
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
        .map_or(Verb::Unknown, |(_, verb)| *verb);
    (verb, trim(argument))
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_have_any_case_and_blanks_around_arguments_say_nothing() {
        for (line, expected) in [
            ("NOOP", (Verb::Noop, "")),
            ("nOoP  ", (Verb::Noop, "")),
            (
                "mail FROM:<a@b>  SIZE=1 ",
                (Verb::Mail, "FROM:<a@b>  SIZE=1"),
            ),
            ("MAILFROM:<a@b>", (Verb::Unknown, "")),
            ("", (Verb::Unknown, "")),
            (" NOOP", (Verb::Unknown, "NOOP")),
            ("Get / HTTP/1.1", (Verb::Http, "/ HTTP/1.1")),
            ("starttls", (Verb::StartTls, "")),
            ("auth PLAIN", (Verb::Auth, "PLAIN")),
        ] {
            let (verb, argument) = expected;
            assert_eq!(
                parse(line.as_bytes()),
                (verb, argument.as_bytes()),
                "{line:?}"
            );
        }
    }
}
