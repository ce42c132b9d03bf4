//! How a command ends when it does not end well, and the exit status that
//! scripts can rely on.

use std::io;
use std::process::ExitCode;

use crate::output::{complain, harmless_lines};

/// Why a command gave up. The text names the thing that was wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A flag, URL, address or directory that was given cannot be used.
    /// Nothing was opened. Status 2, as for flags that do not parse.
    #[error("{0}")]
    Usage(String),
    /// The value of one option cannot be used. Status 2. Who reads a whole
    /// configuration tells it with its place.
    #[error("{why} ({key})")]
    Setting {
        /// The option, as the file writes it.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The configuration file cannot be used; each line of the text begins with
    /// a place in it. Status 78, `EX_CONFIG` of sysexits.
    #[error("{0}")]
    Config(String),
    /// The work itself failed. Status 1.
    #[error("{0}")]
    Failed(String),
    /// What failed has been said already. Status 1.
    #[error("")]
    Told,
    /// A program that scripts know by an old name could not do all of its work.
    /// The status is one of sysexits; each line of the text is told by itself.
    #[error("{why}")]
    Sysexits {
        /// The name.
        name: &'static str,
        /// The status.
        status: u8,
        /// What is wrong; nothing if it was said already.
        why: String,
    },
    /// Nobody reads what is printed any more, as in `slimta queue list | head`.
    /// That is how the reader says that it has enough: status 0.
    #[error("")]
    OutputClosed,
}

impl Failure {
    /// Says on stderr what is wrong and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        let status = match self {
            Failure::OutputClosed => return ExitCode::SUCCESS,
            Failure::Told => return ExitCode::from(1),
            Failure::Sysexits { name, status, why } => {
                why.lines().for_each(|line| complain(name, line));
                return ExitCode::from(*status);
            }
            Failure::Config(lines) => {
                // Editors know the place when it comes first.
                eprintln!("{}", harmless_lines(lines));
                return ExitCode::from(78);
            }
            Failure::Failed(_) => 1,
            Failure::Usage(_) | Failure::Setting { .. } => 2,
        };
        eprintln!("slimta: {}", harmless_lines(&self.to_string()));
        ExitCode::from(status)
    }

    /// What is wrong with the option of that name.
    pub(crate) fn setting(key: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Failure::Setting {
            key: key.into(),
            why: why.to_string(),
        }
    }

    /// A failure to write to stdout.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Failed(format!("cannot write to the standard output: {error}")),
        }
    }
}
