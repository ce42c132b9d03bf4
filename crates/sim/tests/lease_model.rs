//! The lease and settle protocol as a model whose every state is visited.
//!
//! One message, several managers, one storage, one next hop. Managers may
//! crash, stop for longer than any lease, and lose answers, as often as the
//! budget allows, at any point. What is checked: a message is only removed
//! after it was delivered (S1, S12), only under the current token (S5), no two
//! managers trust a lease at once (S4, S7), tokens never fall (S8), duplicates
//! only come from the known windows, and from every state the message can
//! still be settled (L2).
//!
//! The same model with one rule switched off must break one of these.

use std::collections::{HashMap, HashSet, VecDeque};

use stateright::{Checker, Model, Property, StateRecorder};

/// The protocol, with the rules that a mutant may lack.
#[derive(Clone, Copy)]
struct Protocol {
    managers: usize,
    faults: u8,
    /// A settlement with an old token changes nothing.
    fenced: bool,
    /// The final dot is only sent while the lease is trusted.
    dot_gated: bool,
    /// A manager's own clock ends its trust before the storage ends the lease.
    margin: bool,
    /// Only a 2yz makes a settlement that removes.
    proof_needed: bool,
}

impl Protocol {
    fn right(managers: usize, faults: u8) -> Self {
        Protocol {
            managers,
            faults,
            fenced: true,
            dot_gated: true,
            margin: true,
            proof_needed: true,
        }
    }
}

type Token = u8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Step {
    Idle,
    /// Holds a lease and has read the message under it.
    Leased(Token),
    /// Has looked at the lease, and sends the final dot next.
    Cleared(Token),
    /// The next hop has the message; its reply is under way.
    Dotted(Token),
    /// Has the 2yz, and offers the settlement until it is answered.
    Accepted(Token),
}

impl Step {
    fn token(self) -> Option<Token> {
        match self {
            Step::Idle => None,
            Step::Leased(t) | Step::Cleared(t) | Step::Dotted(t) | Step::Accepted(t) => Some(t),
        }
    }

    fn is_past_the_dot(self) -> bool {
        matches!(self, Step::Dotted(_) | Step::Accepted(_))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Manager {
    step: Step,
    /// By its own clock the lease still holds.
    trusts: bool,
    paused: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    managers: Vec<Manager>,
    /// The message is in the store.
    present: bool,
    /// The last token that was given out.
    token: Token,
    /// A lease is in force by the storage's clock.
    leased: bool,
    /// How often the next hop took the message.
    deliveries: u8,
    /// How often a window for a duplicate was open.
    windows: u8,
    /// A settlement under an old token changed something.
    stale_change: bool,
    faults_left: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Action {
    Claim(usize),
    ClaimUnanswered(usize),
    Renew(usize),
    OwnClockEnds(usize),
    LeaseEnds,
    LookAtLease(usize),
    Dot(usize),
    GiveBack(usize),
    Reply(usize),
    ReplyLost(usize),
    Settle(usize),
    SettleUnanswered(usize),
    Crash(usize),
    Pause(usize),
    Resume(usize),
}

impl World {
    fn claim(&mut self) {
        self.token += 1;
        self.leased = true;
        // Somebody may have sent it already, and nobody knows.
        if self.managers.iter().any(|m| m.step.is_past_the_dot()) {
            self.windows += 1;
        }
    }

    fn is_current(&self, token: Token) -> bool {
        self.present && self.token == token
    }

    fn remove(&mut self, token: Token, fenced: bool) {
        if self.is_current(token) {
            self.present = false;
            self.leased = false;
        } else if !fenced && self.present {
            self.present = false;
            self.leased = false;
            self.stale_change = true;
        }
    }

    /// Nobody who still works relies on the lease.
    fn lease_may_end(&self, margin: bool) -> bool {
        let relies = |m: &Manager| m.trusts && !m.paused && m.step.token() == Some(self.token);
        self.leased && !(margin && self.managers.iter().any(relies))
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let manager = Manager {
            step: Step::Idle,
            trusts: false,
            paused: false,
        };
        vec![World {
            managers: vec![manager; self.managers],
            present: true,
            token: 0,
            leased: false,
            deliveries: 0,
            windows: 0,
            stale_change: false,
            faults_left: self.faults,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let fault = world.faults_left > 0;
        if world.lease_may_end(self.margin) {
            actions.push(Action::LeaseEnds);
        }
        for (i, manager) in world.managers.iter().enumerate() {
            if manager.paused {
                actions.push(Action::Resume(i));
                continue;
            }
            match manager.step {
                Step::Idle if world.present && !world.leased => {
                    actions.push(Action::Claim(i));
                    if fault {
                        actions.push(Action::ClaimUnanswered(i));
                    }
                }
                Step::Idle => {}
                Step::Leased(_) => {
                    if manager.trusts || !self.dot_gated {
                        actions.push(Action::LookAtLease(i));
                    }
                    actions.push(Action::GiveBack(i));
                }
                Step::Cleared(_) => actions.push(Action::Dot(i)),
                Step::Dotted(_) => {
                    actions.push(Action::Reply(i));
                    if fault {
                        actions.push(Action::ReplyLost(i));
                    }
                }
                Step::Accepted(_) => {
                    actions.push(Action::Settle(i));
                    if fault {
                        actions.push(Action::SettleUnanswered(i));
                    }
                }
            }
            if manager.step != Step::Idle {
                actions.push(Action::Renew(i));
                // Between looking at the lease and the dot there is no time,
                // unless the process is stopped there.
                if manager.trusts && !matches!(manager.step, Step::Cleared(_)) {
                    actions.push(Action::OwnClockEnds(i));
                }
                if fault {
                    actions.extend([Action::Crash(i), Action::Pause(i)]);
                }
            }
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Claim(i) => {
                world.claim();
                world.managers[i].step = Step::Leased(world.token);
                world.managers[i].trusts = true;
            }
            Action::ClaimUnanswered(_) => {
                world.claim();
                world.faults_left -= 1;
            }
            Action::Renew(i) => {
                let token = before.managers[i].step.token()?;
                let current = before.is_current(token);
                world.managers[i].trusts = current;
                world.leased |= current;
            }
            Action::OwnClockEnds(i) => world.managers[i].trusts = false,
            Action::LeaseEnds => world.leased = false,
            Action::LookAtLease(i) => {
                world.managers[i].step = Step::Cleared(before.managers[i].step.token()?);
            }
            Action::Dot(i) => {
                let token = before.managers[i].step.token()?;
                world.deliveries += 1;
                world.managers[i].step = Step::Dotted(token);
                // Only a process that was stopped after it looked comes here.
                if !before.is_current(token) && self.dot_gated {
                    world.windows += 1;
                }
            }
            Action::GiveBack(i) => {
                let token = before.managers[i].step.token()?;
                if before.is_current(token) {
                    world.leased = false;
                }
                if !self.proof_needed {
                    world.remove(token, self.fenced);
                }
                world.managers[i].step = Step::Idle;
            }
            Action::Reply(i) => {
                world.managers[i].step = Step::Accepted(before.managers[i].step.token()?);
            }
            Action::ReplyLost(i) => {
                // Not known to be delivered, so it waits again.
                if before.is_current(before.managers[i].step.token()?) {
                    world.leased = false;
                }
                world.managers[i].step = Step::Idle;
                world.windows += 1;
                world.faults_left -= 1;
            }
            Action::Settle(i) => {
                world.remove(before.managers[i].step.token()?, self.fenced);
                world.managers[i].step = Step::Idle;
            }
            Action::SettleUnanswered(i) => {
                world.remove(before.managers[i].step.token()?, self.fenced);
                world.faults_left -= 1;
            }
            Action::Crash(i) => {
                if before.managers[i].step.is_past_the_dot() {
                    world.windows += 1;
                }
                world.managers[i] = Manager {
                    step: Step::Idle,
                    trusts: false,
                    paused: false,
                };
                world.faults_left -= 1;
            }
            Action::Pause(i) => {
                world.managers[i].paused = true;
                world.faults_left -= 1;
            }
            Action::Resume(i) => {
                // Its clock went on while it stood.
                let current = before.managers[i]
                    .step
                    .token()
                    .is_some_and(|t| before.is_current(t));
                world.managers[i].trusts &= current && before.leased;
                world.managers[i].paused = false;
            }
        }
        if world.managers.iter().all(|m| m.step == Step::Idle) {
            world.managers.iter_mut().for_each(|m| m.trusts = false);
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("removed only after delivered", |_, world: &World| {
                world.present || world.deliveries > 0
            }),
            Property::always("an old token changes nothing", |_, world: &World| {
                !world.stale_change
            }),
            Property::always("only the holder trusts a lease", |_, world: &World| {
                let mut trusting = world.managers.iter().filter(|m| m.trusts && !m.paused);
                trusting.all(|m| m.step.token().is_none_or(|token| token == world.token))
            }),
            Property::always("duplicates have a window", |_, world: &World| {
                world.deliveries <= 1 + world.windows
            }),
            Property::sometimes("delivered once and removed", |_, world: &World| {
                !world.present && world.deliveries == 1
            }),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        // Give-back and claim may alternate for ever; a few rounds show it all.
        world.token <= 4
    }
}

fn check(protocol: Protocol) -> Result<usize, String> {
    let (recorder, recorded) = StateRecorder::new_with_accessor();
    let checker = protocol
        .checker()
        .threads(2)
        .visitor(recorder)
        .spawn_bfs()
        .join();
    if let Some(name) = checker
        .discoveries()
        .keys()
        .find(|n| **n != "delivered once and removed")
    {
        return Err((*name).to_owned());
    }
    let states = recorded();
    can_still_be_settled(&protocol, &states)?;
    Ok(states.len())
}

/// From every state there is a way to one in which the message is settled:
/// followed backwards from those that are.
fn can_still_be_settled(protocol: &Protocol, states: &[World]) -> Result<(), String> {
    let mut before: HashMap<World, Vec<&World>> = HashMap::new();
    for state in states {
        let mut actions = Vec::new();
        protocol.actions(state, &mut actions);
        for next in actions
            .into_iter()
            .filter_map(|a| protocol.next_state(state, a))
        {
            before.entry(next).or_default().push(state);
        }
    }
    let mut settled: VecDeque<&World> = states.iter().filter(|s| !s.present).collect();
    let mut hopeful: HashSet<&World> = settled.iter().copied().collect();
    while let Some(state) = settled.pop_front() {
        for earlier in before.get(state).into_iter().flatten() {
            if hopeful.insert(earlier) {
                settled.push_back(earlier);
            }
        }
    }
    match states.iter().find(|s| !hopeful.contains(s) && s.token < 4) {
        Some(stuck) => Err(format!("can no longer be settled: {stuck:?}")),
        None => Ok(()),
    }
}

#[test]
fn two_managers_keep_every_promise() {
    let states = check(Protocol::right(2, 4)).unwrap();
    println!("{states} states");
    assert!(states > 1000);
}

#[test]
fn three_managers_keep_every_promise() {
    let states = check(Protocol::right(3, 2)).unwrap();
    println!("{states} states");
    assert!(states > 10_000);
}

#[test]
fn each_rule_is_needed() {
    let right = Protocol::right(2, 2);
    let mutants = [
        (
            "an old token changes nothing",
            Protocol {
                fenced: false,
                ..right
            },
        ),
        (
            "duplicates have a window",
            Protocol {
                dot_gated: false,
                ..right
            },
        ),
        (
            "only the holder trusts a lease",
            Protocol {
                margin: false,
                ..right
            },
        ),
        (
            "removed only after delivered",
            Protocol {
                proof_needed: false,
                ..right
            },
        ),
    ];
    for (broken, mutant) in mutants {
        let found = check(mutant).unwrap_err();
        println!("{found}");
        assert_eq!(found, broken);
    }
}
