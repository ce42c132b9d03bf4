//! Signs mail with the keys of its author's domain, so that others can tell it
//! from mail that only looks like it (DKIM: RFC 6376, RFC 8301, RFC 8463).
//!
//! A signature covers the whole body and the fields that readers see. Whatever
//! changes a message comes before it.

mod author;
mod body;
mod header;
mod key;
mod notices;
mod octets;
#[cfg(feature = "verify")]
mod seal;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::Policy;
use crate::message::{BodyType, Content, Message, Response};
use author::authors;
use body::BodyHash;
use header::{Covered, is_whole};
use key::{CannotSign, is_name, shown};
use octets::written_in_lines;
use signature::signature;

pub use key::{DkimError, DkimKey};
pub use notices::SignedNotices;
#[cfg(feature = "verify")]
pub use seal::SealArc;

/// Signs each message whose From names a domain that has keys, once with each of
/// them, and puts the signatures on top. Other mail passes as it is.
///
/// A domain's keys are for the domains below it, too, as long as these have none
/// of their own. Mail that names no author, or authors of several of the
/// domains, in one From field or in many, passes unsigned, and so does mail
/// whose header has no clear end; the log says so.
///
/// A message of any octets (BINARYMIME) is written in ASCII before it is signed: its
/// body has no lines that all verifiers hash alike, and once it is signed no host may
/// write it so for the next. If it cannot be, it passes unsigned.
///
/// The time of a signature is that at which the message was received. The same
/// message is signed alike each time. If a key cannot sign, the client hears
/// `451 4.7.5` and keeps its message.
#[derive(Clone, Debug, Default)]
pub struct SignDkim {
    signers: BTreeMap<String, Arc<Signer>>,
}

/// A domain and its keys.
#[derive(Debug)]
struct Signer {
    domain: String,
    keys: Vec<DkimKey>,
}

/// Why mail that may be of a domain with keys is not signed.
type Unsigned = &'static str;

impl SignDkim {
    /// Signs nothing yet.
    pub fn new() -> Self {
        SignDkim::default()
    }

    /// Signs mail of `domain` and of domains below it with these keys, each under
    /// a selector of its own.
    pub fn with_keys(
        mut self,
        domain: &str,
        keys: impl IntoIterator<Item = DkimKey>,
    ) -> Result<Self, DkimError> {
        if !is_name(domain) {
            return Err(DkimError::Domain(shown(domain)));
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let mut selectors = BTreeSet::new();
        for key in &keys {
            if !is_name(&format!("{}._domainkey.{domain}", key.selector())) {
                return Err(DkimError::Selector(key.selector().to_owned()));
            }
            if !selectors.insert(key.selector()) {
                return Err(DkimError::SelectorTwice(key.selector().to_owned()));
            }
        }
        let domain = domain.to_ascii_lowercase();
        let signer = Arc::new(Signer {
            domain: domain.clone(),
            keys,
        });
        match self.signers.insert(domain, signer) {
            None => Ok(self),
            Some(known) => Err(DkimError::DomainTwice(known.domain.clone())),
        }
    }

    /// Who signs these contents, and what of their header, if somebody does.
    fn signer(&self, content: &Content) -> Result<Option<(&Signer, Covered)>, Unsigned> {
        if self.signers.is_empty() {
            return Ok(None);
        }
        let mut fields = content.fields_named("From");
        let from = fields.next().ok_or("it has no From field")?;
        if fields.next().is_some() {
            return Err("it has several From fields");
        }
        let authors = authors(&from.value()).ok_or("its From field is no list of addresses")?;
        let mut signers = authors
            .iter()
            .map(|author| self.signer_for(author.domain()));
        let signer = signers.next().flatten();
        let domain = signer.map(|signer| &signer.domain);
        if signers.any(|other| other.map(|other| &other.domain) != domain) {
            return Err("its From field names several domains");
        }
        let Some(signer) = signer else {
            return Ok(None);
        };
        if !is_whole(content) {
            return Err("its header does not end with an empty line");
        }
        let covered = Covered::of(content, &[]).ok_or("its header has too many fields")?;
        Ok(Some((signer, covered)))
    }

    /// Who signs for a domain: it itself, or the nearest above it that has keys.
    fn signer_for(&self, domain: Option<&str>) -> Option<&Signer> {
        let domain = domain?.to_ascii_lowercase();
        let mut rest = domain.as_str();
        loop {
            if let Some(signer) = self.signers.get(rest) {
                return Some(signer);
            }
            (_, rest) = rest.split_once('.')?;
        }
    }

    /// The same for a message; what may be a mistake is logged.
    fn signer_of(&self, message: &Message) -> Option<(&Signer, Covered)> {
        match self.signer(&message.content) {
            Ok(signer) => signer,
            Err(why) => {
                let sender = &message.envelope.sender;
                tracing::warn!(%sender, why, "message passes without a DKIM signature");
                None
            }
        }
    }

    /// Signs a message at once, however long its body is.
    fn sign(&self, message: &mut Message) -> Result<(), CannotSign> {
        let Some((signer, covered)) = self.signer_of(message) else {
            return Ok(());
        };
        let mut hash = BodyHash::new();
        hash.update(message.content.body_bytes());
        signer.sign(message, &covered, hash)
    }
}

impl Signer {
    /// Puts the signatures on top of a message whose body has this hash.
    fn sign(
        &self,
        message: &mut Message,
        covered: &Covered,
        hash: BodyHash,
    ) -> Result<(), CannotSign> {
        let (hash, time) = (hash.finish(), message.timestamp);
        let sign = |key| signature(&self.domain, key, covered, hash.as_ref(), time);
        let signatures = self.keys.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
        for field in signatures.iter().rev() {
            message.content.prepend(field);
        }
        Ok(())
    }
}

#[async_trait]
impl Policy for SignDkim {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        let is_binary = message.envelope.body == BodyType::BinaryMime;
        if is_binary && self.signer_of(&message).is_some() && !written_in_lines(&mut message) {
            let sender = &message.envelope.sender;
            let why = "its octets are no lines, and cannot be written in ASCII";
            tracing::warn!(%sender, why, "message passes without a DKIM signature");
            return Ok(vec![message]);
        }
        let Some((signer, covered)) = self.signer_of(&message) else {
            return Ok(vec![message]);
        };
        let hash = BodyHash::of(&message.content).await;
        match signer.sign(&mut message, &covered, hash) {
            Ok(()) => Ok(vec![message]),
            Err(CannotSign) => {
                let domain = &signer.domain;
                tracing::error!(%domain, "a DKIM key could not sign; the client keeps its message");
                let text = "The message cannot be signed now";
                Err(Response::transient(7, 5, text))
            }
        }
    }
}
