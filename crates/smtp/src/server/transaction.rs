//! The mail transaction: from MAIL to the end of the data (RFC 5321
//! section 3.3).

use slimta_core::message::{Address, BodyType, Envelope, Recipient, ReversePath};

use super::intake::Intake;
use super::parameters::{MailParameters, RcptParameters};
use super::priority::Requested;
use super::promises::By;
use super::replies::{self, Reply};
use super::{Settings, path};

/// A message before its data is complete.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) envelope: Envelope,
    /// The size that MAIL announced.
    pub(super) announced: Option<u64>,
    /// Which goes first, if the client says so.
    pub(super) priority: Option<Requested>,
    /// By when it is to be delivered, if the client says so.
    pub(super) by: Option<By>,
    /// Whether the client says who the author has authenticated as.
    pub(super) has_auth: bool,
    /// What BDAT has brought so far; none before the first chunk.
    pub(super) chunks: Option<Intake>,
}

impl Transaction {
    /// Begins with the argument of MAIL.
    pub(super) fn begin(argument: &[u8], settings: &Settings) -> Result<Self, Reply> {
        let words = argument.split(|b| *b == b' ');
        let has_smtputf8 = words.clone().any(|w| w.eq_ignore_ascii_case(b"SMTPUTF8"));
        // RFC 6531 section 3.5 has a code for each command.
        let needs_smtputf8 = replies::SENDER_NEEDS_SMTPUTF8;
        let argument = text(argument, has_smtputf8, needs_smtputf8)?;
        let (mailbox, rest) = path::split(argument, "FROM:").ok_or(replies::BAD_SENDER)?;
        let sender = ReversePath::parse(mailbox).map_err(|_| replies::BAD_SENDER)?;
        let parameters = MailParameters::parse(rest)?;
        // The word may have stood in a quoted string.
        text(argument.as_bytes(), parameters.smtputf8, needs_smtputf8)?;
        if let Some(size) = parameters.size {
            if size > settings.message_bytes_max {
                return Err(replies::TOO_LARGE);
            }
            if size > settings.room.left() {
                return Err(replies::NO_ROOM);
            }
        }
        Ok(Transaction {
            envelope: Envelope {
                sender,
                recipients: Vec::new(),
                body: parameters.body.unwrap_or_default(),
                smtputf8: parameters.smtputf8,
                ret: parameters.ret,
                envid: parameters.envid,
                next_hop: None,
                release: parameters.release,
                deliver_by: None,
                require_tls: parameters.require_tls,
            },
            announced: parameters.size,
            priority: parameters.priority,
            by: parameters.by,
            has_auth: parameters.auth.is_some(),
            chunks: None,
        })
    }

    /// Whether its body may hold any octets, and so comes in chunks only (RFC 3030
    /// section 3).
    pub(super) fn is_binary(&self) -> bool {
        self.envelope.body == BodyType::BinaryMime
    }

    /// Reads the argument of RCPT.
    pub(super) fn recipient(&self, argument: &[u8]) -> Result<Recipient, Reply> {
        let needs_smtputf8 = replies::RECIPIENT_NEEDS_SMTPUTF8;
        let argument = text(argument, self.envelope.smtputf8, needs_smtputf8)?;
        let (mailbox, rest) = path::split(argument, "TO:").ok_or(replies::BAD_RECIPIENT)?;
        let address = Address::parse(mailbox).map_err(|_| replies::BAD_RECIPIENT)?;
        let parameters = RcptParameters::parse(rest)?;
        Ok(Recipient {
            address,
            notify: parameters.notify,
            original: parameters.original,
        })
    }
}

/// The argument as text, if it may be more than ASCII.
fn text(argument: &[u8], has_smtputf8: bool, needs_smtputf8: Reply) -> Result<&str, Reply> {
    if !has_smtputf8 && !argument.is_ascii() {
        return Err(needs_smtputf8);
    }
    str::from_utf8(argument).map_err(|_| replies::NOT_UTF8)
}
