//! When the attempts of a message would fall: what an operator wants to know
//! of a schedule before mail waits by it.

use std::time::Duration;

use super::Schedule;

/// Steps that are looked at one by one. Whatever is written has come to the
/// delay that repeats by then, and the rest is a division.
const WALK_MAX: u64 = 100_000;

/// When the attempts of a message fall if each fails, as time since it was
/// received. Attempts themselves take no time here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The retries, in order, as many as were asked for.
    pub steps: Vec<Step>,
    /// How many more there may be.
    pub more: u64,
    /// The number of the last attempt, at least and at most.
    pub last_attempt: (u64, u64),
    /// When the message is given up, which is when its last attempt fails, at
    /// the earliest and at the latest.
    pub given_up: (Duration, Duration),
}

/// One retry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its number; the first attempt, which is made at once, is 1.
    pub attempt: u64,
    /// How long after the attempt before it, without jitter.
    pub delay: Duration,
    /// When it falls if jitter makes every delay as short as it can.
    pub earliest: Duration,
    /// When it falls if jitter makes every delay as long as it can.
    pub latest: Duration,
    /// Whether it is made whatever the jitter does. One that is not may fall
    /// behind the greatest age, and then the message was given up before.
    pub certain: bool,
}

impl Schedule {
    /// When the attempts of a message fall; the first `steps_max` retries one by
    /// one.
    pub fn plan(&self, steps_max: usize) -> Plan {
        let mut walk = Walk::new(self, steps_max);
        while walk.step() {}
        walk.plan
    }
}

/// A walk over the attempts.
struct Walk<'a> {
    schedule: &'a Schedule,
    steps_max: usize,
    plan: Plan,
    /// The attempt that was reached, and when it falls.
    attempt: u64,
    earliest: Duration,
    latest: Duration,
    /// Whether an attempt was found that may be the last.
    may_end: bool,
}

impl<'a> Walk<'a> {
    fn new(schedule: &'a Schedule, steps_max: usize) -> Self {
        Walk {
            schedule,
            steps_max,
            plan: Plan {
                steps: Vec::new(),
                more: 0,
                last_attempt: (1, 1),
                given_up: (Duration::ZERO, Duration::ZERO),
            },
            attempt: 1,
            earliest: Duration::ZERO,
            latest: Duration::ZERO,
            may_end: false,
        }
    }

    /// Goes on to the next attempt; false if there is none.
    fn step(&mut self) -> bool {
        let failures = u32::try_from(self.attempt).unwrap_or(u32::MAX);
        let Some(delay) = self.schedule.delay(failures) else {
            self.end(self.earliest);
            return false;
        };
        let (least, most) = self.schedule.bounds(delay);
        if let Some(until) = self.schedule.until {
            if self.latest + most > until {
                self.end(self.earliest.max(until.saturating_sub(most)));
            }
            if self.earliest + least > until {
                return false;
            }
            if self.attempt > WALK_MAX {
                self.skip(until, least, most);
                return false;
            }
        }
        self.attempt += 1;
        self.earliest += least;
        let latest = self.latest + most;
        let until = self.schedule.until.unwrap_or(Duration::MAX);
        self.latest = latest.min(until);
        let certain = !self.may_end;
        if self.plan.steps.len() < self.steps_max {
            self.plan.steps.push(Step {
                attempt: self.attempt,
                delay,
                earliest: self.earliest,
                latest: self.latest,
                certain,
            });
        } else {
            self.plan.more += 1;
        }
        true
    }

    /// The attempt that was reached may be the last, and fail at `earliest` or
    /// later.
    fn end(&mut self, earliest: Duration) {
        if !self.may_end {
            self.may_end = true;
            self.plan.last_attempt.0 = self.attempt;
            self.plan.given_up.0 = earliest;
        }
        self.plan.last_attempt.1 = self.attempt;
        self.plan.given_up.0 = self.plan.given_up.0.min(earliest);
        self.plan.given_up.1 = self.plan.given_up.1.max(self.latest);
    }

    /// Goes to the end over one delay, which is never zero when it repeats.
    fn skip(&mut self, until: Duration, least: Duration, most: Duration) {
        let times = |left: Duration, delay: Duration| {
            u64::try_from(left.as_nanos() / delay.as_nanos().max(1)).unwrap_or(u64::MAX)
        };
        let at_most = times(until.saturating_sub(self.earliest), least);
        let at_least = times(until.saturating_sub(self.latest), most);
        if !self.may_end {
            self.plan.last_attempt.0 = self.attempt.saturating_add(at_least);
        }
        self.plan.last_attempt.1 = self.attempt.saturating_add(at_most);
        self.plan.more = self.plan.more.saturating_add(at_most);
        let (earliest, latest) = match least == most {
            true => {
                let rest = (until - self.latest).as_nanos() % most.as_nanos().max(1);
                let end = until - Duration::from_nanos(u64::try_from(rest).unwrap_or(0));
                (end, end)
            }
            false => (until.saturating_sub(most), until),
        };
        let before = self.may_end.then_some(self.plan.given_up);
        self.plan.given_up = match before {
            Some(before) => (before.0.min(earliest), before.1.max(latest)),
            None => (earliest, latest),
        };
    }
}
