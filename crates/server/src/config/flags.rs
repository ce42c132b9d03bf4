//! Options as flags of a command, and which of them were given.

use std::collections::BTreeSet;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::Options;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// The options.
    pub(super) options: Options,
    /// The names of those that were given, without dashes in front.
    pub(super) given: BTreeSet<String>,
}

/// As if none of them had been given by a person: mistakes are the file's.
impl From<Options> for Flags {
    fn from(options: Options) -> Self {
        Flags {
            options,
            given: BTreeSet::new(),
        }
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let options = Options::from_arg_matches(matches)?;
        let ids = matches.ids().map(clap::Id::as_str);
        let given = ids.filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
        Ok(Flags {
            given: given.map(|id| id.replace('_', "-")).collect(),
            options,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Flags::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        Options::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Options::augment_args_for_update(command)
    }
}
