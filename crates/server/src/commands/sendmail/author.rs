//! Who a message is from: its reverse-path, and the From that it gets if it has
//! none.

use slimta_core::message::{Address, NewField, ReversePath, steers};

use super::mailboxes::typed;
use super::options::Options;
use super::person::Person;
use super::phrase::{phrase, quoted};
use super::status::{Ended, Status};
use crate::output::harmless;

/// Who it is from.
pub(super) struct Author {
    /// Where notices go.
    pub(super) reverse_path: ReversePath,
    /// For a message that does not say.
    pub(super) from: NewField,
}

impl Author {
    /// As the options say, else the user whose process this is. `hostname` is the
    /// domain of names without one.
    pub(super) fn find(options: &Options, hostname: &str) -> Result<Self, Ended> {
        let person = Person::of_process();
        let given = options.sender.as_deref().map(str::trim);
        let (reverse_path, mailbox) = match given {
            Some(text) if !matches!(text, "" | "<>") => {
                let mailbox = mailbox(text, hostname)?;
                (ReversePath::from(mailbox.clone()), mailbox)
            }
            // A notice is from somebody, too, but none goes back.
            given => {
                let login = &person.as_ref().map_err(Clone::clone)?.login;
                // Some have a backslash in it, or a blank.
                let own = mailbox(&quoted(login), hostname)?;
                match given {
                    Some(_) => (ReversePath::Null, own),
                    None => (ReversePath::from(own.clone()), own),
                }
            }
        };
        let name = match &options.full_name {
            Some(name) => checked(name).map(Some)?,
            None => known(person.ok()),
        };
        Ok(Author {
            reverse_path,
            from: from(&mailbox, name.as_deref())?,
        })
    }
}

/// A sender is one address.
fn mailbox(text: &str, hostname: &str) -> Result<Address, Ended> {
    let why = match typed(text, hostname).as_slice() {
        [Ok(address)] => return Ok(address.clone()),
        [Err(no)] => no.why.clone(),
        _ => "a sender is one address".to_owned(),
    };
    Err(Status::Usage.because(format!("the sender {}: {why}", harmless(text))))
}

/// A name that was typed.
fn checked(name: &str) -> Result<String, Ended> {
    match name.contains(steers) {
        false => Ok(name.to_owned()),
        true => Err(Status::Usage.because("-F: a name holds no line ends or control characters")),
    }
}

/// The name that the system knows, if it is one.
fn known(person: Option<Person>) -> Option<String> {
    let name = person.and_then(|person| person.full_name);
    name.filter(|name| !name.contains(steers))
}

fn from(mailbox: &Address, name: Option<&str>) -> Result<NewField, Ended> {
    let value = match name.map(str::trim).filter(|name| !name.is_empty()) {
        None => mailbox.to_string(),
        Some(name) => format!("{} <{mailbox}>", phrase(name)),
    };
    let too_long = |error| Status::Usage.because(format!("-F: {error}"));
    NewField::new("From", &value).map_err(too_long)
}

#[cfg(test)]
mod tests {
    use super::super::options::Mode;
    use super::*;

    fn author(words: &[&str]) -> Result<(String, String), Ended> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let options = Options::parse(Mode::Deliver, &words)?;
        let author = Author::find(&options, "here.example")?;
        Ok((author.reverse_path.to_string(), author.from.to_string()))
    }

    #[test]
    fn a_sender_that_was_typed_is_in_the_from_too() {
        for (words, sender, from) in [
            (&["-f", "a@b", "-F", "A. B."][..], "a@b", "\"A. B.\" <a@b>"),
            (&["-fa@b", "-F", " "], "a@b", "a@b"),
            (&["-f", "A <a@b>", "-FX"], "a@b", "X <a@b>"),
            (
                &["-r", "root", "-FX"],
                "root@here.example",
                "X <root@here.example>",
            ),
        ] {
            let expected = (sender.to_owned(), format!("From: {from}\r\n"));
            assert_eq!(author(words), Ok(expected), "{words:?}");
        }
        for null in ["<>", ""] {
            let (sender, from) = author(&["-f", null]).unwrap();
            assert_eq!(sender, "");
            assert!(
                from.trim_end()
                    .trim_end_matches('>')
                    .ends_with("@here.example")
            );
        }
    }

    #[test]
    fn nobody_writes_other_fields_through_a_name() {
        for words in [
            &["-F", "A\r\nBcc: x@y"][..],
            &["-F", "A\nB"],
            &["-F", "\u{1b}[2J"],
            &["-F", &"x".repeat(1000)],
            &["-f", "a@b\r\nBcc: x@y"],
            &["-f", "a@b\nRCPT TO:<x@y>"],
            &["-f", "a@b, c@d"],
            &["-f", "a@b>"],
            &["-f", "\"a\nb\"@c"],
        ] {
            let Err(Ended::With(status, why)) = author(words) else {
                panic!("{words:?} was taken");
            };
            assert_eq!(status, Status::Usage);
            assert!(!why.contains(steers), "{why:?}");
        }
    }
}
