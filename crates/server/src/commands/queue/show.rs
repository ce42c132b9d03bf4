//! `slimta queue show`.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use slimta_core::message::MessageId;

use super::walk::Walk;
use super::{story, strange, table, to_json};
use crate::admin::{Door, Listed, MessageView, Part, Reply, Request, Which};
use crate::failure::Failure;
use crate::output;

/// A message with the text of its contents. Octets that are not UTF-8 are
/// replaced; the plain `--content` gives them as they are.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    message: &'a MessageView,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

/// Shows a message, or all of a submission.
pub(super) async fn show(
    door: &Door,
    id: MessageId,
    part: Part,
    json: bool,
) -> Result<(), Failure> {
    let mut found = false;
    let mut walk = Walk::new(door, Which::id(id));
    while let Some(page) = walk.next().await? {
        for message in &page.messages {
            let Some(contents) = contents(door, message, part).await? else {
                // It left the queue just now.
                continue;
            };
            match (json, part) {
                (true, _) => output::line(to_json(&shown(message, &contents, part))?)?,
                (false, Part::Header) => show_header(message, &contents, found)?,
                // Messages of one submission share their contents: once is enough.
                (false, Part::Whole) => return write_raw(&contents),
            }
            found = true;
        }
        must_be_readable(&page, id)?;
    }
    if found {
        Ok(())
    } else {
        Err(Failure::Failed(format!("there is no message {id}")))
    }
}

/// Tells the story of each of a submission.
pub(super) async fn explain(door: &Door, id: MessageId, json: bool) -> Result<(), Failure> {
    let mut walk = Walk::new(door, Which::id(id));
    let mut found = false;
    while let Some(page) = walk.next().await? {
        for message in &page.messages {
            if found && !json {
                output::line("")?;
            }
            output::line(if json {
                to_json(message)?
            } else {
                story::explained(message)
            })?;
            found = true;
        }
        must_be_readable(&page, id)?;
    }
    if found {
        Ok(())
    } else {
        Err(Failure::Failed(format!(
            "there is no message {id}: if it was delivered, bounced or removed, the log says so"
        )))
    }
}

fn must_be_readable(page: &Listed, id: MessageId) -> Result<(), Failure> {
    match page.unreadable.iter().find(|unread| unread.id == id) {
        Some(unread) => Err(Failure::Failed(format!(
            "message {id} cannot be read: {}",
            unread.reason
        ))),
        None => Ok(()),
    }
}

async fn contents(
    door: &Door,
    message: &MessageView,
    part: Part,
) -> Result<Option<Vec<u8>>, Failure> {
    let id = message.id.parse().map_err(|_| strange())?;
    match door.ask(Request::Contents { id, part }).await? {
        Reply::Contents(contents) => Ok(contents),
        _ => Err(strange()),
    }
}

fn shown<'a>(message: &'a MessageView, contents: &[u8], part: Part) -> Shown<'a> {
    let text = Some(String::from_utf8_lossy(contents).into_owned());
    match part {
        Part::Header => Shown {
            message,
            header: text,
            content: None,
        },
        Part::Whole => Shown {
            message,
            header: None,
            content: text,
        },
    }
}

fn show_header(message: &MessageView, header: &[u8], follows: bool) -> Result<(), Failure> {
    if follows {
        output::line("")?;
    }
    output::line(table::card(message))?;
    output::line("")?;
    for line in String::from_utf8_lossy(header)
        .lines()
        .filter(|line| !line.is_empty())
    {
        output::line(line)?;
    }
    Ok(())
}

/// As it is, unless a terminal would obey it.
fn write_raw(contents: &[u8]) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() {
        let text = String::from_utf8_lossy(contents).replace("\r\n", "\n");
        return output::line(text.strip_suffix('\n').unwrap_or(&text));
    }
    let mut out = std::io::stdout().lock();
    out.write_all(contents)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::of_output(&error))
}
