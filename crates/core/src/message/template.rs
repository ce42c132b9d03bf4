//! Bounces written by the operator: text before and behind the failed message,
//! with variables, as the original's bounce builder has them.
//!
//! Values come from strangers: whatever they hold, they cannot end a line.

use super::Response;
use super::bounce::Failure;
use super::clean::{Charset, clean};

/// Longest value of a variable; a reply may be far longer.
const VALUE_BYTES_MAX: usize = 512;
/// What a variable without a value says.
const UNKNOWN: &str = "unknown";

/// A template whose variables are written `$(name)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template(String);

impl Template {
    /// A template; its line ends become CRLF.
    pub(super) fn new(text: &str) -> Self {
        let text = text.replace("\r\n", "\n").replace(['\r', '\n'], "\r\n");
        Template(text)
    }

    /// The text with its variables filled in. Names that `value` does not know
    /// are left as they are written.
    pub(super) fn expand(&self, value: impl Fn(&str) -> Option<String>) -> String {
        let mut expanded = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some((before, behind)) = rest.split_once("$(") {
            expanded.push_str(before);
            let known = behind
                .split_once(')')
                .and_then(|(name, tail)| Some((value(name)?, tail)));
            rest = match known {
                Some((value, tail)) => {
                    expanded.push_str(&value);
                    tail
                }
                None => {
                    expanded.push_str("$(");
                    behind
                }
            };
        }
        expanded.push_str(rest);
        expanded
    }
}

/// The value of a variable, safe in any line; none if there is no such
/// variable.
pub(super) fn variable(
    name: &str,
    failure: &Failure<'_>,
    response: &Response,
    boundary: &str,
    charset: Charset,
) -> Option<String> {
    let client = failure.client;
    let next_hop = failure.envelope.next_hop.as_ref();
    let value = match name {
        "boundary" => Some(boundary.to_owned()),
        "sender" => Some(failure.envelope.sender.as_str().to_owned()),
        "client_name" => client.host.clone().or_else(|| client.ehlo.clone()),
        "client_ip" => client.ip.map(|ip| ip.to_string()),
        "dest_host" => next_hop
            .and_then(|hop| hop.host.clone())
            .or_else(|| failure.remote.map(str::to_owned)),
        "dest_port" => next_hop
            .and_then(|hop| hop.port)
            .map(|port| port.to_string()),
        "protocol" => Some(client.protocol.clone()),
        "code" => Some(response.code.to_string()),
        "message" => Some(response.message()),
        _ => return None,
    };
    let value = clean(&value.unwrap_or_default(), charset, VALUE_BYTES_MAX);
    Some(if value.is_empty() {
        UNKNOWN.to_owned()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_left_as_they_are_written() {
        let template = Template::new("a $(code) b $(nonsense) $( c\nd $(code");
        let expanded = template.expand(|name| (name == "code").then(|| "$(code)".to_owned()));
        assert_eq!(expanded, "a $(code) b $(nonsense) $( c\r\nd $(code");
    }
}
