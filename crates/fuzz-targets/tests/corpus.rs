//! Replays the corpus that the fuzzer has gathered, and mutations of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use slimta_fuzz_targets::{Mutator, TARGETS, Target};

const FILES_MAX: usize = 50;
const FILE_BYTES_MAX: usize = 4096;
/// Longest mutated input: long ones are for the fuzzer.
const MUTATED_BYTES_MAX: usize = 300;
/// How many mutated inputs a target gets. `SLIMTA_FUZZ_COUNT` says otherwise.
const MUTATED: usize = 2000;

/// The corpus of a target, in the order of the names of its files.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let named = files.into_iter().map(|path| {
        let bytes = fs::read(&path).unwrap();
        (path.display().to_string(), bytes)
    });
    named.collect()
}

/// Plays an input; says which it was if that panics.
fn run(target: Target, name: &str, which: &str, input: &[u8]) {
    let played = std::panic::catch_unwind(|| target(input));
    assert!(
        played.is_ok(),
        "{name} fails on {which}: b\"{}\"",
        input.escape_ascii()
    );
}

fn replay(name: &str, target: Target) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    assert!(corpus.len() <= FILES_MAX, "{name} has too many files");
    for (path, input) in &corpus {
        assert!(input.len() <= FILE_BYTES_MAX, "{path} is too large");
        run(target, name, path, input);
    }
    run(target, name, "no input", &[]);
    let inputs: Vec<_> = corpus.into_iter().map(|(_, input)| input).collect();
    let count = std::env::var("SLIMTA_FUZZ_COUNT").ok();
    let count = count
        .and_then(|count| count.parse().ok())
        .unwrap_or(MUTATED);
    let mutator = Mutator::new(1);
    for number in 0..count {
        let input = mutator.mutated(&inputs, MUTATED_BYTES_MAX);
        run(target, name, &format!("mutation {number}"), &input);
    }
}

/// One test for all targets but the slow ones, which run beside it.
#[test]
fn no_input_breaks_a_promise() {
    let slow = [
        "server_session",
        "server_data",
        "server_bdat",
        "server_lmtp",
    ];
    for (name, target) in TARGETS {
        if !slow.contains(name) {
            replay(name, *target);
        }
    }
}

fn replay_named(name: &str) {
    replay(name, slimta_fuzz_targets::target(name).unwrap());
}

#[test]
fn no_cut_changes_a_session() {
    replay_named("server_session");
}

#[test]
fn no_cut_changes_the_data_of_a_message() {
    replay_named("server_data");
}

#[test]
fn chunks_make_the_message_that_data_makes() {
    replay_named("server_bdat");
}

#[test]
fn each_recipient_has_its_answer_by_lmtp() {
    replay_named("server_lmtp");
}
