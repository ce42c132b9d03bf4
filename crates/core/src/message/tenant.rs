//! On whose behalf mail is sent: a customer, an application, a sender's domain.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longer than any domain.
const BYTES_MAX: usize = 255;

/// Who shares the queue with others. Each tenant has its own order of what waits
/// for a destination, and a share of what may be attempted while others want
/// some, too.
///
/// Letters, digits, `.`, `-` and `_`; upper and lower case are alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tenant(Arc<str>);

/// A text names no tenant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{0}\" names no tenant: use letters, digits, dots, hyphens and underscores, 255 bytes at most"
)]
pub struct TenantError(String);

impl Tenant {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tenant of this name, which is in lower case.
    pub(super) fn named(name: &str) -> Option<Self> {
        Tenant::is_name(name).then(|| Tenant(name.into()))
    }

    /// Whether a text is the name of a tenant, in lower case.
    pub(super) fn is_name(text: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        let fits = |c: char| is_part(c) && !c.is_uppercase();
        !text.is_empty() && text.len() <= BYTES_MAX && text.chars().all(fits)
    }
}

impl FromStr for Tenant {
    type Err = TenantError;

    fn from_str(text: &str) -> Result<Self, TenantError> {
        let name = text.to_lowercase();
        let short = || text.chars().take(64).collect();
        Tenant::named(&name).ok_or_else(|| TenantError(short()))
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_in_lower_case() {
        let name = |text: &str| text.parse::<Tenant>().map(|tenant| tenant.to_string());
        assert_eq!(name("Acme_2.example-Org").unwrap(), "acme_2.example-org");
        assert_eq!(name("münchen.example").unwrap(), "münchen.example");
        for text in ["", "a b", "a#b", "a@b", "a/b", "a\n", "[192.0.2.1]"] {
            assert!(name(text).is_err(), "{text:?}");
        }
        assert!(name(&"a".repeat(256)).is_err());
    }
}
