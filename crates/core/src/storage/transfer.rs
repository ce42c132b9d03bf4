//! Moves mail from one storage to another, so that each message is live in
//! exactly one of them at every moment, whenever the move is cut short.
//!
//! A message is copied under its lease into the other storage, where it is
//! *held* for the time being; then it is removed from the first, fenced by the
//! lease; then the copy is released. A move that is begun again finds copies by
//! why they are held: those whose original is gone are released, the others are
//! still to be moved. Messages of one submission go together, because they
//! share their contents. Suspensions are copied before any message, so that what
//! they keep back does not go out from the other storage.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::message::{MessageId, StoredMessage, Submission};

use super::{
    Action, Change, Deferral, Filter, Lease, Leased, Listed, Page, Session, Settled, Settlement,
    State, StorageError, Unreadable,
};

/// How long a message is leased while it is moved: enough for large contents
/// over a slow line. A move that dies keeps it from its managers for so long.
const LEASE: Duration = Duration::from_secs(300);
/// Messages looked at in one step.
const PAGE: usize = 100;
/// Between the name of the storage and why an operator holds the message.
const BEFORE: &str = "; held before: ";

/// What a move did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// How many messages are moved.
    pub messages: u64,
    /// How many an earlier, unfinished move had left to be released.
    pub finished: u64,
    /// How many suspensions are in force in the other storage now that were not.
    pub suspensions: u64,
    /// Left where they are because they, or others of their submission, are
    /// being attempted just now.
    pub busy: u64,
    /// Left where they are because they cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// Why a move ended early. What is moved stays so; the rest is where it was,
/// and the move can be begun again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MoveError {
    /// The storage that is being emptied failed.
    #[error("the storage that the mail is taken from: {0}")]
    From(StorageError),
    /// The storage that is being filled failed.
    #[error("the storage that the mail is brought to: {0}")]
    To(StorageError),
    /// A copy does not hold, so the original was left as it is.
    #[error(
        "message {0} is in both storages, and the copy is not held by this move: \
         delete one of them"
    )]
    Twice(MessageId),
    /// The copy is not there after it was stored, so the original was left as
    /// it is.
    #[error(
        "message {0} was not taken: other mail of its submission is there already, \
         and somebody has deleted the copy"
    )]
    NotTaken(MessageId),
}

/// Moves all mail of `from` to `to` and gives what was done. `name` names
/// `from`, the same at each call: by it a later move knows what this one left.
/// `told` hears of each message whose original is gone, before its copy is
/// released; after a move that was cut short, perhaps twice.
///
/// Mail that arrives in `from` in the meantime may be moved or not; where a
/// manager works on `from`, what it has leased is left for a later call.
pub async fn move_all(
    from: &dyn Session,
    to: &dyn Session,
    name: &str,
    told: &mut (dyn FnMut(&StoredMessage) + Send),
) -> Result<Moved, MoveError> {
    let mut mover = Mover {
        from,
        to,
        mark: format!("Being moved from {name}"),
        moved: Moved::default(),
        told,
    };
    mover.suspend().await?;
    mover.finish_earlier().await?;
    let mut after = None;
    loop {
        let page = Page { after, limit: PAGE };
        let listing = from.list(&Filter::default(), page).await;
        let listing = listing.map_err(MoveError::From)?;
        mover.moved.unreadable.extend(listing.unreadable);
        let submissions = listing.messages.iter().map(|l| l.message.submission);
        for submission in submissions.collect::<BTreeSet<_>>() {
            mover.submission(submission).await?;
        }
        after = listing.next;
        if after.is_none() {
            return Ok(mover.moved);
        }
    }
}

struct Mover<'a> {
    from: &'a dyn Session,
    to: &'a dyn Session,
    /// How the reason of a copy begins.
    mark: String,
    moved: Moved,
    told: &'a mut (dyn FnMut(&StoredMessage) + Send),
}

impl Mover<'_> {
    /// Keeps back in the other storage what is kept back in this one. What is
    /// suspended there already stays as it is.
    async fn suspend(&mut self) -> Result<(), MoveError> {
        let there = self.to.suspensions().await.map_err(MoveError::To)?;
        let here = self.from.suspensions().await.map_err(MoveError::From)?;
        let there: BTreeSet<_> = there.into_iter().map(|s| s.destinations).collect();
        for suspension in here {
            if !there.contains(&suspension.destinations) {
                self.to.suspend(&suspension).await.map_err(MoveError::To)?;
                self.moved.suspensions += 1;
            }
        }
        Ok(())
    }

    /// Releases copies whose originals are gone.
    async fn finish_earlier(&mut self) -> Result<(), MoveError> {
        let held = Filter {
            state: Some(State::Held),
            ..Filter::default()
        };
        let mut after = None;
        loop {
            let page = Page { after, limit: PAGE };
            let listing = self.to.list(&held, page).await.map_err(MoveError::To)?;
            for Listed { message, .. } in &listing.messages {
                let is_mine = self.is_copy(message);
                if is_mine && self.original(message.id).await?.is_none() {
                    self.release(message).await?;
                    self.moved.finished += 1;
                }
            }
            after = listing.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn original(&self, id: MessageId) -> Result<Option<Listed>, MoveError> {
        self.from.load(id).await.map_err(MoveError::From)
    }

    /// Moves what is left of a submission: all of it, or nothing if a part is
    /// being attempted.
    async fn submission(&mut self, submission: MessageId) -> Result<(), MoveError> {
        let (leased, busy) = self.lease(submission).await?;
        if busy > 0 {
            self.moved.busy += busy;
            return self.give_back(leased).await;
        }
        let Some(first) = leased.first().map(|l| l.message.id) else {
            return Ok(());
        };
        let content = match self.from.contents(first).await {
            Ok(Some(content)) => content,
            Ok(None) => return self.set_aside(leased, "its contents are missing").await,
            // Damaged, or the storage is away: then so says the next call.
            Err(error) => return self.set_aside(leased, &error.to_string()).await,
        };
        let copies: Vec<_> = leased.iter().map(|l| self.copy(&l.message)).collect();
        let copied = Submission {
            messages: copies.clone(),
            content,
        };
        // Where an earlier move has stored them already, this changes nothing.
        self.to.store(copied, None).await.map_err(MoveError::To)?;
        for copy in &copies {
            self.check(copy).await?;
        }
        self.remove(leased, &copies).await
    }

    /// Leases all messages of a submission; gives how many are not free, too.
    async fn lease(&self, submission: MessageId) -> Result<(Vec<Leased>, u64), MoveError> {
        let filter = Filter::id(submission);
        let (mut leased, mut busy, mut after) = (Vec::new(), 0, None);
        loop {
            let page = Page { after, limit: PAGE };
            let listing = self.from.list(&filter, page).await;
            let listing = listing.map_err(MoveError::From)?;
            for Listed { message, .. } in listing.messages {
                let lease = self.from.lock(message.id, LEASE).await;
                match lease.map_err(MoveError::From)? {
                    Some(one) => leased.push(one),
                    None => busy += 1,
                }
            }
            after = listing.next;
            if after.is_none() {
                return Ok((leased, busy));
            }
        }
    }

    async fn give_back(&self, leased: Vec<Leased>) -> Result<(), MoveError> {
        for Leased { lease, .. } in leased {
            // Lost: then it is somebody else's.
            let (Settled::Done | Settled::LeaseLost) =
                self.from.unlock(&lease).await.map_err(MoveError::From)?;
        }
        Ok(())
    }

    async fn set_aside(&mut self, leased: Vec<Leased>, reason: &str) -> Result<(), MoveError> {
        let unreadable = leased.iter().map(|l| Unreadable {
            id: l.message.id,
            reason: reason.to_owned(),
        });
        self.moved.unreadable.extend(unreadable);
        self.give_back(leased).await
    }

    /// Reads back what was stored. A copy of an earlier move may be older than
    /// its original.
    async fn check(&self, copy: &StoredMessage) -> Result<(), MoveError> {
        let there = self.to.load(copy.id).await.map_err(MoveError::To)?;
        match there.map(|listed| listed.message) {
            Some(there) if there == *copy => Ok(()),
            Some(there) if self.is_copy(&there) => self.update(copy).await,
            Some(_) => Err(MoveError::Twice(copy.id)),
            None => Err(MoveError::NotTaken(copy.id)),
        }
    }

    /// Brings an older copy to the state of its original.
    async fn update(&self, copy: &StoredMessage) -> Result<(), MoveError> {
        let twice = MoveError::Twice(copy.id);
        let Some(response) = copy.last_response.clone() else {
            return Err(twice);
        };
        let lease = self.to.lock(copy.id, LEASE).await.map_err(MoveError::To)?;
        let Some(Leased { lease, .. }) = lease else {
            return Err(twice);
        };
        let change = Change::Defer(Deferral {
            recipients: copy.envelope.recipients.clone(),
            attempts: copy.attempts,
            due: copy.due,
            response,
            delay_told: copy.delay_told,
            history: copy.history.clone(),
        });
        settle(self.to, lease, change)
            .await
            .map_err(MoveError::To)?
            .then_some(())
            .ok_or(twice)
    }

    /// Removes originals and releases their copies.
    async fn remove(
        &mut self,
        leased: Vec<Leased>,
        copies: &[StoredMessage],
    ) -> Result<(), MoveError> {
        for (Leased { lease, .. }, copy) in leased.into_iter().zip(copies) {
            let removed = settle(self.from, lease, Change::Remove).await;
            if removed.map_err(MoveError::From)? {
                self.release(copy).await?;
                self.moved.messages += 1;
            } else {
                self.moved.busy += 1;
            }
        }
        Ok(())
    }

    /// Makes a copy what its original was.
    async fn release(&mut self, copy: &StoredMessage) -> Result<(), MoveError> {
        (self.told)(copy);
        let held_before = copy.held.as_deref().and_then(|r| r.split_once(BEFORE));
        let action = match held_before {
            Some((_, reason)) => Action::Hold(reason.to_owned()),
            None => Action::Release,
        };
        // Its id may be that of its submission, too: one message a destination.
        let filter = Filter {
            state: Some(State::Held),
            destination: Some(copy.destination.clone()),
            ..Filter::id(copy.id)
        };
        let acted = self.to.act(&filter, Page::first(PAGE), &action).await;
        acted.map_err(MoveError::To).map(drop)
    }

    /// The message as it waits in `to` while it is moved.
    fn copy(&self, message: &StoredMessage) -> StoredMessage {
        let held = match &message.held {
            Some(reason) => format!("{}{BEFORE}{reason}", self.mark),
            None => self.mark.clone(),
        };
        StoredMessage {
            held: Some(held),
            ..message.clone()
        }
    }

    fn is_copy(&self, message: &StoredMessage) -> bool {
        let reason = message.held.as_deref();
        let rest = reason.and_then(|reason| reason.strip_prefix(&self.mark));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(BEFORE))
    }
}

/// Settles one message; false when its lease is lost.
async fn settle(session: &dyn Session, lease: Lease, change: Change) -> Result<bool, StorageError> {
    let settlement = Settlement {
        lease,
        change,
        notices: Vec::new(),
    };
    let mut answers = session.settle(&[settlement]).await?;
    Ok(answers.pop().transpose()? == Some(Settled::Done))
}
