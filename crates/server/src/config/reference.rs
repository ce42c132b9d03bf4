//! The reference of all options, as `docs/options.md` has it: what the flags say of
//! themselves, and what stands in tables of the file only.
//!
//! A new option of the server is in it by its own comment. A new key of a table
//! needs its row in [`TABLES`]; a test names those that lack it.

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Args as _, Command};

use super::Options;
use super::kept::KEPT;
use super::tables::{Key, TABLES, Table};

const BEGIN: &str = "# Options\n\n\
This page is made from the code: `cargo run -p slimta-server -- check-config --reference > docs/options.md`. \
[For operators](operators.md) says more of most of them.\n\n\
Each option is a flag of `slimta serve` and, under the same name without the dashes, a key of the TOML file that \
`--config` names; tables stand in the file only. Sizes are bytes, or a number with `k` or `m` (1024 and 1024² bytes): \
`52428800`, `\"50m\"`. Times are a number with its unit, `ms`, `s`, `m`, `h` or `d`: `\"30s\"`. In the file, options that \
may be given several times are arrays. Options with a † count only when the server is started anew, all others from \
the next `slimta reload` or SIGHUP on.\n";

/// The whole page.
pub(crate) fn reference() -> String {
    let command = Options::augment_args(Command::new("slimta"));
    let mut page = BEGIN.to_owned();
    let mut heading = None;
    for arg in command.get_arguments() {
        let below = arg.get_help_heading().unwrap_or("General");
        if heading != Some(below) {
            page += &format!(
                "\n## {below}\n\n| option | unit | default | what it says |\n|---|---|---|---|\n"
            );
            heading = Some(below);
        }
        page += &row(arg);
    }
    for table in &TABLES {
        page += &format!(
            "\n## `{}`\n\n{}\n\n| key | unit | default | what it says |\n|---|---|---|---|\n",
            table.head, table.about
        );
        for Key(name, unit, default, meaning) in table.keys {
            let mark = mark(&format!("{}.{name}", table.path()));
            page += &format!(
                "| `{name}`{mark} | {unit} | {default} | {} |\n",
                cell(meaning)
            );
        }
    }
    page
}

fn row(arg: &Arg) -> String {
    let name = arg.get_long().unwrap_or_default();
    let mark = mark(name);
    let help = arg.get_help().map(StyledStr::to_string).unwrap_or_default();
    let (meaning, default) = parted(&help);
    let default = match default.contains(' ') || matches!(default, "none" | "nobody") {
        true => default.to_owned(),
        false => format!("`{default}`"),
    };
    let several = match arg.get_action() {
        ArgAction::Append => ", several",
        _ => "",
    };
    format!(
        "| `{name}`{mark} | {}{several} | {} | {} |\n",
        unit(arg),
        cell(&default),
        cell(meaning)
    )
}

/// What stands behind an option that a server keeps until it is started anew.
fn mark(option: &str) -> &'static str {
    match KEPT.contains(&option) {
        true => " †",
        false => "",
    }
}

impl Table {
    /// What stands between the brackets.
    fn path(&self) -> &'static str {
        self.head.trim_matches(['[', ']'])
    }
}

/// What an option says, and its default.
fn parted(help: &str) -> (&str, &str) {
    let parts = help.trim().split_once("[default: ");
    let (meaning, default) = parts.unwrap_or((help.trim(), "none"));
    (meaning.trim_end(), default.trim_end_matches(']'))
}

fn unit(arg: &Arg) -> String {
    let values = arg.get_possible_values();
    if !values.is_empty() {
        let names = values.iter().map(|value| format!("`{}`", value.get_name()));
        return names.collect::<Vec<_>>().join(", ");
    }
    let names = arg.get_value_names().unwrap_or_default();
    let name = names.first().map_or("", |name| name.as_str());
    match name {
        "ADDR" => "IP:PORT".to_owned(),
        "BYTES" => "size".to_owned(),
        "N" => "count".to_owned(),
        "SPEC" => "schedule".to_owned(),
        "IP" => "IP address".to_owned(),
        "USER" => "name".to_owned(),
        "PROXY" => "HOST:PORT, `none`".to_owned(),
        "RATE" => "rate, `none`".to_owned(),
        "URL" => "URL".to_owned(),
        "WHAT" => "`sender-domain`, `field:NAME`".to_owned(),
        "true|false" => "`true`, `false`".to_owned(),
        other => other.to_lowercase(),
    }
}

/// A text as a cell of a table, in one line.
fn cell(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::suggest::expected;

    #[test]
    fn the_page_is_as_the_code_says() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/options.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            written == reference(),
            "docs/options.md is not up to date, write it anew:\n  \
             cargo run -p slimta-server -- check-config --reference > docs/options.md"
        );
    }

    impl Table {
        fn name(&self) -> &'static str {
            let path = self.path();
            path.split_once('.').map_or(path, |(name, _)| name)
        }
    }

    /// The keys that a part of the file may have, as its parser knows them.
    fn keys(part: &str) -> Vec<String> {
        let error = toml::from_str::<Options>(&format!("{part}'?' = 1")).unwrap_err();
        let keys = expected(error.message()).into_iter().map(str::to_owned);
        let mut keys: Vec<_> = keys.collect();
        keys.sort();
        keys
    }

    #[test]
    fn each_key_of_the_file_has_its_row() {
        let command = Options::augment_args(Command::new("slimta"));
        let flags = command.get_arguments().filter_map(Arg::get_long);
        let flags = flags.filter(|name| *name != "config").map(str::to_owned);
        let tables = TABLES.iter().map(|table| table.name().to_owned());
        let mut known: Vec<_> = flags.chain(tables).collect();
        known.sort();
        assert_eq!(keys(""), known, "a table lacks its entry in TABLES");
        for table in &TABLES {
            let mut rows: Vec<_> = table.keys.iter().map(|Key(name, ..)| *name).collect();
            rows.sort();
            assert_eq!(keys(&format!("{}\n", table.head)), rows, "{}", table.head);
        }
    }
}
