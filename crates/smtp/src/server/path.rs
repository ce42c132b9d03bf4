//! Paths: what stands in angle brackets behind MAIL FROM and RCPT TO
//! (RFC 5321 section 4.1.2).

use slimta_core::message::Address;

/// Parts `FROM:<path> parameters` into the mailbox of the path and the
/// parameters; none if it is not written so.
///
/// A source route is checked and dropped, as RFC 5321 section 4.1.1.3 says.
/// Blanks before the bracket are no part of SMTP but of many programs.
pub(super) fn split<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (word, text) = argument.split_at_checked(keyword.len())?;
    if !word.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let text = text.trim_start_matches(' ').strip_prefix('<')?;
    let (path, rest) = text.split_at_checked(closing(text)?)?;
    let parameters = rest.strip_prefix('>')?;
    let is_parted = parameters.is_empty() || parameters.starts_with(' ');
    let mailbox = without_route(path)?;
    is_parted.then_some((mailbox, parameters))
}

/// Where the bracket closes: not within a quoted string.
fn closing(text: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'>' if !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// `user@c` of `@a,@b:user@c`.
fn without_route(path: &str) -> Option<&str> {
    if !path.starts_with('@') {
        return Some(path);
    }
    let mut in_literal = false;
    let colon = path.find(|c| {
        in_literal = c == '[' || in_literal && c != ']';
        c == ':' && !in_literal
    })?;
    let (route, rest) = path.split_at_checked(colon)?;
    let mailbox = rest.strip_prefix(':').filter(|rest| !rest.is_empty())?;
    route.split(',').all(is_hop).then_some(mailbox)
}

/// Whether it is `@domain`.
fn is_hop(hop: &str) -> bool {
    hop.strip_prefix('@').is_some_and(is_host)
}

/// Whether it is a domain or an address literal, by the rule for those behind
/// the `@` of a mailbox.
pub(super) fn is_host(name: &str) -> bool {
    Address::parse(&format!("x@{name}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_parted_from_parameters() {
        for (argument, expected) in [
            ("FROM:<>", ("", "")),
            ("from:<a@b>", ("a@b", "")),
            ("FROM: <a@b> SIZE=1", ("a@b", " SIZE=1")),
            ("FROM:<\"a> b\\\"\"@c> X", ("\"a> b\\\"\"@c", " X")),
            ("FROM:<@a,@b:user@c>", ("user@c", "")),
            ("FROM:<@[IPv6:::1]:user@c>", ("user@c", "")),
            ("FROM:<@a:\"x:y\"@c>", ("\"x:y\"@c", "")),
            ("FROM:<a\\>", ("a\\", "")),
        ] {
            assert_eq!(split(argument, "FROM:"), Some(expected), "{argument}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for argument in [
            "",
            "FROM",
            "FROM:",
            "FROM:a@b",
            "FROM:a@b>",
            "FROM:<a@b",
            "FROM :<a@b>",
            "TO:<a@b>",
            "FROM:<a@b>SIZE=1",
            "FROM:<a@b>>",
            "FROM:<\"a@b>",
            "FROM:<\"a\\\">",
            "FROM:<@a>",
            "FROM:<@a:>",
            "FROM:<@a,b:user@c>",
            "FROM:<@a,:user@c>",
            "FROM:<@a b:user@c>",
            "FR\u{e9}M:<a@b>",
        ] {
            assert_eq!(split(argument, "FROM:"), None, "{argument}");
        }
    }
}
