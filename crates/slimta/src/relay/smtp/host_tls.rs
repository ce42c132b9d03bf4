//! What the TLS with one host must be, and who says so; and what became of it.
//!
//! The level of a destination is the operator's word. What it means for a host may
//! depend on what the host's domain has published: that is found out for each host
//! before it is connected to, and ends as a [`HostTls`]. Nothing else decides what
//! may be said to a host in clear, and whose certificate is taken for its own.

use std::fmt;
use std::sync::Arc;

use slimta_smtp::client::TlsLevel;

use super::super::tlsa::Association;

/// What a connection to one host must be before mail goes over it, and who says
/// so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) struct HostTls {
    pub(in crate::relay) need: Need,
    pub(in crate::relay) reason: Reason,
}

/// What a connection to a host must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Need {
    /// In clear, whatever the host offers.
    Clear,
    /// Encrypted if the host can, whatever its certificate; else in clear.
    Opportunistic,
    /// Encrypted, whatever the certificate.
    Encrypted,
    /// Encrypted, and the host has shown by its certificate who it is.
    Authenticated(Authority),
}

/// Who stands for a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Authority {
    /// The roots that are trusted here: for the host's name.
    Roots,
    /// The host's domain itself, by DANE.
    Dane(Arc<Dane>),
}

/// What a host's TLSA records say of its certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) struct Dane {
    /// The name whose records these are, of which the host is asked for the
    /// certificate (RFC 7672 section 8.1).
    pub(in crate::relay) base: String,
    /// For which names the certificate may be besides, if an issuer stands for
    /// it (RFC 7672 section 3.2.2).
    pub(in crate::relay) domains: Vec<String>,
    /// The certificate fits one of these: there is one at least.
    pub(in crate::relay) associations: Vec<Association>,
}

/// Under which names a host's TLSA records lie, and its certificate may be, as
/// far as DNSSEC vouches for the way to them (RFC 7672 section 2.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) struct DaneNames {
    /// Where to look for records, the best first.
    pub(in crate::relay) bases: Vec<String>,
    /// The domain whose mail the host takes, and if that is an alias, what it stands
    /// for (RFC 7672 section 3.2.2).
    pub(in crate::relay) domains: Vec<String>,
}

/// Who says what the TLS with a host must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Reason {
    /// The operator, by the level of the destination.
    Level(TlsLevel),
    /// The policy of the host's domain (MTA-STS).
    Policy,
    /// The host's TLSA records.
    Tlsa,
    /// The host's TLSA records, none of which can be used.
    UnusableTlsa,
    /// The way to the host's TLSA records is not signed, so that the level `dane`
    /// asks for nothing.
    Unsigned,
    /// The host has no TLSA records, so that the level `dane` asks for nothing.
    NoTlsa,
}

/// What a connection came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Protection {
    /// Anybody on the way can read it.
    Clear,
    /// Who can change what is sent can read it.
    Encrypted,
    /// The host has shown who it is, and the roots stand for it.
    ByRoots,
    /// The host has shown who it is, and its domain stands for it, by DANE.
    ByDane,
}

impl DaneNames {
    /// Those of the host `host`, which the DNS knows as `name`, and which takes
    /// mail for `domains`. If it is an alias, the name that it stands for comes
    /// first (RFC 7672 section 2.2).
    pub(in crate::relay) fn of_host(host: &str, name: &str, domains: &[String]) -> Self {
        let mut bases = vec![name.to_owned()];
        if !name.eq_ignore_ascii_case(host) {
            bases.push(host.to_owned());
        }
        DaneNames {
            bases,
            domains: domains.to_vec(),
        }
    }
}

impl HostTls {
    /// What a level asks of every host; none where that depends on the host's
    /// TLSA records.
    pub(in crate::relay) fn of_level(level: TlsLevel) -> Option<Self> {
        Some(HostTls {
            need: match level {
                TlsLevel::Off => Need::Clear,
                TlsLevel::Opportunistic => Need::Opportunistic,
                TlsLevel::Required => Need::Encrypted,
                TlsLevel::Verified => Need::Authenticated(Authority::Roots),
                TlsLevel::Dane | TlsLevel::DaneOnly => return None,
            },
            reason: Reason::Level(level),
        })
    }

    /// What is asked of what does not leave this machine: nothing.
    pub(super) fn local(level: TlsLevel) -> Self {
        HostTls {
            need: Need::Clear,
            reason: Reason::Level(level),
        }
    }

    /// The same where nothing is said in clear at all.
    pub(super) fn encrypted(self) -> Self {
        HostTls {
            need: match self.need {
                Need::Clear | Need::Opportunistic => Need::Encrypted,
                need => need,
            },
            ..self
        }
    }

    /// The same where the host has to show who it is: as its domain says, or else by
    /// the roots.
    pub(super) fn authenticated(self) -> Self {
        HostTls {
            need: match self.need {
                Need::Clear | Need::Opportunistic | Need::Encrypted => {
                    Need::Authenticated(Authority::Roots)
                }
                need @ Need::Authenticated(_) => need,
            },
            ..self
        }
    }

    /// What is tried next where TLS failed and clear will do.
    pub(super) fn in_clear(&self) -> Self {
        HostTls {
            need: Need::Clear,
            reason: self.reason,
        }
    }

    /// The TLSA records that it follows from, as far as they can be used, in the form
    /// of RFC 6698 section 2.2; none if it does not.
    #[cfg(feature = "mta-sts")]
    pub(in crate::relay) fn tlsa(&self) -> Option<Vec<String>> {
        let associations = match (&self.need, self.reason) {
            (Need::Authenticated(Authority::Dane(dane)), _) => dane.associations.as_slice(),
            (_, Reason::UnusableTlsa) => &[],
            _ => return None,
        };
        Some(associations.iter().map(Association::to_string).collect())
    }

    /// What the session has to see to.
    pub(super) fn session_level(&self) -> TlsLevel {
        match self.need {
            Need::Clear => TlsLevel::Off,
            Need::Opportunistic => TlsLevel::Opportunistic,
            Need::Encrypted => TlsLevel::Required,
            Need::Authenticated(_) => TlsLevel::Verified,
        }
    }

    /// What a connection is after a handshake that took the certificate.
    pub(super) fn after_handshake(&self) -> Protection {
        match self.need {
            Need::Clear | Need::Opportunistic | Need::Encrypted => Protection::Encrypted,
            Need::Authenticated(Authority::Roots) => Protection::ByRoots,
            Need::Authenticated(Authority::Dane(_)) => Protection::ByDane,
        }
    }
}

impl Protection {
    /// Whether the host has shown who it is.
    pub(in crate::relay) fn is_authenticated(self) -> bool {
        match self {
            Protection::Clear | Protection::Encrypted => false,
            Protection::ByRoots | Protection::ByDane => true,
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protection::Clear => "none",
            Protection::Encrypted => "encrypted",
            Protection::ByRoots => "verified",
            Protection::ByDane => "dane",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Level(level) => write!(f, "level {level}"),
            Reason::Policy => f.write_str("the domain's policy (MTA-STS)"),
            Reason::Tlsa => f.write_str("TLSA records"),
            Reason::UnusableTlsa => f.write_str("TLSA records, none of them usable"),
            Reason::Unsigned => f.write_str("level dane, but the host's names are not signed"),
            Reason::NoTlsa => f.write_str("level dane, but no TLSA records"),
        }
    }
}
