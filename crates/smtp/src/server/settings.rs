//! What a session grants its client.

use std::time::Duration;

use super::{Role, Room};

/// Longest host name, RFC 5321 section 4.5.3.1.2.
const HOSTNAME_BYTES_MAX: usize = 255;

/// Whether clients in the clear may turn to TLS (RFC 3207).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StartTls {
    /// STARTTLS is not offered.
    #[default]
    Absent,
    /// They may.
    Offered,
    /// They must, before they hand in mail: else MAIL is answered 530 5.7.0.
    /// Not for hosts that the whole Internet sends mail to (RFC 3207
    /// section 4).
    Required,
}

/// Whether clients may say who they are (AUTH, RFC 4954).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Auth {
    /// AUTH is not offered.
    #[default]
    Absent,
    /// They may under TLS. In the clear AUTH is not offered and answered
    /// 538 5.7.11.
    UnderTls,
    /// They may in the clear too, where others can read their passwords.
    InClear,
}

/// What all sessions of a server have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    hostname: Box<str>,
    /// What mail is taken for.
    pub role: Role,
    /// Largest message, in bytes as it is stored; what SIZE says (RFC 1870).
    pub message_bytes_max: u64,
    /// Most recipients that one message may have. RFC 5321 section 4.5.3.1.8
    /// asks for at least 100.
    pub recipients_max: usize,
    /// How many bad commands a client may send before it is sent away. From
    /// half of them on it has to wait for its replies.
    pub errors_max: u32,
    /// Where messages are kept while they are received.
    pub room: Room,
    /// Whether the driver can encrypt connections, and must.
    pub starttls: StartTls,
    /// Whether the driver can check who clients are, and where.
    pub auth: Auth,
    /// How long clients who submit may have a message held (FUTURERELEASE); none to
    /// hold no mail.
    pub hold_time_max: Option<Duration>,
}

impl Settings {
    /// The settings of a server called `hostname`: messages of up to 50 MiB,
    /// 1,000 recipients, 20 bad commands, room for 256 MiB, no STARTTLS, no AUTH, no
    /// mail that is held, between hosts ([`Role::Relay`]).
    ///
    /// Characters that a reply may not hold are replaced in the name.
    pub fn new(hostname: &str) -> Self {
        let hostname: String = hostname
            .chars()
            .take(HOSTNAME_BYTES_MAX)
            .map(|c| if c.is_ascii_graphic() { c } else { '?' })
            .collect();
        Settings {
            hostname: hostname.into(),
            role: Role::Relay,
            message_bytes_max: 50 << 20,
            recipients_max: 1000,
            errors_max: 20,
            room: Room::new(256 << 20),
            starttls: StartTls::Absent,
            auth: Auth::Absent,
            hold_time_max: None,
        }
    }

    /// The name that the server gives itself.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }
}
