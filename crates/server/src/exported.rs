//! What an export consists of: for each submission `ID.eml`, its contents, and
//! `ID.json`, the messages that share them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slimta_core::message::{Content, MessageId, StoredMessage, Submission};

/// The version of the files that this program writes.
const VERSION: u32 = 1;

/// What stands in the JSON. Times are in UTC, sizes in bytes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sheet {
    slimta_export: u32,
    messages: Vec<StoredMessage>,
}

/// The two files of a submission in `directory`.
fn paths(directory: &Path, submission: MessageId) -> [PathBuf; 2] {
    ["eml", "json"].map(|kind| directory.join(format!("{submission}.{kind}")))
}

/// Whether a submission has been written.
pub(crate) fn is_written(directory: &Path, submission: MessageId) -> bool {
    let [_, sheet] = paths(directory, submission);
    sheet.exists()
}

/// Writes a submission; its JSON comes last, when all else is on the disk.
pub(crate) fn write(directory: &Path, submission: Submission) -> io::Result<()> {
    let Some(id) = submission.messages.first().map(|m| m.submission) else {
        return Ok(());
    };
    let [eml, sheet] = paths(directory, id);
    let mut file = File::create_new(eml)?;
    for chunk in submission.content.chunks() {
        file.write_all(chunk)?;
    }
    file.sync_all()?;
    let mut file = File::create_new(sheet)?;
    file.write_all(&to_json(submission.messages)?)?;
    file.sync_all()
}

/// The text of a JSON file.
pub(crate) fn to_json(messages: Vec<StoredMessage>) -> serde_json::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(&Sheet {
        slimta_export: VERSION,
        messages,
    })?;
    json.push(b'\n');
    Ok(json)
}

/// The JSON files of a directory, in the order of their names.
pub(crate) fn sheets(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: Result<Vec<_>, _> = fs::read_dir(directory)?.collect();
    let paths = entries?.into_iter().map(|entry| entry.path());
    let is_sheet = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "json");
    let mut sheets: Vec<_> = paths.filter(is_sheet).collect();
    sheets.sort();
    Ok(sheets)
}

/// Reads a submission by its JSON. The error says what is wrong in which file.
pub(crate) fn read(sheet: &Path) -> Result<Submission, String> {
    let wrong = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = fs::read(sheet).map_err(|error| wrong(sheet, &error))?;
    let messages = understand(&text).map_err(|why| wrong(sheet, &why))?;
    let eml = sheet.with_extension("eml");
    let contents = fs::read(&eml).map_err(|error| wrong(&eml, &error))?;
    let length = contents.len() as u64;
    if let Some(other) = messages.iter().find(|message| message.size != length) {
        let why = format!(
            "has {length} bytes; message {} has {}",
            other.id, other.size
        );
        return Err(wrong(&eml, &why));
    }
    Ok(Submission {
        messages,
        content: Content::new(contents),
    })
}

/// Reads the text of a JSON file.
pub(crate) fn understand(text: &[u8]) -> Result<Vec<StoredMessage>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if let Some(version) = value.get("slimta_export")
        && *version != VERSION
    {
        return Err(format!(
            "is of version {version}; this version of slimta reads {VERSION}"
        ));
    }
    if let Some(found) = steering(&value) {
        return Err(format!("has a control character in {found:?}"));
    }
    let sheet: Sheet = serde_json::from_value(value).map_err(|error| error.to_string())?;
    match sheet.messages.is_empty() {
        true => Err("has no messages".to_owned()),
        false => Ok(sheet.messages),
    }
}

/// A string with a control character: written by hand, it could become a line
/// of its own in a header or a command. Only what a next hop said has lines.
fn steering(value: &Value) -> Option<&str> {
    let has_control = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    match value {
        Value::String(text) => (has_control(text) || text.contains('\n')).then_some(text),
        Value::Array(values) => values.iter().find_map(steering),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match value {
            Value::String(text) if name == "text" => has_control(text).then_some(&**text),
            _ => steering(value),
        }),
        _ => None,
    }
}
