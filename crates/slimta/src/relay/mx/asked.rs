//! What a domain asks of the TLS with its mail exchangers, by its policy
//! (MTA-STS).

#[cfg(feature = "mta-sts")]
use std::sync::Arc;

use super::super::smtp::HostPolicy;
#[cfg(feature = "mta-sts")]
use crate::relay::sts::{Kept, Mode, ascii_name};

/// The policy of a domain, where it is heeded and enforced.
#[derive(Default)]
pub(super) struct Asked {
    #[cfg(feature = "mta-sts")]
    enforced: Option<Arc<Kept>>,
}

#[cfg(feature = "mta-sts")]
impl Asked {
    pub(super) fn by(kept: Option<Arc<Kept>>) -> Self {
        Asked {
            enforced: kept.filter(|kept| kept.mode() == Mode::Enforce),
        }
    }

    /// What it says of a host of `domain`.
    pub(super) fn of(&self, domain: &str, host: &str) -> Option<HostPolicy> {
        let kept = self.enforced.as_ref()?;
        let host = ascii_name(host);
        Some(HostPolicy {
            domain: domain.into(),
            names_it: host.is_some_and(|host| kept.policy.names(&host)),
        })
    }

    /// Under what connections to the exchangers of `domain` are kept: not those
    /// that another policy, or none, let pass.
    pub(super) fn key(&self, domain: &str) -> String {
        match &self.enforced {
            Some(kept) => format!("{domain} mta-sts={}", kept.id()),
            None => domain.to_owned(),
        }
    }
}

#[cfg(not(feature = "mta-sts"))]
impl Asked {
    /// Nobody looks for policies.
    pub(super) fn of(&self, _domain: &str, _host: &str) -> Option<HostPolicy> {
        None
    }

    pub(super) fn key(&self, domain: &str) -> String {
        domain.to_owned()
    }
}
