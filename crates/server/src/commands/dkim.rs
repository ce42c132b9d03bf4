//! `slimta dkim record`: what a domain publishes so that others find its key.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use slimta::policy::{DkimKey, SignDkim};

use crate::failure::Failure;
use crate::output;

/// Longest string of a TXT record (RFC 1035 section 3.3).
const STRING_BYTES_MAX: usize = 255;

/// Prepare the keys by which mail is signed.
#[derive(Args, Debug)]
pub(crate) struct DkimCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Print the TXT record of a key's public half, as a zone file has it
    Record {
        /// The private key, in PEM: RSA of 2048 bits at least, or Ed25519
        #[arg(value_name = "FILE")]
        key: PathBuf,
        /// The name of the key, such as 2026a
        #[arg(long, value_name = "NAME")]
        selector: String,
        /// The domain that signs
        #[arg(long, value_name = "DOMAIN")]
        domain: String,
    },
}

impl DkimCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Action::Record {
            key: path,
            selector,
            domain,
        } = self.action;
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::Usage(format!("{} cannot be used: {error}", path.display()))
        };
        let pem = std::fs::read(&path).map_err(|error| unusable(&error))?;
        let key = DkimKey::from_pem(&selector, &pem).map_err(|error| unusable(&error))?;
        let line = format!(
            "{selector}._domainkey.{domain}. IN TXT {}",
            strings(&key.record())
        );
        // What the server would not sign for needs no record.
        SignDkim::new()
            .with_keys(&domain, [key])
            .map_err(|error| Failure::Usage(error.to_string()))?;
        output::line(line)
    }
}

/// A text as the strings of a TXT record. It is ASCII and holds no quotes.
fn strings(text: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > STRING_BYTES_MAX
        && let Some((part, tail)) = rest.split_at_checked(STRING_BYTES_MAX)
    {
        parts.push(format!("\"{part}\""));
        rest = tail;
    }
    parts.push(format!("\"{rest}\""));
    match parts.as_slice() {
        [one] => one.clone(),
        several => format!("( {} )", several.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_string_is_too_long() {
        assert_eq!(strings("v=DKIM1"), "\"v=DKIM1\"");
        let (a, b) = ("a".repeat(255), "b".repeat(10));
        assert_eq!(
            strings(&[&a[..], &b].concat()),
            format!("( \"{a}\" \"{b}\" )")
        );
    }
}
