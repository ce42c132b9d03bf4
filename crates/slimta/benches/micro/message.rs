//! Header edits, the judge and records.

use std::time::Duration;

use slimta::message::{
    Client, Content, Destination, Envelope, History, Message, MessageId, NewField, OnSuccess,
    Priority, Report, Response, ReversePath, StoredMessage,
};
use slimta::policy::{self, AddDate, AddMessageId, AddReceived, Policy};
use slimta::queue::{self, Schedule};
use slimta::world::{Timestamp, World};
use tokio::runtime::Runtime;

use crate::measure::{Bench, Load};

const NOW: Timestamp = Timestamp::from_millis(1_795_508_249_000);
const BODY_BYTES: usize = 10 << 10;

/// A header of 21 fields, such as mail has that has come some way.
fn letter(has_id: bool) -> String {
    let trace = "Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example with ESMTPS id 4f\
        \r\n\tfor <somebody@next-hop.example>; Tue, 24 Nov 2026 08:17:29 +0000\r\n";
    let more = "X-Field: of some length, as filters and lists and clients add them\r\n";
    let id = match has_id {
        true => "Date: Tue, 24 Nov 2026 08:17:29 +0000\r\nMessage-ID: <1@sender.example>\r\n",
        false => "",
    };
    let from =
        "From: <bench@sender.example>\r\nTo: <somebody@next-hop.example>\r\nSubject: bench\r\n";
    format!("{}{from}{}{id}\r\n", trace.repeat(4), more.repeat(12))
}

fn message(has_id: bool, recipients: usize) -> Message {
    let text = letter(has_id) + &"x".repeat(BODY_BYTES);
    let client = Client {
        protocol: "ESMTP".into(),
        ehlo: Some("client.example".into()),
        ip: Some([192, 0, 2, 7].into()),
        receiver: Some("mail.example.net".into()),
        ..Client::default()
    };
    Message::new(client, envelope(recipients), Content::new(text), NOW)
}

fn envelope(recipients: usize) -> Envelope {
    let sender = ReversePath::parse("bench@sender.example").unwrap();
    let address = |n| format!("recipient{n}@next-hop.example").parse().unwrap();
    Envelope::new(sender, (0..recipients).map(address))
}

pub(crate) fn header(bench: &mut Bench) {
    let text = letter(true);
    let (items, bytes) = (1, text.len());
    let content = Content::new(text.clone());
    let whole = bytes::Bytes::from(text);
    bench.run(
        "header: found in the contents",
        Load { items, bytes },
        || {
            let content = Content::new(whole.clone());
            assert!(content.body_bytes().is_empty());
        },
    );
    bench.run("header: all fields read", Load { items, bytes }, || {
        assert!(content.fields().count() > 20);
    });
    let world = World::simulated(NOW, 1);
    bench.run("header: a field made", Load { items, bytes: 0 }, || {
        NewField::new("Received", "from client.example (unknown [192.0.2.7]) by mail.example.net \
            (slimta 0.1.0) with ESMTP for <somebody@next-hop.example>; Tue, 24 Nov 2026 08:17:29 +0000")
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let load = Load { items, bytes: 0 };
    let name = "mail.example.net";
    let bare = message(false, 1);
    applied(bench, &runtime, "policy: Date added", load, &AddDate, &bare);
    let add_id = AddMessageId::new(name, world.clone());
    applied(
        bench,
        &runtime,
        "policy: Message-ID added",
        load,
        &add_id,
        &bare,
    );
    let received = AddReceived::new(name);
    applied(
        bench,
        &runtime,
        "policy: Received added",
        load,
        &received,
        &bare,
    );
    let standard = policy::standard(name, world);
    applied(
        bench,
        &runtime,
        "policies of a server, all to add",
        load,
        &standard,
        &bare,
    );
    let complete = message(true, 1);
    applied(
        bench,
        &runtime,
        "policies of a server, Received to add",
        load,
        &standard,
        &complete,
    );
}

fn applied(
    bench: &mut Bench,
    runtime: &Runtime,
    name: &str,
    load: Load,
    policy: &impl Policy,
    message: &Message,
) {
    bench.run(name, load, || {
        let applied = runtime.block_on(policy.apply(message.clone())).unwrap();
        assert!(applied[0].content.len() > message.content.len());
        applied
    });
}

fn stored(recipients: usize) -> StoredMessage {
    let Message {
        client,
        envelope,
        content,
        ..
    } = message(true, recipients);
    let id = MessageId::new(&World::simulated(NOW, 1));
    StoredMessage {
        id,
        submission: id,
        destination: Destination::new("next-hop.example"),
        client,
        envelope,
        received: NOW,
        size: content.len() as u64,
        priority: Priority::Normal,
        attempts: 2,
        due: NOW,
        held: None,
        last_response: Some(Response::transient(2, 1, "Mailbox busy")),
        delay_told: false,
        history: History::default(),
    }
}

pub(crate) fn judge(bench: &mut Bench) {
    let schedule = Schedule::server_default();
    let taken = Response::success(1, 5, "Message queued as 0123456789abcdef");
    let busy = Response::transient(2, 1, "Mailbox busy, try again later");
    let unknown = Response::permanent(1, 1, "No such user here");
    let now = NOW.after(Duration::from_secs(60));
    for (name, recipients, said) in [
        ("judge: one recipient, delivered", 1, vec![&taken]),
        ("judge: one recipient, deferred", 1, vec![&busy]),
        (
            "judge: a recipient of 100, all delivered",
            100,
            vec![&taken],
        ),
        (
            "judge: a recipient of 100, a third of each",
            100,
            vec![&taken, &busy, &unknown],
        ),
    ] {
        let message = stored(recipients);
        let report = Report {
            responses: said.into_iter().cycle().take(recipients).cloned().collect(),
            remote: None,
            on_success: OnSuccess::default(),
        };
        let load = Load {
            items: recipients,
            bytes: 0,
        };
        bench.run(name, load, || {
            let verdict = queue::judge(&message, &report, &schedule, now);
            let found = verdict.delivered.len() + verdict.failed.len() + verdict.deferred.len();
            assert_eq!(found, recipients);
            verdict
        });
    }
}

pub(crate) fn records(bench: &mut Bench) {
    for recipients in [1, 100] {
        let message = stored(recipients);
        let record = message.to_record().unwrap();
        let load = Load {
            items: 1,
            bytes: record.len(),
        };
        let of = format!(
            "{recipients} recipient{}",
            if recipients == 1 { "" } else { "s" }
        );
        bench.run(&format!("records: one written, {of}"), load, || {
            message.to_record().unwrap()
        });
        bench.run(&format!("records: one read, {of}"), load, || {
            StoredMessage::from_record(&record).unwrap()
        });
    }
}
