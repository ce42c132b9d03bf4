//! `slimta queue`: what an operator looks at and does.
//!
//! Works beside a running server, and on a store that nobody has open. It
//! walks the queue a page at a time, however long it is.

mod act;
mod alone;
mod pace;
mod preview;
mod show;
mod story;
mod suspend;
mod table;
mod walk;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use slimta_core::message::{MessageId, Way};
use slimta_core::queue::DestinationPattern;

use crate::admin::{Part, Reply, Request, StateName, Verb, Which};
use crate::assemble;
use crate::commands::block_on;
use crate::config::{self, LogFormat, LogLevel, Options};
use crate::failure::Failure;
use crate::log;
use crate::output::{self, Lines};
use crate::values;

use act::Target;
use pace::Rate;
pub(super) use walk::Walk;

/// Look at the queue and act on it.
///
/// Asks the server that has the storage open, or opens it when none runs.
#[derive(Args, Debug)]
pub(crate) struct QueueCommand {
    #[command(flatten)]
    place: Place,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand, Debug)]
enum Work {
    #[command(flatten)]
    Ask(Ask),
    #[command(flatten)]
    Alone(alone::Alone),
}

/// Where the queue is: the options of `slimta serve` that say so.
#[derive(Args, Debug)]
pub(super) struct Place {
    /// The storage, as for `slimta serve` [default: embedded:./slimta-data]
    #[arg(long, value_name = "URL", global = true)]
    storage: Option<String>,
    /// The admin socket, if it is not in the directory of the storage
    #[arg(long, value_name = "PATH", global = true)]
    admin_socket: Option<PathBuf>,
    /// Read both from the server's configuration
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Log what is done to a store without a server, on stderr; a server logs
    /// it itself. What is wrong with the store is logged in any case
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<LogFormat>,
}

impl Place {
    /// Begins the log and reads the settings that say where the queue is.
    pub(super) fn begin(self) -> Result<config::Place, Failure> {
        match self.log_format {
            Some(format) => log::begin(format, LogLevel::Info),
            None => log::begin(LogFormat::Human, LogLevel::Error),
        }
        config::place(Options {
            config: self.config,
            storage: self.storage,
            admin_socket: self.admin_socket,
            ..Options::default()
        })
    }
}

#[derive(Subcommand, Debug)]
enum Ask {
    /// List messages, in the order in which they came
    List {
        #[command(flatten)]
        filters: Filters,
        /// Stop after so many messages
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroUsize>,
    },
    /// Show a message, or all of a submission: envelope, state, last response,
    /// header
    Show {
        /// The message or submission
        #[arg(value_name = "ID")]
        id: MessageId,
        /// Print the whole message, header and body, and nothing else
        #[arg(long)]
        content: bool,
    },
    /// Tell the story of a message, or of each of a submission: its attempts,
    /// the next step, and why it is not attempted just now
    Explain {
        /// The message or submission
        #[arg(value_name = "ID")]
        id: MessageId,
    },
    /// Show what waits and what the server has in hand, by destination, and which
    /// destinations it leaves alone or are suspended
    Destinations,
    /// Keep the mail for a destination back until it is resumed; it is taken
    /// and waits
    Suspend(suspend::Suspend),
    /// Let the mail for a destination go again
    Resume {
        /// As it was suspended
        destination: DestinationPattern,
    },
    /// Count
    Stats,
    /// Make messages due now; with nothing said, all
    Retry {
        #[command(flatten)]
        target: Target,
        /// Lets no more go in a second, minute or hour, such as 50/s, 600/m, 1000/h
        #[arg(long, value_name = "RATE")]
        rate: Option<Rate>,
    },
    /// Hold messages back until they are released
    Hold {
        #[command(flatten)]
        target: Target,
        /// Why, for whoever looks later
        #[arg(long, value_name = "TEXT", default_value = "Held by the operator")]
        reason: String,
    },
    /// Let held messages go
    Release {
        #[command(flatten)]
        target: Target,
        /// Lets no more go in a second, minute or hour, such as 50/s, 600/m, 1000/h
        #[arg(long, value_name = "RATE")]
        rate: Option<Rate>,
    },
    /// Send messages another way, at once; their recipients stay the same
    Reroute {
        #[command(flatten)]
        target: Target,
        /// Where to: a domain, or a server, smtp://HOST:PORT (or smtps:, lmtp:)
        #[arg(long, value_name = "NEXT-HOP")]
        to: String,
        /// Lets no more go in a second, minute or hour, such as 50/s, 600/m, 1000/h
        #[arg(long, value_name = "RATE")]
        rate: Option<Rate>,
    },
    /// Remove messages; nobody is told
    Delete {
        #[command(flatten)]
        target: Target,
    },
    /// Give messages up and tell their senders
    Bounce {
        #[command(flatten)]
        target: Target,
        /// What the senders are told
        #[arg(long, value_name = "TEXT", default_value = "Given up by the operator")]
        reason: String,
    },
}

/// Which messages: those that fit all that is said.
#[derive(Args, Debug, Default, Clone)]
struct Filters {
    /// Those that are active, deferred or held
    #[arg(long, value_name = "STATE")]
    state: Option<StateName>,
    /// Those for this destination: a domain, or the URL of a smarthost
    #[arg(long, value_name = "NAME", value_parser = values::destination)]
    destination: Option<String>,
    /// Those with this reverse-path; empty for the null reverse-path
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// Those that wait for this recipient
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
}

impl Filters {
    fn which(&self) -> Which {
        Which {
            id: None,
            state: self.state,
            destination: self.destination.clone(),
            sender: self.sender.as_deref().map(without_brackets),
            recipient: self.recipient.as_deref().map(without_brackets),
        }
    }
}

/// `<a@b>` and `<>` are how logs show what is stored as `a@b` and nothing.
fn without_brackets(text: &str) -> String {
    let bare = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    bare.unwrap_or(text).to_owned()
}

impl QueueCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let place = self.place.begin()?;
        block_on(async {
            match self.work {
                Work::Ask(ask) => {
                    let door = assemble::door(&place).await?;
                    let done = ask.run(&door, self.json).await;
                    door.close().await;
                    done
                }
                Work::Alone(alone) => alone.run(&place.storage, self.json).await,
            }
        })?
    }
}

impl Ask {
    async fn run(self, door: &crate::admin::Door, json: bool) -> Result<(), Failure> {
        match self {
            Ask::List { filters, limit } => {
                let limit = limit.map_or(usize::MAX, NonZeroUsize::get);
                list(Walk::new(door, filters.which()), limit, json).await
            }
            Ask::Show { id, content } => {
                let part = if content { Part::Whole } else { Part::Header };
                show::show(door, id, part, json).await
            }
            Ask::Explain { id } => show::explain(door, id, json).await,
            Ask::Destinations => destinations(door, json).await,
            Ask::Suspend(suspend) => suspend.run(door, json).await,
            Ask::Resume { destination } => suspend::resume(door, destination, json).await,
            Ask::Stats => {
                let Reply::Stats(stats) = door.ask(Request::Stats).await? else {
                    return Err(strange());
                };
                output::line(if json {
                    to_json(&stats)?
                } else {
                    table::stats(&stats)
                })
            }
            Ask::Retry { target, rate } => act::run(door, target, Verb::Retry, rate, json).await,
            Ask::Release { target, rate } => {
                act::run(door, target, Verb::Release, rate, json).await
            }
            Ask::Hold { target, reason } => {
                act::run(door, target, Verb::Hold { reason }, None, json).await
            }
            Ask::Reroute { target, to, rate } => {
                // Not by clap, which would repeat a password.
                let to = to.parse::<Way>();
                let to = to.map_err(|error| Failure::Usage(format!("{error} (--to)")))?;
                act::run(door, target, Verb::Reroute { to }, rate, json).await
            }
            Ask::Delete { target } => act::run(door, target, Verb::Delete, None, json).await,
            Ask::Bounce { target, reason } => {
                act::run(door, target, Verb::Bounce { reason }, None, json).await
            }
        }
    }
}

async fn list(mut walk: Walk<'_>, limit: usize, json: bool) -> Result<(), Failure> {
    let mut shown = 0;
    while shown < limit
        && let Some(page) = walk.next().await?
    {
        let mut lines = Lines::new();
        for message in page.messages.iter().take(limit - shown) {
            if json {
                lines.put(to_json(message)?)?;
            } else {
                if shown == 0 {
                    lines.put(table::HEAD)?;
                }
                lines.put(table::row(message))?;
            }
            shown += 1;
        }
        lines.finish()?;
        for unread in &page.unreadable {
            eprintln!(
                "slimta: message {} cannot be read: {}",
                unread.id, unread.reason
            );
        }
    }
    if shown == 0 && !json {
        output::line("no messages")?;
    }
    Ok(())
}

async fn destinations(door: &crate::admin::Door, json: bool) -> Result<(), Failure> {
    let Reply::Destinations(mut all) = door.ask(Request::Destinations).await? else {
        return Err(strange());
    };
    // Those in trouble first.
    all.sort_by_key(|one| {
        let is_suspended = one.suspended.is_some();
        std::cmp::Reverse((
            is_suspended,
            one.paused_seconds,
            one.failures,
            one.waiting,
            one.messages,
        ))
    });
    let mut lines = Lines::new();
    if json {
        for one in &all {
            lines.put(to_json(one)?)?;
        }
    } else if all.is_empty() {
        lines.put("nothing waits")?;
    } else {
        lines.put(table::DESTINATIONS_HEAD)?;
        for one in &all {
            lines.put(table::destination(one))?;
        }
    }
    lines.finish()
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value);
    json.map(|json| output::harmless_json(&json))
        .map_err(|error| Failure::Failed(error.to_string()))
}

/// An answer to another question than was asked.
pub(super) fn strange() -> Failure {
    Failure::Failed("the server gave an answer that makes no sense".to_owned())
}
