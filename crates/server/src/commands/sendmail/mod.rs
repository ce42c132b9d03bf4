//! `sendmail`, `mailq`, `postqueue` and `newaliases`: what programs and scripts
//! have called for decades to hand mail in and to look at the queue.
//!
//! Nothing here has rights of its own: mail goes to a running server by SMTP, as
//! that of any client does, and the queue is seen by whoever may open the admin
//! socket. Options, layout and statuses are those of Postfix, where it and
//! Sendmail differ.

mod author;
mod deliver;
mod fates;
mod getopt;
mod input;
mod letter;
mod mailboxes;
mod names;
mod options;
mod person;
mod phrase;
mod pipe;
mod place;
mod postqueue;
mod queue;
mod status;
mod submission;
mod table;
mod tokens;

use std::ffi::OsString;

use clap::Args;

use crate::failure::Failure;

pub(crate) use mailboxes::mailboxes;
pub(crate) use names::{Name, spelled_out};
use options::{Mode, Options};
use status::{Ended, Status};

/// The arguments of a program that has rules of its own for them.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// As that program takes them
    #[arg(value_name = "ARGUMENT")]
    words: Vec<OsString>,
}

impl Arguments {
    /// Does what the program of this name does.
    pub(crate) fn run(self, name: Name) -> Result<(), Failure> {
        let done = words(self.words).and_then(|words| match name {
            Name::Postqueue => postqueue::run(&words),
            Name::Sendmail => sendmail(Mode::Deliver, &words),
            Name::Mailq => sendmail(Mode::List, &words),
            Name::Newaliases => sendmail(Mode::Nothing, &words),
        });
        done.map_err(|ended| ended.of(name.as_str()))
    }
}

/// `mode` is what the name stands for; options may say something else, as in
/// `newaliases -bp`.
fn sendmail(mode: Mode, words: &[String]) -> Result<(), Ended> {
    let options = Options::parse(mode, words)?;
    match options.mode {
        Mode::Deliver => deliver::deliver(&options),
        Mode::Smtp => pipe::pipe(options.config),
        Mode::List => queue::list(options.config, queue::Form::Table),
        Mode::Flush(flush) => queue::flush(options.config, flush),
        Mode::Nothing => Ok(()),
    }
}

/// Addresses and names are UTF-8, or they are not understood.
fn words(words: Vec<OsString>) -> Result<Vec<String>, Ended> {
    let text = |word: OsString| {
        word.into_string().map_err(|word| {
            let shown = word.to_string_lossy();
            Status::Usage.because(format!("an argument is not UTF-8: {shown}"))
        })
    };
    words.into_iter().map(text).collect()
}
