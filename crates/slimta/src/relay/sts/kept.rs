//! A policy with what has to be known to keep it, and how a file holds it.

use std::time::Duration;

use super::policy::{Mode, Policy};
use super::record::PolicyId;
use crate::world::Timestamp;

/// A domain is not asked again before, however short its policy holds.
pub(super) const FETCH_PAUSE: Duration = Duration::from_secs(300);
/// How old a policy becomes before it is fetched anew, if it holds so long
/// (RFC 8461 section 3.3).
const REFRESH_AGE: Duration = Duration::from_secs(86_400);
/// How long after its last use a policy is still kept fresh.
const UNUSED_TIME_MAX: Duration = Duration::from_secs(30 * 86_400);

/// A policy that was fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) struct Kept {
    pub(in crate::relay) policy: Policy,
    pub(super) id: PolicyId,
    pub(super) fetched: Timestamp,
    /// When mail last asked for it.
    pub(super) used: Timestamp,
}

impl Kept {
    /// Whether it still holds.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        now.since(self.fetched) < self.policy.max_age().max(FETCH_PAUSE)
    }

    /// Whether it should be fetched again, so that it is not found to be over when
    /// nobody can be asked.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let age = REFRESH_AGE.min(self.policy.max_age() / 2).max(FETCH_PAUSE);
        now.since(self.fetched) >= age && now.since(self.used) < UNUSED_TIME_MAX
    }

    /// What the record called it.
    pub(in crate::relay) fn id(&self) -> &str {
        self.id.as_str()
    }

    /// What is done about hosts that do not fit.
    pub(in crate::relay) fn mode(&self) -> Mode {
        self.policy.mode()
    }

    /// As a file holds it: text, for operators.
    pub(super) fn write(&self) -> String {
        let mut lines = vec![
            format!("fetched: {}", self.fetched),
            format!("used: {}", self.used),
            format!("id: {}", self.id.as_str()),
        ];
        lines.extend(self.policy.lines());
        lines.join("\n") + "\n"
    }

    /// Reads a file. Times that have not come yet are the work of another clock.
    pub(super) fn read(text: &str, now: Timestamp) -> Option<Self> {
        let (fetched, rest) = line(text, "fetched: ")?;
        let (used, rest) = line(rest, "used: ")?;
        let (id, rest) = line(rest, "id: ")?;
        Some(Kept {
            policy: Policy::parse(rest.as_bytes()).ok()?,
            id: PolicyId::parse(id)?,
            fetched: now.min(fetched.parse().ok()?),
            used: now.min(used.parse().ok()?),
        })
    }
}

/// The value of the first line, and the other lines.
fn line<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    text.strip_prefix(name)?.split_once('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(max_age: u64) -> Kept {
        let text = format!("version: STSv1\nmode: enforce\nmx: *.d.example\nmax_age: {max_age}");
        Kept {
            policy: Policy::parse(text.as_bytes()).unwrap(),
            id: PolicyId::parse("7").unwrap(),
            fetched: Timestamp::from_secs(1_000_000),
            used: Timestamp::from_secs(1_000_500),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn a_policy_holds_and_is_fetched_again_before_that_ends() {
        let week = kept(604_800);
        assert!(week.holds(at(604_799)) && !week.holds(at(604_800)));
        assert!(!week.is_due(at(86_399)) && week.is_due(at(86_400)));
        let hour = kept(3_600);
        assert!(!hour.is_due(at(1_799)) && hour.is_due(at(1_800)));
        let none = kept(0);
        assert!(none.holds(at(299)) && !none.holds(at(300)));
        let year = kept(31_557_600);
        assert!(year.is_due(at(500 + 30 * 86_400 - 1)));
        assert!(!year.is_due(at(500 + 30 * 86_400)));
        assert!(year.holds(at(500 + 30 * 86_400)));
    }

    #[test]
    fn a_file_gives_it_back() {
        let kept = kept(604_800);
        let text = kept.write();
        assert!(
            text.starts_with("fetched: 1970-01-12T13:46:40.000Z\n"),
            "{text}"
        );
        assert_eq!(Kept::read(&text, at(1_000)), Some(kept));
        assert_eq!(Kept::read(&text, at(-5)).unwrap().fetched, at(-5));
        for end in 0..text.len() - "max_age: 604800".len() {
            assert_eq!(Kept::read(&text[..end], at(1_000)), None);
        }
    }
}
