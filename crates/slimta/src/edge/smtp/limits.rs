//! What an edge grants its clients.

use std::time::Duration;

use slimta_core::queue::Rate;

/// The limits of an SMTP edge, all listeners that share it together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest message, in bytes as it is stored. 50 MiB.
    pub message_bytes_max: u64,
    /// Most recipients of one message; RFC 5321 section 4.5.3.1.8 asks for at
    /// least 100. 1,000.
    pub recipients_max: usize,
    /// How many bad commands a client may send before it is sent away; from
    /// half of them on it waits a second for each reply. 20.
    pub errors_max: u32,
    /// How often a client may fail to authenticate within
    /// `auth_failures_time`; all at one IPv4 address, or in one IPv6 network of
    /// 64 bits, count together. Beyond it AUTH is answered `454 4.7.0`. 20.
    pub auth_failures_max: u32,
    /// How long such failures count, from the first of them. 10 minutes.
    pub auth_failures_time: Duration,
    /// Most clients at once; more are told to come again. 10,000.
    pub connections_max: usize,
    /// Most clients of one address at once, who are not permitted by it: IPv4
    /// addresses, and IPv6 networks of 64 bits. More hear `421 4.7.0`. 100.
    pub connections_per_address_max: usize,
    /// How many may connect anew from one address. All that comes in the time of
    /// the rate may come at once. 600 a minute.
    pub connection_rate_per_address: Option<Rate>,
    /// How long a client of a relay listener has to wait for its greeting that is
    /// not permitted by its address; who speaks before hears `554 5.5.1`. None: all
    /// are greeted at once.
    pub greeting_wait: Option<Duration>,
    /// How many messages may come from one address; more are answered
    /// `450 4.7.1` to MAIL. No limit.
    pub message_rate_per_address: Option<Rate>,
    /// For how many recipients; more are answered `450 4.7.1` to RCPT. No limit.
    pub recipient_rate_per_address: Option<Rate>,
    /// How many messages may come by one user, from all addresses together, permitted
    /// ones too; more are answered `450 4.7.1` to MAIL. No limit: then users count by
    /// their addresses.
    pub message_rate_per_user: Option<Rate>,
    /// For how many recipients; more are answered `450 4.7.1` to RCPT. No limit, as
    /// before.
    pub recipient_rate_per_user: Option<Rate>,
    /// Most handshakes of TLS at once, each of which may take about 64 KiB;
    /// more clients are told that there is no TLS for now. 1,000.
    pub handshakes_max: usize,
    /// Most memory for the contents of messages that are being received and
    /// stored, in bytes. Beyond it messages are refused for now. 256 MiB.
    pub memory_bytes_max: u64,
    /// How long a client may take for a command, and to read a reply;
    /// RFC 5321 section 4.5.3.2.7 asks for at least five minutes. 5 minutes.
    pub command_time_max: Duration,
    /// How long a client may be silent while it sends a message. 5 minutes.
    pub data_block_time_max: Duration,
    /// How slowly a message may come after its first `data_block_time_max`, in
    /// bytes per second. 100.
    pub data_bytes_per_second_min: u64,
    /// How long a message may take to come, at any rate. 1 hour.
    pub data_time_max: Duration,
    /// How long [`Validators`](super::Validators) may take for a command before
    /// the client is told to come again. 30 seconds.
    pub validation_time_max: Duration,
    /// How long policies and the queue may take for a message before the
    /// client is told that it is not stored. 30 seconds.
    pub store_time_max: Duration,
    /// How long a session may last before its next command is refused. 1 hour.
    pub session_time_max: Duration,
    /// How long clients who submit, those whose mail is taken, may have a message
    /// held before it is sent (FUTURERELEASE); none to hold no mail. 30 days.
    pub hold_time_max: Option<Duration>,
    /// How long clients may go on after the edge is stopped, to finish the
    /// message they are sending. 30 seconds.
    pub grace_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_bytes_max: 50 << 20,
            recipients_max: 1000,
            errors_max: 20,
            auth_failures_max: 20,
            auth_failures_time: Duration::from_secs(10 * 60),
            connections_max: 10_000,
            connections_per_address_max: 100,
            connection_rate_per_address: Rate::per_minute(600),
            greeting_wait: None,
            message_rate_per_address: None,
            recipient_rate_per_address: None,
            message_rate_per_user: None,
            recipient_rate_per_user: None,
            handshakes_max: 1000,
            memory_bytes_max: 256 << 20,
            command_time_max: Duration::from_secs(5 * 60),
            data_block_time_max: Duration::from_secs(5 * 60),
            data_bytes_per_second_min: 100,
            data_time_max: Duration::from_secs(60 * 60),
            validation_time_max: Duration::from_secs(30),
            store_time_max: Duration::from_secs(30),
            session_time_max: Duration::from_secs(60 * 60),
            hold_time_max: Some(Duration::from_secs(30 * 86_400)),
            grace_time_max: Duration::from_secs(30),
        }
    }
}
