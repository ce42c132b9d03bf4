//! The command line: one file a command.

mod audit;
mod bench;
mod check_config;
mod demo;
mod dkim;
mod init;
mod password;
mod queue;
mod reload;
mod schedule;
mod send;
pub(crate) mod sendmail;
mod serve;
mod sink;

use std::future::Future;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

use sendmail::Name;
pub(crate) use sendmail::spelled_out;

/// A durable mail queue: takes mail by SMTP, keeps it safe, hands it on.
#[derive(Parser, Debug)]
#[command(name = "slimta", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    // Its many options are as large as all others together.
    Serve(Box<serve::Serve>),
    CheckConfig(Box<check_config::CheckConfig>),
    Init(init::Init),
    Reload(reload::Reload),
    Queue(queue::QueueCommand),
    Schedule(schedule::ScheduleCommand),
    Dkim(dkim::DkimCommand),
    Password(password::PasswordCommand),
    Audit(audit::AuditCommand),
    Send(send::Send),
    Sink(sink::SinkCommand),
    Bench(bench::Bench),
    Demo(demo::Demo),
    /// Hand a message in, as the program sendmail does
    ///
    /// Takes the options of sendmail, and does so, too, if this program is called
    /// by that name.
    Sendmail(sendmail::Arguments),
    /// List the queue, as the program mailq does
    Mailq(sendmail::Arguments),
    /// List the queue or have it tried again, as the program postqueue does
    Postqueue(sendmail::Arguments),
    /// Do nothing: there are no aliases
    Newaliases(sendmail::Arguments),
}

impl Cli {
    /// Does what was asked for.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(command) => command.run(),
            Command::CheckConfig(command) => command.run(),
            Command::Init(command) => command.run(),
            Command::Reload(command) => command.run(),
            Command::Queue(command) => command.run(),
            Command::Schedule(command) => command.run(),
            Command::Dkim(command) => command.run(),
            Command::Password(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Send(command) => command.run(),
            Command::Sink(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Sendmail(arguments) => arguments.run(Name::Sendmail),
            Command::Mailq(arguments) => arguments.run(Name::Mailq),
            Command::Postqueue(arguments) => arguments.run(Name::Postqueue),
            Command::Newaliases(arguments) => arguments.run(Name::Newaliases),
        }
    }
}

/// Runs a command's future on a runtime with a thread for each processor.
fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let output = runtime.block_on(future);
    // What still runs was cut on purpose; do not wait for it.
    runtime.shutdown_background();
    Ok(output)
}
