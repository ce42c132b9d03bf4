//! One run: a phase with faults, then one without, then the account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use slimta::edge::smtp::SmtpEdge;
use slimta::policy;
use slimta_core::bus;
use slimta_core::queue::{Direct, Event, Queue};
use slimta_core::storage::{Filter, Memory, Page, Session, Storage};
use slimta_core::world::{SeededRandom, Timestamp, World};
use slimta_oracle::{Broken, Tally, Window};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::books::Books;
use crate::chance::Chance;
use crate::clock::Skewed;
use crate::door::{Door, Doors};
use crate::flaky::{Flaky, Weather};
use crate::hop::Hop;
use crate::mail::Tenants;
use crate::nature::Hops;
use crate::operator;
use crate::rules::{Patience, limits};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// How long everything may take to settle once faults have stopped.
const SETTLED_WITHIN: Duration = Duration::from_secs(5 * 86_400);
/// Within which time an edge ends: its grace, and a moment for goodbyes.
const CLOSED_WITHIN: Duration = Duration::from_secs(33);
/// Time between two looks whether it has.
pub(crate) const LOOK_DELAY: Duration = Duration::from_secs(60);
/// How many runs in a thousand have a siege.
const SIEGES_PERMILLE: u64 = 60;

/// How a run went.
#[derive(Debug)]
pub struct Story {
    /// Its seed.
    pub seed: u64,
    /// What happened, line by line.
    pub lines: Vec<String>,
    /// The lines that tell of faults that were drawn.
    pub faults: Vec<String>,
    /// The account, or the rules that were broken.
    pub account: Result<Tally, Broken>,
    /// Copies of messages that were stored beyond the first: nobody heard that
    /// it was.
    pub resent: u64,
}

/// Plays the run of `seed`.
pub fn run(seed: u64) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(async { Run::new(seed).play(seed).await }),
        Err(error) => Story {
            seed,
            lines: Vec::new(),
            faults: Vec::new(),
            account: Err(Broken(vec![error.to_string()])),
            resent: 0,
        },
    }
}

pub(crate) struct Run {
    pub(crate) world: World,
    pub(crate) chance: Chance,
    calm: Arc<AtomicBool>,
    storage: Arc<Memory>,
    pub(crate) books: Books,
    lock: Duration,
    pub(crate) managers: Vec<Manager>,
    pub(crate) doors: Doors,
    pub(crate) hops: Arc<Hops>,
    is_siege: bool,
    pub(crate) clients: JoinSet<()>,
    /// Draws for what clients do besides sending once.
    pub(crate) crowd: Chance,
}

/// One queue manager, up or down.
pub(crate) struct Manager {
    weather: Arc<Weather>,
    /// How wrong its wall clock is.
    skew: Arc<AtomicI64>,
    pub(crate) up: Option<Up>,
}

pub(crate) struct Up {
    /// Stops the edge.
    close: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    /// Stops the queue.
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let world = World::simulated(START, seed);
        // Draws of their own, so that the plan does not move with the ids.
        let chance = Chance(World::simulated(START, seed.rotate_left(32) ^ 0x5eed));
        let calm = Arc::new(AtomicBool::new(false));
        let managers = (0..1 + chance.below(3)).map(|_| Manager {
            weather: Weather::new(chance.clone(), calm.clone()),
            skew: Arc::default(),
            up: None,
        });
        let crowd = Chance(World::simulated(START, seed.rotate_left(16) ^ 0xc407d));
        let is_siege = crowd.permille(SIEGES_PERMILLE);
        Run {
            hops: Hops::draw(&crowd.fork(), is_siege),
            is_siege,
            managers: managers.collect(),
            lock: Duration::from_secs(20 + chance.below(120)),
            storage: Arc::new(Memory::new(world.clone())),
            books: Books::default(),
            doors: Doors::default(),
            clients: JoinSet::new(),
            crowd,
            world,
            chance,
            calm,
        }
    }

    pub(crate) fn tell(&self, line: &str) {
        let at = self.world.now().since(START).as_secs_f64();
        self.books.tell(format!("{at:>12.3} {line}"));
    }

    fn tell_fault(&self, line: &str) {
        let at = self.world.now().since(START).as_secs_f64();
        self.books.tell_fault(format!("{at:>12.3} {line}"));
    }

    async fn play(mut self, seed: u64) -> Story {
        for index in 0..self.managers.len() {
            self.start(index);
        }
        let steps = 20 + self.chance.below(60);
        for _ in 0..steps {
            self.step().await;
            let pause = if self.chance.permille(300) { 600 } else { 5 };
            self.world
                .sleep(self.chance.time(Duration::from_secs(pause)))
                .await;
        }
        self.settle().await;
        let (ledger, lines, faults) = self.books.close();
        Story {
            seed,
            lines,
            faults,
            account: ledger.close(),
            resent: self.books.copies.surplus(),
        }
    }

    /// Something happens.
    async fn step(&mut self) {
        let index = usize::try_from(self.chance.below(self.managers.len() as u64)).unwrap_or(0);
        if self.crowd.permille(40) {
            self.pester(index);
        }
        match self.chance.below(100) {
            0..12 => self.crash(index),
            12..18 => {
                self.come_last(index).await;
                self.stop(index).await;
            }
            18..30 => self.cut(index),
            30..33 => self.jump(index),
            33..37 => self.start_and_crash(index).await,
            37..50 => self.start(index),
            50..55 => self.operate().await,
            _ => self.send(index),
        }
    }

    fn start(&mut self, index: usize) {
        let weather = self.managers[index].weather.clone();
        if self.managers[index].up.is_some() {
            return;
        }
        self.tell(&format!("manager {index} starts"));
        let storage = Flaky {
            inner: self.storage.clone(),
            weather: weather.clone(),
            books: self.books.clone(),
        };
        let world = self.world_of(index);
        let hop = Hop::new(index, weather.clone(), self.books.clone(), &self.hops);
        let (server, edge) = bus::local(4);
        let books = self.books.clone();
        let clock = self.world.clone();
        let mut queue = Queue::new(
            Some(Arc::new(server)),
            Some(Arc::new(Direct(hop))),
            Arc::new(storage),
        )
        .with_world(world.clone())
        .with_limits(limits())
        .with_retry_algorithm(Patience)
        .with_observer(move |event: &Event| observe(&books, &clock, index, event));
        if let Err(error) = queue.set_lock_duration(self.lock) {
            self.books.fault(error.to_string());
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let books = self.books.clone();
        let running = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            if let Err(error) = queue.run(shutdown).await {
                books.fault(format!("manager {index} ended: {error}"));
            }
        });
        let name = "edge.example";
        let edge = SmtpEdge::new(Arc::new(edge), world.clone())
            .with_hostname(name)
            .with_policy(policy::standard(name, world).then(Tenants));
        let (door, clients) = Door::new(weather, self.books.clone());
        self.doors.open(index, door);
        let (close, closed) = oneshot::channel::<()>();
        let serving = tokio::spawn(edge.serve(clients, async { drop(closed.await) }));
        self.managers[index].up = Some(Up {
            close,
            serving,
            stop,
            running,
        });
    }

    /// The process dies while it starts, again and again.
    async fn start_and_crash(&mut self, index: usize) {
        for _ in 0..1 + self.chance.below(3) {
            self.start(index);
            let moment = self.chance.time(Duration::from_millis(200));
            self.world.sleep(moment).await;
            self.crash(index);
        }
    }

    /// Somebody sets a wall clock.
    fn jump(&self, index: usize) {
        const DAY_MILLIS: i64 = 86_400_000;
        let skew = match self.chance.below(5) {
            0 => 0,
            1 => -3_600_000,
            2 => 3_600_000,
            3 => -DAY_MILLIS,
            _ => DAY_MILLIS,
        };
        self.tell_fault(&format!("manager {index}'s wall clock is {skew} ms off"));
        self.managers[index].skew.store(skew, Ordering::Relaxed);
    }

    /// Time and chance as a manager has them in this life.
    fn world_of(&self, index: usize) -> World {
        let clock = Skewed {
            truth: self.world.clone(),
            skew: self.managers[index].skew.clone(),
        };
        World::new(clock, SeededRandom::new(self.chance.0.random_u64()))
    }

    /// The process is gone from one moment to the next.
    fn crash(&mut self, index: usize) {
        if let Some(up) = self.managers[index].up.take() {
            self.tell_fault(&format!("manager {index} crashes"));
            self.doors.shut(index, true);
            up.serving.abort();
            up.running.abort();
            self.books.loses_track(index, None, Window::Crash);
        }
    }

    /// The process ends in good order.
    async fn stop(&mut self, index: usize) {
        if let Some(up) = self.managers[index].up.take() {
            self.tell(&format!("manager {index} is stopped"));
            self.doors.shut(index, false);
            drop(up.close);
            let closed = tokio::time::timeout(CLOSED_WITHIN, up.serving).await;
            drop(up.stop);
            let ended = tokio::time::timeout(Duration::from_secs(3600), up.running).await;
            if closed.is_err() || ended.is_err() {
                self.books.fault(format!("manager {index} does not stop"));
            }
            // What could not be recorded by then is as after a crash.
            self.books.loses_track(index, None, Window::Crash);
        }
    }

    fn cut(&mut self, index: usize) {
        let time = self.chance.time(4 * self.lock);
        self.tell_fault(&format!(
            "manager {index} cannot reach the storage for {time:?}"
        ));
        self.managers[index].weather.cut_for(time);
    }

    /// An operator does something.
    async fn operate(&self) {
        let now = self.world.now();
        let acted = match self.storage.connect().await {
            Ok(session) => operator::act(&*session, &self.chance, &self.books, now).await,
            Err(error) => Err(error),
        };
        if let Err(error) = acted {
            self.books.fault(error.to_string());
        }
    }

    /// Faults stop, and everything must come to its end.
    async fn settle(&mut self) {
        self.tell("faults stop");
        self.calm.store(true, Ordering::Relaxed);
        for manager in &self.managers {
            manager.skew.store(0, Ordering::Relaxed);
        }
        for index in 0..self.managers.len() {
            self.start(index);
        }
        let Ok(session) = self.storage.connect().await else {
            return self.books.fault("the storage gives no session".to_owned());
        };
        if let Err(error) = operator::release_held(&*session).await {
            self.books.fault(error.to_string());
        }
        if self.is_siege {
            self.besiege(&*session).await;
        }
        let deadline = self.world.monotonic() + SETTLED_WITHIN;
        while waiting(&*session).await > 0 || !self.clients.is_empty() {
            if self.world.monotonic() > deadline {
                self.books
                    .fault("not everything was settled in time".to_owned());
                break;
            }
            while self.clients.try_join_next().is_some() {}
            self.world.sleep(LOOK_DELAY).await;
            // What was leased is left by a release, and stays held.
            if let Err(error) = operator::release_held(&*session).await {
                self.books.fault(error.to_string());
            }
        }
        // Results whose recording was refused are told by then.
        let deadline = self.world.monotonic() + Duration::from_secs(3600);
        while self.books.is_busy() && self.world.monotonic() < deadline {
            self.world.sleep(LOOK_DELAY).await;
        }
        for index in 0..self.managers.len() {
            self.stop(index).await;
        }
        self.count_leftovers(&*session).await;
    }

    async fn count_leftovers(&self, session: &dyn Session) {
        match session.list(&Filter::default(), Page::first(10_000)).await {
            Ok(listing) => {
                for listed in listing.messages {
                    self.books
                        .waits(listed.message.id, &listed.message.envelope);
                }
            }
            Err(error) => self.books.fault(error.to_string()),
        }
    }
}

async fn waiting(session: &dyn Session) -> u64 {
    session
        .stats()
        .await
        .map_or(u64::MAX, |stats| stats.messages)
}

fn observe(books: &Books, clock: &World, manager: usize, event: &Event) {
    let at = clock.now().since(START).as_secs_f64();
    books.tell(format!("{at:>12.3} manager {manager}: {event:?}"));
    if let Event::LeaseLost { id, .. } | Event::Unsettled { id, .. } = event {
        books.loses_track(manager, Some(*id), Window::LeaseLost);
    }
}
