//! `slimta bench`: how fast a server takes mail and passes it on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use slimta_core::message::{Address, ReversePath};
use slimta_core::world::World;

use crate::bench::drive::{Plan, drive};
use crate::bench::report::{BenchReport, Shape};
use crate::bench::stamp::Mold;
use crate::bench::tally::Tally;
use crate::commands::block_on;
use crate::failure::Failure;
use crate::output::{self, Unit};
use crate::sink::{Answers, Sink};
use crate::values::{self, ServerAddress};

/// Measure an SMTP server: send numbered messages, count them where it relays
/// to, and say how many a second and how late.
///
/// With --sink a counting sink listens there; point the server's relay at it,
/// such as `slimta serve --relay smtp://127.0.0.1:2526`. The exit status is 1
/// when a message was refused, lost, doubled or altered.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// The server to measure.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2525")]
    server: ServerAddress,
    /// Where to count what it relays; without it only acceptance is measured.
    #[arg(long, value_name = "ADDR", value_parser = values::listen)]
    sink: Option<SocketAddr>,
    /// How many messages.
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: u32,
    /// The size of each, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "10k", value_parser = values::size)]
    size: usize,
    /// How many sessions at once.
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    sessions: u16,
    /// How many messages a session sends before it quits and a new one begins.
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    per_session: u32,
    /// Wait for each answer before the next command.
    #[arg(long)]
    no_pipelining: bool,
    /// The reverse-path of all messages.
    #[arg(long, value_name = "ADDRESS", default_value = "bench@sender.example",
          value_parser = values::reverse_path)]
    from: ReversePath,
    /// Their recipient.
    #[arg(long, value_name = "ADDRESS", default_value = "sink@next-hop.example",
          value_parser = values::recipient)]
    to: Address,
    /// Give up on messages when none has arrived for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let report = block_on(self.measure())??;
        if self.json {
            let text = serde_json::to_string(&report);
            output::line(text.map_err(|error| Failure::Failed(error.to_string()))?)?;
        } else {
            output::line(report.table())?;
        }
        if report.is_clean() {
            Ok(())
        } else {
            Err(Failure::Told)
        }
    }

    async fn measure(&self) -> Result<BenchReport, Failure> {
        let world = World::system();
        let messages = self.messages as usize;
        let run = u32::from_le_bytes(world.random());
        let mold = Arc::new(Mold::new(run, &self.from, &self.to, self.size));
        let tally = Arc::new(Tally::new(world.clone(), mold.clone(), messages));
        if let Some(address) = self.sink {
            let sink = Sink::bind(address, Answers::default(), tally.clone()).await;
            let sink = sink.map_err(|error| {
                Failure::Failed(format!("cannot listen on {address} (--sink): {error}"))
            })?;
            tokio::spawn(async move { sink.run().await });
        }
        let bar = output::progress(u64::from(self.messages), Unit::Messages);
        let met = drive(self.plan(), &mold, &tally, &bar).await;
        if self.sink.is_some() {
            self.wait_for_arrivals(&world, &tally).await;
        }
        bar.finish_and_clear();
        if tally.counts().accepted == 0 && met.refused == 0 {
            let trouble = met.trouble.unwrap_or_default();
            return Err(Failure::Failed(format!("{}: {trouble}", self.server.0)));
        }
        let shape = Shape {
            messages,
            size: self.size,
            sessions: usize::from(self.sessions),
            per_session: self.per_session as usize,
            sink: self.sink.is_some(),
        };
        Ok(BenchReport::new(&shape, &tally, met))
    }

    fn plan(&self) -> Plan {
        Plan {
            server: self.server.clone(),
            messages: self.messages as usize,
            sessions: usize::from(self.sessions),
            per_session: self.per_session as usize,
            pipelining: !self.no_pipelining,
            sender: self.from.clone(),
            recipient: self.to.clone(),
        }
    }

    /// Until all that was accepted is in the sink, or nothing comes any more.
    async fn wait_for_arrivals(&self, world: &World, tally: &Tally) {
        let patience = Duration::from_secs(self.patience);
        let accepted = tally.counts().accepted;
        while tally.arrivals() < accepted {
            if world
                .timeout(patience, tally.bell.notified())
                .await
                .is_none()
            {
                return;
            }
        }
    }
}
