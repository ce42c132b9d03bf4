//! Where a server is hit. A trap is armed for a named point; whoever comes by
//! that point first, a client or the next hop, sends the signal there and then.
//!
//! The points are seen from outside, so that the server that is hit is the one
//! that is shipped, without a line for tests in it.

use std::fmt;
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Server, until};

/// A point in the life of a server or of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Point {
    /// Any moment under load.
    Random,
    /// A client has sent the final dot: before, in or just after the commit.
    Dot,
    /// The commit is done, for the next hop has the message, and the client has
    /// read no answer: it will send again.
    Commit,
    /// The client has just read 250.
    Answered,
    /// The next hop has read the final dot and says nothing.
    Taken,
    /// The next hop has just said 250, and nothing is recorded.
    Reply,
    /// The log says that a delivery is recorded.
    Settled,
    /// The store is being opened.
    Opening,
}

impl Point {
    /// Those that are no matter of luck.
    pub(crate) const NAMED: [Point; 7] = [
        Point::Dot,
        Point::Commit,
        Point::Answered,
        Point::Taken,
        Point::Reply,
        Point::Settled,
        Point::Opening,
    ];
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// What is sent to whom, and at which point.
#[derive(Clone)]
pub(crate) struct Blow {
    pub(crate) signal: Signal,
    target: Pid,
    point: Point,
    /// Whose message must be there; any if there is one server.
    whose: Option<String>,
}

impl Blow {
    pub(crate) fn new(signal: Signal, server: &Server, point: Point) -> Self {
        let target = Pid::from_raw(server.pid().cast_signed()).unwrap();
        Blow {
            signal,
            target,
            point,
            whose: None,
        }
    }

    /// Only when this one of several servers is there.
    pub(crate) fn of(self, server: &str) -> Self {
        let whose = Some(server.to_owned());
        Blow { whose, ..self }
    }
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Armed(Blow),
    /// Somebody has come by, and will strike.
    Claimed,
}

/// One for all who may come by.
#[derive(Default)]
pub(crate) struct Trap(Mutex<State>);

impl Trap {
    /// Arms it and waits until it has struck. The server must not be waited for
    /// meanwhile, so that its process id stays its own.
    #[track_caller]
    pub(crate) fn strike(&self, blow: Blow) {
        let what = format!("somebody at the point {}", blow.point);
        *self.0.lock().unwrap() = State::Armed(blow);
        until(&what, || {
            matches!(*self.0.lock().unwrap(), State::Idle).then_some(())
        });
    }

    /// Strikes if it is armed for this point of this server, and says with what.
    /// It strikes after `ready` has returned, and then tells of it there.
    pub(crate) fn pass<T: FnOnce(Signal)>(
        &self,
        point: Point,
        server: &str,
        ready: impl FnOnce() -> T,
    ) -> Option<Signal> {
        let mut state = self.0.lock().unwrap();
        let State::Armed(blow) = &*state else {
            return None;
        };
        if blow.point != point || blow.whose.as_ref().is_some_and(|whose| whose != server) {
            return None;
        }
        let blow = blow.clone();
        *state = State::Claimed;
        drop(state);
        let tell = ready();
        kill_process(blow.target, blow.signal).unwrap();
        if blow.signal == Signal::STOP {
            until("a server that stands still", || is_stopped(blow.target));
        }
        tell(blow.signal);
        *self.0.lock().unwrap() = State::Idle;
        Some(blow.signal)
    }
}

/// Whether all of its threads stand still, which takes a moment.
fn is_stopped(process: Pid) -> Option<()> {
    let threads = format!("/proc/{}/task", process.as_raw_nonzero());
    let mut threads = std::fs::read_dir(threads).unwrap();
    let is_stopped = threads.all(|thread| {
        let state = std::fs::read_to_string(thread.unwrap().path().join("stat"));
        state.is_ok_and(|state| state.contains(") T "))
    });
    is_stopped.then_some(())
}
