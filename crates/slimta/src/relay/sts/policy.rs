//! The policy that a domain publishes (RFC 8461 section 3.2).

use std::time::Duration;

/// Longest time that a policy holds without being fetched again (RFC 8461
/// section 3.2): a year and a bit.
const MAX_AGE_MAX: Duration = Duration::from_secs(31_557_600);
/// Most digits of `max_age`.
const MAX_AGE_DIGITS_MAX: usize = 10;
/// Longest name of a field.
const NAME_BYTES_MAX: usize = 32;
/// Longest name of a host, and of a part of it (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// What a domain asks of those who send it mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    mode: Mode,
    max_age: Duration,
    exchangers: Vec<MxPattern>,
}

/// What is done about a host that does not fit the policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It gets no mail.
    Enforce,
    /// It gets its mail all the same; the domain may hear of it.
    Testing,
    /// Nothing: the domain has no policy any more.
    None,
}

/// A name of mail exchangers: that of one host, or `*.` and what follows the
/// first label of several. Lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MxPattern(String);

/// Why a text is no policy, in words that go on from its place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It is not text at all.
    #[error("the policy is not UTF-8")]
    NotText,
    /// A line is no field.
    #[error("line {0} of the policy is no field \"NAME: VALUE\"")]
    Line(usize),
    /// It is of another version, or does not say of which.
    #[error("the policy is not of version STSv1")]
    Version,
    /// `mode` is missing or unknown.
    #[error("the policy has no mode enforce, testing or none")]
    Mode,
    /// `max_age` is missing or no number.
    #[error("the policy has no max_age in seconds")]
    MaxAge,
    /// An `mx` is no name of hosts, or there is none where the mode needs it.
    #[error("the policy does not name its mail exchangers")]
    Exchangers,
}

impl Policy {
    /// Reads a policy. Fields that are not known are passed over, and of those
    /// that stand there twice, but for `mx`, all but the first. Blank lines at
    /// the end are what editors leave, and forgiven.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = str::from_utf8(bytes).map_err(|_| PolicyError::NotText)?;
        let text = text.trim_end_matches([' ', '\t', '\r', '\n']);
        let (mut version, mut mode, mut max_age) = (None, None, None);
        let mut exchangers = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let (name, value) = field(line).ok_or(PolicyError::Line(index + 1))?;
            match name {
                "version" => _ = version.get_or_insert(value),
                "mode" => _ = mode.get_or_insert(value),
                "max_age" => _ = max_age.get_or_insert(value),
                "mx" => exchangers.push(MxPattern::parse(value).ok_or(PolicyError::Exchangers)?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err(PolicyError::Version);
        }
        let mode = match mode {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err(PolicyError::Mode),
        };
        let max_age = max_age.and_then(seconds).ok_or(PolicyError::MaxAge)?;
        if exchangers.is_empty() && mode != Mode::None {
            return Err(PolicyError::Exchangers);
        }
        Ok(Policy {
            mode,
            max_age: max_age.min(MAX_AGE_MAX),
            exchangers,
        })
    }

    /// What is done about a host that does not fit.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How long it holds from when it was fetched; 31,557,600 seconds at most.
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The names of the domain's mail exchangers.
    pub fn exchangers(&self) -> &[MxPattern] {
        &self.exchangers
    }

    /// Whether it names the host as an exchanger. `host` is in ASCII, without a
    /// last dot.
    pub fn names(&self, host: &str) -> bool {
        self.exchangers.iter().any(|pattern| pattern.fits(host))
    }

    /// Its lines as a policy writes them, without what is not known.
    pub fn lines(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
        lines.extend(self.exchangers.iter().map(|mx| format!("mx: {}", mx.0)));
        lines.push(format!("max_age: {}", self.max_age.as_secs()));
        lines
    }
}

impl MxPattern {
    fn parse(text: &str) -> Option<Self> {
        let host = text.strip_prefix("*.").unwrap_or(text);
        is_host_name(host).then(|| MxPattern(text.to_ascii_lowercase()))
    }

    /// Whether it is a name of this host: `*` stands for one label, no more
    /// (RFC 8461 section 4.1).
    fn fits(&self, host: &str) -> bool {
        match self.0.strip_prefix("*.") {
            None => self.0.eq_ignore_ascii_case(host),
            Some(parent) => host.split_once('.').is_some_and(|(first, rest)| {
                !first.is_empty() && rest.eq_ignore_ascii_case(parent)
            }),
        }
    }

    /// As the policy writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it is the name of a host, in ASCII (RFC 5321 section 4.1.2, `Domain`).
pub(in crate::relay) fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= HOST_BYTES_MAX && text.split('.').all(is_label)
}

/// `NAME: VALUE`, with blanks before and behind the value.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let value = value.trim_matches([' ', '\t']);
    let is_value = !value.is_empty() && !value.contains(char::is_control);
    (is_name(name) && is_value).then_some((name, value))
}

/// The name of a field, here and in the record.
pub(super) fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(inner)
}

fn seconds(text: &str) -> Option<Duration> {
    let is_number =
        (1..=MAX_AGE_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| is_number)?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

    fn parse(text: &str) -> Result<Policy, PolicyError> {
        Policy::parse(text.as_bytes())
    }

    #[test]
    fn a_policy_is_read_as_the_rfc_shows_it() {
        let policy = parse(GOOD).unwrap();
        assert_eq!(policy.mode(), Mode::Enforce);
        assert_eq!(policy.max_age(), Duration::from_secs(604_800));
        let mx: Vec<_> = policy.exchangers().iter().map(MxPattern::as_str).collect();
        assert_eq!(mx, ["mail.example.com", "*.example.net"]);
        // Lines end with LF or CRLF, blanks are not counted, nor is order.
        let other = "max_age:604800 \nx_y.z-1: it is \u{fc}nknown: really\nmx:\tMAIL.example.com\nmx:*.example.net\nmode:  enforce\t\nversion:STSv1\n\n";
        assert_eq!(parse(other).unwrap(), policy);
    }

    #[test]
    fn of_a_field_that_comes_twice_the_first_counts() {
        let policy = parse(&format!("{GOOD}mode: none\nmax_age: x\nversion: STSv2\n")).unwrap();
        assert_eq!(policy, parse(GOOD).unwrap());
    }

    #[test]
    fn a_policy_holds_for_a_year_at_most() {
        let long = GOOD.replace("604800", "9999999999");
        assert_eq!(parse(&long).unwrap().max_age(), MAX_AGE_MAX);
        let none = "version: STSv1\nmode: none\nmax_age: 0";
        assert_eq!(parse(none).unwrap().max_age(), Duration::ZERO);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (from, to, error) in [
            ("STSv1", "STSv2", PolicyError::Version),
            ("STSv1", "stsv1", PolicyError::Version),
            ("version", "Version", PolicyError::Version),
            ("enforce", "Enforce", PolicyError::Mode),
            ("mode: ", "made: ", PolicyError::Mode),
            ("604800", "", PolicyError::Line(5)),
            ("604800", "+60", PolicyError::MaxAge),
            ("604800", "60480000000", PolicyError::MaxAge),
            ("604800", "1 000", PolicyError::MaxAge),
            ("*.example.net", "*example.net", PolicyError::Exchangers),
            ("*.example.net", "a.*.net", PolicyError::Exchangers),
            ("*.example.net", "*.", PolicyError::Exchangers),
            ("*.example.net", "a..net", PolicyError::Exchangers),
            ("*.example.net", "a b", PolicyError::Exchangers),
            (
                "*.example.net",
                "m\u{fc}ll.example",
                PolicyError::Exchangers,
            ),
            ("mode: ", "\r\nmode: ", PolicyError::Line(2)),
            ("mode: ", " mode: ", PolicyError::Line(2)),
            ("mode: ", "mode ", PolicyError::Line(2)),
            ("mode: ", ": ", PolicyError::Line(2)),
            ("mode: ", "m\u{0}: \u{0}", PolicyError::Line(2)),
        ] {
            assert_eq!(parse(&GOOD.replace(from, to)), Err(error), "{to:?}");
        }
        let without = "version: STSv1\nmode: testing\nmax_age: 1";
        assert_eq!(parse(without), Err(PolicyError::Exchangers));
        assert_eq!(parse(""), Err(PolicyError::Line(1)));
        assert_eq!(Policy::parse(b"\xff"), Err(PolicyError::NotText));
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let policy = parse(GOOD).unwrap();
        for (host, fits) in [
            ("mail.example.com", true),
            ("MAIL.example.COM", true),
            ("a.mail.example.com", false),
            ("example.com", false),
            ("a.example.net", true),
            ("A.Example.Net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            (".example.net", false),
            ("aexample.net", false),
            ("", false),
        ] {
            assert_eq!(policy.names(host), fits, "{host}");
        }
    }

    proptest! {
        /// Whatever is read is read alike when it is written again.
        #[test]
        fn a_policy_survives_being_written(
            mode in "enforce|testing|none",
            mx in proptest::collection::vec(r"(\*\.)?[a-zA-Z0-9]{1,9}(\.[a-z]{1,5}){0,3}", 1..5),
            max_age in 0u64..9_999_999_999,
            end in "\r?\n",
        ) {
            let mx: String = mx.iter().map(|mx| format!("mx: {mx}{end}")).collect();
            let text = format!("version: STSv1{end}{mx}mode: {mode}{end}max_age: {max_age}{end}");
            let policy = parse(&text).unwrap();
            prop_assert_eq!(parse(&policy.lines().join("\n")), Ok(policy.clone()));
            prop_assert!(policy.max_age() <= MAX_AGE_MAX);
        }

        #[test]
        fn any_bytes_are_a_policy_or_not(bytes: Vec<u8>) {
            if let Ok(policy) = Policy::parse(&bytes) {
                prop_assert_eq!(parse(&policy.lines().join("\n")), Ok(policy));
            }
        }
    }
}
