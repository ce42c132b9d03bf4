//! `slimta send`: hands one message to a server.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use slimta_core::message::{Address, ReversePath};

use crate::commands::block_on;
use crate::config::Span;
use crate::failure::Failure;
use crate::output::{self, Unit};
use crate::smtp_client::{Connection, Outcome, Parameters, SessionError, dot_stuffed};
use crate::values::{self, ServerAddress};

/// RFC 5321 section 4.5.3.2: servers may take ten minutes after the final dot.
const ANSWER_WAIT_MAX: Duration = Duration::from_mins(10);

/// Hand one message to an SMTP server.
///
/// Prints what the server answered for each recipient. The exit status is 1
/// when any of them was refused.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// The server.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2525")]
    server: ServerAddress,
    /// The reverse-path; `<>` is the null reverse-path.
    #[arg(long, value_name = "ADDRESS", value_parser = values::reverse_path)]
    from: ReversePath,
    /// A recipient; once for each.
    // One value each, so that the file may follow.
    #[arg(long, value_name = "ADDRESS", value_parser = values::recipient, required = true)]
    to: Vec<Address>,
    /// Have the server hold it back for so long, such as 2h; it must offer
    /// FUTURERELEASE.
    #[arg(long, value_name = "TIME")]
    hold_for: Option<Span>,
    /// The name to say in EHLO.
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// The message, header and body; `-` or nothing reads the standard input.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Send {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let content = self.content()?;
        let outcome = block_on(self.hand_over(&content))??;
        for (recipient, response) in self.to.iter().zip(&outcome.responses) {
            output::line(format!("{recipient}: {response}"))?;
        }
        if outcome.responses.iter().all(|r| r.is_success()) {
            return Ok(());
        }
        Err(Failure::Told)
    }

    fn content(&self) -> Result<Vec<u8>, Failure> {
        let file = self.file.as_deref().filter(|file| file.as_os_str() != "-");
        let (name, read) = match file {
            Some(file) => (file.display().to_string(), std::fs::read(file)),
            None => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().read_to_end(&mut bytes).map(|_| bytes);
                ("the standard input".to_owned(), read)
            }
        };
        read.map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))
    }

    /// Asks for no more than the server offers (RFC 4865 section 4.1).
    fn check_hold(&self, asked: Option<u64>, most: Option<u64>) -> Result<(), Failure> {
        let server = &self.server.0;
        let why = match (asked, most) {
            (Some(_), None) => format!(
                "{server} holds no mail back (FUTURERELEASE) for this client: leave --hold-for out to send it now"
            ),
            (Some(asked), Some(most)) if asked > most => format!(
                "{server} holds mail back for {most} s at most (FUTURERELEASE): name a shorter time as --hold-for"
            ),
            _ => return Ok(()),
        };
        Err(Failure::Failed(why))
    }

    async fn hand_over(&self, content: &[u8]) -> Result<Outcome, Failure> {
        let failed = |error: SessionError| Failure::Failed(format!("{}: {error}", self.server.0));
        let hostname = self
            .hostname
            .clone()
            .unwrap_or_else(crate::config::machine_name);
        let opening = Connection::open(&self.server, &hostname, ANSWER_WAIT_MAX).await;
        let mut connection = opening.map_err(failed)?;
        let extensions = connection.extensions();
        // Rounded up: not before it.
        let hold_for = self.hold_for.map(Span::get);
        let hold_seconds = hold_for.map(|span| span.as_millis().div_ceil(1000) as u64);
        self.check_hold(hold_seconds, extensions.hold_seconds_max)?;
        let utf8 = !self.from.as_str().is_ascii() || self.to.iter().any(|to| !to.is_ascii());
        let parameters = Parameters {
            eight_bit: !content.is_ascii() && extensions.eight_bit,
            utf8: utf8 && extensions.utf8,
            hold_seconds,
            ..Parameters::default()
        };
        let recipients: Vec<&str> = self.to.iter().map(Address::as_str).collect();
        let wire = dot_stuffed(content);
        let bar = output::progress(wire.len() as u64, Unit::Bytes);
        let sent = |bytes| bar.inc(bytes as u64);
        let outcome = connection
            .send(&self.from, &recipients, &parameters, &wire, sent)
            .await;
        bar.finish_and_clear();
        connection.quit().await;
        outcome.map_err(failed)
    }
}
