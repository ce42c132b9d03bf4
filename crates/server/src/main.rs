//! The program `slimta`. All that it does is in the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    slimta_server::main()
}
