//! `postqueue`: its options.

use std::path::PathBuf;

use super::getopt::Letters;
use super::options::Flush;
use super::queue::{self, Form};
use super::status::{Ended, Status};

const USAGE: &str = "usage: postqueue [-c FILE] -p | -j | -f | -s DESTINATION | -i ID";

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Work {
    List(Form),
    Flush(Flush),
}

/// Does what the words say.
pub(super) fn run(words: &[String]) -> Result<(), Ended> {
    match parse(words)? {
        (config, Work::List(form)) => queue::list(config, form),
        (config, Work::Flush(flush)) => queue::flush(config, flush),
    }
}

/// The configuration, if one was named, and the one thing to do.
fn parse(words: &[String]) -> Result<(Option<PathBuf>, Work), Ended> {
    let (mut config, mut work) = (None, Vec::new());
    let mut letters = Letters::new(words);
    while let Some(letter) = letters.next() {
        match letter {
            'c' => config = Some(letters.value(letter)?.into()),
            'p' => work.push(Work::List(Form::Table)),
            'j' => work.push(Work::List(Form::Json)),
            'f' => work.push(Work::Flush(Flush::All)),
            's' => work.push(Work::Flush(Flush::destination(letters.value(letter)?)?)),
            'i' => work.push(Work::Flush(Flush::message(letters.value(letter)?)?)),
            'v' => {}
            _ => return Err(Status::Usage.because(USAGE)),
        }
    }
    match (work.pop(), work.is_empty(), letters.operands()) {
        (Some(work), true, []) => Ok((config, work)),
        _ => Err(Status::Usage.because(USAGE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Option<PathBuf>, Work), Ended> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn one_thing_is_done() {
        let id = "018f3c5e-7a3b-7c11-9d2e-5b8a4f6c1d20";
        for (line, work) in [
            ("-p", Work::List(Form::Table)),
            ("-vj", Work::List(Form::Json)),
            ("-f", Work::Flush(Flush::All)),
            ("-s a.b", Work::Flush(Flush::Destination("a.b".to_owned()))),
            (
                &format!("-i{id}"),
                Work::Flush(Flush::Message(id.parse().unwrap())),
            ),
        ] {
            assert_eq!(parsed(line), Ok((None, work)), "{line}");
        }
        let named = parsed("-c /etc/slimta.toml -p").unwrap();
        assert_eq!(named.0, Some("/etc/slimta.toml".into()));
        for line in ["", "-p -f", "-p x", "-x", "-s", "-s *.b", "-i x", "-c"] {
            assert!(
                matches!(parsed(line), Err(Ended::With(Status::Usage, _))),
                "{line}"
            );
        }
    }
}
