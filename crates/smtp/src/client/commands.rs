//! The commands of a transaction, with the parameters that the next hop
//! understands.

use std::fmt::Write as _;

use bytes::Bytes;
use slimta_core::message::{
    BodyType, ByMode, Content, DeliverBy, EnhancedCode, Envelope, Notify, Priority, Recipient,
    Response, Ret,
};
use slimta_core::world::Timestamp;

use super::downgrade::has_utf8_header;
use super::wire::Transfer;
use super::{Dialect, Extensions};
use crate::xtext;

/// Longest ENVID in its written form (RFC 3461 section 4.4).
const ENVID_BYTES_MAX: usize = 100;
/// Longest ORCPT in its written form (RFC 3461 section 4.2).
const ORCPT_BYTES_MAX: usize = 500;

/// What one transaction hands over.
#[derive(Clone, Debug)]
pub struct Parcel<'a> {
    /// Reverse-path and parameters; its recipients are not looked at.
    pub envelope: &'a Envelope,
    /// For whom; at most [`RECIPIENTS_MAX`](super::RECIPIENTS_MAX).
    pub recipients: &'a [Recipient],
    /// The contents.
    pub content: &'a Content,
    /// What they are declared as (BODY=), as [`Fitting`](super::Fitting) finds it.
    /// Text with octets above 127 is `8BITMIME` whatever this says.
    pub body: BodyType,
    /// Which goes first, for a next hop that asks.
    pub priority: Priority,
    /// What time it is, by the clock of the envelope.
    pub now: Timestamp,
}

impl Parcel<'_> {
    /// Why this next hop can take it for nobody, if that is so.
    pub(super) fn obstacle(&self, peer: &Extensions, dialect: Dialect) -> Option<Response> {
        let size = self.content.len() as u64;
        if let Some(size_max) = peer.size_max.filter(|size_max| size > *size_max) {
            let text = format!("The message has {size} bytes, the next hop takes {size_max}");
            return Some(Response::new(552, Some(EnhancedCode::new(5, 3, 4)), text));
        }
        if dialect == Dialect::Smtp {
            let why = self.tls_obstacle(peer).or_else(|| self.time_obstacle(peer));
            if why.is_some() {
                return why;
            }
        }
        if !peer.smtputf8 && !self.sender_is_ascii() {
            return Some(no_smtputf8());
        }
        let is_taken = match self.body {
            BodyType::BinaryMime => peer.takes_binary(),
            _ => !self.has_nul() && (peer.eight_bit_mime || !self.is_eight_bit()),
        };
        if !is_taken {
            let text = "The next hop does not take contents of this encoding";
            return Some(Response::new(554, Some(EnhancedCode::new(5, 6, 3)), text));
        }
        None
    }

    /// Mail that requires TLS goes only to hosts that promise the same (RFC 8689
    /// section 4.2.1), but for reports on it (section 5). A mailbox is the end of the
    /// way. That the connection is good enough is for the driver to see.
    fn tls_obstacle(&self, peer: &Extensions) -> Option<Response> {
        let text = "REQUIRETLS support required: the next hop does not offer it";
        let is_required = self.envelope.require_tls && !self.envelope.sender.is_null();
        let is_missing = is_required && !peer.require_tls;
        is_missing.then(|| Response::permanent(7, 30, text))
    }

    /// Mail that goes back if it is late goes only to hosts that heed the time, and
    /// in time for them (RFC 2852 section 4.2). A mailbox has it at once.
    fn time_obstacle(&self, peer: &Extensions) -> Option<Response> {
        let by = self.envelope.deliver_by;
        let by = by.filter(|by| by.mode == ByMode::Return)?;
        if !peer.deliver_by {
            let text = "The next hop does not heed the time by which this message is to be delivered (DELIVERBY)";
            return Some(Response::permanent(3, 3, text));
        }
        let (left, least) = (by.seconds_left(self.now), peer.deliver_by_min.unwrap_or(0));
        (left < i64::from(least.max(1))).then(|| {
            let text =
                format!("Delivery time expired: {left} s are left, the next hop wants {least}");
            Response::permanent(4, 7, text)
        })
    }

    /// Why this next hop cannot take it for this recipient, if that is so.
    pub(super) fn obstacle_for(&self, to: &Recipient, peer: &Extensions) -> Option<Response> {
        (!peer.smtputf8 && !to.address.is_ascii()).then(no_smtputf8)
    }

    /// Whether reverse-path and headers say nothing that takes SMTPUTF8. Headers
    /// with octets above 127 that were sent without it are sent on as they came.
    fn sender_is_ascii(&self) -> bool {
        let header = !self.envelope.smtputf8 || !has_utf8_header(self.content);
        header && self.envelope.sender.as_str().is_ascii()
    }

    /// NUL is not for DATA, whatever was declared (RFC 2045 sections 2.7 to 2.9):
    /// some hosts drop it, and what stood behind it begins a line.
    fn has_nul(&self) -> bool {
        let has_nul = |chunk: &Bytes| memchr::memchr(0, chunk).is_some();
        self.content.chunks().into_iter().any(has_nul)
    }

    /// How the contents go: any octets only in a chunk (RFC 3030 section 3).
    pub(super) fn transfer(&self) -> Transfer {
        match self.body {
            BodyType::BinaryMime => Transfer::Chunk,
            BodyType::SevenBit | BodyType::EightBitMime => Transfer::Data,
        }
    }

    fn is_eight_bit(&self) -> bool {
        self.content.chunks().iter().any(|chunk| !chunk.is_ascii())
    }

    fn needs_smtputf8(&self) -> bool {
        !self.sender_is_ascii() || self.recipients.iter().any(|r| !r.address.is_ascii())
    }

    /// MAIL, without its line end. The reverse-path is exactly as it was given. Who has
    /// logged in says that nobody vouches for the author (RFC 4954 section 5).
    pub(super) fn mail(&self, peer: &Extensions, is_logged_in: bool) -> String {
        let envelope = self.envelope;
        let mut line = format!("MAIL FROM:<{}>", envelope.sender);
        // Writing to a String does not fail.
        if peer.size {
            let _ = write!(line, " SIZE={}", self.content.len());
        }
        if self.body == BodyType::BinaryMime {
            line.push_str(" BODY=BINARYMIME");
        } else if peer.eight_bit_mime
            && (self.body == BodyType::EightBitMime || self.is_eight_bit())
        {
            line.push_str(" BODY=8BITMIME");
        }
        if peer.smtputf8 && self.needs_smtputf8() {
            line.push_str(" SMTPUTF8");
        }
        if peer.dsn {
            match envelope.ret {
                Some(Ret::Full) => line.push_str(" RET=FULL"),
                Some(Ret::Headers) => line.push_str(" RET=HDRS"),
                None => {}
            }
            let envid = envelope.envid.as_deref().map(xtext::encode);
            if let Some(envid) = envid.filter(|e| (1..=ENVID_BYTES_MAX).contains(&e.len())) {
                let _ = write!(line, " ENVID={envid}");
            }
        }
        if envelope.require_tls && peer.require_tls {
            line.push_str(" REQUIRETLS");
        }
        if let Some(by) = envelope.deliver_by.filter(|_| peer.deliver_by) {
            let mode = match by.mode {
                ByMode::Return => "R",
                ByMode::Notify => "N",
            };
            let trace = if by.trace { "T" } else { "" };
            let _ = write!(line, " BY={};{mode}{trace}", by.seconds_left(self.now));
        }
        if peer.mt_priority {
            // In the numbers of the profile MIXER (RFC 6710 appendix B).
            line.push_str(match self.priority {
                Priority::High => " MT-PRIORITY=4",
                // It has to be said, too (section 4.2, item 1).
                Priority::Normal => " MT-PRIORITY=0",
                Priority::Low => " MT-PRIORITY=-4",
            });
        }
        if is_logged_in {
            line.push_str(" AUTH=<>");
        }
        line
    }

    /// RCPT, without its line end.
    pub(super) fn rcpt(&self, to: &Recipient, peer: &Extensions) -> String {
        let mut line = format!("RCPT TO:<{}>", to.address);
        if peer.dsn {
            if let Some(notify) = self.notify(to, peer) {
                let _ = write!(line, " NOTIFY={}", written(notify));
            }
            if let Some(orcpt) = orcpt(to) {
                let _ = write!(line, " ORCPT={orcpt}");
            }
        }
        line
    }
}

impl Parcel<'_> {
    /// When the sender is told of this recipient. Who wants to hear of a delay at a time
    /// hears it from the hosts behind this one, where that heeds no times (RFC 2852
    /// section 4.1.4.2).
    fn notify(&self, to: &Recipient, peer: &Extensions) -> Option<Notify> {
        let by = self.envelope.deliver_by;
        let is_waiting = |by: DeliverBy| by.mode == ByMode::Notify && !by.is_over(self.now);
        if peer.deliver_by || !by.is_some_and(is_waiting) {
            return to.notify;
        }
        match to.notify {
            Some(Notify::NEVER) => to.notify,
            Some(notify) => Some(Notify {
                delay: true,
                ..notify
            }),
            None => Some(Notify {
                success: false,
                failure: true,
                delay: true,
            }),
        }
    }
}

fn no_smtputf8() -> Response {
    let text = "The next hop does not take internationalised mail";
    Response::permanent(6, 7, text)
}

fn written(notify: Notify) -> String {
    let words = [
        (notify.success, "SUCCESS"),
        (notify.failure, "FAILURE"),
        (notify.delay, "DELAY"),
    ];
    let words: Vec<_> = words.iter().filter(|(on, _)| *on).map(|w| w.1).collect();
    match words.as_slice() {
        [] => "NEVER".to_owned(),
        words => words.join(","),
    }
}

/// The original recipient; if nobody named one before, it is this one
/// (RFC 3461 section 5.2.1).
fn orcpt(to: &Recipient) -> Option<String> {
    let (kind, address) = match &to.original {
        Some(original) => (original.kind.as_str(), original.address.as_str()),
        None if to.address.is_ascii() => ("rfc822", to.address.as_str()),
        None => ("utf-8", to.address.as_str()),
    };
    let is_atom = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let address = match kind.eq_ignore_ascii_case("utf-8") {
        true => xtext::encode_utf8(address),
        false => xtext::encode(address),
    };
    let written = format!("{kind};{address}");
    (is_atom && written.len() <= ORCPT_BYTES_MAX).then_some(written)
}
