//! The slimta server and command line.
//!
//! Here things are only put together: `assemble` is the one place where
//! concrete edges, storages and relays meet, `supervise` starts and stops
//! them in order. What they do is in the library.
//!
//! Nothing of this is for other programs: it is a library only so that the
//! fuzzer reaches its parsers.

mod admin;
mod assemble;
mod bench;
mod certificates;
mod checked;
mod commands;
mod config;
mod descriptors;
mod dsn;
mod edges;
#[doc(hidden)]
mod exported;
mod failure;
mod first_session;
pub mod fuzz;
mod log;
mod output;
mod parts;
mod policies;
mod relays;
mod reload;
mod signals;
mod sink;
mod smtp_client;
mod supervise;
mod values;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let words = commands::spelled_out(std::env::args_os());
    match commands::Cli::parse_from(words).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
