//! The house rules that a machine can keep: imports point down, time and chance
//! come through `world`, files are short and say what they are.
//!
//! Each fault is told with its file and line. The rules read text, not syntax:
//! rustfmt makes that good enough, and the compiler does the rest.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of the core and what each may use: `world`, then `message`, then
/// four neighbours that do not know each other, then `queue`.
const FLOORS: &[(&str, &[&str])] = &[
    ("world", &[]),
    ("message", &["world"]),
    ("bus", &["world", "message"]),
    ("storage", &["world", "message"]),
    ("relay", &["world", "message"]),
    ("policy", &["world", "message"]),
    (
        "queue",
        &["world", "message", "bus", "storage", "relay", "policy"],
    ),
];

/// The crates by directory, and which of ours each may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("oracle", &[]),
    ("smtp", &["slimta-core"]),
    ("storage", &["slimta-core"]),
    ("slimta", &["slimta-core", "slimta-smtp", "slimta-storage"]),
    (
        "server",
        &[
            "slimta",
            "slimta-core",
            "slimta-oracle",
            "slimta-smtp",
            "slimta-storage",
        ],
    ),
    (
        "fuzz-targets",
        &["slimta-core", "slimta-smtp", "slimta-server"],
    ),
    (
        "sim",
        &[
            "slimta",
            "slimta-core",
            "slimta-oracle",
            "slimta-smtp",
            "slimta-storage",
        ],
    ),
];

/// What would let the machine into the core, and why it stays out.
const BANNED_IN_CORE: &[(&str, &str)] = &[
    ("SystemTime", "ask the World for the time"),
    ("Instant::now", "ask the World for the time"),
    ("tokio::time", "wait through the World"),
    ("thread::sleep", "wait through the World"),
    ("getrandom::", "ask the World for chance"),
    ("thread_rng", "ask the World for chance"),
    ("rand::", "ask the World for chance"),
    ("RandomState", "its order is chance"),
    ("watch::", "its waiters wake by chance; use Watched"),
    ("HashMap", "its order is chance; use BTreeMap"),
    ("HashSet", "its order is chance; use BTreeSet"),
    ("std::fs", "the core has no files"),
    ("tokio::fs", "the core has no files"),
    ("std::env", "the core has no environment"),
    ("std::process", "the core has no processes"),
    ("tokio::net", "the core has no sockets"),
    ("TcpStream", "the core has no sockets"),
    ("TcpListener", "the core has no sockets"),
    ("UdpSocket", "the core has no sockets"),
    ("UnixStream", "the core has no sockets"),
    ("UnixListener", "the core has no sockets"),
    ("ToSocketAddrs", "the core asks no resolver"),
];

/// The files that are the door to time and chance.
const DOORS: &[&str] = &["world/mod.rs", "world/system.rs", "world/virtual_time.rs"];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn imports_in_the_core_point_down() {
    let mut faults = Faults::default();
    for file in sources("core/src") {
        let floor = file.floor();
        if floor == "lib" {
            continue;
        }
        let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == floor) else {
            faults.add(
                &file,
                1,
                format!("`{floor}` has no floor: give it one in tidy.rs"),
            );
            continue;
        };
        for (number, used) in file.imports() {
            if used != floor && !below.contains(&used.as_str()) {
                let fault = format!("`{floor}` uses `{used}`, which is not below it");
                faults.add(&file, number, fault);
            }
        }
    }
    faults.none();
}

#[test]
fn crates_depend_downwards() {
    let mut faults = Faults::default();
    for directory in entries(&crates()).into_iter().filter(|e| e.is_dir()) {
        let file = Source::read(directory.join("Cargo.toml"));
        let name = directory.file_name().unwrap().to_str().unwrap();
        let Some((_, below)) = CRATES.iter().find(|(known, _)| *known == name) else {
            faults.add(
                &file,
                1,
                format!("crate `{name}` has no floor: give it one in tidy.rs"),
            );
            continue;
        };
        let mut section = "";
        for (number, line) in file.lines() {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']);
            }
            let used = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_ours = used == "slimta" || used.starts_with("slimta-");
            // Tests may look down from above.
            let counts = section.ends_with("dependencies") && !section.contains("dev-");
            if is_ours && counts && !below.contains(&used) {
                faults.add(&file, number, format!("`{name}` is not above `{used}`"));
            }
        }
    }
    faults.none();
}

#[test]
fn time_chance_and_the_machine_stay_out_of_the_core() {
    let mut faults = Faults::default();
    for file in sources("core/src") {
        if DOORS.iter().any(|door| file.path.ends_with(door)) {
            continue;
        }
        let mut in_select = false;
        for (number, line) in file.code() {
            for (word, why) in BANNED_IN_CORE {
                if has_word(line, word) {
                    faults.add(&file, number, format!("`{word}`: {why}"));
                }
            }
            if in_select && line.trim() != "biased;" {
                let fault = "`select!` without `biased;`: its order is chance".to_owned();
                faults.add(&file, number, fault);
            }
            in_select = line.trim_end().ends_with("select! {");
        }
    }
    faults.none();
}

#[test]
fn every_file_says_what_it_is() {
    let mut faults = Faults::default();
    for file in sources("") {
        if !file.text.starts_with("//! ") {
            faults.add(&file, 1, "does not open with `//!`".to_owned());
        }
    }
    faults.none();
}

#[test]
fn files_and_functions_are_short() {
    let mut faults = Faults::default();
    for file in sources("").iter().filter(|file| !file.is_test()) {
        let lines = file.without_tests();
        if lines.len() > FILE_LINES_MAX {
            let fault = format!("has {} lines without its tests: part it", lines.len());
            faults.add(file, 1, fault);
        }
        for (number, length) in functions(&lines) {
            if length > FUNCTION_LINES_MAX {
                faults.add(file, number, format!("a function of {length} lines"));
            }
        }
    }
    faults.none();
}

#[test]
fn nothing_is_left_for_later() {
    // Written so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let mut faults = Faults::default();
    for file in sources("") {
        for (number, line) in file.lines() {
            if let Some(mark) = marks.iter().find(|mark| has_word(line, mark)) {
                faults.add(&file, number, format!("`{mark}`"));
            }
        }
    }
    faults.none();
}

/// `docs/conformance.md` names a test for each item.
#[test]
fn the_tests_of_the_checklist_exist() {
    let path = crates().join("../docs/conformance.md");
    let document = Source::read(path);
    let sources = sources("");
    let tests: HashSet<&str> = sources
        .iter()
        .flat_map(|file| file.text.split("fn ").skip(1))
        .filter_map(|code| code.split_once('(').map(|(name, _)| name))
        .collect();
    let mut faults = Faults::default();
    for (number, line) in document.lines().filter(|(_, line)| line.starts_with('|')) {
        // Every second part stands between backquotes.
        for name in line.split('`').skip(1).step_by(2) {
            if name.contains('_') && !tests.contains(name) {
                faults.add(&document, number, format!("there is no test `{name}`"));
            }
        }
    }
    faults.none();
}

/// Pages name files that are there, and headings that these have.
#[test]
fn links_between_pages_lead_somewhere() {
    let mut faults = Faults::default();
    for page in pages() {
        let directory = page.path.parent().unwrap();
        for (number, line) in page.lines() {
            let targets = line.split("](").skip(1);
            let targets = targets.filter_map(|rest| rest.split_once(')'));
            for (target, _) in targets.filter(|(target, _)| !target.contains("://")) {
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let path = match file {
                    "" => page.path.clone(),
                    _ => directory.join(file),
                };
                if !path.exists() {
                    faults.add(&page, number, format!("there is no `{file}`"));
                } else if !heading.is_empty() && !anchors(&path).contains(heading) {
                    faults.add(&page, number, format!("no heading makes `{target}`"));
                }
            }
        }
    }
    faults.none();
}

/// The names under which the headings of a page can be reached.
fn anchors(page: &Path) -> HashSet<String> {
    let headings = Source::read(page.to_owned());
    let headings = headings.text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let name = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
        name.chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// All pages of the project that people read.
fn pages() -> Vec<Source> {
    let root = crates().join("..");
    let directories = [root.clone(), root.join("docs"), root.join("docs/design")];
    let entries = directories.iter().flat_map(|directory| entries(directory));
    let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.map(Source::read).collect()
}

/// What is wrong, for one panic at the end that tells all of it.
#[derive(Default)]
struct Faults(String);

impl Faults {
    fn add(&mut self, file: &Source, number: usize, fault: String) {
        let path = file.path.strip_prefix(crates()).unwrap_or(&file.path);
        writeln!(self.0, "crates/{}:{number}: {fault}", path.display()).unwrap();
    }

    fn none(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

/// One file of the workspace.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        Source { path, text }
    }

    /// Its lines, numbered from one.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    /// Whether all of it is tests.
    fn is_test(&self) -> bool {
        let stem = self.path.file_stem().unwrap().to_str().unwrap();
        let in_tests = self.path.components().any(|c| c.as_os_str() == "tests");
        in_tests || stem == "tests" || stem.ends_with("_tests")
    }

    /// Its lines but those of test modules.
    fn without_tests(&self) -> Vec<(usize, &str)> {
        let mut kept = Vec::new();
        let mut in_tests = false;
        let mut after_cfg = false;
        for (number, line) in self.lines() {
            if in_tests {
                in_tests = line != "}";
            } else if line.starts_with("#[cfg(test)]") {
                after_cfg = true;
            } else if !after_cfg {
                kept.push((number, line));
            } else if !line.starts_with("#[") {
                in_tests = line.ends_with('{');
                after_cfg = false;
            }
        }
        kept
    }

    /// Its lines of code: no tests, no comments.
    fn code(&self) -> Vec<(usize, &str)> {
        let lines = if self.is_test() {
            Vec::new()
        } else {
            self.without_tests()
        };
        let is_code = |line: &str| !line.trim_start().starts_with("//");
        lines
            .into_iter()
            .filter(|(_, line)| is_code(line))
            .collect()
    }

    /// The module at the top of its crate that it belongs to.
    fn floor(&self) -> String {
        let mut parts = self
            .path
            .components()
            .skip_while(|c| c.as_os_str() != "src");
        let first = Path::new(parts.nth(1).unwrap().as_os_str());
        first.file_stem().unwrap().to_str().unwrap().to_owned()
    }

    /// Which top modules of its crate its code names, and where.
    fn imports(&self) -> Vec<(usize, String)> {
        let code = self.code();
        let text: String = code.iter().map(|(_, line)| format!("{line}\n")).collect();
        let number = |at: usize| code[text[..at].matches('\n').count()].0;
        let roots = ["crate::".to_owned(), "super::".repeat(self.depth())];
        let mut imports = Vec::new();
        for root in roots {
            for (at, _) in text.match_indices(&root) {
                let before = text[..at].chars().next_back();
                if before.is_some_and(|c| c == ':' || c == '_' || c.is_alphanumeric()) {
                    continue;
                }
                let names = first_names(&text[at + root.len()..]);
                imports.extend(names.into_iter().map(|name| (number(at), name)));
            }
        }
        imports
    }

    /// How many steps up from its module the root of its crate is.
    fn depth(&self) -> usize {
        let parts = self.path.components();
        let below = parts.skip_while(|c| c.as_os_str() != "src").count() - 1;
        below - usize::from(self.path.ends_with("mod.rs"))
    }
}

/// The first names of a path, or of each path in a group: `a` and `c` of
/// `{a::b, c::{d, e}}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let name = text.trim_start().chars();
        name.take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut names = vec![name(group)];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Where functions begin and how many lines they have, by their indentation.
fn functions(lines: &[(usize, &str)]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (i, (number, line)) in lines.iter().enumerate() {
        let code = line.trim_start();
        let begins = code.starts_with("fn ") || (code.contains(" fn ") && !code.starts_with("//"));
        if !begins {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let ends = |(_, line): &&(usize, &str)| {
            line.strip_prefix(indent).is_some_and(|rest| {
                rest.starts_with('}') || rest.ends_with(';') && !rest.starts_with(' ')
            })
        };
        if let Some((end, _)) = lines[i..].iter().find(ends) {
            found.push((*number, end - number + 1));
        }
    }
    found
}

/// Whether a line has the word, not as the tail of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c == '_' || c.is_alphanumeric())
    })
}

/// Where the crates are.
fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All Rust files below a directory of `crates`.
fn sources(below: &str) -> Vec<Source> {
    let mut directories = vec![crates().join(below)];
    let mut sources = Vec::new();
    while let Some(directory) = directories.pop() {
        for path in entries(&directory) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source::read(path));
            }
        }
    }
    assert!(!sources.is_empty(), "no sources below {below:?}");
    sources
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", directory.display()));
    let mut entries: Vec<_> = read.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}
