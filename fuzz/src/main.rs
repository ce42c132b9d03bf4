//! The fuzzer. Which target it runs stands in `SLIMTA_FUZZ_TARGET`; see `run`.

#![no_main]

use std::sync::OnceLock;

use slimta_fuzz_targets::{TARGETS, Target, target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("SLIMTA_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        panic!(
            "SLIMTA_FUZZ_TARGET is {name:?}; there are {}",
            names.join(", ")
        )
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| CHOSEN.get_or_init(chosen)(bytes));
