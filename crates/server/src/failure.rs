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
    /// The configuration file cannot be used. Status 78, `EX_CONFIG` of
    /// sysexits.
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
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Config(_) => 78,
        };
        eprintln!("slimta: {}", harmless_lines(&self.to_string()));
        ExitCode::from(status)
    }

    /// A failure to write to stdout.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Failed(format!("cannot write to the standard output: {error}")),
        }
    }
}
