//! `slimta check-config`: whether a server would start with this configuration.

use clap::Args;
use slimta_core::world::World;

use crate::checked::Checked;
use crate::config::{Flags, LogFormat, LogLevel, reference};
use crate::failure::Failure;
use crate::log;
use crate::output;

/// Say everything that is wrong with a configuration, without starting.
///
/// Takes the options of `slimta serve`, and reads the files that they name:
/// certificates, keys, users, templates. Each mistake is a line on stderr, with its
/// place in the file, and the status is then 78; 2 if only flags are wrong. What
/// works and is risky is a warning there. No port, storage or socket is opened.
#[derive(Args, Debug)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    flags: Flags,
    /// Print the reference of all options instead, in Markdown
    #[arg(long)]
    reference: bool,
}

impl CheckConfig {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        if self.reference {
            return output::text(&reference());
        }
        // What files are read by others is said there.
        log::begin(LogFormat::Human, LogLevel::Warn);
        let checked = Checked::read(self.flags, &World::system())?;
        for warning in &checked.warnings {
            eprintln!("{}", output::harmless_lines(warning));
        }
        output::line(match checked.file {
            Some((file, 1)) => format!("{file}: 1 option read, nothing wrong"),
            Some((file, options)) => format!("{file}: {options} options read, nothing wrong"),
            None => "no file was named (--config): the flags are in order".to_owned(),
        })
    }
}
