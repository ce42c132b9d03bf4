//! How much encryption a session needs, and how much it has.

use std::fmt;
use std::str::FromStr;

/// What a session with a next hop must be. Each level asks for more than the one
/// before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum TlsLevel {
    /// In clear, whatever the next hop offers.
    Off,
    /// Encrypted if the next hop can, whatever its certificate; else in clear
    /// (RFC 7435).
    #[default]
    Opportunistic,
    /// As the DNS asks for each host (RFC 7672): authenticated by its TLSA
    /// records, or encrypted if none of these can be used; opportunistic for a
    /// host that has none. It is for whoever looks the host up to find out: a
    /// session takes it for opportunistic.
    Dane,
    /// Encrypted, whatever the certificate.
    Required,
    /// Encrypted, and the certificate is good for the name of the next hop.
    Verified,
    /// Encrypted, and authenticated by TLSA records of the DNS.
    DaneOnly,
}

/// A text is no level.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{0}\" is no level of encryption: there are off, opportunistic, dane, required, verified and dane-only"
)]
pub struct TlsLevelError(String);

/// Longest text that an error repeats.
const SHOWN_CHARS_MAX: usize = 40;

impl TlsLevel {
    /// Whether nothing may go in clear.
    pub fn is_needed(self) -> bool {
        self >= TlsLevel::Required
    }
}

impl FromStr for TlsLevel {
    type Err = TlsLevelError;

    fn from_str(text: &str) -> Result<Self, TlsLevelError> {
        match text {
            "off" => Ok(TlsLevel::Off),
            "opportunistic" => Ok(TlsLevel::Opportunistic),
            "dane" => Ok(TlsLevel::Dane),
            "required" => Ok(TlsLevel::Required),
            "verified" => Ok(TlsLevel::Verified),
            "dane-only" => Ok(TlsLevel::DaneOnly),
            _ => Err(TlsLevelError(text.chars().take(SHOWN_CHARS_MAX).collect())),
        }
    }
}

impl fmt::Display for TlsLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsLevel::Off => "off",
            TlsLevel::Opportunistic => "opportunistic",
            TlsLevel::Dane => "dane",
            TlsLevel::Required => "required",
            TlsLevel::Verified => "verified",
            TlsLevel::DaneOnly => "dane-only",
        })
    }
}

/// How far a session is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// It is not: nobody asked for it, or the next hop declined.
    Clear,
    /// STARTTLS was sent, and nothing has come encrypted yet. A session that ends
    /// here ends for want of TLS.
    Starting,
    /// Something came in clear behind the answer to STARTTLS: an attack
    /// (CVE-2011-0411), after which its mail does not go in clear.
    Tampered,
    /// All that is said is encrypted.
    Encrypted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_written_as_they_are_read() {
        let levels = [
            "off",
            "opportunistic",
            "dane",
            "required",
            "verified",
            "dane-only",
        ];
        let read = levels.map(|text| text.parse::<TlsLevel>().unwrap());
        assert_eq!(read.map(|level| level.to_string()), levels);
        assert!(read.is_sorted(), "each asks for more than the one before");
        let error = "TLS".parse::<TlsLevel>().unwrap_err().to_string();
        assert!(error.contains("\"TLS\"") && error.contains("required"));
    }
}
