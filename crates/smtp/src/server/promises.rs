//! What a client may ask of the queue beside handing its message on: to keep it for
//! a time (FUTURERELEASE, RFC 4865), to deliver it by one (DELIVERBY, RFC 2852), to
//! let nobody read it on the way (REQUIRETLS, RFC 8689), and to keep each of its octets
//! (BINARYMIME, RFC 3030).

use std::fmt::Write as _;
use std::time::Duration;

use slimta_core::message::{ByMode, DeliverBy, FutureRelease};
use slimta_core::world::Timestamp;

use super::replies::{self, Reply};
use super::session::Session;
use super::transaction::Transaction;

/// Most digits of HOLDFOR (RFC 4865 section 3).
const HOLD_DIGITS_MAX: usize = 9;
/// The longest time that it can say.
const HOLD_MAX: Duration = Duration::from_secs(999_999_999);

/// Most digits of the seconds of BY (RFC 2852 section 4).
const BY_DIGITS_MAX: usize = 9;

/// What BY asks, counted from MAIL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct By {
    seconds: i64,
    mode: ByMode,
    trace: bool,
}

impl Session {
    /// Says what time it is. A session that was never told knows no promise that
    /// has to do with time.
    pub fn tell_time(&mut self, now: Timestamp) {
        self.now = Some(now);
    }

    /// Whether the client submits mail, instead of relaying that of others: it is
    /// trusted by its address, or has said who it is.
    fn submits(&self) -> bool {
        self.has_priorities()
    }

    /// Whether its messages may hold any octets. Those of strangers have signatures:
    /// with them nothing can be written in base64 for a next hop that takes lines only,
    /// and most do. What is submitted here is signed here, behind that.
    fn takes_binary(&self) -> bool {
        self.submits()
    }

    /// How long its messages may be held, and what time it is; none if they may
    /// not. By LMTP they are at the end of their way (RFC 4865 section 3, item 7).
    fn hold_max(&self) -> Option<(Duration, Timestamp)> {
        let may_hold = self.submits() && !self.settings.is_lmtp();
        let hold_max = self.settings.hold_time_max.filter(|_| may_hold)?;
        let can_be_said = hold_max >= Duration::from_secs(1);
        Some((hold_max.min(HOLD_MAX), self.now.filter(|_| can_be_said)?))
    }

    /// The lines of EHLO.
    pub(super) fn promises_offer(&self) -> String {
        let mut offer = String::new();
        if let Some((hold_max, now)) = self.hold_max() {
            let (seconds, until) = (hold_max.as_secs(), now.after(hold_max));
            let until = until.rfc3339_secs();
            // Writing to a String does not fail.
            let _ = write!(offer, "250-FUTURERELEASE {seconds} {until}\r\n");
        }
        if self.now.is_some() {
            offer.push_str("250-DELIVERBY\r\n");
        }
        if self.security.is_some() {
            offer.push_str("250-REQUIRETLS\r\n");
        }
        if self.takes_binary() {
            offer.push_str("250-BINARYMIME\r\n");
        }
        offer
    }

    /// Puts what this client asks into its envelope; refuses what it may not ask, or
    /// not so much of.
    pub(super) fn promise(&self, transaction: &mut Transaction) -> Result<(), Reply> {
        if transaction.envelope.require_tls && self.security.is_none() {
            return Err(replies::UNKNOWN_PARAMETER);
        }
        if transaction.is_binary() && !self.takes_binary() {
            return Err(replies::VALUE_NOT_IMPLEMENTED);
        }
        if let Some(By {
            seconds,
            mode,
            trace,
        }) = transaction.by
        {
            let now = self.now.ok_or(replies::UNKNOWN_PARAMETER)?;
            let by = DeliverBy::within(seconds, mode, trace, now);
            transaction.envelope.deliver_by = Some(by);
        }
        if let Some(release) = transaction.envelope.release {
            let (hold_max, now) = self.hold_max().ok_or(replies::UNKNOWN_PARAMETER)?;
            if release.of(now) > now.after(hold_max) {
                return Err(replies::HELD_TOO_LONG);
            }
            let by = transaction.envelope.deliver_by;
            if by.is_some_and(|by| is_late_when_released(by, release.of(now), now)) {
                return Err(replies::HELD_TILL_LATE);
            }
        }
        Ok(())
    }
}

/// Whether a message that is held till `released` cannot be delivered in time any
/// more (RFC 4865 section 5.2.2): with `R` it would go back then.
fn is_late_when_released(by: DeliverBy, released: Timestamp, now: Timestamp) -> bool {
    let is_held = released > now;
    is_held
        && match by.mode {
            ByMode::Return => by.is_over(released),
            ByMode::Notify => released > by.by,
        }
}

/// HOLDFOR: seconds, one at least, without zeros before them.
pub(super) fn hold_for(value: &str) -> Result<FutureRelease, Reply> {
    let is_number = value.len() <= HOLD_DIGITS_MAX && value.bytes().all(|b| b.is_ascii_digit());
    let is_number = is_number && !value.starts_with('0');
    let seconds = is_number.then(|| value.parse().ok()).flatten();
    seconds
        .map(FutureRelease::For)
        .ok_or(replies::BAD_PARAMETER)
}

/// HOLDUNTIL: a date and time (RFC 3339). One that has passed holds nothing: clocks
/// differ.
pub(super) fn hold_until(value: &str) -> Result<FutureRelease, Reply> {
    let until = is_date_time(value).then(|| value.parse().ok());
    until
        .flatten()
        .map(FutureRelease::Until)
        .ok_or(replies::BAD_PARAMETER)
}

/// Whether a text has the form of a `date-time` (RFC 3339 section 5.6), with a fraction
/// of a second or without: other standards write dates in other ways, too.
fn is_date_time(text: &str) -> bool {
    let fits = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(b, form)| match form {
                b'0' => b.is_ascii_digit(),
                form => b.eq_ignore_ascii_case(&form),
            })
    };
    let (Some(time), Some(rest)) = (text.get(..19), text.get(19..)) else {
        return false;
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            match zone.len() < fraction.len() {
                true => zone,
                false => return false,
            }
        }
        None => rest,
    };
    let is_zone = ["Z", "+00:00", "-00:00"]
        .iter()
        .any(|form| fits(zone, form));
    fits(time, "0000-00-00T00:00:00") && is_zone
}

/// BY: seconds, what to do if it is late, and whether to tell of each host on the
/// way. No time at all makes sense only where the sender is told.
pub(super) fn by(value: &str) -> Result<By, Reply> {
    let (seconds, rest) = value.split_once(';').ok_or(replies::BAD_PARAMETER)?;
    let digits = seconds.strip_prefix(['+', '-']).unwrap_or(seconds);
    let is_number =
        (1..=BY_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let seconds: Option<i64> = is_number.then(|| seconds.parse().ok()).flatten();
    let seconds = seconds.ok_or(replies::BAD_PARAMETER)?;
    let (mode, trace) = match rest.to_ascii_uppercase().as_str() {
        "R" if seconds > 0 => (ByMode::Return, false),
        "RT" if seconds > 0 => (ByMode::Return, true),
        "N" => (ByMode::Notify, false),
        "NT" => (ByMode::Notify, true),
        _ => return Err(replies::BAD_PARAMETER),
    };
    Ok(By {
        seconds,
        mode,
        trace,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_deliver_by_is_seconds_and_a_mode() {
        let read = |value| by(value).map(|by| (by.seconds, by.mode, by.trace));
        assert_eq!(read("+120;R"), Ok((120, ByMode::Return, false)));
        assert_eq!(
            read("999999999;nt"),
            Ok((999_999_999, ByMode::Notify, true))
        );
        assert_eq!(read("-5;N"), Ok((-5, ByMode::Notify, false)));
        assert_eq!(read("0;NT"), Ok((0, ByMode::Notify, true)));
        for bad in [
            "",
            ";",
            "120",
            "120;",
            "120;X",
            "120;TN",
            "120;RR",
            "120;R;T",
            "0;R",
            "-1;RT",
            "1000000000;N",
            "+;N",
            "--1;N",
            "1.5;N",
            "\u{661};N",
        ] {
            assert_eq!(by(bad), Err(replies::BAD_PARAMETER), "{bad}");
        }
    }

    #[test]
    fn a_time_to_hold_is_a_number_or_a_date() {
        assert_eq!(hold_for("1"), Ok(FutureRelease::For(1)));
        assert_eq!(hold_for("999999999"), Ok(FutureRelease::For(999_999_999)));
        for bad in [
            "0",
            "007",
            "",
            "-1",
            "+1",
            "1.5",
            "1000000000",
            "1h",
            "\u{661}",
        ] {
            assert_eq!(hold_for(bad), Err(replies::BAD_PARAMETER), "{bad}");
        }
        let date = Ok(FutureRelease::Until(Timestamp::from_millis(
            1_795_508_249_000,
        )));
        for text in [
            "2026-11-24T08:17:29Z",
            "2026-11-24T09:17:29+01:00",
            "2026-11-24t08:17:29.000z",
            "2026-11-24T08:17:29-00:00",
        ] {
            assert_eq!(hold_until(text), date, "{text}");
        }
        for bad in [
            "",
            "tomorrow",
            "2026-11-24",
            "2026-11-24T08:17:29",
            "2026-11-24T08:17:29[Europe/Paris]",
            "2026-13-24T08:17:29Z",
            "2026-11-24T08:17Z",
            "2026-11-24T08:17:29.Z",
            "2026-11-24T08:17:29+01",
            "2026-11-24T08:17:29+0100",
            "20261124T081729Z",
            "2026-11-24T08:17:29,5Z",
            "+002026-11-24T08:17:29Z",
            "2026-11-24T08:17:2\u{661}Z",
        ] {
            assert_eq!(hold_until(bad), Err(replies::BAD_PARAMETER), "{bad}");
        }
    }
}
