//! What came of the TLS with a host, for those who count it (RFC 8460 section
//! 4.3).

use std::net::IpAddr;

use slimta_smtp::client::Channel;

use super::Host;
use super::host_tls::HostTls;
use crate::message::{EnhancedCode, Response};

/// A session that was begun, or was tried to.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "mta-sts"), expect(dead_code, reason = "nobody counts"))]
pub(in crate::relay) struct Seen<'a> {
    /// With whom.
    pub(in crate::relay) host: &'a Host,
    /// From which address of this host, if one was chosen.
    pub(in crate::relay) source: Option<IpAddr>,
    /// What it was to be; none if DANE let nothing be said to the host.
    pub(in crate::relay) asked: Option<&'a HostTls>,
    /// What it came to be.
    pub(in crate::relay) tls: &'a TlsSeen,
}

/// What a session came to be, as far as TLS goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) enum TlsSeen {
    /// It says nothing of TLS: none was wanted, or the session failed before.
    Nothing,
    /// It is encrypted, and all is as was asked.
    Good,
    /// Something is not as was asked, whether mail went or not.
    Failed(TlsFault),
}

/// What was wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) struct TlsFault {
    pub(in crate::relay) kind: FaultKind,
    /// In words that go on from the name of the host.
    pub(in crate::relay) why: String,
}

/// The kinds that reports know (RFC 8460 section 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nobody encrypts"))]
pub(in crate::relay) enum FaultKind {
    /// It does not offer STARTTLS, or refuses it.
    StarttlsNotSupported,
    /// Its certificate has expired.
    CertificateExpired,
    /// Its certificate is not for its name.
    CertificateHostMismatch,
    /// Its certificate is signed by nobody who is trusted.
    CertificateNotTrusted,
    /// None of its TLSA records can be used.
    TlsaInvalid,
    /// Nobody vouches for what the DNS says of its TLSA records.
    DnssecInvalid,
    /// It must have TLSA records, and has none that count.
    DaneRequired,
    /// Anything else.
    ValidationFailure,
}

impl FaultKind {
    /// Whether it is what TLSA records ask, or the want of them.
    #[cfg(feature = "mta-sts")]
    pub(in crate::relay) fn is_of_dane(self) -> bool {
        matches!(
            self,
            FaultKind::TlsaInvalid | FaultKind::DnssecInvalid | FaultKind::DaneRequired
        )
    }
}

impl TlsFault {
    pub(in crate::relay) fn new(kind: FaultKind, why: impl Into<String>) -> Self {
        let why = why.into();
        TlsFault { kind, why }
    }
}

impl TlsSeen {
    pub(super) fn failed(kind: FaultKind, why: &str) -> Self {
        TlsSeen::Failed(TlsFault::new(kind, why))
    }

    /// A host got nothing, for the answer that DANE gave for its mail.
    pub(super) fn passed_over(why: &Response) -> Self {
        let code = why.enhanced;
        let kind = if code == Some(EnhancedCode::new(4, 7, 0)) {
            FaultKind::DnssecInvalid
        } else if code == Some(EnhancedCode::new(4, 7, 5)) {
            FaultKind::DaneRequired
        } else {
            // This host lacks something.
            return TlsSeen::Nothing;
        };
        TlsSeen::failed(kind, &why.text)
    }

    /// A session is there, which was to be encrypted if that could be.
    pub(super) fn note_ready(&mut self, channel: Channel) {
        if channel == Channel::Clear && *self == TlsSeen::Nothing {
            let why = "it does not offer STARTTLS, or refuses it";
            *self = TlsSeen::failed(FaultKind::StarttlsNotSupported, why);
        }
    }

    /// A session ended before it was there.
    pub(super) fn note_closed(&mut self, channel: Channel, why: &Response) {
        let kind = match channel {
            Channel::Clear if why.enhanced == Some(EnhancedCode::new(4, 7, 4)) => {
                FaultKind::StarttlsNotSupported
            }
            Channel::Starting | Channel::Tampered => FaultKind::ValidationFailure,
            Channel::Clear | Channel::Encrypted => return,
        };
        *self = TlsSeen::failed(kind, &why.text);
    }
}
