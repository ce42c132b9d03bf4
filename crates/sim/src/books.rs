//! What the simulated parts write down while a run goes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slimta_core::message::{Content, Envelope, MessageId, Recipient, Report};
use slimta_core::relay::LeaseSignal;
use slimta_core::storage::Ticket;

use crate::copies::Copies;
use crate::ledger::{Key, Ledger, Window};
use crate::wire::Line;

/// The header field that carries a message's number through the run.
const NUMBER: &str = "X-Sim: ";

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
    leased: BTreeMap<Ticket, Vec<(Recipient, Vec<Key>)>>,
    /// What each stored message speaks of.
    contents: BTreeMap<MessageId, Content>,
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

    /// A client was told that a copy is safe.
    pub(crate) fn answered(&self, number: usize, recipients: &[String]) {
        if !self.copies.is_stored(number) {
            self.fault(format!("copy {number} was answered before it was stored"));
        }
        self.pages().ledger.accepted(number, recipients);
    }

    /// A client was not told so, and nothing explains that.
    pub(crate) fn unanswered(&self, number: usize) {
        if self.copies.is_known(number) {
            self.fault(format!(
                "copy {number} is stored, and its client was told otherwise"
            ));
        }
    }

    /// Contents that are about to be stored under an id.
    pub(crate) fn stores(&self, id: MessageId, content: &Content) {
        self.pages().contents.insert(id, content.clone());
    }

    /// A message was leased.
    pub(crate) fn leases(&self, ticket: Ticket, envelope: &Envelope) {
        let mut pages = self.pages();
        let Some(content) = pages.contents.get(&ticket.id).cloned() else {
            pages
                .ledger
                .fault(format!("{} was leased, but never stored", ticket.id));
            return;
        };
        let of = |r: &Recipient| (r.clone(), keys(&content, envelope, r));
        let recipients = envelope.recipients.iter().map(of).collect();
        pages.leased.insert(ticket, recipients);
    }

    /// A settlement was committed after which `remaining` still wait. It records
    /// what was handed on under this lease, and nothing else.
    pub(crate) fn settles(&self, ticket: Ticket, remaining: &[Recipient]) {
        let mut pages = self.pages();
        let Some(recipients) = pages.leased.remove(&ticket) else {
            pages
                .ledger
                .fault(format!("{} was settled without a lease", ticket.id));
            return;
        };
        for (recipient, keys) in recipients {
            if remaining.contains(&recipient) {
                continue;
            }
            pages
                .open
                .retain(|taken| taken.ticket != ticket || !keys.contains(&taken.key));
            for key in keys {
                pages.ledger.struck(&key);
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

    /// Contents came to a next hop: they must be what was stored.
    pub(crate) fn arrives(&self, attempt: u64, content: &Content) {
        let mut pages = self.pages();
        let stored = pages.attempts.get(&attempt).map(|a| a.ticket.id);
        let stored = stored.and_then(|id| pages.contents.get(&id));
        if stored.is_none_or(|stored| stored.to_vec() != content.to_vec()) {
            pages
                .ledger
                .fault(format!("attempt {attempt} altered its message"));
        }
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
            if notice {
                pages.ledger.bounced(&key);
            } else {
                pages.ledger.delivered(&key);
            }
            if attempt.is_over {
                // The attempt broke off while this was on its way.
                pages.ledger.window(&key, Window::ReplyLost);
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
            pages.ledger.window(&key, window);
        }
    }

    /// Whether an attempt is under way, or its result is not recorded yet.
    pub(crate) fn is_busy(&self) -> bool {
        let pages = self.pages();
        !pages.open.is_empty() || pages.attempts.values().any(|attempt| !attempt.is_over)
    }

    /// A message is in the store at the end.
    pub(crate) fn waits(&self, id: MessageId, envelope: &Envelope) {
        let mut pages = self.pages();
        let content = pages.contents.get(&id).cloned().unwrap_or_default();
        for recipient in &envelope.recipients {
            for key in keys(&content, envelope, recipient) {
                pages.ledger.waiting(&key);
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
            pages.ledger.window(&taken.key, Window::ReplyLost);
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

/// The contents of the copy of this number of the message of this mark.
pub(crate) fn content(number: usize, mark: usize) -> Content {
    let id = format!("Message-ID: <{mark}@client.example>");
    let text = format!("{NUMBER}{number}\r\n{id}\r\n{}", body(number));
    Content::new(text.into_bytes())
}

/// The number of the copy that contents are.
pub(crate) fn number(content: &Content) -> Option<usize> {
    let bytes = content.to_vec();
    let text = String::from_utf8_lossy(&bytes);
    let number = text.lines().find_map(|line| line.strip_prefix(NUMBER));
    number.and_then(|number| number.trim_end().parse().ok())
}

/// Their end, which stays as it is on the whole way. Some lines begin with a
/// dot.
pub(crate) fn body(number: usize) -> String {
    let line = format!(".This is message {number}, and it must arrive as it is.\r\n.\r\n");
    format!("\r\n{}", line.repeat(1 + number % 5))
}

/// Whose fate a message for `recipient` tells: of a message of the run that
/// recipient's, of a notice the failed recipients'.
pub(crate) fn keys(content: &Content, envelope: &Envelope, recipient: &Recipient) -> Vec<Key> {
    let Some(number) = number(content) else {
        return Vec::new();
    };
    if !envelope.sender.is_null() {
        return vec![(number, recipient.address.as_str().to_owned())];
    }
    let bytes = content.to_vec();
    let text = String::from_utf8_lossy(&bytes);
    text.lines()
        .filter_map(|line| line.strip_prefix("Final-Recipient: rfc822;"))
        .map(|address| (number, address.trim().to_owned()))
        .collect()
}
