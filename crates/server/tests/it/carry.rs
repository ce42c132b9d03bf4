//! Mail that is moved, exported and imported: the same on the other side, and
//! what cannot be is named.

use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::rig::{NextHop, Store, run, send, stderr, stdout};

/// A store with mail that is deferred, held, and split by destination; its
/// list.
fn filled() -> (Store, Vec<Value>) {
    let store = Store::new();
    let later = NextHop::answering(&["^[ab]@=450 4.2.0 Not now"]);
    let server = store.serve(&["--relay", &later.url()]);
    for to in [
        &["a@one.example"][..],
        &["b@one.example", "c@two.example"],
        &["d@three.example"],
    ] {
        send(server.address, "sender@from.example", to);
    }
    store.until_list("two that are deferred", |list| {
        (list.len() == 2 && list.iter().all(|m| m["attempts"] == 1)).then_some(())
    });
    server.stop();
    let server = store.serve(&["--relay", "none"]);
    send(server.address, "", &["e@four.example", "f@five.example"]);
    server.stop();
    store.queue_ok(&["hold", "--recipient", "a@one.example", "--reason", "Odd"]);
    let list = store.list();
    assert_eq!(list.len(), 4);
    (store, list)
}

/// What is in a list, for comparing queues: all that is not of the moment.
fn whole(store: &Store, list: &[Value]) -> Vec<(Value, String)> {
    let ids = list.iter().map(|message| message["id"].as_str().unwrap());
    let contents = ids.map(|id| store.queue_ok(&["show", id, "--content"]));
    list.iter().cloned().zip(contents).collect()
}

fn queue(store: &Store, args: &[&str]) -> (i32, String, String) {
    let url = store.url();
    let output = run(&[&["queue", "--storage", &url], args].concat());
    let status = output.status.code().unwrap();
    (status, stdout(&output), stderr(&output))
}

#[test]
fn a_queue_moves_whole() {
    let (from, list) = filled();
    let expected = whole(&from, &list);
    let to = Store::new();
    let (from_url, to_url) = (from.url(), to.url());
    let moving = ["queue", "move", "--from", &from_url, "--to", &to_url];
    let output = run(&[&moving[..], &["--log-format", "json"]].concat());
    assert_eq!(stdout(&output), "4 messages moved\n", "{}", stderr(&output));
    // The log of the move says where they are now, to the audit of either side.
    let log = to.path().with_extension("move.log");
    fs::write(&log, stderr(&output)).unwrap();
    let (served, moved) = (from.log(), log.display().to_string());
    let served = served.display().to_string();
    for (url, logs, fate) in [
        (&from_url, &[&served, &moved][..], "removed"),
        (&to_url, &[&moved], "queued"),
    ] {
        let logs = logs.iter().map(|log| log.as_str());
        let args: Vec<_> = ["audit", "--json", "--storage", url]
            .into_iter()
            .chain(logs)
            .collect();
        let output = run(&args);
        let said = stdout(&output);
        let last = said
            .lines()
            .last()
            .unwrap_or_else(|| panic!("{}", stderr(&output)));
        let summary: Value = serde_json::from_str(last).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(summary["summary"]["fates"][fate], 4, "{said}");
    }
    assert_eq!(whole(&to, &to.list()), expected);
    assert_eq!(from.stats()["messages"], 0);
    let again = run(&moving);
    assert_eq!(stdout(&again), "0 messages moved\n");
}

#[test]
fn a_queue_comes_back_from_files() {
    let (store, list) = filled();
    let expected = whole(&store, &list);
    let directory = tempdir().unwrap();
    let files = directory.path().join("export");
    let files = files.to_str().unwrap();
    let (status, said, _) = queue(&store, &["export", files]);
    assert_eq!(
        (status, said),
        (0, format!("4 messages exported to {files}\n"))
    );
    assert_eq!(whole(&store, &store.list()), expected, "nothing is changed");
    let (status, _, wrong) = queue(&store, &["export", files]);
    assert_eq!(status, 2);
    assert!(
        wrong.contains(files) && wrong.contains("not empty"),
        "{wrong}"
    );

    let other = Store::new();
    let (status, said, _) = queue(&other, &["import", files]);
    assert_eq!((status, said.as_str()), (0, "4 messages imported\n"));
    assert_eq!(whole(&other, &other.list()), expected);
    let (status, said, _) = queue(&other, &["import", files, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (status, &said["imported"], &said["present"]),
        (0, &0.into(), &4.into())
    );

    let third = Store::new();
    queue(&third, &["import", files, "--hold", "From a backup"]);
    let list = third.list();
    assert!(list.len() == 4 && list.iter().all(|m| m["hold_reason"] == "From a backup"));
}

#[test]
fn what_cannot_be_imported_is_named_and_the_rest_is_not_kept_back() {
    let (store, _) = filled();
    let directory = tempdir().unwrap();
    let files = directory.path().to_str().unwrap();
    queue(&store, &["export", files]);
    let entries = fs::read_dir(directory.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut sheets: Vec<_> = paths
        .filter(|path| path.extension().unwrap() == "json")
        .collect();
    sheets.sort();
    let [short, odd, good] = sheets.as_slice() else {
        panic!("{sheets:?}");
    };
    fs::write(short.with_extension("eml"), "Subject: short\r\n\r\n").unwrap();
    let text = fs::read_to_string(odd).unwrap();
    fs::write(odd, text.replace("one.example", "one.example\\r\\nRCPT TO")).unwrap();
    let other = Store::new();
    let (status, _, wrong) = queue(&other, &["import", files]);
    assert_eq!(status, 1);
    let short = short.with_extension("eml");
    assert!(wrong.contains(short.to_str().unwrap()), "{wrong}");
    assert!(wrong.contains(odd.to_str().unwrap()), "{wrong}");
    assert!(wrong.contains("control character"), "{wrong}");
    let submission = good.file_stem().unwrap().to_str().unwrap();
    let list = other.list();
    assert!(!list.is_empty());
    assert!(
        list.iter()
            .all(|message| message["submission"] == submission)
    );
}

#[test]
fn a_storage_in_use_is_told() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let url = store.url();
    let other = Store::new();
    let output = run(&["queue", "move", "--from", &url, "--to", &other.url()]);
    assert_eq!(output.status.code(), Some(2));
    let wrong = stderr(&output);
    assert!(
        wrong.contains("open in another process") && wrong.contains("--from"),
        "{wrong}"
    );
    // None of them can ask a server: it has to go.
    let files = other.path().display().to_string();
    for args in [
        &["move", "--from", &url, "--to", &other.url()][..],
        &["check"],
        &["export", &files],
    ] {
        let (status, _, wrong) = queue(&store, args);
        assert_eq!(status, 2, "{wrong}");
        assert!(
            wrong.contains("stop the server first") && !wrong.contains("admin socket"),
            "{wrong}"
        );
    }
    server.stop();
    let output = run(&["queue", "move", "--from", &url, "--to", &url]);
    assert!(stderr(&output).contains("nothing to move"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_check_names_what_is_damaged() {
    let (store, list) = filled();
    let (status, said, _) = queue(&store, &["check"]);
    let well = "4 messages checked, 0 damaged, 0 in quarantine\n";
    assert_eq!((status, said.as_str()), (0, well));
    let file = store.path().join("mail.redb");
    let mut bytes = fs::read(&file).unwrap();
    let ids = list.iter().map(|message| message["id"].as_str().unwrap());
    let sent = store.queue_ok(&["show", ids.clone().next().unwrap(), "--content"]);
    let unique = sent
        .lines()
        .find(|line| line.starts_with("Message-ID"))
        .unwrap();
    // Pages that are free may hold it, too.
    let places = bytes.windows(unique.len()).enumerate();
    let places = places.filter(|(_, text)| *text == unique.as_bytes());
    let places: Vec<_> = places.map(|(at, _)| at).collect();
    places.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&file, bytes).unwrap();
    let (status, said, wrong) = queue(&store, &["check", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (status, &said["checked"], &said["damaged"]),
        (1, &4.into(), &1.into()),
        "{said} {wrong}"
    );
    assert!(ids.into_iter().any(|id| wrong.contains(id)), "{wrong}");
}
