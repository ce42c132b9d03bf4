//! What the policy that a domain publishes (MTA-STS, RFC 8461) says of one of its
//! hosts.

use std::sync::Arc;

use super::host_tls::{Authority, HostTls, Need, Reason};
use super::tls_seen::{FaultKind, TlsFault};
use crate::message::{EnhancedCode, Response};

/// What a policy says of a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) struct HostPolicy {
    /// Whose policy it is.
    pub(in crate::relay) domain: Arc<str>,
    /// Whether the host is one of those that the policy names.
    pub(in crate::relay) names_it: bool,
    /// Whether it gets no mail if it does not fit; else that is only told.
    pub(in crate::relay) is_enforced: bool,
}

impl HostPolicy {
    /// What the connection to the host must be, if it would be as `tls` without a
    /// policy; or the answer for mail that is not even offered to it. A host that
    /// is judged by DANE needs nobody else's word (RFC 8461 section 2).
    pub(super) fn raise(&self, host: &str, tls: HostTls) -> Result<HostTls, Response> {
        if tls.reason == Reason::Tlsa || !self.is_enforced {
            return Ok(tls);
        }
        if let Some(fault) = self.fault(host, &tls) {
            return Err(Response::transient(7, 0, fault.why));
        }
        Ok(HostTls {
            need: Need::Authenticated(Authority::Roots),
            reason: Reason::Policy,
        })
    }

    /// What is wrong with the host whatever its certificate is.
    pub(super) fn fault(&self, host: &str, tls: &HostTls) -> Option<TlsFault> {
        if tls.reason == Reason::Tlsa || self.names_it {
            return None;
        }
        let domain = &self.domain;
        let why = format!("The policy of {domain} (MTA-STS) does not name {host} as an exchanger");
        Some(TlsFault::new(FaultKind::ValidationFailure, why))
    }

    /// Says whose wish it was, where a session failed for want of TLS.
    pub(super) fn explain(&self, tls: &HostTls, mut why: Response) -> Response {
        let codes = [4, 5].map(|detail| EnhancedCode::new(4, 7, detail));
        let is_tls = why.enhanced.is_some_and(|code| codes.contains(&code));
        if is_tls && tls.reason == Reason::Policy {
            let domain = &self.domain;
            why.text += &format!("; the policy of {domain} (MTA-STS) asks for it");
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use slimta_smtp::client::TlsLevel;

    use super::*;

    #[test]
    fn dane_wins_over_a_policy_and_a_policy_over_a_level() {
        let needs = |reason, need| HostTls { need, reason };
        let opportunistic = Reason::Level(TlsLevel::Opportunistic);
        for names_it in [false, true] {
            let domain = "d.example".into();
            let policy = HostPolicy {
                domain,
                names_it,
                is_enforced: true,
            };
            let raised = |reason, need| policy.raise("mx.d.example", needs(reason, need));
            let by_roots = Need::Authenticated(Authority::Roots);
            assert_eq!(
                raised(Reason::Tlsa, by_roots.clone()),
                Ok(needs(Reason::Tlsa, by_roots.clone()))
            );
            for (reason, need) in [
                (opportunistic, Need::Opportunistic),
                (Reason::UnusableTlsa, Need::Encrypted),
                (Reason::NoTlsa, Need::Opportunistic),
            ] {
                match raised(reason, need) {
                    Ok(tls) => assert_eq!(tls, needs(Reason::Policy, by_roots.clone())),
                    Err(why) => assert!(!names_it && why.to_string().starts_with("451 4.7.0 ")),
                }
            }
        }
    }
}
