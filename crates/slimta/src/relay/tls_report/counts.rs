//! What is counted of a day, as reports tell it (RFC 8460 section 4.4).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::smtp::{FaultKind, Host, Seen, TlsFault, TlsSeen};
use super::super::sts::{FetchError, Kept};

/// Most domains of a day.
const DOMAINS_MAX: usize = 10_000;
/// Most policies of a domain that are told apart in a day.
const POLICIES_MAX: usize = 10;
/// Most kinds of failures that are told apart under a policy.
const DETAILS_MAX: usize = 100;
/// Longest cause that is told.
const REASON_CHARS_MAX: usize = 200;

/// A day: what was seen of each domain.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Day {
    pub(super) domains: BTreeMap<String, Counted>,
}

/// What was seen of a domain.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) policies: Vec<PolicyCounts>,
    /// Where the report of this was sent.
    pub(super) sent: Vec<String>,
}

/// What was seen while one policy held.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PolicyCounts {
    policy: PolicyTold,
    pub(super) summary: Summary,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<FailureDetails>,
}

/// The policy that sessions were held to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::relay) struct PolicyTold {
    policy_type: PolicyType,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policy_string: Vec<String>,
    policy_domain: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mx_host: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PolicyType {
    Tlsa,
    Sts,
    NoPolicyFound,
}

/// Sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Summary {
    #[serde(rename = "total-successful-session-count")]
    pub(super) successful: u64,
    #[serde(rename = "total-failure-session-count")]
    pub(super) failed: u64,
}

/// Failures of one kind with one host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FailureDetails {
    #[serde(flatten)]
    what: FailureTold,
    failed_session_count: u64,
}

/// What failed, and with whom.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::relay) struct FailureTold {
    result_type: ResultType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sending_mta_ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiving_mx_hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiving_ip: Option<IpAddr>,
    failure_reason_code: String,
}

/// The kinds of failures (RFC 8460 section 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ResultType {
    StarttlsNotSupported,
    CertificateExpired,
    CertificateHostMismatch,
    CertificateNotTrusted,
    TlsaInvalid,
    DnssecInvalid,
    DaneRequired,
    ValidationFailure,
    StsPolicyFetchError,
    StsPolicyInvalid,
    StsWebpkiInvalid,
}

impl PolicyTold {
    /// What a session was held to: the TLSA records of its host, or else the policy
    /// of the domain, if there is one.
    pub(in crate::relay) fn of(domain: &str, kept: Option<&Kept>, seen: &Seen<'_>) -> Self {
        let records = match seen.asked {
            None if matches!(seen.tls, TlsSeen::Failed(fault) if fault.kind.is_of_dane()) => {
                Some(Vec::new())
            }
            None => None,
            Some(asked) => asked.tlsa(),
        };
        let Some(records) = records else {
            return PolicyTold::of_domain(domain, kept);
        };
        PolicyTold {
            policy_type: PolicyType::Tlsa,
            policy_string: records,
            policy_domain: domain.to_owned(),
            mx_host: vec![seen.host.name.clone()],
        }
    }

    fn of_domain(domain: &str, kept: Option<&Kept>) -> Self {
        let mut told = PolicyTold::unknown(domain);
        match kept {
            None => told.policy_type = PolicyType::NoPolicyFound,
            Some(kept) => {
                told.policy_string = kept.policy.lines();
                let mx = kept.policy.exchangers().iter();
                told.mx_host = mx.map(|mx| mx.as_str().to_owned()).collect();
            }
        }
        told
    }

    /// A policy that the domain has, and that could not be fetched.
    pub(in crate::relay) fn unknown(domain: &str) -> Self {
        PolicyTold {
            policy_type: PolicyType::Sts,
            policy_string: Vec::new(),
            policy_domain: domain.to_owned(),
            mx_host: Vec::new(),
        }
    }
}

impl FailureTold {
    /// Something was wrong with a host.
    pub(in crate::relay) fn of_host(fault: &TlsFault, host: &Host, source: Option<IpAddr>) -> Self {
        FailureTold {
            result_type: match fault.kind {
                FaultKind::StarttlsNotSupported => ResultType::StarttlsNotSupported,
                FaultKind::CertificateExpired => ResultType::CertificateExpired,
                FaultKind::CertificateHostMismatch => ResultType::CertificateHostMismatch,
                FaultKind::CertificateNotTrusted => ResultType::CertificateNotTrusted,
                FaultKind::TlsaInvalid => ResultType::TlsaInvalid,
                FaultKind::DnssecInvalid => ResultType::DnssecInvalid,
                FaultKind::DaneRequired => ResultType::DaneRequired,
                FaultKind::ValidationFailure => ResultType::ValidationFailure,
            },
            sending_mta_ip: source,
            receiving_mx_hostname: Some(host.name.clone()),
            receiving_ip: host.endpoint.ip(),
            failure_reason_code: shortened(&fault.why),
        }
    }

    /// A policy could not be fetched.
    pub(in crate::relay) fn of_policy(error: &FetchError) -> Self {
        FailureTold {
            result_type: match error {
                FetchError::Failed(_) => ResultType::StsPolicyFetchError,
                FetchError::Certificate(_) => ResultType::StsWebpkiInvalid,
                FetchError::Invalid(_) => ResultType::StsPolicyInvalid,
            },
            sending_mta_ip: None,
            receiving_mx_hostname: None,
            receiving_ip: None,
            failure_reason_code: shortened(&error.to_string()),
        }
    }
}

/// What others say is in it, and goes to others.
fn shortened(why: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    why.chars().map(shown).take(REASON_CHARS_MAX).collect()
}

impl Day {
    /// Counts a session, good or not. Where too much would have to be told apart,
    /// less is told.
    pub(super) fn count(&mut self, policy: PolicyTold, failure: Option<FailureTold>) {
        let domain = &policy.policy_domain;
        if !self.domains.contains_key(domain) && self.domains.len() >= DOMAINS_MAX {
            return;
        }
        let counted = self.domains.entry(domain.clone()).or_default();
        let policies = &mut counted.policies;
        let place = match policies.iter().position(|counts| counts.policy == policy) {
            Some(place) => place,
            None if policies.len() >= POLICIES_MAX => return,
            None => {
                policies.push(PolicyCounts {
                    policy,
                    summary: Summary::default(),
                    failure_details: Vec::new(),
                });
                policies.len() - 1
            }
        };
        let Some(counts) = policies.get_mut(place) else {
            return;
        };
        let Some(what) = failure else {
            counts.summary.successful += 1;
            return;
        };
        counts.summary.failed += 1;
        let details = &mut counts.failure_details;
        if let Some(known) = details.iter_mut().find(|known| known.what == what) {
            known.failed_session_count += 1;
        } else if details.len() < DETAILS_MAX {
            details.push(FailureDetails {
                what,
                failed_session_count: 1,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use slimta_smtp::client::Dialect;

    use super::super::super::smtp::{Begin, Endpoint, Naming};
    use super::*;

    fn failure(host: &str) -> FailureTold {
        let fault = TlsFault::new(FaultKind::CertificateExpired, "x\r\n".repeat(200));
        let host = Host {
            name: host.to_owned(),
            endpoint: Endpoint::Tcp(([192, 0, 2, 1], 25).into()),
            dialect: Dialect::Smtp,
            begin: Begin::Clear,
            dane: None,
            policy: None,
            naming: Naming::Certain,
        };
        FailureTold::of_host(&fault, &host, None)
    }

    #[test]
    fn the_same_is_counted_together() {
        let mut day = Day::default();
        for host in ["a", "b", "a"] {
            day.count(
                PolicyTold::of_domain("d.example", None),
                Some(failure(host)),
            );
            day.count(PolicyTold::of_domain("d.example", None), None);
        }
        let counts = &day.domains["d.example"].policies;
        assert_eq!(counts.len(), 1);
        let counted = |counts: &PolicyCounts| (counts.summary.successful, counts.summary.failed);
        assert_eq!(counted(&counts[0]), (3, 3));
        let details: Vec<_> = counts[0].failure_details.iter().collect();
        assert_eq!(details.len(), 2);
        assert_eq!(details[0].failed_session_count, 2);
        let reason = &details[0].what.failure_reason_code;
        assert!(reason.len() == REASON_CHARS_MAX && !reason.contains('\n'));
        let json = serde_json::to_string(&day).unwrap();
        assert_eq!(serde_json::from_str::<Day>(&json).unwrap(), day);
    }

    #[test]
    fn no_more_is_kept_than_so_much() {
        let mut day = Day::default();
        for number in 0..DOMAINS_MAX + 5 {
            day.count(PolicyTold::of_domain(&number.to_string(), None), None);
        }
        assert_eq!(day.domains.len(), DOMAINS_MAX);
        for number in 0..DETAILS_MAX + 5 {
            let failure = failure(&number.to_string());
            day.count(PolicyTold::of_domain("1", None), Some(failure));
        }
        let counts = &day.domains["1"].policies[0];
        assert_eq!(counts.failure_details.len(), DETAILS_MAX);
        assert_eq!(counts.summary.failed, 105);
        for number in 0..POLICIES_MAX + 5 {
            let mut policy = PolicyTold::of_domain("1", None);
            policy.mx_host = vec![number.to_string()];
            day.count(policy, None);
        }
        assert_eq!(day.domains["1"].policies.len(), POLICIES_MAX);
    }
}
