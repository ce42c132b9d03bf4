//! `slimta queue check`.

use std::sync::Arc;

use serde_json::json;
use slimta_core::message::StoredMessage;
use slimta_core::queue::Pages;
use slimta_core::storage::{Filter, Session, Unreadable};

use super::super::to_json;
use super::{failed, messages};
use crate::assemble;
use crate::failure::Failure;
use crate::output::{self, Unit};

#[derive(Default)]
struct Checked {
    messages: u64,
    /// Found to be damaged, and set aside or named.
    damaged: u64,
    /// Set aside, now or earlier.
    quarantined: u64,
    wrong: Vec<Unreadable>,
}

pub(super) async fn check(storage: &str, json: bool) -> Result<(), Failure> {
    let session = assemble::checked_session(storage, "--storage").await?;
    let checked = read_all(&session).await;
    session.close().await;
    report(&checked?, json)
}

async fn read_all(session: &Arc<dyn Session>) -> Result<Checked, Failure> {
    let before = session.stats().await.map_err(failed)?;
    let bar = output::progress(before.messages, Unit::Messages);
    let mut checked = Checked::default();
    let mut pages = Pages::new(session.clone(), Filter::default());
    while let Some(page) = pages.next().await.map_err(failed)? {
        for listed in page.messages {
            checked.messages += 1;
            if let Some(reason) = wrong(&**session, &listed.message).await {
                let id = listed.message.id;
                checked.wrong.push(Unreadable { id, reason });
            }
            bar.inc(1);
        }
        checked.wrong.extend(page.unreadable);
    }
    bar.finish_and_clear();
    checked.quarantined = session.stats().await.map_err(failed)?.quarantined;
    let set_aside = checked.quarantined.saturating_sub(before.quarantined);
    checked.damaged = set_aside + checked.wrong.len() as u64;
    Ok(checked)
}

/// What is wrong with the contents of a message.
async fn wrong(session: &dyn Session, message: &StoredMessage) -> Option<String> {
    match session.contents(message.id).await {
        Ok(Some(content)) if content.len() as u64 == message.size => None,
        Ok(Some(content)) => Some(format!(
            "its contents have {} bytes, and should have {}",
            content.len(),
            message.size
        )),
        // Settled since it was listed, or set aside just now, which is logged.
        Ok(None) => match session.load(message.id).await {
            Ok(None) => None,
            _ => Some("its contents are missing".to_owned()),
        },
        Err(error) => Some(error.to_string()),
    }
}

fn report(checked: &Checked, json: bool) -> Result<(), Failure> {
    let (count, quarantined) = (messages(checked.messages), checked.quarantined);
    let damaged = checked.damaged;
    output::line(if json {
        to_json(&json!({
            "checked": checked.messages,
            "damaged": damaged,
            "quarantined": quarantined,
        }))?
    } else {
        format!("{count} checked, {damaged} damaged, {quarantined} in quarantine")
    })?;
    for one in &checked.wrong {
        let reason = output::harmless(&one.reason);
        eprintln!("slimta: message {} cannot be read: {reason}", one.id);
    }
    match damaged == 0 && quarantined == 0 {
        true => Ok(()),
        false => Err(Failure::Told),
    }
}
