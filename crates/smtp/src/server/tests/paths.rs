//! The paths and parameters of MAIL and RCPT, through whole sessions.

use super::*;

#[test]
fn reverse_paths() {
    for (argument, reply) in [
        ("FROM:<a@b>", "250 2.1.0 "),
        ("FROM: <a@b>", "250 2.1.0 "),
        ("from:<>", "250 2.1.0 "),
        ("FROM:<\"a \\\" > b\"@c> SIZE=1", "250 2.1.0 "),
        ("FROM:<@x,@y:a@b>", "250 2.1.0 "),
        ("FROM:<a@[192.0.2.1]>   ", "250 2.1.0 "),
        ("FROM:<gr\u{e5}@b> SMTPUTF8", "250 2.1.0 "),
        ("FROM:a@b", "501 5.1.7 "),
        ("FROM:<a@b", "501 5.1.7 "),
        ("FROM:<a>", "501 5.1.7 "),
        ("FROM:<a@b>x", "501 5.1.7 "),
        ("FROM:<a@b.>", "501 5.1.7 "),
        ("TO:<a@b>", "501 5.1.7 "),
        ("", "501 5.1.7 "),
        ("FROM:<a@b> SIZE", "501 5.5.4 "),
        ("FROM:<a@b> ENVID=a+0D+0Ab", "501 5.5.4 "),
        ("FROM:<a@b> BODY=BINARYMIME", "504 5.5.4 "),
        ("FROM:<a@b> SIZE=52428800", "250 2.1.0 "),
        ("FROM:<a@b> SIZE=52428801", "552 5.3.4 "),
        ("FROM:<a@b> SIZE=99999999999999999999", "552 5.3.4 "),
        ("FROM:<gr\u{e5}@b>", "550 5.6.7 "),
        ("FROM:<\" SMTPUTF8 \u{e5}\"@b>", "550 5.6.7 "),
        ("FROM:<a@b> X=1", "555 5.5.4 "),
        ("FROM:<a@b> AUTH=<>", "555 5.5.4 "),
    ] {
        let replies = after_ehlo(&format!("MAIL {argument}\r\n"));
        assert!(replies[0].starts_with(reply), "{argument}: {replies:?}");
    }
}

#[test]
fn forward_paths() {
    for (argument, reply) in [
        ("TO:<a@b>", "250 2.1.5 "),
        ("TO:<postmaster>", "250 2.1.5 "),
        ("TO:<PostMaster>", "250 2.1.5 "),
        ("TO:<@x,@y:a@b>", "250 2.1.5 "),
        ("TO:<\"a@b\"@c> NOTIFY=SUCCESS", "250 2.1.5 "),
        ("TO:<>", "501 5.1.3 "),
        ("TO:<a>", "501 5.1.3 "),
        ("TO:<a b@c>", "501 5.1.3 "),
        ("TO:<a@b> ORCPT=rfc822;a+0Ab", "501 5.5.4 "),
        ("TO:<gr\u{e5}@b>", "553 5.6.7 "),
        ("TO:<a@b> ORCPT=utf-8;gr\u{e5}@b", "553 5.6.7 "),
        ("TO:<a@b> SIZE=1", "555 5.5.4 "),
    ] {
        let replies = after_ehlo(&format!("MAIL FROM:<>\r\nRCPT {argument}\r\n"));
        assert!(replies[1].starts_with(reply), "{argument}: {replies:?}");
    }
}

#[test]
fn what_is_not_utf8_is_refused_even_with_smtputf8() {
    let line = b"EHLO c\r\nMAIL FROM:<gr\xe5@b> SMTPUTF8\r\nMAIL FROM:<gr\xe5@b>\r\n";
    assert_eq!(played(line).codes(), [250, 501, 550]);
}

#[test]
fn mailboxes_keep_their_writing_without_their_route() {
    let played = played(
        "EHLO c\r\nMAIL FROM:<@x:\"A\\ b>\"@C.d>\r\nRCPT TO:<@x,@[IPv6:::1]:E.f@G>\r\nDATA\r\n.\r\n",
    );
    let envelope = &played.messages[0].envelope;
    assert_eq!(envelope.sender.as_str(), "\"A\\ b>\"@C.d");
    assert_eq!(envelope.recipients[0].address.as_str(), "E.f@G");
}
