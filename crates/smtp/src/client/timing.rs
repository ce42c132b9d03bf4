//! How long to wait for a next hop.

use std::time::Duration;

/// The longest waits, each for one reply as a whole: a server that sends a byte
/// now and then gets no more time. Where RFC 5321 section 4.5.3.2 asks for one,
/// the default is what it asks of a client at least.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// For the connection itself. Default 30 seconds.
    pub connect: Duration,
    /// For the greeting, and for the answer to EHLO. Default 5 minutes.
    pub greeting: Duration,
    /// For the answer to STARTTLS, and for the handshake behind it. Default 1
    /// minute.
    pub tls: Duration,
    /// For the answers to MAIL, RCPT and RSET. Default 5 minutes.
    pub command: Duration,
    /// For the answer to DATA. Default 2 minutes.
    pub data: Duration,
    /// For a block of the contents to be taken. Default 3 minutes.
    pub block: Duration,
    /// For the answer to the final dot. Default 10 minutes: a client that gives
    /// up early makes duplicates.
    pub contents: Duration,
    /// For the answer to QUIT, on which nothing depends. Default 5 seconds.
    pub quit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Timing {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            tls: minutes(1),
            command: minutes(5),
            data: minutes(2),
            block: minutes(3),
            contents: minutes(10),
            quit: Duration::from_secs(5),
        }
    }
}
