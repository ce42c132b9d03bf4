//! The words in which the oracle speaks.

/// Why a recipient may be served again: the crash windows W1 to W6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Window {
    /// W1: stored, and the client was not told, so it sent again.
    Resent,
    /// W2: taken by the next hop, whose reply was lost.
    ReplyLost,
    /// W3: taken, and the manager crashed or lost its storage before that was
    /// recorded.
    Crash,
    /// W4: taken, and the lease was lost meanwhile.
    LeaseLost,
    /// W5: recorded, and the record was lost with the power.
    PowerLost,
    /// W6: recorded, and the storage that took over did not know it.
    FailedOver,
}

impl Window {
    /// Its number, as the design has it.
    pub fn name(self) -> &'static str {
        match self {
            Window::Resent => "W1",
            Window::ReplyLost => "W2",
            Window::Crash => "W3",
            Window::LeaseLost => "W4",
            Window::PowerLost => "W5",
            Window::FailedOver => "W6",
        }
    }

    /// Whether what was settled may be settled again: another copy of it is, or
    /// the record was undone.
    pub fn settles_again(self) -> bool {
        matches!(
            self,
            Window::Resent | Window::PowerLost | Window::FailedOver
        )
    }
}

/// What became of a recipient of a message; of a message, the worst of its
/// recipients' fates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    /// The next hop took it.
    Delivered,
    /// Given up, and the sender told, if somebody is to be told.
    Bounced,
    /// Still in the store.
    Queued,
    /// Removed by an operator.
    Removed,
    /// Unreadable, and kept aside.
    Quarantined,
    /// Served more than once, each time too many through a window.
    Duplicated,
    /// What was seen has an end after which it proves nothing.
    Unknown,
    /// Before its time: attempted before it was due, or handed on or answered
    /// for before it was stored.
    Early,
    /// Not what was sent.
    Altered,
    /// There without a beginning, or served again for no reason.
    Unexplained,
    /// Somebody relied on it, and it is nowhere.
    Lost,
}

impl Fate {
    /// All, from the best to the worst.
    pub const ALL: [Fate; 11] = [
        Fate::Delivered,
        Fate::Bounced,
        Fate::Queued,
        Fate::Removed,
        Fate::Quarantined,
        Fate::Duplicated,
        Fate::Unknown,
        Fate::Early,
        Fate::Altered,
        Fate::Unexplained,
        Fate::Lost,
    ];

    /// Its name, as a word.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Delivered => "delivered",
            Fate::Bounced => "bounced",
            Fate::Queued => "queued",
            Fate::Removed => "removed",
            Fate::Quarantined => "quarantined",
            Fate::Duplicated => "duplicated",
            Fate::Unknown => "unknown",
            Fate::Early => "early",
            Fate::Altered => "altered",
            Fate::Unexplained => "unexplained",
            Fate::Lost => "lost",
        }
    }

    /// Whether a promise was broken.
    pub fn is_fault(self) -> bool {
        matches!(
            self,
            Fate::Early | Fate::Altered | Fate::Unexplained | Fate::Lost
        )
    }
}
