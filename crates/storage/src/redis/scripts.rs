//! The scripts: one for each call of the contract, each one atomic step.

use std::borrow::Cow;
use std::sync::LazyLock;

use redis::Cmd;

/// A script by its text; servers know it by its checksum once they have run it.
pub(super) struct Script {
    text: &'static str,
    checksum: LazyLock<String>,
}

/// A script that makes room or needs none runs on a server that is full, too.
macro_rules! script {
    ($flags:literal, $file:literal) => {{
        const TEXT: &str = concat!(
            "#!lua ",
            $flags,
            "\n",
            include_str!("lua/head.lua"),
            include_str!(concat!("lua/", $file))
        );
        Script {
            text: TEXT,
            checksum: LazyLock::new(|| checksum(TEXT)),
        }
    }};
    ($file:literal) => {
        script!("flags=allow-oom", $file)
    };
}

const OPEN_TEXT: &str = include_str!("lua/open.lua");
pub(super) static OPEN: Script = Script {
    text: OPEN_TEXT,
    checksum: LazyLock::new(|| checksum(OPEN_TEXT)),
};
pub(super) static COMPLETE: Script = script!("complete.lua");
pub(super) static CHECK: Script = script!("check.lua");
pub(super) static UPLOAD: Script = script!("", "upload.lua");
pub(super) static STORE: Script = script!("", "store.lua");
pub(super) static DESTINATIONS: Script = script!("destinations.lua");
pub(super) static BACKLOGS: Script = script!("backlogs.lua");
pub(super) static PEEK: Script = script!("peek.lua");
pub(super) static CLAIM: Script = script!("claim.lua");
pub(super) static LOCK: Script = script!("lock.lua");
pub(super) static UNLOCK: Script = script!("unlock.lua");
pub(super) static RENEW: Script = script!("renew.lua");
pub(super) static SETTLE: Script = script!("settle.lua");
pub(super) static ROW: Script = script!("row.lua");
pub(super) static ROWS: Script = script!("rows.lua");
pub(super) static PAGE: Script = script!("page.lua");
pub(super) static SUBMISSION: Script = script!("submission.lua");
pub(super) static CONTENTS: Script = script!("contents.lua");
pub(super) static EDIT: Script = script!("edit.lua");
pub(super) static QUARANTINE: Script = script!("quarantine.lua");
pub(super) static STATS: Script = script!("stats.lua");
pub(super) static MANAGE: Script = script!("manage.lua");
pub(super) static SUSPEND: Script = script!("", "suspend.lua");
pub(super) static RESUME: Script = script!("resume.lua");
pub(super) static SUSPENSIONS: Script = script!("suspensions.lua");
pub(super) static NEXT: Script = script!("next.lua");

fn checksum(text: &str) -> String {
    redis::Script::new(text).get_hash().to_owned()
}

impl Script {
    /// Runs it by its checksum.
    pub(super) fn by_checksum(&self) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&*self.checksum);
        command
    }

    /// Runs it by its text, after which the server knows it.
    pub(super) fn by_text(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.text);
        command
    }
}

/// What a script is given behind its head, in order.
#[derive(Default)]
pub(super) struct Args<'a>(Vec<Cow<'a, [u8]>>);

impl<'a> Args<'a> {
    pub(super) fn new() -> Self {
        Args::default()
    }

    pub(super) fn bytes(mut self, bytes: &'a [u8]) -> Self {
        self.0.push(Cow::Borrowed(bytes));
        self
    }

    pub(super) fn text(self, text: &'a str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Anything that is shown as its text: a number, an id.
    pub(super) fn shown(mut self, value: impl ToString) -> Self {
        self.0.push(Cow::Owned(value.to_string().into_bytes()));
        self
    }

    pub(super) fn owned(mut self, bytes: Vec<u8>) -> Self {
        self.0.push(Cow::Owned(bytes));
        self
    }

    /// The same behind their number.
    pub(super) fn behind(mut self, number: usize) -> Self {
        self.0
            .insert(0, Cow::Owned(number.to_string().into_bytes()));
        self
    }

    pub(super) fn add_to(&self, command: &mut Cmd) {
        for argument in &self.0 {
            command.arg(&**argument);
        }
    }
}
