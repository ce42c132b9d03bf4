//! The options of `sendmail`, in the meaning that Postfix gives them.
//!
//! What is only a hint, or asks for what is done anyway, is passed over. What
//! asks for something else than would be done is refused.

use std::path::PathBuf;

use slimta_core::message::MessageId;

use super::getopt::Letters;
use super::status::{Ended, Status};
use crate::dsn::Dsn;

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Read a message and hand it in.
    Deliver,
    /// Be an SMTP server on stdin and stdout.
    Smtp,
    /// List the queue.
    List,
    /// Try again what was deferred.
    Flush(Flush),
    /// Nothing, and successfully.
    Nothing,
}

/// What is tried again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Flush {
    /// All that is deferred.
    All,
    /// All for one destination.
    Destination(String),
    /// One message, or all of a submission.
    Message(MessageId),
}

impl Flush {
    /// By the id that a listing shows.
    pub(super) fn message(id: &str) -> Result<Self, Ended> {
        let wrong = |error| Status::Usage.because(format!("{id:?} is no queue ID: {error}"));
        id.parse().map(Flush::Message).map_err(wrong)
    }

    /// By the name of a destination.
    pub(super) fn destination(name: &str) -> Result<Self, Ended> {
        let wrong = |why| Status::Usage.because(format!("{name:?} is no destination: {why}"));
        let name = crate::values::destination(name).map_err(wrong)?;
        Ok(Flush::Destination(name))
    }
}

/// All that was said.
#[derive(Debug)]
pub(super) struct Options {
    /// What is to be done.
    pub(super) mode: Mode,
    /// `-C`: the configuration of the server.
    pub(super) config: Option<PathBuf>,
    /// `-f`, `-r`: the reverse-path, as it was written.
    pub(super) sender: Option<String>,
    /// `-F`: the sender's name.
    pub(super) full_name: Option<String>,
    /// `-t`: whether the header names recipients.
    pub(super) reads_header: bool,
    /// `-i`, `-oi`: whether a line with a single dot is text.
    pub(super) keeps_dots: bool,
    /// `-v`: whether what the server answered is shown.
    pub(super) is_verbose: bool,
    /// `-N`, `-R`, `-V`.
    pub(super) dsn: Dsn,
    /// The operands, as they were written.
    pub(super) recipients: Vec<String>,
}

impl Options {
    /// Reads the words behind the program's name; `mode` is what is done if they
    /// say nothing else.
    pub(super) fn parse(mode: Mode, words: &[String]) -> Result<Self, Ended> {
        let mut options = Options {
            mode,
            config: None,
            sender: None,
            full_name: None,
            reads_header: false,
            keeps_dots: false,
            is_verbose: false,
            dsn: Dsn::default(),
            recipients: Vec::new(),
        };
        let mut letters = Letters::new(words);
        while let Some(letter) = letters.next() {
            options.apply(letter, &mut letters)?;
        }
        options.recipients = letters.operands().to_vec();
        options.checked()
    }

    fn apply(&mut self, letter: char, letters: &mut Letters<'_>) -> Result<(), Ended> {
        match letter {
            't' => self.reads_header = true,
            'i' => self.keeps_dots = true,
            'v' => self.is_verbose = true,
            'I' => self.mode = Mode::Nothing,
            'b' => self.mode = mode(letters.value(letter)?)?,
            'q' => self.mode = queue_run(letters.attached())?,
            'C' => self.config = Some(letters.value(letter)?.into()),
            'f' | 'r' => self.sender = Some(letters.value(letter)?.to_owned()),
            'F' => self.full_name = Some(letters.value(letter)?.to_owned()),
            'N' => set(letter, self.dsn.set_notify(letters.value(letter)?))?,
            'R' => set(letter, self.dsn.set_ret(letters.value(letter)?))?,
            'V' => set(letter, self.dsn.set_envid(letters.value(letter)?))?,
            'B' => body_type(letters.value(letter)?)?,
            'X' => not_verp(letters.value(letter)?)?,
            'o' => self.keeps_dots |= letters.value(letter)?.starts_with('i'),
            'O' => self.keeps_dots |= ignores_dots(letters.value(letter)?),
            // Which configuration, how errors are told, how often it was
            // forwarded, a label for the log, by which protocol it came, where a
            // trace goes.
            'A' | 'e' | 'h' | 'L' | 'p' | 'D' => {
                letters.value(letter)?;
            }
            'd' => {
                letters.attached();
            }
            // As a gateway, as a user's mail program, without aliases, to me too:
            // addresses are never rewritten here.
            'G' | 'U' | 'c' | 'm' | 'n' | 's' | 'x' => {}
            '-' => return Err(unknown(&format!("--{}", letters.attached()))),
            other => return Err(unknown(&format!("-{other}"))),
        }
        Ok(())
    }

    fn checked(self) -> Result<Self, Ended> {
        if self.mode == Mode::Deliver {
            return Ok(self);
        }
        let refuse = |why: &str| Err(Status::Usage.because(why));
        if self.reads_header {
            return refuse("-t is for handing a message in, and not for -b or -q");
        }
        if !self.recipients.is_empty() {
            return refuse("recipients are for handing a message in, and not for -b or -q");
        }
        Ok(self)
    }
}

fn unsupported(option: &str, instead: &str) -> Ended {
    Status::Usage.because(format!("{option} is not supported: {instead}"))
}

fn unknown(option: &str) -> Ended {
    unsupported(option, "docs/sendmail.md lists what is")
}

fn set(letter: char, set: Result<(), &'static str>) -> Result<(), Ended> {
    set.map_err(|why| Status::Usage.because(format!("-{letter}: {why}")))
}

fn mode(value: &str) -> Result<Mode, Ended> {
    match value {
        "m" => Ok(Mode::Deliver),
        "s" => Ok(Mode::Smtp),
        "p" => Ok(Mode::List),
        "i" => Ok(Mode::Nothing),
        "d" | "D" => Err(unsupported("-bd", "`slimta serve` is the server")),
        "h" | "H" => Err(unsupported("-bh", "use `slimta queue destinations`")),
        "v" | "t" => Err(unsupported("-bv", "addresses are not expanded here")),
        other => Err(unknown(&format!("-b{other}"))),
    }
}

fn queue_run(value: &str) -> Result<Mode, Ended> {
    if let Some(id) = value.strip_prefix('I') {
        return Flush::message(id).map(Mode::Flush);
    }
    if let Some(name) = value.strip_prefix('R').filter(|name| !name.is_empty()) {
        return Flush::destination(name).map(Mode::Flush);
    }
    match value {
        "" => Ok(Mode::Flush(Flush::All)),
        // How often to look at the queue: the server has schedules for that.
        every if every.starts_with(|c: char| c.is_ascii_digit()) => Ok(Mode::Nothing),
        other => Err(unsupported(
            &format!("-q{other}"),
            "-q, -qI ID and -qR DESTINATION are",
        )),
    }
}

/// What the contents are is seen when they are read.
fn body_type(value: &str) -> Result<(), Ended> {
    let known = ["7BIT", "8BITMIME"];
    match known.iter().any(|known| value.eq_ignore_ascii_case(known)) {
        true => Ok(()),
        false => Err(unsupported(&format!("-B{value}"), "7BIT and 8BITMIME are")),
    }
}

/// A sender for each recipient is not made here; a file for a trace is not
/// written.
fn not_verp(value: &str) -> Result<(), Ended> {
    let delimiters = value.strip_prefix('V');
    let is_verp = |rest: &str| rest.chars().all(|c| "-+=".contains(c));
    match delimiters.is_some_and(is_verp) {
        true => Err(unsupported(
            "-XV",
            "give each recipient a message of its own",
        )),
        false => Ok(()),
    }
}

/// The long name of `-oi`, true if nothing is said.
fn ignores_dots(value: &str) -> bool {
    let (name, value) = value.split_once('=').unwrap_or((value, "true"));
    let is_true = value.starts_with(['t', 'T', 'y', 'Y', '1']);
    name.trim().eq_ignore_ascii_case("IgnoreDots") && is_true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Ended> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(Mode::Deliver, &words)
    }

    #[test]
    fn what_programs_say_is_understood() {
        // PHP, cron of Debian and of Vixie, git, mutt, mailx, Rails.
        for (line, keeps_dots) in [
            ("-t -i", true),
            ("-ti", true),
            ("-t -oi", true),
            ("-FCronDaemon -i -B8BITMIME -oem root", true),
            ("-FCronDaemon -odi -oem -oi -t -f root", true),
            ("-i a@b c@d", true),
            ("-oem -f a@b -N failure,delay -R hdrs -- c@d", false),
            ("-v -m -r a@b -i c@d", true),
            (
                "-O DeliveryMode=background -h 3 -L label -pESMTP:host a@b",
                false,
            ),
            ("-O IgnoreDots a@b", true),
            ("-O IgnoreDots=false a@b", false),
            ("-bm -Am -G -U -n -d0.1 -X /tmp/log -e m a@b -i", false),
        ] {
            let options = parse(line).unwrap();
            assert_eq!(options.mode, Mode::Deliver, "{line}");
            assert!(options.reads_header || !options.recipients.is_empty());
            assert_eq!(options.keeps_dots, keeps_dots, "{line}");
        }
        let options = parse("-F Name -fa@b -ra@c -Cfile -- -x").unwrap();
        assert_eq!(options.sender.as_deref(), Some("a@c"));
        assert_eq!(options.full_name.as_deref(), Some("Name"));
        assert_eq!(options.config, Some("file".into()));
        assert_eq!(options.recipients, ["-x"]);
    }

    #[test]
    fn modes_are_told_apart() {
        let id = "018f3c5e-7a3b-7c11-9d2e-5b8a4f6c1d20";
        for (line, mode) in [
            ("-bs", Mode::Smtp),
            ("-b p", Mode::List),
            ("-bi", Mode::Nothing),
            ("-I", Mode::Nothing),
            ("-q30m", Mode::Nothing),
            ("-q", Mode::Flush(Flush::All)),
            (
                "-qRExample.org",
                Mode::Flush(Flush::Destination("Example.org".to_owned())),
            ),
            (
                &format!("-qI{id}"),
                Mode::Flush(Flush::Message(id.parse().unwrap())),
            ),
        ] {
            assert_eq!(parse(line).unwrap().mode, mode, "{line}");
        }
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for line in [
            "-bd",
            "-bv a@b",
            "-bt",
            "-bx",
            "-qSa@b",
            "-qR",
            "-qI",
            "-qIx",
            "-qR*.x",
            "-BBINARYMIME a@b",
            "-XV a@b",
            "-XV+= a@b",
            "-N sometimes a@b",
            "-N never,delay a@b",
            "-R all a@b",
            "-V \u{e9} a@b",
            "-z a@b",
            "--help",
            "-f",
            "-bp a@b",
            "-bs -t",
            "-q a@b",
        ] {
            let Err(Ended::With(status, why)) = parse(line) else {
                panic!("{line} was understood");
            };
            assert_eq!(status, Status::Usage, "{line}");
            assert!(!why.is_empty());
        }
    }
}
