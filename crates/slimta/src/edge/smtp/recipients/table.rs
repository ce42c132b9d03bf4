//! The mailboxes behind an edge: one a line, `user@example.org`, or all of a
//! domain, `@example.org`.

use std::collections::HashSet;

use super::Standing;
use crate::edge::smtp::lines::{BadLine, Lines, entries};
use crate::message::Address;

/// What a host may read as a way to another host: the percent hack, a bang path,
/// an address in quotes; and what looks like one of these and becomes it where
/// text is normalized (Unicode, NFKC).
const ROUTING: [char; 9] = [
    '%', '!', '@', '\u{ff05}', '\u{fe6a}', '\u{ff01}', '\u{fe57}', '\u{ff20}', '\u{fe6b}',
];

/// The mailbox of an address, the same however the address is written: without
/// quotes, and in lower case, for hardly anybody has mailboxes that differ only
/// in that.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::edge::smtp) struct Mailbox {
    local_part: String,
    /// None for a bare `postmaster`.
    domain: Option<String>,
}

impl Mailbox {
    pub(in crate::edge::smtp) fn of(address: &Address) -> Self {
        Mailbox {
            local_part: unquoted(address.local_part()).to_lowercase(),
            domain: address.domain().map(str::to_lowercase),
        }
    }

    /// Whether the local-part may name a way to another host.
    pub(super) fn is_routed(&self) -> bool {
        self.local_part.contains(ROUTING)
    }

    pub(super) fn is_postmaster(&self) -> bool {
        self.local_part == "postmaster"
    }
}

/// What a local-part says, without quotes and backslashes.
fn unquoted(local_part: &str) -> String {
    let inner = local_part.strip_prefix('"');
    let Some(inner) = inner.and_then(|inner| inner.strip_suffix('"')) else {
        return local_part.to_owned();
    };
    let mut is_escaped = false;
    let said = inner.chars().filter(|c| {
        is_escaped = *c == '\\' && !is_escaped;
        !is_escaped
    });
    said.collect()
}

/// The mailboxes of a file.
#[derive(Debug, Default)]
pub(in crate::edge::smtp) struct Table {
    mailboxes: HashSet<Mailbox>,
    /// Domains of which all is taken.
    whole: HashSet<String>,
}

impl Lines for Table {
    const NAME: &'static str = "recipients";

    fn parse(text: &str) -> Result<Self, BadLine> {
        let mut table = Table::default();
        for (line, entry) in entries(text) {
            table
                .insert(entry)
                .map_err(|reason| BadLine { line, reason })?;
        }
        Ok(table)
    }

    fn len(&self) -> usize {
        self.mailboxes.len() + self.whole.len()
    }
}

impl Table {
    /// Adds a mailbox, or all of a domain.
    pub(in crate::edge::smtp) fn insert(&mut self, entry: &str) -> Result<(), String> {
        let wrong = |why: &dyn std::fmt::Display| {
            let shown: String = entry.chars().take(64).collect();
            format!("{shown:?} is neither USER@DOMAIN nor @DOMAIN: {why}")
        };
        if let Some(domain) = entry.strip_prefix('@') {
            let any = Address::parse(&format!("x@{domain}")).map_err(|error| wrong(&error))?;
            self.whole.extend(Mailbox::of(&any).domain);
            return Ok(());
        }
        let address = Address::parse(entry).map_err(|error| wrong(&error))?;
        if address.domain().is_none() {
            return Err(wrong(&"it has no domain; postmaster is always taken"));
        }
        self.mailboxes.insert(Mailbox::of(&address));
        Ok(())
    }

    /// What the table says of a mailbox; none if nothing.
    pub(in crate::edge::smtp) fn finds(&self, mailbox: &Mailbox) -> Option<Standing> {
        if self.mailboxes.contains(mailbox) {
            return Some(Standing::Here);
        }
        let domain = mailbox.domain.as_ref()?;
        let standing = match mailbox.is_routed() {
            true => Standing::Routed,
            false => Standing::Here,
        };
        self.whole.contains(domain).then_some(standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(table: &Table, address: &str) -> Option<Standing> {
        table.finds(&Mailbox::of(&address.parse().unwrap()))
    }

    #[test]
    fn a_mailbox_is_found_however_it_is_written() {
        let text = "# users\n\nAnn@Example.org\r\n\"b c\"@example.org\n odd%one@example.org \n@whole.example\n";
        let table = Table::parse(text).unwrap();
        assert_eq!(table.len(), 4);
        for address in [
            "ann@example.org",
            "ANN@EXAMPLE.ORG",
            "\"ann\"@example.org",
            "\"a\\nn\"@example.org",
            "\"B\\ c\"@example.org",
            "odd%one@example.org",
            "anybody@whole.example",
        ] {
            assert_eq!(standing(&table, address), Some(Standing::Here), "{address}");
        }
        for address in [
            "ann@example.com",
            "ann@mx.example.org",
            "anna@example.org",
            "\"ann \"@example.org",
            "\"\"@example.org",
            "ann%example.com@example.org",
            "postmaster",
        ] {
            assert_eq!(standing(&table, address), None, "{address}");
        }
        let routed = "u%example.com@whole.example";
        assert_eq!(standing(&table, routed), Some(Standing::Routed));
    }

    #[test]
    fn a_bad_line_is_named() {
        for bad in ["ann", "@", "ann@", "@@", "postmaster", "a b@example.org"] {
            let told = Table::parse(&format!("a@b\n{bad}\n")).unwrap_err();
            assert_eq!(told.line, 2, "{bad}");
            assert!(told.reason.contains(&format!("{bad:?} is neither")));
        }
    }

    #[test]
    fn ways_to_other_hosts_are_seen_in_quotes_too() {
        for (address, is_one) in [
            ("u%x.example@y.example", true),
            ("x.example!u@y.example", true),
            ("\"u@x.example\"@y.example", true),
            ("\"u\\%x.example\"@y.example", true),
            ("u\u{ff20}x.example@y.example", true),
            ("u+x=z@y.example", false),
        ] {
            let mailbox = Mailbox::of(&address.parse().unwrap());
            assert_eq!(mailbox.is_routed(), is_one, "{address}");
        }
    }
}
