//! What holds for some destinations only.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::message::{Destination, Response, StoredMessage};
use crate::world::Timestamp;

use super::retry::RetryAlgorithm;

/// What a rule before a domain says: all hosts below it.
const BELOW: &str = "*.";
/// The rule for all destinations.
const ALL: &str = "*";

/// Which destinations a rule is for: one, by its name (`example.org`, or the
/// URL of a smarthost), all domains below one (`*.example.org`, which is not
/// for `example.org` itself), or all there are (`*`). Upper and lower case are
/// alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DestinationPattern(String);

/// A text is not a pattern of destinations.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{0}\" is no destination: name one as `slimta queue list` does, such as example.org, but without a tenant, all below a domain, such as *.example.org, or all with *"
)]
pub struct PatternError(String);

impl FromStr for DestinationPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == ALL {
            return Ok(DestinationPattern(text.to_owned()));
        }
        let name = text.strip_prefix(BELOW).unwrap_or(text);
        let odd = |c: char| c == '*' || c.is_whitespace() || c.is_control();
        // A dot in front is how other programs write what is below a domain.
        let is_of_tenant = Destination::new(name.to_lowercase()).tenant().is_some();
        if name.is_empty() || name.starts_with('.') || name.contains(odd) || is_of_tenant {
            return Err(PatternError(text.chars().take(64).collect()));
        }
        Ok(DestinationPattern(text.to_lowercase()))
    }
}

impl TryFrom<String> for DestinationPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<DestinationPattern> for String {
    fn from(pattern: DestinationPattern) -> String {
        pattern.0
    }
}

impl fmt::Display for DestinationPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value for each destination: that of its own rule, else that of the longest
/// domain above it that has one, else that of the rule for all, else the default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByDestination<T> {
    all: T,
    rules: BTreeMap<DestinationPattern, T>,
}

impl<T> ByDestination<T> {
    /// The same for all destinations.
    pub fn new(all: T) -> Self {
        ByDestination {
            all,
            rules: BTreeMap::new(),
        }
    }

    /// Adds a rule; a second one for the same pattern takes the place of the
    /// first.
    #[must_use]
    pub fn with_rule(mut self, pattern: DestinationPattern, value: T) -> Self {
        self.rules.insert(pattern, value);
        self
    }

    /// All values: that for all, and those of the rules.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.all).chain(self.rules.values())
    }

    /// The same rules with what `make` makes of each value, or its first error.
    pub fn try_map<U, E>(&self, make: impl Fn(&T) -> Result<U, E>) -> Result<ByDestination<U>, E> {
        let rules = self.rules.iter();
        let made = rules.map(|(pattern, value)| Ok((pattern.clone(), make(value)?)));
        Ok(ByDestination {
            all: make(&self.all)?,
            rules: made.collect::<Result<_, E>>()?,
        })
    }

    /// The value for a destination.
    pub fn get(&self, destination: &Destination) -> &T {
        if self.rules.is_empty() {
            return &self.all;
        }
        let name = DestinationPattern(destination.next_hop().to_lowercase());
        if let Some(value) = self.rules.get(&name) {
            return value;
        }
        // The URL of a smarthost is no domain below that of its host.
        let mut rest = match name.0.contains("://") {
            true => "",
            false => name.0.as_str(),
        };
        while let Some((_, above)) = rest.split_once('.') {
            let pattern = DestinationPattern(format!("{BELOW}{above}"));
            if let Some(value) = self.rules.get(&pattern) {
                return value;
            }
            rest = above;
        }
        let all = self.rules.get(&DestinationPattern(ALL.to_owned()));
        all.unwrap_or(&self.all)
    }
}

/// The same for all destinations.
impl<T> From<T> for ByDestination<T> {
    fn from(all: T) -> Self {
        ByDestination::new(all)
    }
}

/// Each destination has a retry algorithm of its own.
impl<T: RetryAlgorithm> RetryAlgorithm for ByDestination<T> {
    fn next_attempt(
        &self,
        message: &StoredMessage,
        response: &Response,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let algorithm = self.get(&message.destination);
        algorithm.next_attempt(message, response, now)
    }

    fn expiry(&self, message: &StoredMessage) -> Option<Timestamp> {
        self.get(&message.destination).expiry(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rule_for_all_is_for_smarthosts_too() {
        let rules = ByDestination::new("default").with_rule("*".parse().unwrap(), "all");
        for destination in ["example.org", "smtp://relay.example:25", "[192.0.2.1]"] {
            assert_eq!(*rules.get(&Destination::new(destination)), "all");
        }
    }

    #[test]
    fn the_nearest_rule_holds() {
        let rules = [
            ("example.org", "itself"),
            ("*.Example.ORG", "below"),
            ("*.deep.example.org", "deeper"),
            ("*.org", "org"),
            ("smtp://relay.example:25", "smarthost"),
        ];
        let rules = rules
            .into_iter()
            .fold(ByDestination::new("all"), |all, (pattern, value)| {
                all.with_rule(pattern.parse().unwrap(), value)
            });
        for (destination, expected) in [
            ("example.org", "itself"),
            ("EXAMPLE.org", "itself"),
            ("a.example.org", "below"),
            ("deep.example.org", "below"),
            ("x.y.deep.example.org", "deeper"),
            ("notexample.org", "org"),
            ("org", "all"),
            ("example.com", "all"),
            ("example.org.evil.example", "all"),
            ("smtp://relay.example:25", "smarthost"),
            ("smtp://mail.example.org", "all"),
            ("", "all"),
        ] {
            let found = *rules.get(&Destination::new(destination));
            assert_eq!(found, expected, "{destination}");
        }
    }

    /// Domains of few labels, so that rules and destinations meet.
    fn domain() -> impl Strategy<Value = String> {
        let label = prop_oneof![Just("a"), Just("b"), Just("c")];
        let labels = proptest::collection::vec(label, 1..5);
        labels.prop_map(|labels| labels.join("."))
    }

    fn pattern() -> impl Strategy<Value = String> {
        let below = domain().prop_map(|domain| format!("{BELOW}{domain}"));
        prop_oneof![4 => domain(), 4 => below, 1 => Just(ALL.to_owned())]
    }

    /// Whether a pattern is for a domain, as the documentation says it.
    fn is_for(pattern: &str, domain: &str) -> bool {
        match pattern.strip_prefix(ALL) {
            Some("") => true,
            Some(below) => domain.ends_with(below),
            None => pattern == domain,
        }
    }

    proptest! {
        #[test]
        fn the_longest_of_the_rules_that_fit_holds(
            patterns in proptest::collection::btree_set(pattern(), 0..12),
            destination in domain(),
        ) {
            let rules = patterns.iter().fold(ByDestination::new(""), |rules, pattern| {
                rules.with_rule(pattern.parse().unwrap(), pattern.as_str())
            });
            // Its own name first, which is shorter than `*.` and what is above it may be.
            let fitting = patterns.iter().filter(|pattern| is_for(pattern, &destination));
            let longest = fitting.max_by_key(|pattern| (**pattern == destination, pattern.len()));
            let expected = longest.map_or("", String::as_str);
            prop_assert_eq!(*rules.get(&Destination::new(destination)), expected);
        }
    }

    #[test]
    fn what_could_be_no_destination_is_refused() {
        for text in [
            "",
            "**",
            "*.",
            ".example.org",
            "*..org",
            "a b",
            "example.org#acme",
            "a.*.org",
            "a\n",
        ] {
            assert!(text.parse::<DestinationPattern>().is_err(), "{text:?}");
        }
    }
}
