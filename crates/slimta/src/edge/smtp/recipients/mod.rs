//! Which recipients are taken from which clients.
//!
//! From strangers only those whose mailboxes are behind this server, or it would
//! be an open relay; from nobody one of whom it is known that there is no such
//! mailbox, for the bounce would go to whoever the sender claims to be.

mod file;
mod table;

use slimta_smtp::server::Role;

use super::connection::Connection;
use crate::message::{Address, Destination, Recipient, Response};
use crate::queue::{ByDestination, DestinationPattern};
use crate::world::World;

pub use file::RecipientsFile;

pub(super) use table::{Mailbox, Table};

/// The domains that mail is for which an edge takes from anybody, and the
/// mailboxes in them, where those are known.
///
/// ```
/// # use slimta::edge::smtp::{FinalDomains, RecipientsFile, SmtpEdge};
/// # fn example(edge: SmtpEdge) -> Result<SmtpEdge, Box<dyn std::error::Error>> {
/// let domains = ["example.org".parse()?, "*.lists.example.org".parse()?];
/// let recipients = RecipientsFile::open("/etc/slimta/recipients")?;
/// Ok(edge.with_final_domains(FinalDomains::new(domains).with_recipients(recipients)))
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FinalDomains {
    domains: ByDestination<bool>,
    recipients: Option<RecipientsFile>,
}

impl FinalDomains {
    /// These domains, such as `example.org`, and those below others, such as
    /// `*.example.org`.
    pub fn new(domains: impl IntoIterator<Item = DestinationPattern>) -> Self {
        let none = ByDestination::new(false);
        FinalDomains {
            domains: domains
                .into_iter()
                .fold(none, |domains, pattern| domains.with_rule(pattern, true)),
            recipients: None,
        }
    }

    /// The mailboxes in them. Others are refused with `550 5.1.1`, whoever the
    /// client is; `postmaster` never (RFC 5321 section 4.5.1). Without it all
    /// are taken.
    #[must_use]
    pub fn with_recipients(mut self, recipients: RecipientsFile) -> Self {
        self.recipients = Some(recipients);
        self
    }

    /// What is known of a recipient.
    async fn standing(&self, address: &Address, world: &World) -> Standing {
        let mailbox = Mailbox::of(address);
        let is_ours = match address.domain() {
            None => true,
            Some(domain) => *self.domains.get(&Destination::new(domain)),
        };
        if !is_ours {
            return Standing::Elsewhere;
        }
        if mailbox.is_postmaster() {
            return Standing::Here;
        }
        match &self.recipients {
            Some(recipients) => match recipients.table(world).await.finds(&mailbox) {
                Some(found) => found,
                None => Standing::Unknown,
            },
            None if mailbox.is_routed() => Standing::Routed,
            None => Standing::Here,
        }
    }
}

/// What is known of a recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Its mailbox is behind this server, or may be.
    Here,
    /// The same, but its name says where mail may go from there (`u%x@y`): the
    /// host behind this one might do that for a stranger.
    Routed,
    /// It would be, and is not.
    Unknown,
    /// It is of another domain.
    Elsewhere,
}

impl<S> Connection<S> {
    /// Whether the client may hand in mail for others.
    fn may_relay(&self) -> bool {
        self.is_permitted || self.session.user().is_some()
    }

    /// Takes a recipient, or says why not.
    pub(super) async fn take(&mut self, recipient: Recipient) {
        match self.refusal(&recipient.address).await {
            None => self.decide_recipient(recipient).await,
            Some(refused) => self.session.refuse_recipient(&refused),
        }
    }

    /// What the client is told if mail for that address is not taken from it.
    async fn refusal(&mut self, address: &Address) -> Option<Response> {
        let standing = match &self.edge.final_domains {
            Some(domains) => domains.standing(address, &self.edge.world).await,
            None => Standing::Elsewhere,
        };
        let ip = self.ip;
        match standing {
            Standing::Unknown => {
                tracing::info!(%ip, recipient = %address, "recipient unknown");
                Some(Response::permanent(1, 1, "No such user here"))
            }
            Standing::Here if self.edge.role != Role::Submission => None,
            _ if self.may_relay() => None,
            _ => {
                tracing::info!(%ip, recipient = %address, "relaying denied");
                Some(Response::permanent(7, 1, "Relaying denied"))
            }
        }
    }
}
