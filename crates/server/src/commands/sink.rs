//! `slimta sink`: a next hop that takes everything, or answers as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;

use crate::commands::block_on;
use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;
use crate::sink::{Answers, Counts, Rule, Sink};
use crate::values;

/// How often running counts are printed.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Take mail by SMTP and throw it away, counting; for trying and testing.
///
/// Ends on SIGINT or SIGTERM, or after --stop-after messages.
#[derive(Args, Debug)]
pub(crate) struct SinkCommand {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", value_parser = values::listen, default_value = "127.0.0.1:2526")]
    listen: SocketAddr,
    /// Answer recipients that match with a code: RCPT_REGEX=CODE. `CODExN`
    /// answers so only the first N times, `=CODE TEXT` says a text. The first
    /// rule that matches decides.
    #[arg(long, value_name = "RCPT_REGEX=CODE")]
    reply: Vec<Rule>,
    /// Print how much has come, each second in which something came and at the
    /// end.
    #[arg(long)]
    count: bool,
    /// End after so many messages.
    #[arg(long, value_name = "N")]
    stop_after: Option<u64>,
}

impl SinkCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        block_on(self.serve())?
    }

    async fn serve(self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::Failed(format!("cannot listen on {}: {error}", self.listen))
        };
        let counts = Arc::new(Counts::default());
        let answers = Answers::new(self.reply.clone());
        let mut signals = Signals::new()?;
        let sink = Sink::bind(self.listen, answers, counts.clone())
            .await
            .map_err(failed)?;
        output::line(format!(
            "listening on {} (smtp)",
            sink.address().map_err(failed)?
        ))?;
        let watched = tokio::select! {
            () = sink.run() => Ok(()),
            () = signals.stop() => Ok(()),
            watched = self.watch(&counts) => watched,
        };
        if self.count {
            output::line(line(&counts))?;
        }
        watched
    }

    /// Prints counts as they grow; ends when enough has come.
    async fn watch(&self, counts: &Counts) -> Result<(), Failure> {
        let step = if self.stop_after.is_some() {
            Duration::from_millis(20)
        } else {
            COUNT_EVERY
        };
        let mut printed = (line(counts), Duration::ZERO);
        loop {
            tokio::time::sleep(step).await;
            let enough = |stop_after| counts.messages.load(Ordering::Relaxed) >= stop_after;
            if self.stop_after.is_some_and(enough) {
                return Ok(());
            }
            printed.1 += step;
            let now = line(counts);
            if self.count && printed.1 >= COUNT_EVERY && now != printed.0 {
                output::line(&now)?;
                printed = (now, Duration::ZERO);
            }
        }
    }
}

fn line(counts: &Counts) -> String {
    let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    format!(
        "{} messages, {} recipients, {} bytes, {} refused",
        read(&counts.messages),
        read(&counts.recipients),
        read(&counts.bytes),
        read(&counts.refused)
    )
}
