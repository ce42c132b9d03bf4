//! Where a server of LMTP is reached.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::way::{SMTP_PORT, host_and_port};

/// A server of LMTP: `lmtp://HOST:PORT`, or `lmtp:/PATH` for a Unix socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LmtpAddress(LmtpPlace);

/// Where that is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LmtpPlace {
    /// A port of a host.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// Not that of SMTP.
        port: u16,
    },
    /// The whole path of a Unix socket.
    Unix(PathBuf),
}

/// Why a text is no [`LmtpAddress`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LmtpAddressError {
    /// It does not say where. LMTP has no port of its own.
    #[error(
        "it lacks its host and port, as in \"lmtp://127.0.0.1:24\", or the whole path of its socket, as in \"lmtp:/run/dovecot/lmtp\""
    )]
    NoPlace,
    /// It is the port of SMTP, whose servers answer once for all recipients.
    #[error("port 25 is that of SMTP, and LMTP must not be spoken there (RFC 2033 section 5)")]
    SmtpPort,
    /// The path is longer than that of a socket can be, or not one at all.
    #[error("its path cannot be that of a socket: {0}")]
    Path(String),
}

impl LmtpAddress {
    /// Where it is.
    pub fn into_place(self) -> LmtpPlace {
        self.0
    }
}

impl FromStr for LmtpAddress {
    type Err = LmtpAddressError;

    fn from_str(text: &str) -> Result<Self, LmtpAddressError> {
        let place = text.strip_prefix("lmtp:");
        let place = place.ok_or(LmtpAddressError::NoPlace)?;
        if let Some(authority) = place.strip_prefix("//") {
            return match host_and_port(authority, 0) {
                None | Some((_, 0)) => Err(LmtpAddressError::NoPlace),
                Some((_, SMTP_PORT)) => Err(LmtpAddressError::SmtpPort),
                Some((host, port)) => Ok(LmtpAddress(LmtpPlace::Tcp { host, port })),
            };
        }
        if !Path::new(place).is_absolute() || place.ends_with('/') {
            return Err(LmtpAddressError::NoPlace);
        }
        std::os::unix::net::SocketAddr::from_pathname(place)
            .map_err(|error| LmtpAddressError::Path(error.to_string()))?;
        Ok(LmtpAddress(LmtpPlace::Unix(place.into())))
    }
}

impl fmt::Display for LmtpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            LmtpPlace::Tcp { host, port } if host.contains(':') => {
                write!(f, "lmtp://[{host}]:{port}")
            }
            LmtpPlace::Tcp { host, port } => write!(f, "lmtp://{host}:{port}"),
            LmtpPlace::Unix(path) => write!(f, "lmtp:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_host_and_port_or_by_its_socket() {
        for text in [
            "lmtp://127.0.0.1:24",
            "lmtp://mail.example:2525",
            "lmtp://[::1]:24",
            "lmtp:/run/dovecot/lmtp",
        ] {
            let address: LmtpAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_names_no_server_is_told_why() {
        for text in [
            "lmtp:",
            "lmtp:/",
            "lmtp://",
            "lmtp:///run/lmtp",
            "lmtp://mail.example",
            "lmtp://mail.example:0",
            "lmtp:run/lmtp",
            "smtp://mail.example:24",
        ] {
            let error = text.parse::<LmtpAddress>().unwrap_err();
            assert_eq!(error, LmtpAddressError::NoPlace, "{text}");
        }
        let error = "lmtp://mail.example:25".parse::<LmtpAddress>();
        assert_eq!(error, Err(LmtpAddressError::SmtpPort));
        let long = format!("lmtp:/{}", "x".repeat(200));
        let error = long.parse::<LmtpAddress>().unwrap_err();
        assert!(matches!(error, LmtpAddressError::Path(_)), "{error}");
    }
}
