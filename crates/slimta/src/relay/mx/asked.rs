//! What a domain asks of the TLS with its mail exchangers, by its policy
//! (MTA-STS), and what is counted of it.

#[cfg(feature = "mta-sts")]
use std::sync::Arc;

#[cfg(feature = "mta-sts")]
use super::super::smtp::TlsSeen;
use super::super::smtp::{HostPolicy, Naming, Seen};
#[cfg(feature = "mta-sts")]
use crate::relay::{
    sts::{Kept, Mode, ascii_name},
    tls_report::{FailureTold, PolicyTold, TlsReports},
};

/// The policy of a domain, where it is heeded, and who counts.
#[derive(Default)]
pub(super) struct Asked {
    #[cfg(feature = "mta-sts")]
    pub(super) kept: Option<Arc<Kept>>,
    /// Whether it may have one that nobody could fetch of late.
    #[cfg(feature = "mta-sts")]
    pub(super) is_unsettled: bool,
    #[cfg(feature = "mta-sts")]
    pub(super) reports: Option<TlsReports>,
}

#[cfg(feature = "mta-sts")]
impl Asked {
    fn policy(&self) -> Option<&Kept> {
        let kept = self.kept.as_deref();
        kept.filter(|kept| kept.mode() != Mode::None)
    }

    /// What it says of a host of `domain`.
    pub(super) fn of(&self, domain: &str, host: &str) -> Option<HostPolicy> {
        let kept = self.policy()?;
        let host = ascii_name(host);
        Some(HostPolicy {
            domain: domain.into(),
            names_it: host.is_some_and(|host| kept.policy.names(&host)),
            is_enforced: kept.mode() == Mode::Enforce,
        })
    }

    /// What it makes of a host that the DNS named, if that is what it says of it.
    pub(super) fn naming(&self, policy: Option<&HostPolicy>) -> Naming {
        match policy {
            Some(policy) if policy.names_it => Naming::Certain,
            None if self.is_unsettled => Naming::Unsettled,
            _ => Naming::Doubtful,
        }
    }

    /// Under what connections to the exchangers of `domain`, which are the site
    /// `site`, are kept: not those that the policy of another domain of the site,
    /// another policy, or none, let pass.
    pub(super) fn key(&self, site: &str, domain: &str) -> String {
        match self.policy() {
            Some(kept) => format!("{site} mta-sts={} of {domain}", kept.id()),
            None => site.to_owned(),
        }
    }

    /// Counts what came of TLS with a host of `domain`.
    pub(super) fn count(&self, domain: &str, seen: Seen<'_>) {
        let failure = match seen.tls {
            TlsSeen::Nothing => return,
            TlsSeen::Good => None,
            TlsSeen::Failed(fault) => Some(FailureTold::of_host(fault, seen.host, seen.source)),
        };
        if let (Some(reports), Some(domain)) = (&self.reports, ascii_name(domain)) {
            let policy = PolicyTold::of(&domain, self.policy(), &seen);
            reports.count(policy, failure);
        }
    }
}

#[cfg(not(feature = "mta-sts"))]
impl Asked {
    /// Nobody looks for policies.
    pub(super) fn of(&self, _domain: &str, _host: &str) -> Option<HostPolicy> {
        None
    }

    pub(super) fn naming(&self, _policy: Option<&HostPolicy>) -> Naming {
        Naming::Doubtful
    }

    pub(super) fn key(&self, site: &str, _domain: &str) -> String {
        site.to_owned()
    }

    pub(super) fn count(&self, _domain: &str, _seen: Seen<'_>) {}
}
