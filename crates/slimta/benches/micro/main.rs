//! What the parts of a message's way cost that touch no socket and no disk:
//! SMTP at both ends, header edits, the judge, records.
//!
//! ```text
//! cargo bench -p slimta --bench micro                    a table
//! cargo bench -p slimta --bench micro -- --json          one object a line
//! cargo bench -p slimta --bench micro -- --only records  those whose names hold it
//! ```
//!
//! Only ratios within one run say something. With the tests it runs, too, each
//! work once, to see that it does what it should.

#![allow(clippy::unwrap_used, clippy::panic)]

mod client;
mod measure;
mod message;
mod server;

use measure::{Bench, Effort};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let only = arguments.iter().position(|argument| argument == "--only");
    // Cargo says so when it is asked to measure, and not when it tests.
    let effort = match has("--bench") {
        true => Effort::Measure,
        false => Effort::Try,
    };
    let mut bench = Bench {
        effort,
        is_json: has("--json"),
        only: only.and_then(|at| arguments.get(at + 1).cloned()),
    };
    bench.head();
    server::measure(&mut bench);
    client::measure(&mut bench);
    message::header(&mut bench);
    message::judge(&mut bench);
    message::records(&mut bench);
}
