//! What the file says of forwarding: which recipients are rewritten.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use slimta::policy::Forward;

/// The tables `[[forward]]`, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct ForwardRules(Forward);

/// One of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleOptions {
    /// The recipients it is for: a regular expression for whole addresses.
    r#match: String,
    /// Where their mail goes.
    to: String,
}

impl ForwardRules {
    /// What rewrites recipients; none if there is no rule.
    pub(crate) fn policy(&self) -> Option<Forward> {
        (!self.0.is_empty()).then(|| self.0.clone())
    }
}

impl<'de> Deserialize<'de> for ForwardRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rules = Vec::<RuleOptions>::deserialize(deserializer)?
            .into_iter()
            .enumerate();
        let rules = rules.try_fold(Forward::new(), |forward, (number, rule)| {
            let number = number + 1;
            let added = forward.with_rule(&rule.r#match, &rule.to);
            added.map_err(|error| {
                D::Error::custom(format!("{error} ([[forward]], number {number})"))
            })
        });
        rules.map(ForwardRules)
    }
}
