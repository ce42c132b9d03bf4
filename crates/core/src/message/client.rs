//! Who handed a message in.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The client of an edge, as far as it is known. Absent stays absent through
/// every round trip.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Client {
    /// The protocol in the words of a Received header: `SMTP`, `ESMTP`,
    /// `ESMTPS`, `UTF8SMTP`, `LMTP`, … (RFC 3848, RFC 6531 section 4.3).
    pub protocol: String,
    /// The name it gave with HELO, EHLO or LHLO.
    pub ehlo: Option<String>,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// Its host name by reverse look-up.
    pub host: Option<String>,
    /// What protects the connection, such as `TLSv1.3`; none in the clear.
    pub security: Option<String>,
    /// The name of the host that received the message.
    pub receiver: Option<String>,
    /// Who it has authenticated as.
    pub auth: Option<String>,
}
