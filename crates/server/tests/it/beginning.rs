//! `slimta init`: from nothing to a server that takes mail.

use crate::rig::{Store, free_address, run, send, stderr, stdout};

#[test]
fn each_kind_is_written_checked_and_served() {
    for kind in ["smarthost", "direct", "submission"] {
        let store = Store::new();
        let file = store.path().with_extension("toml").display().to_string();
        let said = run(&["init", "--kind", kind, &file]);
        assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
        assert!(stdout(&said).contains("check-config"));

        let checked = run(&["check-config", "--config", &file]);
        assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
        // What has to be changed is a warning, until it is.
        let warned = stderr(&checked).contains("name your own smarthost");
        assert_eq!(warned, kind == "smarthost", "{}", stderr(&checked));

        // Nothing of the test may leave this machine.
        let nowhere = format!("smtp://{}", free_address());
        let server = store.serve(&["--config", &file, "--relay", &nowhere]);
        send(server.address, "a@from.example", &["b@to.example"]);
        assert_eq!(store.list().len(), 1);
        server.stop();
    }
}

#[test]
fn what_is_there_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("slimta.toml");
    std::fs::write(&file, "hostname = 'mine.example'\n").unwrap();
    let said = run(&["init", &file.display().to_string()]);
    assert_eq!(said.status.code(), Some(1));
    assert!(stderr(&said).contains("is there already"));
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept, "hostname = 'mine.example'\n");
}
