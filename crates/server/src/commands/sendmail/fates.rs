//! What became of the recipients, as a script is told: a line for each who does
//! not get the message, and one status for all.

use std::collections::BTreeSet;

use slimta_core::message::{Address, Response};

use super::mailboxes::NoMailbox;
use super::status::{Ended, Status};
use crate::output::harmless;

/// Those who do not get it: what it means, and what is told.
#[derive(Default)]
pub(super) struct Fates(Vec<(Status, String)>);

impl Fates {
    /// Those who can be asked for, each once; the others are told of.
    pub(super) fn sort(&mut self, found: Vec<Result<Address, NoMailbox>>) -> Vec<Address> {
        let (mut recipients, mut seen) = (Vec::new(), BTreeSet::new());
        for one in found {
            match one {
                Ok(address) => {
                    let domain = address.domain().unwrap_or_default().to_lowercase();
                    if seen.insert((address.local_part().to_owned(), domain)) {
                        recipients.push(address);
                    }
                }
                Err(NoMailbox { text, why }) => {
                    let told = format!("\"{}\": {why}", harmless(&text));
                    self.0.push((Status::Data, told));
                }
            }
        }
        recipients
    }

    /// What the server said of one.
    pub(super) fn add(&mut self, recipient: &Address, answer: &Response) {
        if !answer.is_success() {
            let said = harmless(&answer.to_string());
            let told = format!("<{recipient}>: {said}");
            self.0.push((Status::of_refusal(answer), told));
        }
    }

    /// The end. What failed for good decides: to come again does not help it, and
    /// those who have the message would get it twice.
    pub(super) fn end(self) -> Result<(), Ended> {
        let for_good = self.0.iter().find(|(status, _)| *status != Status::Later);
        let Some((status, _)) = for_good.or(self.0.first()) else {
            return Ok(());
        };
        let lines: Vec<&str> = self.0.iter().map(|(_, told)| told.as_str()).collect();
        Err(status.because(lines.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_for_once() {
        let found = ["a@b", "A@b", "a@B", "c@d", "a@b"].map(|text| Ok(text.parse().unwrap()));
        let mut fates = Fates::default();
        let sorted: Vec<_> = fates
            .sort(found.to_vec())
            .iter()
            .map(Address::to_string)
            .collect();
        assert_eq!(sorted, ["a@b", "A@b", "c@d"]);
        assert_eq!(fates.end(), Ok(()));
    }

    #[test]
    fn what_failed_for_good_decides() {
        let to: Address = "a@b".parse().unwrap();
        let later = Response::new(450, None, "not\nnow");
        let never = Response::permanent(1, 1, "no such user");
        let mut fates = Fates::default();
        fates.add(&to, &Response::success(0, 0, "ok"));
        fates.add(&to, &later);
        let told = "<a@b>: 450 not / now";
        fates.add(&to, &never);
        let both = format!("{told}\n<a@b>: 550 5.1.1 no such user");
        assert_eq!(fates.end(), Err(Status::NoUser.because(both)));
        let mut fates = Fates::default();
        fates.add(&to, &later);
        assert_eq!(fates.end(), Err(Status::Later.because(told)));
    }

    #[test]
    fn a_recipient_that_is_none_forges_no_line() {
        let mut fates = Fates::default();
        let text = "x\nsendmail: y".to_owned();
        let why = "odd".to_owned();
        assert_eq!(fates.sort(vec![Err(NoMailbox { text, why })]), []);
        assert_eq!(
            fates.end(),
            Err(Status::Data.because("\"x?sendmail: y\": odd"))
        );
    }
}
