//! A hundred simulated worlds; `./test` plays ten thousand in a release build.
//! Each is a seed, and a failure is told with the seed that plays it again.

#![allow(clippy::panic)]

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use slimta_sim::{Fate, Story, Tally, run};

const SEEDS: RangeInclusive<u64> = 1..=100;

/// Plays one seed; a failure names the command that tells its whole story.
fn play(seed: u64) -> (Tally, Story) {
    let story = run(seed);
    match &story.account {
        Ok(tally) => (tally.clone(), story),
        Err(broken) => {
            panic!("seed {seed} breaks:\n{broken}\nits story: slimta-sim --seed {seed}")
        }
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
        play(seed);
    }
}

#[test]
fn every_promise_is_kept_in_every_world() {
    let (mut sum, mut resent) = (Tally::default(), 0);
    let mut told = String::new();
    for seed in SEEDS {
        let (tally, story) = play(seed);
        sum += &tally;
        resent += story.resent;
        told.push_str(&story.lines.join("\n"));
    }
    println!("{sum}, resent: {resent}");
    // Worlds in which nothing goes wrong would prove nothing.
    let fates = [
        Fate::Delivered,
        Fate::Bounced,
        Fate::Removed,
        Fate::Duplicated,
    ];
    let is_met = |fate| sum.of(fate) > 0;
    assert!(fates.into_iter().all(is_met) && sum.unanswered > 0, "{sum}");
    assert!(resent > 0, "nobody sent again");
    for what in ["sends garbage", "a siege begins"] {
        assert!(told.contains(what), "nothing {what}");
    }
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in [1, 2, 3] {
        assert_eq!(run(seed).lines, run(seed).lines, "seed {seed}");
    }
    let stories: BTreeSet<_> = (1..10).map(|seed| run(seed).lines).collect();
    assert_eq!(stories.len(), 9);
}
