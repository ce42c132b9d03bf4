//! Addresses as people and programs write them: what To, Cc and Bcc hold, and
//! what is typed as a recipient (RFC 5322 section 3.4).
//!
//! Names, comments, groups and routes are read and dropped; a name without a
//! domain is one of this host. What is taken is a mailbox as SMTP writes it, and
//! nothing else reaches the envelope.

use slimta_core::message::{Address, AddressError, steers};

use super::phrase::quoted;
use super::tokens::{Token, Tokens};

/// Most characters that are quoted of what is no address.
const SHOWN_CHARS_MAX: usize = 80;

/// Something that stands where an address should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NoMailbox {
    /// As it is written, cut if it is long.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) why: String,
}

/// All that a list of addresses names, in order; `domain` is that of names without
/// one.
pub(crate) fn mailboxes(list: &str, domain: &str) -> Vec<Result<Address, NoMailbox>> {
    let mut found = Vec::new();
    let mut piece = Piece::default();
    for token in Tokens::new(list) {
        match token.kind {
            // Semicolons end groups; some mail programs part addresses with them.
            Token::Special(',' | ';') if !piece.is_in_route => {
                found.extend(std::mem::take(&mut piece).mailbox(list, domain));
            }
            Token::Special(':') if piece.is_name() => piece = Piece::default(),
            kind => piece.push(kind, token.begin, token.end),
        }
    }
    found.extend(piece.mailbox(list, domain));
    found
}

/// The same of what was typed: a list, too, but one of one line that names somebody.
pub(super) fn typed(list: &str, domain: &str) -> Vec<Result<Address, NoMailbox>> {
    let no = |why: &str| {
        let text = list.chars().take(SHOWN_CHARS_MAX).collect();
        let why = why.to_owned();
        vec![Err(NoMailbox { text, why })]
    };
    if list.contains(steers) {
        return no("it holds line ends or control characters");
    }
    match mailboxes(list, domain) {
        named if named.is_empty() => no("there is no address"),
        named => named,
    }
}

/// What stands between two commas.
#[derive(Default)]
struct Piece<'a> {
    tokens: Vec<Token<'a>>,
    begin: usize,
    end: usize,
    /// How many tokens stand before the angle bracket and with it.
    angle: Option<usize>,
    has_at: bool,
    is_in_route: bool,
}

impl<'a> Piece<'a> {
    fn push(&mut self, token: Token<'a>, begin: usize, end: usize) {
        if self.tokens.is_empty() {
            self.begin = begin;
        }
        self.end = end;
        let is_behind_angle = self.angle == Some(self.tokens.len());
        match token {
            Token::Special('<') if self.angle.is_none() => {
                self.angle = Some(self.tokens.len() + 1);
            }
            Token::Special('@') => {
                self.has_at = true;
                self.is_in_route |= is_behind_angle;
            }
            Token::Special(':' | '>') => self.is_in_route = false,
            _ => {}
        }
        self.tokens.push(token);
    }

    /// Whether it can be the name of a group, if a colon follows.
    fn is_name(&self) -> bool {
        self.angle.is_none() && !self.has_at
    }

    /// The mailbox; none if there is nothing at all.
    fn mailbox(self, list: &str, domain: &str) -> Option<Result<Address, NoMailbox>> {
        if self.tokens.is_empty() {
            return None;
        }
        let text = list.get(self.begin..self.end).unwrap_or_default();
        Some(self.address(domain).map_err(|why| NoMailbox {
            text: text.chars().take(SHOWN_CHARS_MAX).collect(),
            why,
        }))
    }

    fn address(&self, domain: &str) -> Result<Address, String> {
        let tokens = self.tokens.as_slice();
        let Some(angle) = self.angle else {
            return addr_spec(tokens, domain);
        };
        let inner = tokens.get(angle..).unwrap_or_default();
        let (closing, inner) = inner.split_last().ok_or("its < is not closed")?;
        if *closing != Token::Special('>') {
            return Err("its < is not closed, or something follows its >".to_owned());
        }
        addr_spec(without_route(inner), domain)
    }
}

/// `user@c` of `@a,@b:user@c` (RFC 5322 section 4.4).
fn without_route<'a, 'b>(tokens: &'b [Token<'a>]) -> &'b [Token<'a>] {
    if tokens.first() != Some(&Token::Special('@')) {
        return tokens;
    }
    let colon = tokens.iter().position(|t| *t == Token::Special(':'));
    colon.map_or(tokens, |at| tokens.get(at + 1..).unwrap_or_default())
}

/// A mailbox without a name.
fn addr_spec(tokens: &[Token<'_>], default: &str) -> Result<Address, String> {
    if tokens.is_empty() {
        return Err("there is no address in it".to_owned());
    }
    let at = tokens.iter().rposition(|t| *t == Token::Special('@'));
    let (local, domain) = match at {
        Some(at) => (tokens.get(..at), joined(tokens.get(at + 1..))?),
        None => (Some(tokens), default.to_owned()),
    };
    let local = joined(local)?;
    let parsed = match Address::parse(&format!("{local}@{domain}")) {
        // Dots where none may be, or what was quoted for a reason.
        Err(AddressError::LocalPart) => Address::parse(&format!("{}@{domain}", quoted(&local))),
        parsed => parsed,
    };
    parsed.map_err(|error| error.to_string())
}

/// Words and the dots between them.
fn joined(tokens: Option<&[Token<'_>]>) -> Result<String, String> {
    let mut text = String::new();
    let mut was_word = false;
    let tokens = tokens.filter(|tokens| !tokens.is_empty());
    for token in tokens.ok_or("something is missing beside its @")? {
        let word = match token {
            Token::Word(word) => *word,
            Token::Quoted(word) => word.as_str(),
            Token::Special('.') => {
                text.push('.');
                was_word = false;
                continue;
            }
            Token::Special(c) => return Err(format!("{c:?} is in the wrong place")),
            Token::Broken(why) => return Err((*why).to_owned()),
        };
        if was_word {
            return Err("two words stand beside each other".to_owned());
        }
        // Bytes that were no UTF-8 can name nobody.
        if word.contains(char::REPLACEMENT_CHARACTER) {
            return Err("it is not UTF-8".to_owned());
        }
        text.push_str(word);
        was_word = true;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(list: &str) -> String {
        let read = mailboxes(list, "here.example").into_iter();
        let shown: Vec<String> = read
            .map(|one| match one {
                Ok(address) => address.to_string(),
                Err(NoMailbox { text, why }) => format!("!{text}: {why}"),
            })
            .collect();
        shown.join(" ")
    }

    #[test]
    fn addresses_are_found_among_names_comments_and_groups() {
        for (list, expected) in [
            ("a@b", "a@b"),
            ("a@b, c@d", "a@b c@d"),
            ("John Doe <a@b>", "a@b"),
            (
                "\"Doe, John\" <a@b>, c@d (the other, (nested) one)",
                "a@b c@d",
            ),
            ("John Q. Public <a@b>", "a@b"),
            ("=?utf-8?Q?J=C3=B6rg?= <a@b>", "a@b"),
            ("J\u{f6}rg <a@b>", "a@b"),
            ("friends: a@b, John <c@d>; e@f", "a@b c@d e@f"),
            ("undisclosed-recipients:;", ""),
            ("a@b; c@d", "a@b c@d"),
            (" , a@b ,, ", "a@b"),
            ("root", "root@here.example"),
            ("postmaster", "postmaster@here.example"),
            ("<root>, Root <root>", "root@here.example root@here.example"),
            ("a . b @ c . d", "a.b@c.d"),
            ("a@b\r\n\t(folded),\r\n c@d", "a@b c@d"),
            ("<@x,@y:a@b>, c@d", "a@b c@d"),
            ("a@[192.0.2.1], b@[IPv6:::1]", "a@[192.0.2.1] b@[IPv6:::1]"),
            ("\"john doe\"@b", "\"john doe\"@b"),
            ("\"a\\\"b\\\\\"@c", "\"a\\\"b\\\\\"@c"),
            ("\"a@b\"@c", "\"a@b\"@c"),
            ("\"a\"@b", "a@b"),
            ("\"a\".\"b c\"@d", "\"a.b c\"@d"),
            ("a..b.@c", "\"a..b.\"@c"),
            ("-f@x", "-f@x"),
            ("\"\"@c", "\"\"@c"),
        ] {
            assert_eq!(read(list), expected, "{list}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_and_the_others_are_read() {
        for (list, expected) in [
            ("<>", "!<>: there is no address in it"),
            (
                "John Doe, a@b",
                "!John Doe: two words stand beside each other a@b",
            ),
            ("a@b c@d", "!a@b c@d: '@' is in the wrong place"),
            ("a@b x", "!a@b x: two words stand beside each other"),
            (
                "<a@b, c@d",
                "!<a@b: its < is not closed, or something follows its > c@d",
            ),
            (
                "<a@b> x, c@d",
                "!<a@b> x: its < is not closed, or something follows its > c@d",
            ),
            ("<", "!<: its < is not closed"),
            (
                "a@, @b",
                "!a@: something is missing beside its @ !@b: something is missing beside its @",
            ),
            ("a)b@c", "!a)b@c: ')' is in the wrong place"),
            ("\"a@b", "!\"a@b: its quotation mark is not closed"),
            ("a@b (x", "!a@b (x: its comment is not closed"),
            ("a@[1.2.3.4", "!a@[1.2.3.4: its [ is not closed"),
            ("a@b@c", "!a@b@c: '@' is in the wrong place"),
            ("a@-b", "!a@-b: the domain is not valid"),
            ("\"a\r\nb\"@c", "!\"a\r\nb\"@c: the local-part is not valid"),
            ("\u{fffd}@c", "!\u{fffd}@c: it is not UTF-8"),
            ("a@b:25", "!a@b:25: ':' is in the wrong place"),
        ] {
            assert_eq!(read(list), expected, "{list}");
        }
        assert!(read(&"x ".repeat(999)).len() < 200);
    }

    #[test]
    fn what_is_typed_is_one_line_and_names_somebody() {
        let read = |list| typed(list, "here.example");
        assert_eq!(read("A <a@b>, c").len(), 2);
        for list in [
            "",
            " ",
            ",",
            "g:;",
            "a@b\nRCPT TO:<c@d>",
            "a@b,\r\n c@d",
            "<>",
        ] {
            assert!(matches!(read(list).as_slice(), [Err(_)]), "{list:?}");
        }
    }

    /// What lists are made of.
    fn any_list() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z0-9.@,;:<>()\"\\\\\\[\\] \r\n\t\u{f6}\u{fffd}-]{1,8}",
            Just("a@b".to_owned()),
            Just("<@x:".to_owned()),
            Just("\"x y\"@".to_owned()),
            Just("[192.0.2.1]".to_owned()),
        ];
        prop_oneof![
            prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn no_list_makes_it_panic_and_what_is_found_parses_again(list in any_list()) {
            for address in mailboxes(&list, "here.example").into_iter().flatten() {
                prop_assert!(!address.as_str().contains(char::is_control));
                prop_assert!(address.domain().is_some());
                for written in [address.to_string(), format!("x <{address}>"), format!("g:{address};")] {
                    prop_assert_eq!(mailboxes(&written, "other.example"), vec![Ok(address.clone())]);
                }
            }
        }

        #[test]
        fn what_stands_alone_stands_in_a_list_too(
            // Nothing that is open at its end, which would take the next one with it.
            one in "([a-z0-9.@,;>)\\] \r\n\t\u{f6}-]{1,8}|a@b|N <a@b>|\"x y\"@c|\\(x\\)){0,6}",
            other in "[a-z]{1,5}@[a-z]{1,5}",
        ) {
            let mut expected = mailboxes(&one, "here.example");
            expected.push(Ok(other.parse().unwrap()));
            prop_assert_eq!(mailboxes(&format!("{one},{other}"), "here.example"), expected);
        }
    }
}
