//! Seals mail of strangers that is passed on, so that the next host can believe
//! what this one found although it has changed something (ARC, RFC 8617).

use std::sync::Arc;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::body::BodyHash;
use super::header::{Covered, is_whole, relax};
use super::key::{CannotSign, DkimError, DkimKey};
use super::signature::{SECONDS_MAX, listed, wrapped};
use super::{SignDkim, Signer};
use crate::message::{BodyType, Content, Field, Message, NewField, Response};
use crate::policy::Policy;
use crate::policy::verify::{own_results, result_of};

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";
/// The fields of a set, in the order in which they are sealed (section 5.1.1).
const SET: [&str; 3] = [RESULTS, SIGNATURE, SEAL];
/// Most sets of a message (section 4.2.1).
const SETS_MAX: u32 = 50;
const ALGORITHM_OF_ALL: &str = "rsa-sha256";

/// Puts a set of ARC on top of each message of which
/// [`VerifySenders`](crate::policy::VerifySenders) has written what it found; other
/// mail passes as it is. It comes behind all other policies.
///
/// A chain that is there already is continued: with `cv=pass` if it was found to
/// hold, else with `cv=fail`, which ends it. What could not be looked up is not
/// sealed, nor is mail whose octets are no lines (BINARYMIME): they are hashed as
/// lines, and no host behind this one could write what is sealed in base64. The same message is sealed alike each time.
#[derive(Clone, Debug)]
pub struct SealArc {
    signer: Arc<Signer>,
    /// Which of the keys.
    key: usize,
    authserv_id: Arc<str>,
}

/// What is known of the chain that a message has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Chain {
    None,
    Holds,
    Broken,
}

impl SignDkim {
    /// What seals with a key of `domain`, for results in the name of `authserv_id`.
    /// Of several keys it is the first of RSA, which all verifiers know.
    pub fn seal_arc(&self, domain: &str, authserv_id: &str) -> Result<SealArc, DkimError> {
        let unknown = || DkimError::NoKeys(super::key::shown(domain));
        let signer = self.signers.get(&domain.to_ascii_lowercase());
        let signer = signer.filter(|signer| !signer.keys.is_empty());
        let signer = signer.ok_or_else(unknown)?;
        let is_known = |key: &DkimKey| key.algorithm() == ALGORITHM_OF_ALL;
        Ok(SealArc {
            key: signer.keys.iter().position(is_known).unwrap_or(0),
            signer: signer.clone(),
            authserv_id: authserv_id.into(),
        })
    }
}

#[async_trait]
impl Policy for SealArc {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        if message.envelope.body == BodyType::BinaryMime && !message.content.is_text() {
            return Ok(vec![message]);
        }
        let Some((results, chain)) = self.found(&message.content) else {
            return Ok(vec![message]);
        };
        let hash = BodyHash::of(&message.content).await;
        match self.seal(&mut message, &results, chain, hash) {
            Ok(()) => Ok(vec![message]),
            Err(CannotSign) => {
                let domain = &self.signer.domain;
                tracing::error!(%domain, "a key could not seal; the client keeps its message");
                let text = "The message cannot be sealed now";
                Err(Response::transient(7, 5, text))
            }
        }
    }
}

impl SealArc {
    /// What was found of a message, and of its chain; none if it is not sealed.
    fn found(&self, content: &Content) -> Option<(String, Chain)> {
        let results = own_results(content, &self.authserv_id)?;
        if !is_whole(content) {
            return None;
        }
        let chain = match result_of(&results, "arc").as_deref() {
            Some("pass") => Chain::Holds,
            Some("fail") => Chain::Broken,
            // It could not be looked up.
            Some(_) => return None,
            None if content.field(SEAL).is_some() => return None,
            None => Chain::None,
        };
        Some((results, chain))
    }

    fn seal(
        &self,
        message: &mut Message,
        results: &str,
        chain: Chain,
        hash: BodyHash,
    ) -> Result<(), CannotSign> {
        let content = &mut message.content;
        let before = last_instance(content);
        // Nothing goes behind a chain that was ended (section 5.1).
        let is_ended = content
            .field(SEAL)
            .is_some_and(|seal| tag(&seal.value(), "cv").as_deref() == Some("fail"));
        if is_ended || before >= SETS_MAX {
            return Ok(());
        }
        let Some(key) = self.signer.keys.get(self.key) else {
            return Ok(());
        };
        let Some(covered) = Covered::of(content, &["dkim-signature"]) else {
            return Ok(());
        };
        let own = before + 1;
        let seconds = message.timestamp.as_secs().clamp(0, SECONDS_MAX);
        let common = format!(
            "i={own}; a={}; d={}; s={}; t={seconds}",
            key.algorithm(),
            self.signer.domain,
            key.selector(),
        );
        let value = format!(
            "{common}; c=relaxed/relaxed; h={}; bh={}; b=",
            listed(&covered.names),
            BASE64_STANDARD.encode(hash.finish()),
        );
        let signature = signed(key, covered.canonical, SIGNATURE, value)?;
        content.prepend(&field(RESULTS, &format!("i={own}; {results}"))?);
        content.prepend(&signature);
        let (first, cv) = match chain {
            Chain::None => (own, "none"),
            Chain::Holds => (1, "pass"),
            Chain::Broken => (own, "fail"),
        };
        let sealed = sealed(content, first..=own);
        let seal = signed(key, sealed, SEAL, format!("{common}; cv={cv}; b="))?;
        content.prepend(&seal);
        Ok(())
    }
}

/// A field with its signature, over a text and the field itself.
fn signed(
    key: &DkimKey,
    mut text: Vec<u8>,
    name: &str,
    mut value: String,
) -> Result<NewField, CannotSign> {
    text.extend_from_slice(name.to_ascii_lowercase().as_bytes());
    text.push(b':');
    text.extend_from_slice(value.as_bytes());
    value += &wrapped(&BASE64_STANDARD.encode(key.sign(&text)?));
    field(name, &value)
}

fn field(name: &str, value: &str) -> Result<NewField, CannotSign> {
    NewField::new(name, value).map_err(|_| CannotSign)
}

/// The sets of these instances in their relaxed form, as far as they are there.
fn sealed(content: &Content, instances: std::ops::RangeInclusive<u32>) -> Vec<u8> {
    let mut text = Vec::new();
    for instance in instances {
        for name in SET {
            let is_of_set = |field: &Field<'_>| instance_of(field) == Some(instance);
            if let Some(field) = content.fields_named(name).find(is_of_set) {
                relax(&field, &mut text);
                text.extend_from_slice(b"\r\n");
            }
        }
    }
    text
}

/// The highest instance of a set, 0 if there is none.
fn last_instance(content: &Content) -> u32 {
    let fields = SET.into_iter().flat_map(|name| content.fields_named(name));
    let instances = fields.filter_map(|field| instance_of(&field));
    instances.max().unwrap_or(0)
}

fn instance_of(field: &Field<'_>) -> Option<u32> {
    tag(&field.value(), "i")?.parse().ok()
}

/// The value of a tag in a list of them (RFC 6376 section 3.2).
fn tag(value: &str, name: &str) -> Option<String> {
    let mut tags = value.split(';').filter_map(|tag| tag.split_once('='));
    let found = tags.find(|(known, _)| known.trim() == name);
    found.map(|(_, value)| value.trim().to_owned())
}
