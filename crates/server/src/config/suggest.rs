//! What somebody may have meant who wrote something else.

/// Lists longer than this say more than anybody reads.
const LISTED_MAX: usize = 12;

/// A mistake as the parser tells it, with what would be right.
pub(super) fn explained(name: &str, message: &str) -> String {
    if message.starts_with("unknown field") {
        return match near(name, &expected(message)) {
            Some(meant) => format!("there is no such option; did you mean `{meant}`?"),
            None => match expected(message).as_slice() {
                [] => "there is no such option; leave it out".to_owned(),
                few if few.len() <= LISTED_MAX => {
                    format!("there is no such option; there are {}", few.join(", "))
                }
                _ => "there is no such option; `slimta check-config --reference` lists them"
                    .to_owned(),
            },
        };
    }
    if let Some(missing) = message.strip_prefix("missing field ") {
        return format!("it lacks {missing}");
    }
    // The parser's words for types are those of programs.
    let message = &message
        .replace("a nonzero usize", "a whole number above zero")
        .replace("a nonzero u32", "a whole number above zero");
    if let Some(found) = message.strip_suffix("expected a sequence") {
        return format!("{found}expected an array, as in {name} = [\"...\"]");
    }
    let unknown = message.strip_prefix("unknown variant `");
    let written = unknown.and_then(|rest| rest.split_once('`'));
    match written.and_then(|(written, _)| near(written, &expected(message))) {
        Some(meant) => format!("{message}; did you mean {meant:?}?"),
        None => message.to_owned(),
    }
}

/// What the parser says could have stood there: the words in backquotes at its
/// end.
pub(super) fn expected(message: &str) -> Vec<&str> {
    let listed = message.rsplit_once("`, expected ");
    let words = listed.map(|(_, list)| list.split('`').skip(1).step_by(2));
    words.into_iter().flatten().collect()
}

/// Which of these is written most alike, if one is at all: a letter in three may
/// be another.
fn near<'a>(written: &str, words: &[&'a str]) -> Option<&'a str> {
    let distances = words.iter().map(|word| {
        let distance = strsim::osa_distance(&written.to_lowercase(), word);
        (distance, *word)
    });
    let (distance, word) = distances.min()?;
    (distance <= (word.len() / 3).max(1)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: &str = "unknown field `x`, expected one of `listen`, `listen-tls`, `relay`";

    #[test]
    fn what_is_alike_is_meant() {
        for (written, meant) in [
            ("listn", "`listen`"),
            ("listen_tls", "`listen-tls`"),
            ("LISTEN-TSL", "`listen-tls`"),
            ("relays", "`relay`"),
        ] {
            let told = explained(written, UNKNOWN);
            assert!(told.ends_with(&format!("did you mean {meant}?")), "{told}");
        }
        let told = explained("colour", UNKNOWN);
        assert!(
            told.ends_with("there are listen, listen-tls, relay"),
            "{told}"
        );
        let only = explained("bits", "unknown field `bits`, expected `selector` or `key`");
        assert!(only.ends_with("there are selector, key"), "{only}");
    }

    #[test]
    fn other_mistakes_stay_as_they_are_told() {
        let told = explained("relay", "invalid type: integer `1`, expected a string");
        assert_eq!(told, "invalid type: integer `1`, expected a string");
        let told = explained(
            "log-format",
            "unknown variant `jsn`, expected `human` or `json`",
        );
        assert!(told.ends_with("did you mean \"json\"?"), "{told}");
    }
}
