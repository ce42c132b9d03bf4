//! The names that `slimta` is called by.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// A program that scripts know, and that this one is, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    /// Hands mail in.
    Sendmail,
    /// Lists the queue.
    Mailq,
    /// Lists the queue, and has it tried again.
    Postqueue,
    /// Reads the aliases anew, of which there are none.
    Newaliases,
}

impl Name {
    /// As it is typed.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Name::Sendmail => "sendmail",
            Name::Mailq => "mailq",
            Name::Postqueue => "postqueue",
            Name::Newaliases => "newaliases",
        }
    }

    /// The program of this name.
    fn find(text: &OsStr) -> Option<Self> {
        const ALL: [Name; 4] = [
            Name::Sendmail,
            Name::Mailq,
            Name::Postqueue,
            Name::Newaliases,
        ];
        ALL.into_iter().find(|name| text == name.as_str())
    }
}

/// The command line as `slimta` spells it: if the program itself was called by one
/// of the names, that is the command. In either case `--` follows the name, because
/// what stands behind it goes by rules of its own.
pub(crate) fn spelled_out(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    let called = Path::new(&program).file_name().and_then(Name::find);
    let mut spelled = vec![program];
    let command = match called {
        Some(name) => Some(OsString::from(name.as_str())),
        None => words.next(),
    };
    if let Some(command) = command {
        let has_rules = Name::find(&command).is_some();
        spelled.push(command);
        if has_rules {
            spelled.push("--".into());
        }
    }
    spelled.extend(words);
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(line: &str) -> String {
        let words = spelled_out(line.split(' ').map(OsString::from));
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn the_last_part_of_the_path_decides() {
        for (line, expected) in [
            (
                "/usr/sbin/sendmail -t -i",
                "/usr/sbin/sendmail sendmail -- -t -i",
            ),
            ("mailq", "mailq mailq --"),
            ("./postqueue -- x", "./postqueue postqueue -- -- x"),
            ("newaliases", "newaliases newaliases --"),
            ("slimta sendmail -- -x", "slimta sendmail -- -- -x"),
            ("slimta queue list", "slimta queue list"),
            ("slimta --version", "slimta --version"),
            ("/sendmail/slimta serve", "/sendmail/slimta serve"),
            ("slimta", "slimta"),
        ] {
            assert_eq!(spelled(line), expected);
        }
        assert_eq!(spelled_out([]), [""]);
    }
}
