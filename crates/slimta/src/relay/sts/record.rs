//! The record that says that a domain has a policy, and when it changes (RFC 8461
//! section 3.1).

use super::policy::is_name;

const VERSION: &str = "v=STSv1";
/// Longest id.
const ID_BYTES_MAX: usize = 32;
const BLANKS: [char; 2] = [' ', '\t'];

/// What tells one policy of a domain from the next: letters and digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PolicyId(String);

impl PolicyId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_id = (1..=ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric());
        is_id.then(|| PolicyId(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of the domain's policy, by the texts at `_mta-sts.DOMAIN`. None if there
/// is not exactly one record of this version, or if it is broken.
pub(super) fn policy_id(texts: &[String]) -> Option<PolicyId> {
    let mut records = texts.iter().filter_map(|text| fields(text));
    let (only, None) = (records.next()?, records.next()) else {
        return None;
    };
    let mut id = None;
    let mut fields = only
        .split(';')
        .map(|field| field.trim_matches(BLANKS))
        .peekable();
    while let Some(field) = fields.next() {
        // A semicolon may be the last.
        if field.is_empty() && fields.peek().is_none() {
            break;
        }
        let (name, value) = field.split_once('=')?;
        if name == "id" {
            id = id.or(Some(PolicyId::parse(value)?));
        } else if !is_name(name) || !is_value(value) {
            return None;
        }
    }
    id
}

/// What follows the version of a record; none if it is of another, or none.
fn fields(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(VERSION)?;
    rest.trim_start_matches(BLANKS).strip_prefix(';')
}

/// Printable ASCII but `=` and `;`.
fn is_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(texts: &[&str]) -> Option<String> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        policy_id(&texts).map(|id| id.0)
    }

    #[test]
    fn one_record_of_this_version_names_the_policy() {
        for text in [
            "v=STSv1; id=20160831085700Z;",
            "v=STSv1;id=20160831085700Z",
            "v=STSv1 ;\t id=20160831085700Z ; x=y/z; ",
            "v=STSv1; ext=1; id=20160831085700Z; id=other",
        ] {
            assert_eq!(id(&[text]).as_deref(), Some("20160831085700Z"), "{text}");
            let others = ["v=spf1 -all", text, "v=STSv10; id=1", "id=2", ""];
            assert_eq!(id(&others), id(&[text]), "{text}");
        }
    }

    #[test]
    fn anything_else_names_none() {
        for text in [
            "",
            "v=STSv1",
            "v=STSv1;",
            "v=STSv1; x=y",
            "v=STSv1; id=",
            "v=STSv1; id=a-b",
            "v=STSv1; id=123456789012345678901234567890123",
            "v=STSv1; id=1; x",
            "v=STSv1; id=1; =y",
            "v=STSv1; id=1;; x=y",
            "v=STSv1; id=1; x=a=b",
            "v=stsv1; id=1",
            "V=STSv1; id=1",
            " v=STSv1; id=1",
            "id=1; v=STSv1",
        ] {
            assert_eq!(id(&[text]), None, "{text:?}");
        }
        // Two say nothing (RFC 8461 section 3.1).
        assert_eq!(id(&["v=STSv1; id=1", "v=STSv1; id=1"]), None);
        assert_eq!(id(&["v=STSv1; id=1", "v=STSv1; broken"]), None);
        assert_eq!(id(&[]), None);
    }

    proptest! {
        #[test]
        fn an_id_is_letters_and_digits(texts: Vec<String>, tail: String) {
            let texts = [texts, vec![format!("v=STSv1;{tail}")]].concat();
            if let Some(id) = policy_id(&texts) {
                prop_assert!(id.0.bytes().all(|b| b.is_ascii_alphanumeric()));
                prop_assert!((1..=ID_BYTES_MAX).contains(&id.0.len()));
            }
        }
    }
}
