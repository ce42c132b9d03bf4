//! Takes a command line apart as getopt(3) does by POSIX: letters may share a
//! word, a value is the rest of the word or the next one, and what follows the
//! first word that is no option, or `--`, are operands, dashes or not.

use super::status::{Ended, Status};

/// A command line on its way.
pub(super) struct Letters<'a> {
    words: &'a [String],
    /// What is left of the word that is being taken apart.
    rest: &'a str,
}

impl<'a> Letters<'a> {
    /// Begins at the first word behind the program's name.
    pub(super) fn new(words: &'a [String]) -> Self {
        Letters { words, rest: "" }
    }

    /// The next option; none where the operands begin.
    pub(super) fn next(&mut self) -> Option<char> {
        if self.rest.is_empty() {
            let (word, others) = self.words.split_first()?;
            let letters = word.strip_prefix('-').filter(|rest| !rest.is_empty())?;
            self.words = others;
            if letters == "-" {
                return None;
            }
            self.rest = letters;
        }
        let mut letters = self.rest.chars();
        let letter = letters.next();
        self.rest = letters.as_str();
        letter
    }

    /// The value of the option that was just met, which must have one.
    pub(super) fn value(&mut self, letter: char) -> Result<&'a str, Ended> {
        let attached = self.attached();
        if !attached.is_empty() {
            return Ok(attached);
        }
        let missing = || Status::Usage.because(format!("the option -{letter} needs a value"));
        let (word, others) = self.words.split_first().ok_or_else(missing)?;
        self.words = others;
        Ok(word)
    }

    /// What stands in the same word behind the option that was just met, which
    /// may be nothing.
    pub(super) fn attached(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }

    /// What is left when there are no more options.
    pub(super) fn operands(self) -> &'a [String] {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters, and values of `f` and `o` in brackets, before the operands.
    fn read(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut letters = Letters::new(&words);
        let mut read = String::new();
        while let Some(letter) = letters.next() {
            read.push(letter);
            match letter {
                'f' | 'o' => read += &format!("[{}]", letters.value(letter).unwrap()),
                'q' => read += &format!("[{}]", letters.attached()),
                _ => {}
            }
        }
        format!("{read} {}", letters.operands().join(" "))
    }

    #[test]
    fn values_are_attached_or_apart() {
        for (words, expected) in [
            (&["-f", "a", "-fb", "c"][..], "f[a]f[b] c"),
            (&["-ti", "-oem", "-oi"], "tio[em]o[i] "),
            (&["-tifa", "b"], "tif[a] b"),
            (&["-f", "", "x"], "f[] x"),
            (&["-f", "-t", "-i"], "f[-t]i "),
            (&["-q", "-q30m", "-t"], "q[]q[30m]t "),
            (&["-t", "--", "-i", "--"], "t -i --"),
            (&["-t", "a", "-i", "--"], "t a -i --"),
            (&["-", "-i"], " - -i"),
            (&["-\u{e9}t"], "\u{e9}t "),
            (&[], " "),
        ] {
            assert_eq!(read(words), expected, "{words:?}");
        }
    }

    #[test]
    fn a_missing_value_is_named() {
        let words = ["-f".to_owned()];
        let mut letters = Letters::new(&words);
        assert_eq!(letters.next(), Some('f'));
        let why = "the option -f needs a value";
        assert_eq!(letters.value('f'), Err(Status::Usage.because(why)));
    }
}
