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
#[derive(Clone, Copy)]
pub(crate) struct Blow {
    pub(crate) signal: Signal,
    target: Pid,
    point: Point,
}

impl Blow {
    pub(crate) fn new(signal: Signal, server: &Server, point: Point) -> Self {
        let target = Pid::from_raw(server.pid().cast_signed()).unwrap();
        Blow {
            signal,
            target,
            point,
        }
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
        *self.0.lock().unwrap() = State::Armed(blow);
        until(&format!("somebody at the point {}", blow.point), || {
            matches!(*self.0.lock().unwrap(), State::Idle).then_some(())
        });
    }

    /// Strikes if it is armed for this point, and says with what.
    pub(crate) fn pass(&self, point: Point) -> Option<Signal> {
        self.pass_when(point, || {})
    }

    /// The same, but strikes only after `ready` has returned.
    pub(crate) fn pass_when(&self, point: Point, ready: impl FnOnce()) -> Option<Signal> {
        let mut state = self.0.lock().unwrap();
        let State::Armed(blow) = *state else {
            return None;
        };
        if blow.point != point {
            return None;
        }
        *state = State::Claimed;
        drop(state);
        ready();
        kill_process(blow.target, blow.signal).unwrap();
        *self.0.lock().unwrap() = State::Idle;
        Some(blow.signal)
    }
}
