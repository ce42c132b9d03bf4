//! What flags and the file say together, with everything that is wrong in it.

use super::document::Document;
use super::flags::Flags;
use super::problem::{Problem, line_and_column};
use super::{Options, Settings, file};
use crate::failure::Failure;

/// What separates a warning from what is wrong.
const WARNING: &str = "warning: ";

/// A configuration that is being read. Whoever finds something wrong notes it
/// here; the verdict names all of it, each with its place.
pub(crate) struct Reading {
    flags: Flags,
    file: Option<File>,
    problems: Vec<Problem>,
    /// Options that are left out because they fit nothing else, so that the rest
    /// can be looked at.
    left_out: Vec<String>,
}

/// The file, as far as it could be understood.
struct File {
    shown: String,
    text: String,
    document: Document,
}

impl Reading {
    /// Reads the file that the flags name, if they name one. Fails if it cannot
    /// be read at all.
    pub(crate) fn begin(flags: Flags) -> Result<Self, Failure> {
        let Some(path) = flags.options.config.clone() else {
            return Ok(Reading {
                flags,
                file: None,
                problems: Vec::new(),
                left_out: Vec::new(),
            });
        };
        let shown = path.display().to_string();
        Ok(Reading::of_text(flags, shown, file::read(&path)?))
    }

    /// Reads the text of a file that is called so.
    pub(super) fn of_text(flags: Flags, shown: String, text: String) -> Self {
        let mut document = Document::parse(&text);
        Reading {
            flags,
            problems: std::mem::take(&mut document.problems),
            file: Some(File {
                shown,
                text,
                document,
            }),
            left_out: Vec::new(),
        }
    }

    /// The settings, with everything wrong with them noted; what fits nothing else
    /// is left out of them. None if there is no sense in looking on.
    pub(crate) fn settings(&mut self) -> Option<Settings> {
        let file = self.file.as_ref();
        if file.is_some_and(|file| file.document.is_broken) {
            return None;
        }
        self.note(self.options().problems());
        loop {
            let failure = match self.options().settle() {
                Ok(settings) => return Some(settings),
                Err(failure) => failure,
            };
            let key = match &failure {
                Failure::Setting { key, .. } => Some(key.clone()),
                _ => None,
            };
            self.note(vec![failure]);
            // What a flag says, or nobody, cannot be left out.
            let place = self.file.as_ref()?.document.place(key.as_ref()?);
            if self.left_out.contains(key.as_ref()?) || place.is_none() {
                return None;
            }
            self.left_out.extend(key);
        }
    }

    /// What flags and file say together.
    fn options(&self) -> Options {
        let flags = self.flags.options.clone();
        match &self.file {
            Some(file) if self.left_out.is_empty() => flags.or(file.document.options.clone()),
            Some(file) => {
                let rest = Document::parse_without(&file.text, &self.left_out);
                flags.or(rest.options)
            }
            None => flags,
        }
    }

    /// Notes what else is wrong. What follows from a mistake that was noted
    /// before, and what was noted itself, is none of its own.
    pub(crate) fn note(&mut self, failures: Vec<Failure>) {
        for problem in failures.into_iter().map(Problem::from) {
            let follows = self.problems.iter().any(|known| {
                let is_left_out = self.left_out.contains(&known.key);
                let is_named = !known.key.is_empty() && (known.at.is_some() || is_left_out);
                (known.key == problem.key && known.why == problem.why)
                    || (is_named && has_name(&problem, &known.key))
            });
            if !follows {
                self.problems.push(problem);
            }
        }
    }

    /// Fails with all that is wrong, if something is: as a mistake of the file,
    /// unless flags alone made it.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut problems: Vec<_> = self.problems.iter().collect();
        problems.sort_by_key(|problem| self.at(problem));
        let by_flags = problems.iter().all(|problem| self.is_of_flags(problem));
        let lines: Vec<_> = problems.iter().map(|p| self.line(p, "")).collect();
        let told = lines.join("\n");
        Err(match by_flags {
            true => Failure::Usage(told),
            false => Failure::Config(told),
        })
    }

    /// What works and is risky, and `more`, options and what may come of them; each
    /// with its place.
    pub(crate) fn warnings(&self, settings: &Settings, more: Vec<(String, String)>) -> Vec<String> {
        let risks = super::risks::risks(settings);
        let risks = risks
            .into_iter()
            .chain(more)
            .map(|(key, why)| Problem { key, why, at: None });
        let mut risks: Vec<_> = risks.collect();
        risks.sort_by_key(|risk| self.at(risk));
        risks.iter().map(|risk| self.line(risk, WARNING)).collect()
    }

    /// The file that was read, and how many options it says.
    pub(crate) fn read(&self) -> Option<(&str, usize)> {
        let file = self.file.as_ref()?;
        Some((&file.shown, file.document.options_count()))
    }

    /// Whether flags said what is wrong, or nobody did.
    fn is_of_flags(&self, problem: &Problem) -> bool {
        problem.at.is_none() && (self.file.is_none() || self.flags.given.contains(&problem.key))
    }

    /// Where it stands in the file, if it does.
    fn at(&self, problem: &Problem) -> Option<usize> {
        let file = self.file.as_ref()?;
        match self.flags.given.contains(&problem.key) {
            true => None,
            false => problem.at.or_else(|| file.document.place(&problem.key)),
        }
    }

    /// `FILE:LINE:COLUMN: KEY: WHY`, or as much of it as there is.
    fn line(&self, problem: &Problem, kind: &str) -> String {
        let Problem { key, why, .. } = problem;
        let why = why.lines().collect::<Vec<_>>().join(" ");
        let option = match (key.is_empty(), self.is_of_flags(problem)) {
            (true, _) => String::new(),
            (false, true) if !key.contains('.') => format!("--{key}: "),
            (false, _) => format!("{key}: "),
        };
        let place = match (&self.file, self.at(problem)) {
            (Some(File { shown, text, .. }), Some(at)) => {
                let (line, column) = line_and_column(text, at);
                format!("{shown}:{line}:{column}: ")
            }
            (Some(File { shown, .. }), None) if !self.is_of_flags(problem) => {
                format!("{shown}: ")
            }
            _ => String::new(),
        };
        format!("{place}{option}{kind}{why}")
    }
}

/// Whether a problem speaks of the option of that name. In a table, others of the same
/// table call it by its last word.
fn has_name(problem: &Problem, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut words = problem.why.split(|c| !is_word(c));
    let table = problem.key.rsplit_once('.').map(|(table, _)| table);
    let called = match name.rsplit_once('.') {
        Some((above, option)) if table == Some(above) => option,
        _ => name,
    };
    problem.key == name || words.any(|word| word == called)
}
