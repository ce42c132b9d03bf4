//! The text of an Authentication-Results field (RFC 8601 section 2.2).

#[cfg(feature = "dkim")]
use crate::message::Content;

/// Longest value of a property, in bytes: longest name in the DNS.
const VALUE_BYTES_MAX: usize = 255;
const REASON_BYTES_MAX: usize = 100;

/// What was found, method by method.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Results(Vec<String>);

impl Results {
    /// Adds what a method found, with the reason if there is one, and what it was
    /// found of: properties, of which the empty ones are left out.
    pub(super) fn add(
        &mut self,
        method: &str,
        result: &str,
        reason: Option<&str>,
        properties: &[(&str, &str)],
    ) {
        let mut text = format!("{method}={result}");
        if let Some(reason) = reason {
            text += &format!(" reason={}", quoted(reason, REASON_BYTES_MAX));
        }
        for (name, value) in properties.iter().filter(|(_, value)| !value.is_empty()) {
            text += &format!(" {name}={}", written(value));
        }
        self.0.push(text);
    }

    /// The value of the field.
    pub(super) fn written(&self, authserv_id: &str) -> String {
        match self.0.is_empty() {
            true => format!("{authserv_id}; none"),
            false => format!("{authserv_id}; {}", self.0.join("; ")),
        }
    }
}

/// A value as a token where it is one (RFC 2045 section 5.1), else in quotes.
fn written(value: &str) -> String {
    let is_of_a_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~/".contains(&b);
    let is_token = value.len() <= VALUE_BYTES_MAX && value.bytes().all(is_of_a_token);
    match is_token {
        true => value.to_owned(),
        false => quoted(value, VALUE_BYTES_MAX),
    }
}

/// A text in quotes, in which nothing ends it.
fn quoted(text: &str, bytes_max: usize) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars().take(bytes_max) {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

/// What this host has written of a message: the value of its field, unfolded.
#[cfg(feature = "dkim")]
pub(in crate::policy) fn own_results(content: &Content, authserv_id: &str) -> Option<String> {
    let values = content
        .fields_named(super::RESULTS)
        .map(|field| field.value());
    let mut own = values.filter(|value| is_of(value, authserv_id));
    own.next().map(std::borrow::Cow::into_owned)
}

/// The first result of a method in such a value. What stands in quotes is no result.
#[cfg(feature = "dkim")]
pub(in crate::policy) fn result_of(value: &str, method: &str) -> Option<String> {
    let (mut outside, mut chars) = (String::new(), value.chars());
    let mut is_quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' => drop(chars.next()),
            c if !is_quoted => outside.push(c),
            _ => {}
        }
    }
    let mut results = outside
        .split(';')
        .filter_map(|result| result.trim().split_once('='));
    let (_, rest) = results.find(|(name, _)| *name == method)?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// Whether the value of such a field speaks in the name of `authserv_id`. What has
/// no name that can be read speaks in nobody's.
pub(super) fn is_of(value: &str, authserv_id: &str) -> bool {
    name(value).is_some_and(|name| name.eq_ignore_ascii_case(authserv_id))
}

/// The name in front of such a field: a word or a quoted string, behind comments.
fn name(value: &str) -> Option<String> {
    let mut rest = skip_comments(value)?;
    let mut name = String::new();
    if let Some(quoted) = rest.strip_prefix('"') {
        rest = quoted;
        loop {
            let c = rest.chars().next()?;
            rest = &rest[c.len_utf8()..];
            match c {
                '"' => return Some(name),
                '\\' => {
                    let escaped = rest.chars().next()?;
                    rest = &rest[escaped.len_utf8()..];
                    name.push(escaped);
                }
                c => name.push(c),
            }
        }
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '(');
    name.push_str(&rest[..rest.find(ends).unwrap_or(rest.len())]);
    Some(name)
}

/// What stands behind blanks and comments, which may hold others.
fn skip_comments(mut value: &str) -> Option<&str> {
    loop {
        value = value.trim_start();
        let Some(mut rest) = value.strip_prefix('(') else {
            return Some(value);
        };
        let mut depth = 1;
        while depth > 0 {
            let c = rest.chars().next()?;
            rest = &rest[c.len_utf8()..];
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                '\\' => {
                    let escaped = rest.chars().next()?;
                    rest = &rest[escaped.len_utf8()..];
                }
                _ => {}
            }
        }
        value = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Content, NewField};

    #[test]
    fn results_are_written_as_the_rfc_says() {
        let mut results = Results::default();
        assert_eq!(results.written("mx.example"), "mx.example; none");
        results.add(
            "spf",
            "pass",
            None,
            &[("smtp.mailfrom", "a.example"), ("smtp.helo", "")],
        );
        let odd = Some("a \"b\"\r\n;c");
        results.add(
            "dkim",
            "fail",
            odd,
            &[("header.d", "a b;c"), ("header.s", "s-1")],
        );
        assert_eq!(
            results.written("mx.example"),
            r#"mx.example; spf=pass smtp.mailfrom=a.example; dkim=fail reason="a \"b\"??;c" header.d="a b;c" header.s=s-1"#
        );
    }

    #[test]
    fn who_speaks_in_a_field_is_found() {
        for (value, is_own) in [
            ("mx.example; none", true),
            ("MX.Example 1; spf=pass", true),
            ("(a (nested \\) ;) one)\t mx.example;none", true),
            ("mx.example(comment); none", true),
            ("\"mx.example\"; none", true),
            ("\"m\\x.example\"; none", true),
            ("mx.example", true),
            ("mx.example.org; none", false),
            ("a.mx.example; none", false),
            ("other; mx.example", false),
            ("(mx.example); none", false),
            ("(no end mx.example", false),
            ("\"mx.example", false),
            ("", false),
        ] {
            assert_eq!(is_of(value, "mx.example"), is_own, "{value}");
        }
    }

    proptest! {
        /// Whatever others write in such a field, it is told whose it is.
        #[test]
        fn any_field_has_a_name_or_none(
            value in prop_oneof![any::<String>(), "[()\"\\\\; =a-c]{0,20}"],
        ) {
            prop_assert!(!is_of(&value, "mx.example"));
            let commented = format!("(a) mx.example; {value}");
            prop_assert!(is_of(&commented, "mx.example"));
            #[cfg(feature = "dkim")]
            drop(result_of(&value, "arc"));
        }

        /// Whatever a stranger's domain, key and failure are called, the field is one
        /// field, in our name, and says no result that was not added.
        #[test]
        fn nothing_of_a_stranger_adds_a_result(
            reason in any::<String>(),
            value in prop_oneof![any::<String>(), "[a; \"=\\\\()]{0,40}"],
        ) {
            let mut results = Results::default();
            results.add("dkim", "fail", Some(&reason), &[("header.d", &value), ("header.s", "s")]);
            let written = results.written("mx.example");
            prop_assert!(is_of(&written, "mx.example"));
            #[cfg(feature = "dkim")]
            for (method, found) in [("dkim", Some("fail")), ("arc", None), ("a", None)] {
                let told = result_of(&written, method);
                prop_assert_eq!(told.as_deref(), found);
            }
            let mut content = Content::new("A: 1\r\n\r\n");
            content.prepend(&NewField::new("Authentication-Results", &written).unwrap());
            prop_assert_eq!(content.fields().count(), 2);
            // Outside of quotes there is one semicolon.
            let (mut outside, mut chars) = (String::new(), written.chars());
            while let Some(c) = chars.next() {
                if c == '"' {
                    loop {
                        match chars.next().unwrap() {
                            '"' => break,
                            '\\' => drop(chars.next().unwrap()),
                            _ => {}
                        }
                    }
                } else {
                    outside.push(c);
                }
            }
            prop_assert_eq!(outside.matches(';').count(), 1, "{}", written);
        }
    }
}
