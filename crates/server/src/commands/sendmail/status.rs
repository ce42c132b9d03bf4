//! How these programs end: the statuses of sysexits, which scripts know.

use slimta_core::message::{Class, Response};

use crate::failure::Failure;

/// A status other than 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// `EX_USAGE`: what was typed cannot be understood; no recipients.
    Usage = 64,
    /// `EX_DATAERR`: the message, or an address in it, is not well formed.
    Data = 65,
    /// `EX_NOUSER`: the server does not take mail for this address.
    NoUser = 67,
    /// `EX_UNAVAILABLE`: the server, or the queue, cannot do it.
    Unavailable = 69,
    /// `EX_OSERR`: the system does not give what is needed.
    System = 71,
    /// `EX_IOERR`: stdin cannot be read, or stdout not be written.
    Io = 74,
    /// `EX_TEMPFAIL`: not now; the same may be tried later.
    Later = 75,
    /// `EX_NOPERM`: the server does not take mail from here.
    NoPermission = 77,
    /// `EX_CONFIG`: what was configured cannot be used.
    Config = 78,
}

impl Status {
    /// The end with this status. Each line of the reason is a thing to be told.
    pub(super) fn because(self, why: impl Into<String>) -> Ended {
        Ended::With(self, why.into())
    }

    /// What a refusal means to a script. The enhanced code says more than the
    /// code (RFC 3463): 550 stands for nearly everything.
    pub(super) fn of_refusal(response: &Response) -> Self {
        if response.class() != Class::Permanent {
            return Status::Later;
        }
        match response.enhanced.map(|enhanced| enhanced.subject) {
            Some(1) => Status::NoUser,
            Some(6) => Status::Data,
            Some(7) => Status::NoPermission,
            _ => Status::Unavailable,
        }
    }
}

/// An end that is not a success.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// With this status, for these reasons.
    With(Status, String),
    /// Nobody reads what is printed any more.
    Unread,
}

impl Ended {
    /// The same, told by the program of this name.
    pub(super) fn of(self, name: &'static str) -> Failure {
        match self {
            Ended::Unread => Failure::OutputClosed,
            Ended::With(status, why) => Failure::Sysexits {
                name,
                status: status as u8,
                why,
            },
        }
    }
}

/// What goes wrong at the queue or its server.
impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OutputClosed => Ended::Unread,
            Failure::Config(why) => Status::Config.because(why),
            other => Status::Unavailable.because(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        for (response, status) in [
            (Response::transient(1, 1, "x"), Status::Later),
            (Response::new(452, None, "x"), Status::Later),
            (Response::new(354, None, "x"), Status::Later),
            (Response::new(550, None, "x"), Status::Unavailable),
            (Response::permanent(1, 1, "x"), Status::NoUser),
            (Response::permanent(6, 0, "x"), Status::Data),
            (Response::permanent(7, 1, "x"), Status::NoPermission),
            (Response::permanent(3, 4, "x"), Status::Unavailable),
        ] {
            assert_eq!(Status::of_refusal(&response), status, "{response}");
        }
    }
}
