//! A hundred simulated worlds; `./test` plays ten thousand in a release build.
//! Each is a seed, and a failure is told with the seed that plays it again.

#![allow(clippy::panic)]

use std::collections::BTreeSet;

use slimta_sim::{Tally, run};

/// Where other seeds come from: a first one, and how many from there on.
const SEED: &str = "SLIMTA_SIM_SEED";
const COUNT: &str = "SLIMTA_SIM_COUNT";
const COUNT_DEFAULT: u64 = 100;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// Plays one seed; what is wrong is told with the whole story if it is the only
/// one.
fn play(seed: u64, alone: bool) -> Tally {
    let story = run(seed);
    let told = if alone {
        story.lines.join("\n")
    } else {
        format!("its story: slimta-sim --seed {seed}")
    };
    match story.account {
        Ok(tally) => tally,
        Err(broken) => panic!("{told}\n\n{SEED}={seed} breaks:\n{broken}"),
    }
}

/// Seeds that once failed, one a line, each with what it showed.
const KEPT: &str = include_str!("kept_seeds.txt");

#[test]
fn no_fault_that_was_found_once_comes_back() {
    for line in KEPT.lines().filter(|line| !line.starts_with('#')) {
        let seed = line.split_whitespace().next().map(str::parse);
        let Some(Ok(seed)) = seed else {
            panic!("`{line}` does not begin with a seed");
        };
        play(seed, false);
    }
}

#[test]
fn every_promise_is_kept_in_every_world() {
    let first = number(SEED).unwrap_or(1);
    let count = number(COUNT).unwrap_or(COUNT_DEFAULT);
    let mut sum = Tally::default();
    for seed in first..first.saturating_add(count) {
        let tally = play(seed, count == 1);
        sum.accepted += tally.accepted;
        sum.delivered += tally.delivered;
        sum.bounced += tally.bounced;
        sum.duplicates += tally.duplicates;
        sum.unreceipted += tally.unreceipted;
    }
    println!("{count} worlds: {sum:?}");
    // Worlds in which nothing goes wrong would prove nothing.
    if count >= COUNT_DEFAULT {
        let met = [sum.delivered, sum.bounced, sum.duplicates, sum.unreceipted];
        assert!(met.iter().all(|n| *n > 0), "{sum:?}");
    }
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in [1, 2, 3] {
        assert_eq!(run(seed).lines, run(seed).lines, "{SEED}={seed}");
    }
    let stories: BTreeSet<_> = (1..10).map(|seed| run(seed).lines).collect();
    assert_eq!(stories.len(), 9);
}
