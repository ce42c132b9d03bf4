//! What the file says of DKIM: which keys sign for which domain.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use slimta::policy::{DkimKey, SignDkim};

use crate::failure::Failure;

/// The bit of a file's mode by which anybody may read it.
const READABLE_TO_OTHERS: u32 = 0o004;

/// The tables `[dkim."DOMAIN"]`.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Dkim(BTreeMap<String, Keys>);

/// The keys of a domain: one table, or several in an array.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Keys(Vec<KeyFile>);

/// One of them.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KeyFile {
    /// Under which name the domain publishes the public key.
    selector: String,
    /// The file of the private key, in PEM.
    key: PathBuf,
}

impl Dkim {
    /// What signs. Reads the keys.
    pub(crate) fn signer(&self) -> Result<SignDkim, Failure> {
        self.0
            .iter()
            .try_fold(SignDkim::new(), |dkim, (domain, keys)| {
                let keys = keys.0.iter().map(|file| file.read(domain));
                let keys = keys.collect::<Result<Vec<_>, _>>()?;
                dkim.with_keys(domain, keys)
                    .map_err(|error| Failure::setting(format!("dkim.\"{domain}\""), error))
            })
    }
}

impl Dkim {
    /// Whether mail from `domain` is signed: there are keys for it or for one above it.
    pub(super) fn is_for(&self, domain: &str) -> bool {
        let domain = domain.to_ascii_lowercase();
        let mut names = std::iter::successors(Some(domain.as_str()), |name| {
            name.split_once('.').map(|(_, above)| above)
        });
        names.any(|name| self.0.keys().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// What is wrong with each domain.
    pub(crate) fn problems(&self) -> Vec<Failure> {
        let domains = self.0.iter().map(|(domain, keys)| {
            let alone = Dkim(BTreeMap::from([(domain.clone(), keys.clone())]));
            alone.signer().err()
        });
        domains.flatten().collect()
    }
}

impl KeyFile {
    fn read(&self, domain: &str) -> Result<DkimKey, Failure> {
        let path = self.key.display();
        let place = format!("dkim.\"{domain}\".key");
        let unusable = |why: String| Failure::setting(place.as_str(), why);
        let pem = std::fs::read(&self.key)
            .map_err(|error| unusable(format!("the key {path} cannot be read: {error}")))?;
        let key = DkimKey::from_pem(&self.selector, &pem)
            .map_err(|error| unusable(format!("{path} cannot sign: {error}")))?;
        if self.is_open_to_all() {
            tracing::warn!(key = %path, "everybody on this host can read a key that signs: chmod o= it");
        }
        Ok(key)
    }

    fn is_open_to_all(&self) -> bool {
        let metadata = std::fs::metadata(&self.key);
        metadata.is_ok_and(|metadata| metadata.permissions().mode() & READABLE_TO_OTHERS != 0)
    }
}

/// Written out, because an untagged enum would not say which key is unknown.
impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with selector and key, or several in an array")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Keys, A::Error> {
                let one = KeyFile::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Keys(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Keys, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(seq)).map(Keys)
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_for_their_domain_and_those_below() {
        let keys = || Keys(Vec::new());
        let dkim = Dkim(BTreeMap::from([("Example.org".to_owned(), keys())]));
        for domain in ["example.org", "mx.EXAMPLE.org"] {
            assert!(dkim.is_for(domain), "{domain}");
        }
        for domain in ["org", "an-example.org", "example.net", ""] {
            assert!(!dkim.is_for(domain), "{domain}");
        }
    }
}
