//! Delivery into a Maildir.

use std::path::Path;

use slimta::message::OnSuccess;
use slimta::relay::{Maildir, Relay};

use crate::binary::{OCTETS, binary};
use crate::mail::{TEXT, codes, delivery};

fn files(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_message_is_one_file_however_often_it_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mail");
    let maildir = Maildir::open(&path).unwrap();
    let delivery = delivery(&["a@to.example", "b@to.example"]);
    for _ in 0..2 {
        let report = maildir.attempt(delivery.clone()).await;
        assert_eq!(codes(&report), [250, 250]);
        assert_eq!(report.on_success, OnSuccess::Delivered);
    }
    let names = files(&path.join("new"));
    assert_eq!(names.len(), 1);
    assert!(names[0].contains(&delivery.message.id.to_string()));
    assert!(files(&path.join("tmp")).is_empty());
    let top = "Return-Path: <from@from.example>\r\nDelivered-To: a@to.example\r\n\
               Delivered-To: b@to.example\r\n";
    let text = std::fs::read_to_string(path.join("new").join(&names[0])).unwrap();
    assert_eq!(text, format!("{top}{TEXT}"));
}

#[tokio::test]
async fn any_octets_are_in_the_file_as_they_came() {
    let directory = tempfile::tempdir().unwrap();
    let maildir = Maildir::open(directory.path()).unwrap();
    let report = maildir.attempt(binary(OCTETS, &["a@to.example"])).await;
    assert_eq!(codes(&report), [250]);
    let new = directory.path().join("new");
    let file = std::fs::read(new.join(&files(&new)[0])).unwrap();
    assert!(file.ends_with(OCTETS.as_bytes()));
}

#[tokio::test]
async fn trouble_with_the_disk_is_no_reason_to_bounce() {
    let directory = tempfile::tempdir().unwrap();
    let maildir = Maildir::open(directory.path()).unwrap();
    std::fs::remove_dir(directory.path().join("new")).unwrap();
    assert_eq!(
        codes(&maildir.attempt(delivery(&["a@to.example"])).await),
        [451]
    );
    assert!(files(&directory.path().join("tmp")).is_empty());
}
