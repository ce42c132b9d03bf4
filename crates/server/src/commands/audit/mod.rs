//! `slimta audit`: what became of every message, from the log and the store.

mod lines;
mod told;

use std::time::Duration;

use clap::Args;
use slimta_core::message::MessageId;
use slimta_core::world::World;
use slimta_oracle::Fate;
use slimta_oracle::audit::{Audit, Id, Verdict};

use crate::admin::{Door, Reply, Request, Which};
use crate::assemble;
use crate::commands::block_on;
use crate::commands::queue::{Place, Walk, strange};
use crate::failure::Failure;

use lines::Log;

/// How often what looks wrong beside a running server is looked at again: its
/// log is a little behind its store.
const LOOKS_MAX: u32 = 4;
const LOOK_DELAY: Duration = Duration::from_millis(250);

/// Say what became of every message, and what is wrong.
///
/// Reads the log that the server wrote with `--log-format json`, and looks into
/// the store: beside a running server, or when none runs. Ends with status 1 if
/// a message is lost or unexplained.
#[derive(Args, Debug)]
pub(crate) struct AuditCommand {
    #[command(flatten)]
    place: Place,
    /// Print JSON, one object a line; the last is the summary
    #[arg(long)]
    json: bool,
    /// Print every message, not only those that are not well
    #[arg(long)]
    all: bool,
    /// The files of the log, oldest first; `-` for stdin
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<String>,
}

impl AuditCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let place = self.place.begin()?;
        let mut log = Log::open(&self.logs, assemble::name(&place.storage))?;
        block_on(async {
            let mut audit = Audit::default();
            let began = World::system().now().as_millis();
            // Before the store: what is in the log is stored by then, or gone
            // again, and the rest of the log says how.
            log.read(&mut audit)?;
            let door = assemble::door(&place).await?;
            let looked = look(&door, &mut audit, &mut log, made_before(began)).await;
            let is_running = matches!(door, Door::Socket(_));
            door.close().await;
            looked?;
            log.end(&mut audit)?;
            let mut verdicts = audit.judge(is_running);
            verdicts.retain(|verdict| made_before(began)(verdict.id));
            told::tell(
                &verdicts,
                &log,
                audit.lives(is_running),
                self.all,
                self.json,
            )?;
            match verdicts.iter().any(|verdict| verdict.fate.is_fault()) {
                true => Err(Failure::Told),
                false => Ok(()),
            }
        })?
    }
}

/// Whether a message is judged: what comes in meanwhile is not, or a busy
/// server would always look wrong.
fn made_before(millis: i64) -> impl Fn(Id) -> bool + Copy {
    let end = u128::try_from(millis).unwrap_or(0) << 80;
    move |id| id < end
}

/// Looks into the store. Beside a running server what is not well is looked at
/// again, a few times.
async fn look(
    door: &Door,
    audit: &mut Audit,
    log: &mut Log,
    is_judged: impl Fn(Id) -> bool,
) -> Result<(), Failure> {
    let mut walk = Walk::new(door, Which::default());
    while let Some(page) = walk.next().await? {
        for message in &page.messages {
            let id = message.id.parse().map_err(|_| strange())?;
            audit.stored(number(id), Some(message.recipients.clone()));
        }
        for unread in &page.unreadable {
            audit.unreadable(number(unread.id.0));
        }
    }
    if matches!(door, Door::Desk(_)) {
        return Ok(());
    }
    log.read(audit)?;
    let is_suspect = |verdict: &Verdict| {
        is_judged(verdict.id) && (verdict.fate.is_fault() || verdict.fate == Fate::Unknown)
    };
    for _ in 0..LOOKS_MAX {
        let verdicts = audit.judge(true);
        let mut suspects = verdicts.iter().filter(|v| is_suspect(v)).peekable();
        if suspects.peek().is_none() {
            break;
        }
        for suspect in suspects {
            audit.stored(suspect.id, waiting(door, suspect.id).await?);
        }
        World::system().sleep(LOOK_DELAY).await;
        log.read(audit)?;
    }
    Ok(())
}

/// For whom a message is in the store, if it is.
async fn waiting(door: &Door, id: Id) -> Result<Option<Vec<String>>, Failure> {
    let id = MessageId::from_bytes(id.to_be_bytes());
    let which = Which::id(id);
    let request = Request::List { which, after: None };
    let Reply::Listed(page) = door.ask(request).await? else {
        return Err(strange());
    };
    let id = id.to_string();
    let mut messages = page.messages.into_iter();
    let found = messages.find(|message| message.id == id);
    Ok(found.map(|message| message.recipients))
}

fn number(id: MessageId) -> Id {
    Id::from_be_bytes(*id.as_bytes())
}
