//! Which sender addresses users may use (RFC 6409 section 6.1): so who has stolen one
//! password can send in the name of one user.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::connection::Connection;
use super::lines::{BadLine, FileError, Lines, Watched, entries};
use super::recipients::{Mailbox, Table};
use crate::message::{EnhancedCode, Response, ReversePath};

/// The addresses that users may send from, in a file: `USER: ADDRESS…`, a line or
/// several for each user, the addresses with blanks between them. `@example.org`
/// stands for all of a domain, `*` for any address. Lines that begin with `#` say
/// nothing. Users are told apart as they are written, by case too, addresses are not.
///
/// Nobody else's address is taken from a client that has authenticated, whatever its
/// own is: it hears `553 5.7.1`. The null reverse-path, by which programs send
/// reports, is everybody's. Fields of the header are not looked at.
///
/// ```
/// # use slimta::edge::smtp::{FileError, SendersFile, SmtpEdge};
/// # fn example(edge: SmtpEdge) -> Result<SmtpEdge, FileError> {
/// Ok(edge.with_senders(SendersFile::open("/etc/slimta/senders")?))
/// # }
/// ```
///
/// The file is looked at when a user begins a message, at most once a second, and read
/// again if it has changed. If what is new cannot be used, what was read before stays,
/// and an error in the log says why. Clones share all of it.
#[derive(Clone, Debug)]
pub struct SendersFile(Arc<Watched<Senders>>);

impl SendersFile {
    /// Reads the file. The error names it, and the line that is no good.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        Watched::open(path).map(SendersFile)
    }
}

/// What users have.
#[derive(Debug, Default)]
struct Senders(HashMap<String, Own>);

/// What one of them has.
#[derive(Debug, Default)]
struct Own {
    is_any: bool,
    addresses: Table,
}

impl Lines for Senders {
    const NAME: &'static str = "senders";

    fn parse(text: &str) -> Result<Self, BadLine> {
        let mut senders = Senders::default();
        for (line, entry) in entries(text) {
            senders
                .insert(entry)
                .map_err(|reason| BadLine { line, reason })?;
        }
        Ok(senders)
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Senders {
    fn insert(&mut self, entry: &str) -> Result<(), String> {
        let (user, addresses) = entry
            .split_once(':')
            .filter(|(user, _)| !user.trim().is_empty())
            .ok_or("it is not USER: ADDRESS…")?;
        let own = self.0.entry(user.trim().to_owned()).or_default();
        for address in addresses.split_whitespace() {
            match address {
                "*" => own.is_any = true,
                _ => own.addresses.insert(address)?,
            }
        }
        Ok(())
    }

    /// Whether an address is the user's to send from.
    fn has(&self, user: &str, sender: &ReversePath) -> bool {
        let ReversePath::Mailbox(address) = sender else {
            return true;
        };
        let is_own = |own: &Own| own.is_any || own.addresses.finds(&Mailbox::of(address)).is_some();
        self.0.get(user).is_some_and(is_own)
    }
}

impl<S> Connection<S> {
    /// Whether a user may send from the address that it names, or what it is told.
    pub(super) async fn own_sender(&mut self) -> Result<(), Response> {
        let (Some(file), Some(user)) = (&self.edge.senders, self.session.user()) else {
            return Ok(());
        };
        let senders = file.0.now(&self.edge.world).await;
        let Some(envelope) = self.session.envelope() else {
            return Ok(());
        };
        if senders.has(user, &envelope.sender) {
            return Ok(());
        }
        let (ip, sender) = (self.ip, &envelope.sender);
        tracing::info!(%ip, %user, %sender, "sender refused: it is not its user's");
        let code = EnhancedCode::new(5, 7, 1);
        let text = "Your user name may not send from this address";
        Err(Response::new(553, Some(code), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(senders: &Senders, user: &str, sender: &str) -> bool {
        senders.has(user, &ReversePath::parse(sender).unwrap())
    }

    #[test]
    fn users_have_their_addresses_and_nobody_elses() {
        let text = "# who\n\nann: Ann@example.org  a.n@example.org\r\nann:@lists.example.org\n\
                    web app: *\nnobody:\n";
        let senders = Senders::parse(text).unwrap();
        assert_eq!(senders.len(), 3);
        for (user, sender, is_own) in [
            ("ann", "ann@example.org", true),
            ("ann", "A.N@EXAMPLE.ORG", true),
            ("ann", "any@lists.example.org", true),
            ("ann", "any@sub.lists.example.org", false),
            ("ann", "bob@example.org", false),
            ("Ann", "ann@example.org", false),
            ("web app", "bob@example.org", true),
            ("nobody", "ann@example.org", false),
            ("", "ann@example.org", false),
        ] {
            assert_eq!(has(&senders, user, sender), is_own, "{user} {sender}");
            assert!(senders.has(user, &ReversePath::Null), "{user}");
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for bad in ["ann", ": ann@example.org", "ann: ann", "ann: @"] {
            let told = Senders::parse(&format!("a: a@b\n{bad}\n")).unwrap_err();
            assert_eq!(told.line, 2, "{bad}");
        }
    }
}
