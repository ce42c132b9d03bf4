//! What the simulated parts write down while a run goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slimta_core::message::{
    Content, Envelope, MessageId, Recipient, Report, StoredMessage, Submission,
};
use slimta_core::relay::LeaseSignal;
use slimta_core::storage::Ticket;
use slimta_oracle::{Fate, Window};

use crate::copies::Copies;
use crate::mail::{Key, keys};
use crate::wire::Line;

type Ledger = slimta_oracle::Ledger<usize>;

/// The shared books of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pages: Arc<Mutex<Pages>>,
    pub(crate) copies: Copies,
}

#[derive(Debug, Default)]
struct Pages {
    ledger: Ledger,
    story: Vec<String>,
    /// The lines of the story that tell of faults.
    faults: Vec<String>,
    /// All attempts, by number from one.
    attempts: BTreeMap<u64, Attempt>,
    /// Taken by a next hop, and not known to be recorded.
    open: Vec<Taken>,
    /// Whom a leased message is for.
    leased: BTreeMap<Ticket, Leased>,
    /// What each stored message speaks of.
    contents: BTreeMap<MessageId, Content>,
    /// Whose message, or the notice about them, was stored in a commit.
    committed: BTreeSet<Key>,
}

/// A leased message.
#[derive(Debug)]
struct Leased {
    /// Then those of whom it speaks were settled when it was stored.
    is_notice: bool,
    recipients: Vec<(Recipient, Vec<Key>)>,
}

/// One attempt.
#[derive(Debug)]
struct Attempt {
    manager: usize,
    /// The lease under which it is made.
    ticket: Ticket,
    lease: LeaseSignal,
    is_over: bool,
    /// Whom the next hop took it for.
    taken: Vec<Recipient>,
}

/// What a next hop took.
#[derive(Debug)]
struct Taken {
    attempt: u64,
    manager: usize,
    ticket: Ticket,
    recipient: Recipient,
    key: Key,
    line: Arc<Line>,
}

impl Books {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of the story.
    pub(crate) fn tell(&self, line: String) {
        self.pages().story.push(line);
    }

    /// A line of the story that tells of something bad that was drawn.
    pub(crate) fn tell_fault(&self, line: String) {
        let mut pages = self.pages();
        pages.faults.push(line.clone());
        pages.story.push(line);
    }

    /// A rule was seen broken.
    pub(crate) fn fault(&self, what: String) {
        self.pages().ledger.fault(what);
    }

    /// A copy is about to be stored: somebody handed it in, and whole. Gives its
    /// number.
    pub(crate) fn whole(&self, number: Option<usize>) -> usize {
        match number {
            Some(number) if self.copies.is_whole(number) => number,
            _ => {
                self.fault(format!("copy {number:?} is stored, and nobody ended it"));
                usize::MAX
            }
        }
    }

    /// A client was not told so, and nothing explains that.
    pub(crate) fn unanswered(&self, number: usize) {
        if self.copies.is_known(number) {
            self.fault(format!(
                "copy {number} is stored, and its client was told otherwise"
            ));
        }
    }

    /// A client was told that a copy is safe.
    pub(crate) fn answered(&self, number: usize, recipients: &[String]) {
        let mut guard = self.pages();
        let pages = &mut *guard;
        for recipient in recipients {
            let key = (number, recipient.clone());
            let account = pages.ledger.account(&key);
            account.owe();
            if !pages.committed.contains(&key) {
                account.spoil(Fate::Early, "answered before it was stored".to_owned());
            }
        }
    }

    /// A submission is about to be stored; gives whom it speaks of.
    pub(crate) fn stores(&self, submission: &Submission) -> Vec<Key> {
        let mut pages = self.pages();
        let content = &submission.content;
        let mut all = Vec::new();
        for message in &submission.messages {
            pages.contents.insert(message.id, content.clone());
            let recipients = message.envelope.recipients.iter();
            all.extend(recipients.flat_map(|r| keys(content, &message.envelope, r)));
        }
        all
    }

    /// What speaks of these was stored in a commit.
    pub(crate) fn commits(&self, keys: Vec<Key>) {
        self.pages().committed.extend(keys);
    }

    /// A recipient has its turn before its time.
    pub(crate) fn comes_early(&self, key: &Key, why: &str) {
        let mut pages = self.pages();
        pages.ledger.account(key).spoil(Fate::Early, why.to_owned());
    }

    /// What comes for a recipient is not what was sent.
    pub(crate) fn is_altered(&self, key: &Key) {
        let why = "it is not what was sent".to_owned();
        self.pages().ledger.account(key).spoil(Fate::Altered, why);
    }

    /// A message was leased.
    pub(crate) fn leases(&self, ticket: Ticket, message: &StoredMessage) {
        let envelope = &message.envelope;
        let mut pages = self.pages();
        let Some(content) = pages.contents.get(&ticket.id).cloned() else {
            pages
                .ledger
                .fault(format!("{} was leased, but never stored", ticket.id));
            return;
        };
        let of = |r: &Recipient| (r.clone(), keys(&content, envelope, r));
        let leased = Leased {
            is_notice: envelope.sender.is_null(),
            recipients: envelope.recipients.iter().map(of).collect(),
        };
        for key in leased.recipients.iter().flat_map(|(_, keys)| keys) {
            if message.held.is_some() {
                let why = "leased while it was held".to_owned();
                pages.ledger.account(key).spoil(Fate::Early, why);
            }
        }
        pages.leased.insert(ticket, leased);
    }

    /// A settlement was committed after which `remaining` still wait. It records
    /// what was handed on under this lease, and nothing else.
    pub(crate) fn settles(&self, ticket: Ticket, remaining: &[Recipient]) {
        let mut pages = self.pages();
        let Some(leased) = pages.leased.remove(&ticket) else {
            pages
                .ledger
                .fault(format!("{} was settled without a lease", ticket.id));
            return;
        };
        for (recipient, keys) in leased.recipients {
            if remaining.contains(&recipient) {
                continue;
            }
            pages
                .open
                .retain(|taken| taken.ticket != ticket || !keys.contains(&taken.key));
            for key in keys.iter().filter(|_| !leased.is_notice) {
                pages.ledger.account(key).settle();
            }
        }
    }

    /// An attempt begins; it ends when what is given back is dropped.
    pub(crate) fn attempt(&self, manager: usize, id: MessageId, lease: &LeaseSignal) -> Attempting {
        let mut pages = self.pages();
        let number = pages.attempts.len() as u64 + 1;
        let is_alive = |a: &&Attempt| a.ticket.id == id && !a.is_over && a.lease.is_alive();
        if lease.is_alive() && pages.attempts.values().any(|a| is_alive(&a)) {
            pages
                .ledger
                .fault(format!("{id} is attempted under two leases at once"));
        }
        // The lease is in force, so no later one has been given.
        let mut leased = pages.leased.keys().rev();
        match leased.find(|ticket| ticket.id == id).copied() {
            None => pages
                .ledger
                .fault(format!("{id} is attempted without a lease")),
            Some(ticket) => {
                let attempt = Attempt {
                    manager,
                    ticket,
                    lease: lease.clone(),
                    is_over: false,
                    taken: Vec::new(),
                };
                pages.attempts.insert(number, attempt);
            }
        }
        Attempting {
            books: self.clone(),
            number,
        }
    }

    /// Whether contents that came to a next hop are what was stored.
    pub(crate) fn is_as_stored(&self, attempt: u64, content: &Content) -> bool {
        let pages = self.pages();
        let stored = pages.attempts.get(&attempt).map(|a| a.ticket.id);
        let stored = stored.and_then(|id| pages.contents.get(&id));
        stored.is_some_and(|stored| stored.to_vec() == content.to_vec())
    }

    /// A next hop took a message for a recipient.
    pub(crate) fn takes(
        &self,
        number: u64,
        recipient: &Recipient,
        keys: Vec<Key>,
        notice: bool,
        line: &Arc<Line>,
    ) {
        let mut guard = self.pages();
        let pages = &mut *guard;
        let Some(attempt) = pages.attempts.get_mut(&number) else {
            pages
                .ledger
                .fault(format!("something came of no attempt: {keys:?}"));
            return;
        };
        attempt.taken.push(recipient.clone());
        for key in keys {
            let account = pages.ledger.account(&key);
            match notice {
                true => account.bounce(),
                false => account.deliver(),
            }
            if !pages.committed.contains(&key) {
                account.spoil(Fate::Early, "handed on before it was stored".to_owned());
            }
            if attempt.is_over {
                // The attempt broke off while this was on its way.
                account.open(Window::ReplyLost);
                continue;
            }
            pages.open.push(Taken {
                attempt: number,
                manager: attempt.manager,
                ticket: attempt.ticket,
                recipient: recipient.clone(),
                key,
                line: line.clone(),
            });
        }
    }

    /// Nothing tells any more whether what `manager` handed on of these
    /// messages was taken.
    pub(crate) fn loses_track(&self, manager: usize, message: Option<MessageId>, window: Window) {
        let mut pages = self.pages();
        let meant = |taken: &Taken| {
            taken.manager == manager && message.is_none_or(|id| id == taken.ticket.id)
        };
        let (lost, open) = std::mem::take(&mut pages.open).into_iter().partition(meant);
        pages.open = open;
        let lost: Vec<_> = lost;
        for Taken { key, .. } in lost {
            pages.ledger.account(&key).open(window);
        }
    }

    /// Whether an attempt is under way, or its result is not recorded yet.
    pub(crate) fn is_busy(&self) -> bool {
        let pages = self.pages();
        !pages.open.is_empty() || pages.attempts.values().any(|attempt| !attempt.is_over)
    }

    /// An operator removed a message.
    pub(crate) fn removes(&self, id: MessageId, envelope: &Envelope) {
        let mut pages = self.pages();
        let content = pages.contents.get(&id).cloned().unwrap_or_default();
        for recipient in &envelope.recipients {
            for key in keys(&content, envelope, recipient) {
                pages.ledger.account(&key).remove();
            }
        }
    }

    /// A message is in the store at the end, when all should be settled.
    pub(crate) fn waits(&self, id: MessageId, envelope: &Envelope) {
        let mut pages = self.pages();
        let content = pages.contents.get(&id).cloned().unwrap_or_default();
        for recipient in &envelope.recipients {
            for key in keys(&content, envelope, recipient) {
                pages.ledger.account(&key).wait();
                pages.ledger.fault(format!("{key:?} is still queued"));
            }
        }
    }

    /// Ends the books: the ledger, the story, and its faults.
    pub(crate) fn close(&self) -> (Ledger, Vec<String>, Vec<String>) {
        let mut pages = self.pages();
        let pages = std::mem::take(&mut *pages);
        (pages.ledger, pages.story, pages.faults)
    }
}

/// An attempt that is under way.
pub(crate) struct Attempting {
    books: Books,
    pub(crate) number: u64,
}

impl Attempting {
    /// Compares what the relay reports with what the next hop did. What was
    /// taken and is not reported must have a bad connection to blame; what is
    /// reported must have been taken.
    pub(crate) fn compare(&self, recipients: &[Recipient], report: &Report) {
        let mut guard = self.books.pages();
        let pages = &mut *guard;
        let is_reported = |recipient: &Recipient| {
            let at = recipients
                .iter()
                .position(|r| r.address == recipient.address);
            let response = at.and_then(|at| report.responses.get(at));
            response.is_some_and(slimta_core::message::Response::is_success)
        };
        let Some(attempt) = pages.attempts.get(&self.number) else {
            return;
        };
        for recipient in recipients.iter().filter(|r| is_reported(r)) {
            if !attempt.taken.iter().any(|r| r.address == recipient.address) {
                let address = recipient.address.as_str();
                pages
                    .ledger
                    .fault(format!("nobody took what was reported for {address}"));
            }
        }
        let number = self.number;
        let unreported =
            |taken: &mut Taken| taken.attempt == number && !is_reported(&taken.recipient);
        for taken in pages.open.extract_if(.., unreported) {
            pages.ledger.account(&taken.key).open(Window::ReplyLost);
            if !taken.line.is_bad() {
                pages
                    .ledger
                    .fault(format!("a good reply was not heeded: {:?}", taken.key));
            }
        }
    }
}

impl Drop for Attempting {
    fn drop(&mut self) {
        let mut pages = self.books.pages();
        if let Some(attempt) = pages.attempts.get_mut(&self.number) {
            attempt.is_over = true;
        }
    }
}
