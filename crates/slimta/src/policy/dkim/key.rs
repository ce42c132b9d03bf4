//! Keys that sign, and the records that tell others of them (RFC 6376 section
//! 3.6.1, RFC 8463).

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

/// Longest name in the DNS (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// `rsaEncryption` as an AlgorithmIdentifier (RFC 3279 section 2.3.1).
const RSA_ENCRYPTION: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Why a key, or a domain with its keys, cannot sign.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DkimError {
    /// The domain is not a name in the DNS, in its ASCII form.
    #[error(
        "{0:?} is not the name of a domain, such as example.org; others than ASCII are written xn--…"
    )]
    Domain(String),
    /// The domain has its keys already.
    #[error("the domain {0:?} is given twice: upper and lower case are alike")]
    DomainTwice(String),
    /// The selector is not a name in the DNS.
    #[error("the selector {0:?} is not a name in the DNS, such as 2026a")]
    Selector(String),
    /// Two keys of a domain have the same selector, so others would find one.
    #[error("the selector {0:?} is given twice: each key has a selector of its own")]
    SelectorTwice(String),
    /// A domain that is to seal has no keys.
    #[error("there are no keys for the domain {0:?}")]
    NoKeys(String),
    /// There is no key in what should hold one.
    #[error("it holds no private key in PEM without a password (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// The key is of another kind than DKIM knows.
    #[error("the key is neither RSA nor Ed25519")]
    Kind,
    /// RFC 8301 section 3.2 lets nobody sign with it.
    #[error("the RSA key is shorter than 2048 bits: make a longer one (openssl genrsa 2048)")]
    Short,
    /// The key is damaged, or odd.
    #[error("the key cannot be used ({0}): RSA keys have 2048 to 4096 bits, a multiple of 512")]
    Unusable(String),
}

/// The key could not sign.
#[derive(Debug)]
pub(super) struct CannotSign;

/// A private key of a domain, under its selector.
pub struct DkimKey {
    selector: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    /// Fails whenever it should sign.
    #[cfg(test)]
    Broken,
}

impl DkimKey {
    /// Reads the first private key from a PEM file's text: RSA of 2048 to 4096
    /// bits (PKCS#8 or PKCS#1) or Ed25519 (PKCS#8), without a password.
    pub fn from_pem(selector: &str, pem: &[u8]) -> Result<Self, DkimError> {
        if !is_name(selector) {
            return Err(DkimError::Selector(shown(selector)));
        }
        let pair = match PrivateKeyDer::from_pem_slice(pem) {
            Ok(PrivateKeyDer::Pkcs8(der)) => {
                let der = der.secret_pkcs8_der();
                match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                    Ok(pair) => Pair::Ed25519(Box::new(pair)),
                    Err(_) => rsa(RsaKeyPair::from_pkcs8(der))?,
                }
            }
            Ok(PrivateKeyDer::Pkcs1(der)) => rsa(RsaKeyPair::from_der(der.secret_pkcs1_der()))?,
            Ok(_) => return Err(DkimError::Kind),
            Err(_) => return Err(DkimError::NoKey),
        };
        Ok(DkimKey {
            selector: selector.to_ascii_lowercase(),
            pair,
        })
    }

    /// The selector, in lower case.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// What the signatures call their algorithm: `rsa-sha256` or
    /// `ed25519-sha256`.
    pub fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Ed25519(_) => "ed25519-sha256",
            _ => "rsa-sha256",
        }
    }

    /// The text of the TXT record at `SELECTOR._domainkey.DOMAIN` by which others
    /// find the public key. Strings in the DNS have 255 bytes at most: one of an
    /// RSA key has to be written as several.
    pub fn record(&self) -> String {
        match &self.pair {
            Pair::Rsa(pair) => {
                let key = BASE64_STANDARD.encode(subject_public_key_info(pair.public().as_ref()));
                format!("v=DKIM1; k=rsa; p={key}")
            }
            Pair::Ed25519(pair) => {
                let key = BASE64_STANDARD.encode(pair.public_key());
                format!("v=DKIM1; k=ed25519; p={key}")
            }
            #[cfg(test)]
            Pair::Broken => String::new(),
        }
    }

    /// Signs. The same text gives the same signature: both algorithms draw on
    /// no chance (ring asks for its source of it all the same).
    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, CannotSign> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    text,
                    &mut signature,
                )
                .map_err(|_| CannotSign)?;
                Ok(signature)
            }
            // RFC 8463 section 3: what is signed is the hash.
            Pair::Ed25519(pair) => {
                let hash = digest(&SHA256, text);
                Ok(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
            #[cfg(test)]
            Pair::Broken => Err(CannotSign),
        }
    }

    /// A key that cannot sign.
    #[cfg(test)]
    pub(super) fn broken(selector: &str) -> Self {
        DkimKey {
            selector: selector.to_owned(),
            pair: Pair::Broken,
        }
    }
}

/// Never shows the key.
impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DkimKey({} {})", self.selector, self.algorithm())
    }
}

fn rsa(read: Result<RsaKeyPair, ring::error::KeyRejected>) -> Result<Pair, DkimError> {
    match read {
        Ok(pair) => Ok(Pair::Rsa(Box::new(pair))),
        Err(error) => Err(match error.to_string().as_str() {
            "TooSmall" => DkimError::Short,
            "WrongAlgorithm" => DkimError::Kind,
            why => DkimError::Unusable(why.to_owned()),
        }),
    }
}

/// A SubjectPublicKeyInfo (RFC 5280 section 4.1) around an RSAPublicKey: what
/// stands in records (RFC 6376 erratum 3017).
fn subject_public_key_info(rsa: &[u8]) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    let no_unused_bits = [0];
    let key = der(BIT_STRING, &[&no_unused_bits, rsa]);
    der(SEQUENCE, &[&RSA_ENCRYPTION, &key])
}

/// A value of DER with its tag and length. Those of the RSA keys that are taken
/// are so long that the length has two bytes.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    const LENGTH_OF_TWO_BYTES: u8 = 0x82;
    let value = parts.concat();
    let [.., high, low] = value.len().to_be_bytes();
    [&[tag, LENGTH_OF_TWO_BYTES, high, low], &value[..]].concat()
}

/// Whether a text is a name in the DNS. Underscores are met.
pub(super) fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label)
}

/// What was wrong, and no more of it than people read.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
