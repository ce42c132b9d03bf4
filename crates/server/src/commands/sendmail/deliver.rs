//! `sendmail`: reads a message and hands it to the server.

use std::io;

use slimta_core::message::Content;

use super::author::Author;
use super::fates::Fates;
use super::mailboxes::typed;
use super::options::Options;
use super::place::Place;
use super::status::{Ended, Status};
use super::submission::Submission;
use super::{input, letter};
use crate::commands::block_on;
use crate::output;

/// Reads the message, and hands it in for all who can have it. Of each other one
/// is told why.
pub(super) fn deliver(options: &Options) -> Result<(), Ended> {
    let place = Place::find(options.config.clone())?;
    let author = Author::find(options, &place.hostname)?;
    if options.recipients.is_empty() && !options.reads_header {
        return Err(Status::Usage.because(
            "there are no recipients: name them behind the options, or in the header, with -t",
        ));
    }
    let bytes = input::read(io::stdin().lock(), options.keeps_dots, place.bytes_max)?;
    let content = Content::new(bytes);
    // Those of the header are added to those that were typed, as by Postfix.
    let typed = |word: &String| typed(word, &place.hostname);
    let mut found: Vec<_> = options.recipients.iter().flat_map(typed).collect();
    if options.reads_header {
        found.extend(letter::recipients(&content, &place.hostname));
    }
    if found.is_empty() {
        return Err(Status::Usage.because("the header names no recipients (-t)"));
    }
    let mut fates = Fates::default();
    let recipients = fates.sort(found);
    if !recipients.is_empty() {
        let submission = Submission {
            sender: author.reverse_path,
            recipients,
            content: letter::ready(content, &author.from),
            dsn: options.dsn.clone(),
        };
        hand_over(&submission, &place, options.is_verbose, &mut fates)?;
    }
    fates.end()
}

fn hand_over(
    submission: &Submission,
    place: &Place,
    is_verbose: bool,
    fates: &mut Fates,
) -> Result<(), Ended> {
    let handed = block_on(submission.hand_over(place));
    let answers = handed.map_err(|failure| Status::System.because(failure.to_string()))??;
    for (recipient, answer) in submission.recipients.iter().zip(answers) {
        if is_verbose {
            // The message is there, whether anybody reads this or not.
            let _ = output::line(format!("{recipient}: {answer}"));
        }
        fates.add(recipient, &answer);
    }
    Ok(())
}
