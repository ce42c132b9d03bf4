//! `slimta password`: the line of a user in the file of credentials.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use slimta::edge::smtp::{password_line, scram_line};
use slimta::world::World;

use crate::failure::Failure;
use crate::output;

/// Longest password that is read, with its line end.
const LINE_BYTES_MAX: u64 = 4096;

/// Print the line of a user for the file that "credentials" names
///
/// Asks for the password twice, without showing it; or reads it from stdin, one
/// line, if that is no terminal.
#[derive(Args, Debug)]
pub(crate) struct PasswordCommand {
    /// The name that the user authenticates by
    #[arg(value_name = "USER")]
    user: String,
    /// Print keys of SCRAM-SHA-256 instead of a hash of Argon2id; that mechanism
    /// is offered when all users of the file have them
    #[arg(long)]
    scram: bool,
}

impl PasswordCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let password = match io::stdin().is_terminal() {
            true => asked()?,
            false => read()?,
        };
        let made = if self.scram {
            scram_line
        } else {
            password_line
        };
        let line = made(&self.user, &password, &World::system());
        output::line(line.ok_or_else(|| {
            Failure::Usage(format!(
                "user {:?} cannot have that password: neither may be empty or hold control \
                 characters, and the name not begin with # nor be longer than 255 bytes; with \
                 --scram both are text that SASLprep (RFC 4013) allows",
                self.user
            ))
        })?)
    }
}

/// The password that somebody types twice.
fn asked() -> Result<Vec<u8>, Failure> {
    let unasked = |error| Failure::Failed(format!("cannot ask for the password: {error}"));
    let hidden = Hidden::begin().map_err(unasked)?;
    let prompted = |prompt: &str| {
        // Not on stdout, where the line goes.
        let _ = io::stderr().write_all(prompt.as_bytes());
        let answer = read();
        let _ = io::stderr().write_all(b"\n");
        answer
    };
    let first = prompted("Password: ")?;
    let second = prompted("Again: ")?;
    drop(hidden);
    if first != second {
        return Err(Failure::Usage("the two passwords differ".to_owned()));
    }
    Ok(first)
}

/// A line of stdin, without its end.
fn read() -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    let mut limited = io::stdin().lock().take(LINE_BYTES_MAX);
    let read = limited.read_until(b'\n', &mut line);
    read.map_err(|error| Failure::Failed(format!("cannot read the password: {error}")))?;
    while let Some(b'\n' | b'\r') = line.last() {
        line.pop();
    }
    Ok(line)
}

/// A terminal that does not show what is typed, until it is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
