//! How this host says who it is (AUTH, RFC 4954), by PLAIN (RFC 4616) or else by
//! LOGIN, before the first message.
//!
//! Both show the password itself, so nothing of it is said in clear unless that
//! is wanted. What goes wrong says nothing of a message: it waits, for a wrong
//! password is mended sooner than it would be noticed that all mail bounces.

use std::collections::VecDeque;

use slimta_core::message::{Class, Response};

use super::{Asked, Session};
use crate::client::login::{Login, Secret};
use crate::client::tls::Channel;

/// Longest command line without its end (RFC 5321 section 4.5.3.1.4): a longer
/// response goes on a line of its own (RFC 4954 section 4).
const COMMAND_BYTES_MAX: usize = 510;

/// How far this host has said who it is.
#[derive(Debug)]
pub(super) enum Auth {
    /// It need not say it, or nothing came of it.
    Done,
    /// The next hop believes it.
    LoggedIn,
    /// It is to say it once the session has begun.
    Wanted(Login),
    /// It has begun; what else it says, each when it is asked for it.
    Begun {
        user: Box<str>,
        rest: VecDeque<Secret>,
    },
    /// The next hop does not believe it.
    Denied,
}

impl Session {
    /// Has the session say who this host is before anything else, and end if the
    /// next hop does not take that.
    #[must_use]
    pub fn with_login(mut self, login: Login) -> Self {
        self.auth = Auth::Wanted(login);
        self
    }

    /// Whether it ended because the next hop refused name and password: nothing
    /// is gained by saying them again soon.
    pub fn was_denied(&self) -> bool {
        matches!(self.auth, Auth::Denied)
    }

    /// Whether the next hop knows who this host is.
    pub(super) fn is_logged_in(&self) -> bool {
        matches!(self.auth, Auth::LoggedIn)
    }

    /// Begins to say who this host is, if that is wanted.
    pub(super) fn log_in(&mut self) {
        let Auth::Wanted(login) = &self.auth else {
            return;
        };
        if self.channel != Channel::Encrypted && !login.goes_in_clear() {
            let text = "The password is not sent without TLS, which the next hop does not offer";
            return self.give_up(Response::transient(7, 4, text));
        }
        let (line, rest) = if self.extensions.auth_plain {
            let Secret(message) = login.plain();
            let line = format!("AUTH PLAIN {message}");
            match line.len() <= COMMAND_BYTES_MAX {
                true => (line, VecDeque::new()),
                false => ("AUTH PLAIN".to_owned(), [Secret(message)].into()),
            }
        } else if self.extensions.auth_login {
            ("AUTH LOGIN".to_owned(), login.name_and_password().into())
        } else {
            let text = "The next hop offers no way to log in that is known here (PLAIN, LOGIN)";
            return self.give_up(Response::transient(7, 8, text));
        };
        let user = login.user().into();
        self.auth = Auth::Begun { user, rest };
        self.ask(Asked::Auth, &line);
    }

    pub(super) fn hear_auth(&mut self, reply: &Response) {
        let Auth::Begun { user, rest } = &mut self.auth else {
            return;
        };
        if reply.code.get() == 334
            && let Some(Secret(line)) = rest.pop_front()
        {
            return self.ask(Asked::Auth, &line);
        }
        let text = format!("The next hop did not let {user} log in: {reply}");
        self.auth = match reply.class() {
            Class::Success => Auth::LoggedIn,
            Class::Permanent => Auth::Denied,
            Class::Transient | Class::Intermediate => Auth::Done,
        };
        let why = Response::transient(7, 8, text);
        match reply.class() {
            Class::Success => {}
            Class::Transient | Class::Permanent => self.give_up(why),
            // QUIT would be taken for the password.
            Class::Intermediate => self.fail(why),
        }
    }
}
