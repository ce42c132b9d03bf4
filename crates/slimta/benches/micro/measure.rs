//! The clock: work is done so often that its time can be read, several times
//! over, and the median counts.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long one sample takes, about.
const SAMPLE_TIME: Duration = Duration::from_millis(20);
const SAMPLES: usize = 15;

/// Whether times matter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// They do.
    Measure,
    /// Each work once, to see that it can be done.
    Try,
}

/// What one go of a work handles.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// How many of what is counted.
    pub(crate) items: usize,
    /// How many bytes in all; none where they say nothing.
    pub(crate) bytes: usize,
}

/// Measures and prints.
pub(crate) struct Bench {
    pub(crate) effort: Effort,
    pub(crate) is_json: bool,
    pub(crate) only: Option<String>,
}

impl Bench {
    /// What stands above the table.
    pub(crate) fn head(&self) {
        if self.effort == Effort::Measure && !self.is_json {
            println!("{:<50}{:>12}{:>12}{:>10}", "", "ns each", "best", "MB/s");
        }
    }

    /// Measures a work, of which `load` is what one go handles.
    pub(crate) fn run<T>(&mut self, name: &str, load: Load, mut work: impl FnMut() -> T) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only)) {
            return;
        }
        if self.effort == Effort::Try {
            black_box(work());
            return;
        }
        let goes = enough(&mut work);
        let mut times = [(); SAMPLES].map(|()| sample(goes, &mut work));
        times.sort_by(f64::total_cmp);
        self.print(name, load, times[SAMPLES / 2], times[0]);
    }

    /// Prints what a go takes, in ns: the median and the best.
    fn print(&self, name: &str, load: Load, median: f64, best: f64) {
        let each = |go: f64| go / load.items as f64;
        // Bytes a nanosecond are thousands of MB a second.
        let speed = (load.bytes > 0).then(|| load.bytes as f64 / median * 1000.0);
        if self.is_json {
            let speed = speed.map_or("null".to_owned(), |speed| format!("{speed:.1}"));
            println!(
                "{{\"work\":\"{name}\",\"ns\":{:.1},\"best_ns\":{:.1},\"mb_per_second\":{speed}}}",
                each(median),
                each(best)
            );
        } else {
            let speed = speed.map_or(String::new(), |speed| format!("{speed:.0}"));
            let (median, best) = (each(median), each(best));
            println!("{name:<50}{median:>12.1}{best:>12.1}{speed:>10}");
        }
    }
}

/// How many goes a sample needs.
fn enough<T>(work: &mut impl FnMut() -> T) -> u32 {
    let mut goes = 1;
    loop {
        let begin = Instant::now();
        repeat(goes, work);
        if begin.elapsed() > SAMPLE_TIME / 2 {
            return goes;
        }
        goes *= 2;
    }
}

/// The ns of one go, over so many.
fn sample<T>(goes: u32, work: &mut impl FnMut() -> T) -> f64 {
    let begin = Instant::now();
    repeat(goes, work);
    begin.elapsed().as_nanos() as f64 / f64::from(goes)
}

fn repeat<T>(goes: u32, work: &mut impl FnMut() -> T) {
    for _ in 0..goes {
        black_box(work());
    }
}
