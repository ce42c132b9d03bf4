//! `mailq`, `sendmail -q` and `postqueue`: the queue, asked as `slimta queue` asks
//! it. It is walked through a page at a time, and contents are never read.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use slimta_core::storage::State;
use slimta_core::world::Timestamp;

use super::options::Flush;
use super::place::{options, unusable};
use super::status::{Ended, Status};
use super::table;
use crate::admin::{Door, Listed, Reply, Request, StateName, Verb, Which};
use crate::assemble;
use crate::commands::block_on;
use crate::commands::queue::{Walk, strange, to_json};
use crate::config::{self, LogFormat, LogLevel};
use crate::failure::Failure;
use crate::output::{self, Lines};

/// How the queue is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// For people, and for scripts that read what people read.
    Table,
    /// An object a line.
    Json,
}

/// Shows all messages, in the order in which they came.
pub(super) fn list(config: Option<PathBuf>, form: Form) -> Result<(), Ended> {
    at_the_door(config, async move |door| show(door, form).await)
}

/// Makes messages due now; those that are held stay so.
pub(super) fn flush(config: Option<PathBuf>, flush: Flush) -> Result<(), Ended> {
    at_the_door(config, async move |door| retry(door, &flush).await)
}

/// Does something with the queue that is meant.
fn at_the_door(
    config: Option<PathBuf>,
    work: impl AsyncFnOnce(&Door) -> Result<(), Ended>,
) -> Result<(), Ended> {
    let options = options(config);
    let hint = match options.config {
        Some(_) => "",
        None => "; -C or SLIMTA_CONFIG names the server's configuration",
    };
    let place = config::place(options).map_err(unusable)?;
    log_of_the_store();
    let done = block_on(async {
        let door = assemble::door(&place).await.map_err(|failure| {
            let why = format!("{failure}{hint}");
            Status::Unavailable.because(why)
        })?;
        let done = work(&door).await;
        door.close().await;
        done
    });
    done.map_err(|failure| Status::System.because(failure.to_string()))?
}

/// What is wrong with a store that nobody serves is told.
fn log_of_the_store() {
    crate::log::begin(LogFormat::Human, LogLevel::Error);
}

async fn show(door: &Door, form: Form) -> Result<(), Ended> {
    let mut walk = Walk::new(door, Which::default());
    let zone = TimeZone::system();
    let (mut messages, mut bytes) = (0, 0);
    while let Some(page) = walk.next().await? {
        let mut lines = Lines::new();
        for message in &page.messages {
            let received: Timestamp = message.received_at.parse().map_err(|_| strange())?;
            let text = match form {
                Form::Json => to_json(&table::Entry::new(message, received))?,
                Form::Table => {
                    let above = if messages == 0 { table::HEAD } else { "" };
                    format!("{above}\n{}", table::entry(message, received, &zone))
                }
            };
            lines.put(text).map_err(unwritten)?;
            messages += 1;
            bytes += message.size;
        }
        lines.finish().map_err(unwritten)?;
        tell_unreadable(&page);
    }
    let below = match (form, messages) {
        (Form::Json, _) => return Ok(()),
        (Form::Table, 0) => table::EMPTY.to_owned(),
        (Form::Table, _) => format!("\n{}", table::total(bytes, messages)),
    };
    output::line(below).map_err(unwritten)
}

/// A failure of stdout, which is none of the queue.
fn unwritten(failure: Failure) -> Ended {
    match failure {
        Failure::OutputClosed => Ended::Unread,
        other => Status::Io.because(other.to_string()),
    }
}

fn tell_unreadable(page: &Listed) {
    for unread in &page.unreadable {
        let (id, reason) = (unread.id, &unread.reason);
        output::complain("slimta", &format!("message {id} cannot be read: {reason}"));
    }
}

async fn retry(door: &Door, flush: &Flush) -> Result<(), Ended> {
    let which = match flush {
        Flush::All => Which {
            state: Some(StateName(State::Deferred)),
            ..Which::default()
        },
        Flush::Destination(name) => Which {
            destination: Some(name.clone()),
            ..Which::default()
        },
        Flush::Message(id) => Which::id(*id),
    };
    let (mut after, mut found) = (None, 0);
    loop {
        let request = Request::Act {
            which: which.clone(),
            verb: Verb::Retry,
            after,
            limit: None,
        };
        let Reply::Acted(acted) = door.ask(request).await? else {
            return Err(strange().into());
        };
        found += acted.changed.len() as u64 + acted.leased;
        after = acted.next;
        if after.is_none() {
            break;
        }
    }
    match flush {
        Flush::Message(id) if found == 0 => {
            Err(Status::Unavailable.because(format!("there is no message {id}")))
        }
        _ => Ok(()),
    }
}
