//! A session with a next hop: its opening, one transaction after the other.

mod auth;
mod contents;
mod opening;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use slimta_core::message::{Class, Response};

use super::commands::Parcel;
use super::dialect::Dialect;
use super::extensions::Extensions;
use super::outcome::{Outcome, Stage, Transaction};
use super::reply::Reader;
use super::timing::Timing;
use super::tls::{Channel, TlsLevel};
use super::wire::Transfer;
use auth::Auth;

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Write the output; then more of the replies has to come. The time is for
    /// one whole reply: see [`Session::replies`].
    Read(Duration),
    /// The next hop waits for the handshake of TLS: make the connection an
    /// encrypted one, then say [`tls_started`](Session::tls_started). If that
    /// fails, nothing more may be said on it.
    StartTls,
    /// The next hop waits for the contents: write them as [`wire`](Session::wire)
    /// has them, then say [`contents_sent`](Session::contents_sent).
    Contents,
    /// The session is open, and nothing is under way.
    Ready,
    /// A transaction is over. Whether another may follow says
    /// [`is_open`](Session::is_open).
    Done(Outcome),
    /// The session is over, and why.
    Closed(Response),
}

/// The client end of one connection.
#[derive(Debug)]
pub struct Session {
    hostname: String,
    dialect: Dialect,
    timing: Timing,
    level: TlsLevel,
    channel: Channel,
    auth: Auth,
    extensions: Extensions,
    reader: Reader,
    replies: u64,
    output: Vec<u8>,
    /// Commands that are sent once the next hop has answered all before them.
    waiting: VecDeque<(Asked, String)>,
    /// What was asked and is not answered yet.
    asked: VecDeque<Asked>,
    transaction: Option<Transaction>,
    /// The next hop still has the rest of a transaction that was not completed.
    is_soiled: bool,
    /// It was given up while the next hop still waits for a command.
    owes_quit: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// The driver was told to begin TLS.
    Tls,
    /// The driver was told to send the contents.
    Contents,
    Closed(Response),
}

/// What a reply answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Greeting,
    /// EHLO, or LHLO.
    Ehlo,
    Helo,
    StartTls,
    /// AUTH, or another line of its exchange.
    Auth,
    Reset,
    Mail,
    Recipient(usize),
    Data,
    Contents,
    /// The same for one recipient.
    ContentsFor(usize),
    /// Contents that are for nobody.
    Nothing,
    Quit,
}

impl Session {
    /// A session that has just been connected; `hostname` is what this host
    /// calls itself.
    pub fn new(hostname: impl Into<String>, timing: Timing) -> Self {
        Session {
            hostname: hostname.into(),
            dialect: Dialect::Smtp,
            timing,
            level: TlsLevel::Off,
            channel: Channel::Clear,
            auth: Auth::Done,
            extensions: Extensions::default(),
            reader: Reader::default(),
            replies: 0,
            output: Vec::new(),
            waiting: VecDeque::new(),
            asked: VecDeque::from([Asked::Greeting]),
            transaction: None,
            is_soiled: false,
            owes_quit: false,
            state: State::Open,
        }
    }

    /// Whether transactions may follow.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed(_))
    }

    /// What the next hop offers.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// How many replies have been read: a time limit begins anew with each.
    pub fn replies(&self) -> u64 {
        self.replies
    }

    /// What is to be written; whoever writes it empties it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Begins a transaction; the session must be ready.
    pub fn begin(&mut self, parcel: &Parcel<'_>) {
        let transfer = parcel.transfer();
        let mut transaction = Transaction::new(parcel.recipients.len(), transfer);
        if let State::Closed(why) = &self.state {
            transaction.settle_all(why);
        } else if let Some(obstacle) = parcel.obstacle(&self.extensions, self.dialect) {
            transaction.settle_all(&obstacle);
        } else {
            for (index, to) in parcel.recipients.iter().enumerate() {
                if let Some(obstacle) = parcel.obstacle_for(to, &self.extensions) {
                    transaction.answer(index, obstacle);
                }
            }
            self.put_to_wait(parcel, &transaction);
        }
        self.transaction = Some(transaction);
        self.send_waiting();
    }

    /// The commands of a transaction, if there is somebody to ask for.
    fn put_to_wait(&mut self, parcel: &Parcel<'_>, transaction: &Transaction) {
        let peer = &self.extensions;
        let open = (0..parcel.recipients.len()).filter(|index| transaction.is_open(*index));
        let recipients: Vec<_> = open
            .filter_map(|index| Some((index, parcel.recipients.get(index)?)))
            .map(|(index, to)| (Asked::Recipient(index), parcel.rcpt(to, peer)))
            .collect();
        if recipients.is_empty() {
            return;
        }
        if self.is_soiled {
            self.waiting.push_back((Asked::Reset, "RSET".to_owned()));
        }
        let mail = parcel.mail(peer, self.is_logged_in());
        self.waiting.push_back((Asked::Mail, mail));
        self.waiting.extend(recipients);
        if transaction.transfer() == Transfer::Data {
            self.waiting.push_back((Asked::Data, "DATA".to_owned()));
        }
        self.is_soiled = true;
    }

    /// Sends all commands that wait, or one, if the next hop wants to answer
    /// each before the next.
    fn send_waiting(&mut self) {
        while self.extensions.pipelining || self.asked.is_empty() {
            let Some((asked, line)) = self.waiting.pop_front() else {
                return;
            };
            let alone = !self.extensions.pipelining;
            let has_accepted = self
                .transaction
                .as_ref()
                .is_some_and(Transaction::has_accepted);
            if alone && asked == Asked::Data && !has_accepted {
                return;
            }
            self.ask(asked, &line);
        }
    }

    fn ask(&mut self, asked: Asked, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.asked.push_back(asked);
    }

    /// Works through what came and says what to do next.
    pub fn step(&mut self, input: &mut BytesMut) -> Step {
        loop {
            if let State::Closed(why) = &self.state {
                let why = why.clone();
                return match self.transaction.take() {
                    Some(transaction) => Step::Done(transaction.finish(self.extensions.dsn)),
                    None => Step::Closed(why),
                };
            }
            let Some(asked) = self.asked.front().copied() else {
                if !input.is_empty() {
                    self.unasked(input);
                    continue;
                }
                return self.idle();
            };
            match self.reader.read(input) {
                Ok(None) => return Step::Read(self.time_for(asked)),
                Ok(Some(reply)) => {
                    self.replies += 1;
                    self.asked.pop_front();
                    self.hear(asked, reply);
                    self.send_waiting();
                }
                Err(error) => self.fail(Response::transient(5, 0, error.to_string())),
            }
        }
    }

    /// What to do when everything that was asked is answered.
    fn idle(&mut self) -> Step {
        match self.state {
            State::Contents => return Step::Contents,
            State::Tls => return Step::StartTls,
            State::Open | State::Closed(_) => {}
        }
        if self.begin_chunk() {
            return Step::Contents;
        }
        match self.transaction.take() {
            Some(transaction) => Step::Done(transaction.finish(self.extensions.dsn)),
            None => Step::Ready,
        }
    }

    /// The next hop said something that nothing asked for. From now on no reply
    /// could be trusted to belong to its command.
    fn unasked(&mut self, input: &mut BytesMut) {
        if matches!(self.state, State::Tls) {
            return self.tampered();
        }
        let why = match self.reader.read(input) {
            Ok(Some(reply)) if reply.class() == Class::Transient => reply,
            _ => Response::transient(5, 0, "The next hop answered before it was asked"),
        };
        if !matches!(self.state, State::Contents) && self.transaction.is_some() {
            // The transaction had all of its answers before.
            self.state = State::Closed(why);
        } else {
            self.fail(why);
        }
    }

    fn time_for(&self, asked: Asked) -> Duration {
        match asked {
            Asked::Greeting | Asked::Ehlo | Asked::Helo => self.timing.greeting,
            Asked::StartTls => self.timing.tls,
            Asked::Auth | Asked::Reset | Asked::Mail | Asked::Recipient(_) => self.timing.command,
            Asked::Data => self.timing.data,
            Asked::Contents | Asked::ContentsFor(_) | Asked::Nothing => self.timing.contents,
            Asked::Quit => self.timing.quit,
        }
    }

    fn hear(&mut self, asked: Asked, reply: Response) {
        if self.channel == Channel::Starting && asked != Asked::StartTls {
            // Behind STARTTLS nothing is asked but in TLS.
            self.channel = Channel::Encrypted;
        }
        if reply.code.get() == 421 || asked == Asked::Quit {
            return self.fail(reply);
        }
        match asked {
            Asked::Greeting | Asked::Ehlo | Asked::Helo => self.hear_opening(asked, reply),
            Asked::StartTls => self.hear_starttls(&reply),
            Asked::Auth => self.hear_auth(&reply),
            Asked::Reset if reply.is_success() => {}
            Asked::Reset => self.fail(unexpected("RSET", &reply)),
            Asked::Mail => self.hear_sender(reply),
            Asked::Recipient(index) => self.hear_recipient(index, reply),
            Asked::Data => self.hear_data(reply),
            Asked::Contents => self.hear_contents(&reply),
            Asked::ContentsFor(index) => self.hear_contents_for(index, reply),
            Asked::Nothing => {}
            Asked::Quit => {}
        }
    }

    fn hear_sender(&mut self, reply: Response) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        match reply.class() {
            Class::Success => transaction.reach(Stage::Recipients),
            Class::Transient | Class::Permanent => {
                transaction.reach(Stage::Sender);
                transaction.settle_all(&reply);
                self.waiting.clear();
            }
            Class::Intermediate => self.fail(unexpected("MAIL", &reply)),
        }
    }

    fn hear_recipient(&mut self, index: usize, reply: Response) {
        if reply.class() == Class::Intermediate {
            return self.fail(unexpected("RCPT", &reply));
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.answer(index, reply);
        }
    }

    /// The connection is lost, or not to be used any more: whoever has no
    /// answer yet gets this one.
    pub fn fail(&mut self, why: Response) {
        let why = if why.class() == Class::Transient {
            why
        } else {
            unexpected("the session", &why)
        };
        if let Some(transaction) = &mut self.transaction {
            if !self.asked.is_empty() {
                transaction.reach(Stage::Sender);
            }
            transaction.settle_all(&why);
        }
        self.waiting.clear();
        self.asked.clear();
        self.owes_quit = false;
        self.state = State::Closed(why);
    }

    /// Says goodbye; the session must be ready, or [owe](Self::owes_quit) it.
    pub fn quit(&mut self) {
        if std::mem::take(&mut self.owes_quit) {
            self.state = State::Open;
        }
        if self.is_open() {
            self.ask(Asked::Quit, "QUIT");
        }
    }
}

/// A reply that is no answer to what was asked.
fn unexpected(asked: &str, reply: &Response) -> Response {
    Response::transient(5, 0, format!("Unexpected answer to {asked}: {reply}"))
}
