//! `slimta-sim`: plays one seed and tells its story, or explores many.

use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use slimta_sim::{Story, Tally, run};

/// Time between two words about the progress.
const PROGRESS_DELAY: Duration = Duration::from_secs(5);

/// Plays the mail queue in simulated worlds. One seed is one world.
#[derive(Debug, Parser)]
struct Options {
    /// Plays one seed and prints its whole story.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Plays the seeds from A up to but not including B.
    #[arg(long, value_name = "A..B", value_parser = seeds, required_unless_present = "seed")]
    seeds: Option<Range<u64>>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let (first, end) = text.split_once("..").ok_or("not of the form A..B")?;
    let range = number(first)?..number(end)?;
    if range.is_empty() {
        return Err("there is no seed between these".to_owned());
    }
    Ok(range)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let is_good = match (options.seed, options.seeds) {
        (Some(seed), _) => replay(seed),
        (None, Some(seeds)) => explore(seeds),
        (None, None) => false,
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Plays one seed and tells all of it.
fn replay(seed: u64) -> bool {
    let story = run(seed);
    say(&story.lines.join("\n"));
    match &story.account {
        Ok(tally) => say(&format!(
            "seed {seed} keeps every promise: {tally}, resent: {}",
            story.resent
        )),
        Err(broken) => say(&format!("seed {seed} breaks:\n{broken}")),
    }
    story.account.is_ok()
}

/// What all threads find.
struct Exploration {
    seeds: Range<u64>,
    next: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    sum: Mutex<Tally>,
    resent: AtomicU64,
    /// When the progress was told last, in seconds from the beginning.
    said: AtomicU64,
    began: Instant,
}

/// Plays many seeds, on all processors.
fn explore(seeds: Range<u64>) -> bool {
    let exploration = Exploration {
        next: AtomicU64::new(seeds.start),
        seeds,
        done: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        sum: Mutex::default(),
        resent: AtomicU64::new(0),
        said: AtomicU64::new(0),
        began: Instant::now(),
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| exploration.work()))
            .collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::park_timeout(Duration::from_millis(100));
            exploration.progress();
        }
    });
    let sum = exploration
        .sum
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let resent = exploration.resent.load(Ordering::Relaxed);
    say(&format!("{}: {sum}, resent: {resent}", exploration.rate()));
    exploration.failed.load(Ordering::Relaxed) == 0
}

impl Exploration {
    fn work(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seeds.end {
                return;
            }
            let story = run(seed);
            self.done.fetch_add(1, Ordering::Relaxed);
            self.resent.fetch_add(story.resent, Ordering::Relaxed);
            match &story.account {
                Ok(tally) => {
                    let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
                    *sum += tally;
                }
                Err(_) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    say(&failure(&story));
                }
            }
        }
    }

    /// A word on standard error each few seconds.
    fn progress(&self) {
        let now = self.began.elapsed().as_secs();
        if now >= self.said.load(Ordering::Relaxed) + PROGRESS_DELAY.as_secs() {
            self.said.store(now, Ordering::Relaxed);
            eprintln!("{}", self.rate());
        }
    }

    fn rate(&self) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = done as f64 / seconds.max(0.001);
        format!("{done} worlds, {failed} broken, {seconds:.1} s, {rate:.0} worlds/s")
    }
}

/// What broke in a world, and the faults that were drawn in it.
fn failure(story: &Story) -> String {
    let broken = story.account.as_ref().err().map(ToString::to_string);
    format!(
        "seed {seed} breaks:\n{}\nits faults:\n{}\nits story: slimta-sim --seed {seed}\n",
        broken.unwrap_or_default(),
        story.faults.join("\n"),
        seed = story.seed,
    )
}

/// Says it on standard output; when nobody listens any more, to nobody.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
