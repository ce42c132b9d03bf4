//! How a sink answers each recipient: 250, unless a rule says otherwise.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use regex::Regex;
use slimta_core::message::{Class, Code, EnhancedCode};

/// One rule, written `RCPT_REGEX=CODE`: recipients that match hear the code.
/// `CODExN` answers so only the first N times, and `=CODE TEXT` says the text.
#[derive(Debug)]
pub(crate) struct Rule {
    pattern: Regex,
    code: Code,
    text: String,
    /// How often the rule still applies; none for always.
    left: Option<AtomicU32>,
}

/// Cloning a rule happens once, when flags are read; the counts start anew.
impl Clone for Rule {
    fn clone(&self) -> Self {
        Rule {
            pattern: self.pattern.clone(),
            code: self.code,
            text: self.text.clone(),
            left: self
                .left
                .as_ref()
                .map(|left| AtomicU32::new(left.load(Ordering::Relaxed))),
        }
    }
}

impl Rule {
    fn applies(&self, recipient: &str) -> bool {
        let spend = |left: u32| left.checked_sub(1);
        self.pattern.is_match(recipient)
            && self.left.as_ref().is_none_or(|left| {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend)
                    .is_ok()
            })
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            "a rule is RCPT_REGEX=CODE, such as '^later@=450', '@full\\.example$=452x3' \
             (the first three) or 'nobody@=550 5.1.1 No such user'; CODE is 2yz, 4yz or 5yz"
                .to_owned()
        };
        // The pattern may hold a "=" too: the last one before a code counts.
        let (at, _) = text
            .rmatch_indices('=')
            .find(|(at, _)| code(&text[at + 1..]).is_some())
            .ok_or_else(form)?;
        let (code, rest) = code(&text[at + 1..]).ok_or_else(form)?;
        let (times, reply) = match rest.strip_prefix('x') {
            Some(rest) => {
                let (times, reply) = rest.split_once(' ').unwrap_or((rest, ""));
                (Some(times.parse::<u32>().map_err(|_| form())?), reply)
            }
            None => (None, rest.trim_start()),
        };
        if reply.contains(['\r', '\n']) {
            return Err(form());
        }
        Ok(Rule {
            pattern: Regex::new(&text[..at]).map_err(|error| error.to_string())?,
            code,
            text: reply_text(code, reply),
            left: times.map(AtomicU32::new),
        })
    }
}

/// The code at the front of `text`, and what follows it.
fn code(text: &str) -> Option<(Code, &str)> {
    let (digits, rest) = text.split_at_checked(3)?;
    let ends = rest.is_empty() || rest.starts_with([' ', 'x']);
    let code = Code::new(digits.parse().ok()?)?;
    (ends && code.class() != Class::Intermediate).then_some((code, rest))
}

/// An enhanced code of the reply's own class stands before the text, as
/// RFC 2034 asks.
fn reply_text(code: Code, reply: &str) -> String {
    let class = code.get() / 100;
    match EnhancedCode::split_from(reply) {
        Some((enhanced, _)) if u16::from(enhanced.class) == class => reply.to_owned(),
        _ if reply.is_empty() => format!("{class}.0.0 The sink was told to answer so"),
        _ => format!("{class}.0.0 {reply}"),
    }
}

/// All rules of a sink, asked in order.
#[derive(Debug, Default)]
pub(crate) struct Answers(Vec<Rule>);

impl Answers {
    /// By these rules; the first that applies decides.
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Answers(rules)
    }

    /// The code and text for a recipient; none if no rule applies.
    pub(crate) fn for_recipient(&self, recipient: &str) -> Option<(Code, &str)> {
        self.0
            .iter()
            .find(|rule| rule.applies(recipient))
            .map(|rule| (rule.code, rule.text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(rules: &[&str]) -> Answers {
        Answers::new(rules.iter().map(|rule| rule.parse().unwrap()).collect())
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let answers = answers(&["^a@=450", "@b$=550 No", "x=y=550 5.1.1 No such user"]);
        let code = |recipient| {
            answers
                .for_recipient(recipient)
                .map(|(c, t)| format!("{c} {t}"))
        };
        assert_eq!(
            code("a@b").as_deref(),
            Some("450 4.0.0 The sink was told to answer so")
        );
        assert_eq!(code("c@b").as_deref(), Some("550 5.0.0 No"));
        assert_eq!(code("x=y").as_deref(), Some("550 5.1.1 No such user"));
        assert_eq!(code("c@d"), None);
    }

    #[test]
    fn a_rule_can_be_spent() {
        let answers = answers(&["later=450x2"]);
        let given: Vec<bool> = (0..3)
            .map(|_| answers.for_recipient("later@x").is_some())
            .collect();
        assert_eq!(given, [true, true, false]);
    }

    #[test]
    fn what_is_no_rule_says_what_is() {
        for text in ["", "a", "a=", "a=20", "a=354", "a=600", "a=4500", "a=450xq"] {
            assert!(
                text.parse::<Rule>().unwrap_err().contains("RCPT_REGEX"),
                "{text}"
            );
        }
        assert!("(=450".parse::<Rule>().is_err());
    }
}
