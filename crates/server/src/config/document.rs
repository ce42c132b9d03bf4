//! A configuration file that is read as a whole: each mistake in it is found,
//! not only the first.
//!
//! The parser of the options stops at a mistake. So what is wrong is noted and
//! taken out, and the rest is parsed again, until nothing is wrong any more.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::Options;
use super::problem::Problem;
use super::suggest::explained;

/// Who has made more mistakes than this in one file mends these first.
const PROBLEMS_MAX: usize = 50;
/// Longer lists are not looked at value by value.
const EACH_MAX: usize = 50;

/// What a file says.
pub(super) struct Document {
    /// What could be understood.
    pub(super) options: Options,
    /// What could not.
    pub(super) problems: Vec<Problem>,
    /// Whether it is no TOML: then nothing is known of its options.
    pub(super) is_broken: bool,
    /// Where each key stands, in bytes; as [`looked_up`] has it.
    places: BTreeMap<String, usize>,
}

/// A step from a table or an array to what is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// Something in a file: a key with its value, or a value in an array.
struct Entry {
    path: Vec<Step>,
    key: Option<Range<usize>>,
    value: Range<usize>,
}

impl Document {
    /// Reads all of it.
    pub(super) fn parse(text: &str) -> Self {
        Document::parse_without(text, &[])
    }

    /// Reads all of it but these keys.
    pub(super) fn parse_without(text: &str, keys: &[String]) -> Self {
        let (mut left, broken) = DeTable::parse_recoverable(text);
        for entry in entries(left.get_ref()) {
            let path = looked_up(&shown(&entry.path));
            if keys.iter().any(|key| looked_up(key) == path) {
                remove(left.get_mut(), &entry.path);
            }
        }
        let mut document = Document {
            options: Options::default(),
            problems: broken.iter().take(PROBLEMS_MAX).map(of_syntax).collect(),
            is_broken: !broken.is_empty(),
            places: places(left.get_ref()),
        };
        while !document.is_broken {
            match Options::deserialize(left.clone().into_deserializer()) {
                Ok(options) => {
                    document.options = options;
                    break;
                }
                Err(error) => {
                    let found = document.take_out(&mut left, &error);
                    if document.problems.len() >= PROBLEMS_MAX {
                        document.problems.push(Problem {
                            key: String::new(),
                            why: "there may be more: mend these first".to_owned(),
                            at: Some(text.len()),
                        });
                    }
                    document.is_broken = !found || document.problems.len() >= PROBLEMS_MAX;
                }
            }
        }
        document
    }

    /// How many options it says, those in tables each.
    pub(super) fn options_count(&self) -> usize {
        let is_table = |key: &String| {
            let below = format!("{key}.");
            let next = self.places.range(below.clone()..).next();
            next.is_some_and(|(other, _)| other.starts_with(&below))
        };
        self.places.keys().filter(|key| !is_table(key)).count()
    }

    /// Where a key stands, or the nearest table around it that does, or the only
    /// table that has such a key.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        let mut key = looked_up(key);
        loop {
            if let Some(at) = self.places.get(&key) {
                return Some(*at);
            }
            let Some((above, _)) = key.rsplit_once('.') else {
                return self.place_in_a_table(&key);
            };
            key = above.to_owned();
        }
    }

    /// Where an option stands that only one table has.
    fn place_in_a_table(&self, key: &str) -> Option<usize> {
        let last = format!(".{key}");
        let mut found = self.places.iter().filter(|(name, _)| name.ends_with(&last));
        let (_, at) = found.next()?;
        found.next().is_none().then_some(*at)
    }

    /// Notes a mistake and takes what it is in out of the table; says whether it
    /// was found.
    fn take_out(&mut self, left: &mut Spanned<DeTable<'_>>, error: &toml::de::Error) -> bool {
        let entry = error.span().and_then(|span| {
            let all = entries(left.get_ref());
            let sizes = all.into_iter().filter_map(|entry| {
                let size = entry.size_around(span.start)?;
                Some((size, usize::MAX - entry.path.len(), entry))
            });
            sizes.min_by_key(|(size, depth, _)| (*size, *depth))
        });
        let Some((_, _, entry)) = entry else {
            self.problems.push(of_syntax(error));
            return false;
        };
        let each = each_of(left, &entry);
        if each.is_empty() {
            self.problems.push(Problem {
                key: shown(&entry.path),
                why: explained(last_key(&entry.path), error.message()),
                at: error.span().map(|span| span.start),
            });
        }
        self.problems.extend(each);
        remove(left.get_mut(), &entry.path);
        true
    }
}

impl Entry {
    /// How long the part of it is that holds the place `at`, if one does.
    fn size_around(&self, at: usize) -> Option<usize> {
        let parts = self.key.iter().chain([&self.value]);
        let around = parts.filter(|part| (part.start..=part.end).contains(&at));
        around.map(|part| part.len()).min()
    }
}

fn of_syntax(error: &toml::de::Error) -> Problem {
    Problem {
        key: String::new(),
        why: error.message().trim_end().to_owned(),
        at: error.span().map(|span| span.start),
    }
}

/// What is wrong with a list is told of each value in it that is wrong by itself.
fn each_of(left: &Spanned<DeTable<'_>>, list: &Entry) -> Vec<Problem> {
    let mut wrong = Vec::new();
    let mut number = 0;
    loop {
        let mut alone = left.clone();
        let Some(DeValue::Array(values)) = find(alone.get_mut(), &list.path) else {
            return wrong;
        };
        let is_enough = number >= EACH_MAX || wrong.len() >= PROBLEMS_MAX;
        let Some(value) = values
            .get(number)
            .filter(|_| values.len() > 1 && !is_enough)
        else {
            return wrong;
        };
        let (value, span) = (value.clone(), value.span());
        *values = DeArray::from_iter([value]);
        number += 1;
        let read = Options::deserialize(alone.into_deserializer());
        // Another mistake, elsewhere, is not this value's.
        let Err(error) = read else { continue };
        let at = error.span().unwrap_or(0..0).start;
        if list.value.contains(&at) {
            wrong.push(Problem {
                key: shown(&list.path),
                why: explained(last_key(&list.path), error.message()),
                at: Some(span.start),
            });
        }
    }
}

/// Everything in a table, whatever is in what.
fn entries(table: &DeTable<'_>) -> Vec<Entry> {
    fn of_value(value: &Spanned<DeValue<'_>>, path: &[Step], found: &mut Vec<Entry>) {
        match value.get_ref() {
            DeValue::Table(table) => of_table(table, path, found),
            DeValue::Array(values) => {
                for (number, value) in values.iter().enumerate() {
                    let path = [path, &[Step::Index(number)]].concat();
                    of_value(value, &path, found);
                    found.push(Entry {
                        path,
                        key: None,
                        value: value.span(),
                    });
                }
            }
            _ => {}
        }
    }

    fn of_table(table: &DeTable<'_>, path: &[Step], found: &mut Vec<Entry>) {
        for (key, value) in table.iter() {
            let path = [path, &[Step::Key(key.get_ref().to_string())]].concat();
            of_value(value, &path, found);
            found.push(Entry {
                path,
                key: Some(key.span()),
                value: value.span(),
            });
        }
    }

    let mut found = Vec::new();
    of_table(table, &[], &mut found);
    found
}

fn places(table: &DeTable<'_>) -> BTreeMap<String, usize> {
    let keys = entries(table).into_iter().filter_map(|entry| {
        let at = entry.key?.start;
        Some((looked_up(&shown(&entry.path)), at))
    });
    keys.collect()
}

fn find<'t, 'i>(table: &'t mut DeTable<'i>, path: &[Step]) -> Option<&'t mut DeValue<'i>> {
    let (Step::Key(first), rest) = path.split_first()? else {
        return None;
    };
    let mut value = table.get_mut(first.as_str())?.get_mut();
    for step in rest {
        value = match (step, value) {
            (Step::Key(key), DeValue::Table(table)) => table.get_mut(key.as_str())?.get_mut(),
            (Step::Index(number), DeValue::Array(values)) => values.get_mut(*number)?.get_mut(),
            _ => return None,
        };
    }
    Some(value)
}

fn remove(table: &mut DeTable<'_>, path: &[Step]) {
    let Some((last, above)) = path.split_last() else {
        return;
    };
    match (last, find(table, above)) {
        (Step::Key(key), None) => drop(table.remove(key.as_str())),
        (Step::Key(key), Some(DeValue::Table(table))) => drop(table.remove(key.as_str())),
        (Step::Index(number), Some(DeValue::Array(values))) => {
            let all = values.iter().enumerate();
            let others = all.filter(|(other, _)| other != number);
            *values = others.map(|(_, value)| value.clone()).collect();
        }
        _ => {}
    }
}

fn last_key(path: &[Step]) -> &str {
    let keys = path.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    keys.unwrap_or_default()
}

/// A path as TOML writes it; what is in an array has the key of the array.
fn shown(path: &[Step]) -> String {
    let keys = path.iter().filter_map(|step| match step {
        Step::Key(key) => Some(quoted(key)),
        Step::Index(_) => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// A path however it is quoted, and in lower case, as patterns are.
fn looked_up(path: &str) -> String {
    path.replace('"', "").to_lowercase()
}

fn quoted(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !key.is_empty() && key.chars().all(is_plain) {
        true => key.to_owned(),
        false => format!("\"{key}\""),
    }
}
