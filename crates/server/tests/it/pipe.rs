//! Mail handed to a command of this machine.

use std::path::PathBuf;

use crate::rig::{Server, Store, send, text, until};

const SCRIPT: &str = "cd \"$1\" || exit 99
case $2 in
  slow) echo $$ > slow.pid; exec sleep 100;;
  full) echo 'over quota' >&2; exit 75;;
  gone) echo 'moved away' >&2; exit 67;;
  *) cat > \"$2\";;
esac
";

struct Place {
    store: Store,
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place {
            store: Store::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::write(place.file("script"), SCRIPT).unwrap();
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn serve(&self, args: &[&str]) -> Server {
        let directory = self.directory.path().display();
        let url = format!("pipe:/bin/sh {directory}/script {directory} {{user}}");
        self.store.serve(&[&["--relay", &url], args].concat())
    }
}

#[test]
fn a_command_delivers_puts_off_and_refuses() {
    let place = Place::new();
    let server = place.serve(&[]);
    let users = ["ok@to.example", "full@to.example", "gone@to.example"];
    let id = send(server.address, "s@to.example", &users);
    // The notice of the refusal is delivered by the command, too.
    let waits = place
        .store
        .until_list("what is put off", |list| match list {
            [one] if one["attempts"] == 1 => Some(one.clone()),
            _ => None,
        });
    assert_eq!(text(&waits, "destination"), "to.example");
    let told = place.store.queue_ok(&["explain", &id]);
    assert!(told.contains("450 4.3.0 over quota"), "{told}");
    let shown = place.store.queue_ok(&["show", &id]);
    assert!(
        shown.contains("over quota") && !shown.contains("ok@"),
        "{shown}"
    );
    let mail = std::fs::read_to_string(place.file("ok")).unwrap();
    assert!(
        mail.starts_with("Return-Path: <s@to.example>\nDelivered-To: ok@"),
        "{mail}"
    );
    assert!(
        mail.ends_with("\n\nHello.\n") && !mail.contains('\r'),
        "{mail}"
    );
    let notice = std::fs::read_to_string(place.file("s")).unwrap();
    assert!(notice.contains("550 5.1.1 moved away"), "{notice}");
}

#[test]
fn a_shutdown_leaves_no_command_behind() {
    let place = Place::new();
    let server = place.serve(&["--drain-time-max", "10ms"]);
    send(server.address, "s@from.example", &["slow@to.example"]);
    let pid = until("the command", || {
        let pid = std::fs::read_to_string(place.file("slow.pid")).ok()?;
        pid.ends_with('\n').then(|| pid.trim().to_owned())
    });
    server.stop();
    until("the end of the command", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let runs = !stat.is_empty() && !stat.contains(") Z ");
        (!runs).then_some(())
    });
    let [waits] = &place.store.list()[..] else {
        panic!("it is not there once")
    };
    assert_eq!(waits["attempts"], 0, "{waits}");
}
