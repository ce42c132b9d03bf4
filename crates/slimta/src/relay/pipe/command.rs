//! The command that a pipe runs: fixed words, and places for addresses.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::message::{Address, EnhancedCode, Response, ReversePath};

/// A program and its arguments. An argument `{sender}`, `{recipient}`, `{user}`
/// (the local-part of the recipient) or `{domain}` stands for that part of the
/// envelope. No shell looks at any of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PipeCommand {
    program: PathBuf,
    arguments: Vec<Argument>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Argument {
    Fixed(String),
    Sender,
    Recipient,
    User,
    Domain,
}

/// Why words are no [`PipeCommand`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PipeCommandError {
    /// There is no program, or it is not named by its whole path.
    #[error("it lacks the whole path of its command, as in \"pipe:/usr/bin/maildrop -d {{user}}\"")]
    NoProgram,
    /// A brace that belongs to no placeholder, or to one that is not alone.
    #[error(
        "the argument \"{0}\" is no placeholder: there are {{sender}}, {{recipient}}, {{user}} and {{domain}}, each an argument of its own"
    )]
    Placeholder(String),
}

impl PipeCommand {
    /// The program, by its whole path, and its arguments, which may hold blanks.
    pub fn new(
        words: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, PipeCommandError> {
        let mut words = words.into_iter().map(Into::into);
        let program = words.next().map(PathBuf::from);
        let program = program.filter(|program| program.is_absolute());
        Ok(PipeCommand {
            program: program.ok_or(PipeCommandError::NoProgram)?,
            arguments: words.map(Argument::read).collect::<Result<_, _>>()?,
        })
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The arguments for one recipient; or the answer for it, if an address
    /// could be taken for an option. `hostname` is the domain of a bare
    /// `postmaster`.
    pub(super) fn arguments<'a>(
        &'a self,
        sender: &'a ReversePath,
        recipient: &'a Address,
        hostname: &'a str,
    ) -> Result<Vec<&'a str>, Response> {
        let value = |argument: &'a Argument| {
            let (value, detail) = match argument {
                Argument::Fixed(text) => return Ok(text.as_str()),
                Argument::Sender => (sender.as_str(), 7),
                Argument::Recipient => (recipient.as_str(), 3),
                Argument::User => (recipient.local_part(), 3),
                Argument::Domain => (recipient.domain().unwrap_or(hostname), 3),
            };
            if value.starts_with('-') {
                let text = "An address that begins with a dash is not handed to a command";
                return Err(Response::new(
                    553,
                    Some(EnhancedCode::new(5, 1, detail)),
                    text,
                ));
            }
            Ok(value)
        };
        self.arguments.iter().map(value).collect()
    }
}

/// Words, parted by blanks.
impl FromStr for PipeCommand {
    type Err = PipeCommandError;

    fn from_str(text: &str) -> Result<Self, PipeCommandError> {
        PipeCommand::new(text.split_whitespace())
    }
}

impl Argument {
    fn read(word: String) -> Result<Self, PipeCommandError> {
        match word.as_str() {
            "{sender}" => Ok(Argument::Sender),
            "{recipient}" => Ok(Argument::Recipient),
            "{user}" => Ok(Argument::User),
            "{domain}" => Ok(Argument::Domain),
            other if other.contains(['{', '}']) => Err(PipeCommandError::Placeholder(word)),
            _ => Ok(Argument::Fixed(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(command: &str, sender: &str, recipient: &str) -> Result<Vec<String>, String> {
        let command: PipeCommand = command.parse().unwrap();
        let sender = ReversePath::parse(sender).unwrap();
        let recipient = recipient.parse().unwrap();
        let arguments = command.arguments(&sender, &recipient, "mx.example");
        let owned = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
        arguments
            .map(owned)
            .map_err(|response| response.to_string())
    }

    #[test]
    fn placeholders_are_whole_arguments() {
        let all = "/bin/x -f {sender}  {recipient} {user} {domain} $HOME ;";
        assert_eq!(
            arguments(all, "s@from.example", "\"a b\"@to.example").unwrap(),
            [
                "-f",
                "s@from.example",
                "\"a b\"@to.example",
                "\"a b\"",
                "to.example",
                "$HOME",
                ";"
            ]
        );
        assert_eq!(
            arguments("/bin/x {sender} y", "", "a@b.example").unwrap(),
            ["", "y"]
        );
        let bare = arguments("/bin/x {user} {domain}", "", "postmaster").unwrap();
        assert_eq!(bare, ["postmaster", "mx.example"]);
    }

    #[test]
    fn an_address_is_never_an_option() {
        let refused =
            |command, sender, recipient| arguments(command, sender, recipient).unwrap_err();
        assert!(refused("/bin/x {recipient}", "", "-oX@to.example").starts_with("553 5.1.3"));
        assert!(refused("/bin/x {user}", "", "--help@to.example").starts_with("553 5.1.3"));
        assert!(
            refused("/bin/x {sender}", "-f@from.example", "a@b.example").starts_with("553 5.1.7")
        );
        // Nothing of it reaches the command.
        arguments("/bin/x {domain}", "-f@from.example", "-a@b.example").unwrap();
    }

    #[test]
    fn what_is_no_command_is_told_why() {
        for text in ["", " ", "maildrop -d {user}", "./x"] {
            let error = text.parse::<PipeCommand>();
            assert_eq!(error, Err(PipeCommandError::NoProgram), "{text:?}");
        }
        for word in ["{size}", "-d{user}", "{user}@{domain}", "{", "}"] {
            let error = PipeCommand::new(["/bin/x", word]).unwrap_err();
            assert_eq!(error, PipeCommandError::Placeholder(word.to_owned()));
        }
        PipeCommand::new(["/bin/x", "two words"]).unwrap();
    }
}
