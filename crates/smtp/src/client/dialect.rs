//! Which of the two protocols a session speaks.

/// SMTP, or LMTP (RFC 2033), by which a server answers for each recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// The contents have one answer for all recipients.
    #[default]
    Smtp,
    /// The session begins with LHLO, and the contents have an answer for each
    /// recipient that was accepted: the server need not keep a queue.
    Lmtp,
}
