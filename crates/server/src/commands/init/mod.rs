//! `slimta init`: a configuration to begin with.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::config::machine_name;
use crate::failure::Failure;
use crate::output;

/// Where mail is kept.
const STORAGE: &str = "/var/lib/slimta";

/// Write a configuration to begin with, full of comments.
///
/// An existing file is never overwritten.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// What the server is for
    #[arg(long, value_name = "KIND", default_value = "smarthost")]
    kind: Kind,
    /// The file, in a directory that is there
    #[arg(value_name = "FILE", default_value = "slimta.toml")]
    file: PathBuf,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    /// Mail of this machine goes to a smarthost
    Smarthost,
    /// Mail of a network goes to the mail exchangers of its recipients
    Direct,
    /// Applications hand mail in
    Submission,
}

impl Init {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let shown = self.file.display();
        write(&self.file, &self.kind.text()).map_err(|error| {
            Failure::Failed(match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    format!("{shown} is there already, and stays as it is: name another file")
                }
                _ => format!("{shown} cannot be written: {error}"),
            })
        })?;
        output::line(format!(
            "{shown} is written: look at its lines with CHANGE, then run\n  \
             slimta check-config --config {shown}\n  slimta serve --config {shown}"
        ))
    }
}

impl Kind {
    fn text(self) -> String {
        let text = match self {
            Kind::Smarthost => include_str!("smarthost.toml"),
            Kind::Direct => include_str!("direct.toml"),
            Kind::Submission => include_str!("submission.toml"),
        };
        let text = text.replace("{hostname}", &machine_name());
        text.replace("{storage}", STORAGE)
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::understand;

    /// The text with its options that are commented out.
    fn with_all(text: &str) -> String {
        let taken = text.lines().map(|line| {
            let option = line.strip_prefix("# ").filter(|rest| {
                let name = rest.split(" = ").next().unwrap_or_default();
                rest.starts_with('[') || (rest.contains(" = ") && !name.contains(' '))
            });
            option.unwrap_or(line)
        });
        taken.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_kind_is_right_as_it_is_and_with_all_of_its_options() {
        for kind in Kind::value_variants() {
            let text = kind.text();
            assert_eq!(understand(&text), Ok(()), "{kind:?}");
            let all = with_all(&text);
            assert!(all.matches('=').count() > 5 && all != text, "{kind:?}");
            assert_eq!(understand(&all), Ok(()), "{kind:?}");
        }
    }
}
