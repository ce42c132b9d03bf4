//! Rules of `store` and of sessions.

use super::bench::{Bench, LEASE, address, claim, list_all, removal, settle};
use crate::message::{
    ByMode, Content, DeliverBy, Envelope, FutureRelease, Recipient, ReversePath, Submission,
};
use crate::storage::{Filter, FirstLeases, Page, Settled, StorageError};
use crate::world::Timestamp;

/// What was stored is loaded, listed and counted as it was, by every session.
pub async fn what_is_stored_is_there(bench: &Bench) {
    let (writer, reader) = (bench.session().await, bench.session().await);
    let mail = bench.mails(&["a.example", "b.example"]);
    let leased = writer.store(mail.clone(), None).await.unwrap();
    assert!(leased.is_empty());
    for message in &mail.messages {
        let listed = reader.load(message.id).await.unwrap().unwrap();
        assert_eq!(listed.message, *message);
        assert_eq!(listed.lease, None);
        let content = reader.contents(message.id).await.unwrap().unwrap();
        assert_eq!(content, mail.content);
    }
    assert_eq!(reader.stats().await.unwrap().messages, 2);
}

/// The contract is checked before anything is written.
pub async fn a_submission_without_messages_is_refused(bench: &Bench) {
    let session = bench.session().await;
    let empty = Submission {
        messages: Vec::new(),
        content: Content::default(),
    };
    let mut twice = bench.mails(&["a.example", "b.example"]);
    twice.messages[1].id = twice.messages[0].id;
    let mut strange = bench.mails(&["a.example", "b.example"]);
    strange.messages[1].submission = strange.messages[1].id;
    for submission in [empty, twice, strange] {
        let refused = session.store(submission, None).await;
        assert!(matches!(refused, Err(StorageError::Invalid(_))));
    }
    assert_eq!(list_all(&*session).await, []);
}

/// A repeated call after an unknown outcome is harmless and leases nothing.
pub async fn a_repeated_store_changes_nothing(bench: &Bench) {
    let session = bench.session().await;
    let mail = bench.mails(&["a.example", "b.example"]);
    session.store(mail.clone(), None).await.unwrap();
    let before = (list_all(&*session).await, session.stats().await.unwrap());
    let mut again = mail.clone();
    again.messages[0].attempts = 7;
    let lease = FirstLeases {
        count: 2,
        lease: LEASE,
    };
    let leased = session.store(again, Some(lease)).await.unwrap();
    assert!(leased.is_empty());
    let after = (list_all(&*session).await, session.stats().await.unwrap());
    assert_eq!(before, after);
}

/// If one message of a submission is delivered before the call is repeated, it
/// stays delivered.
pub async fn a_repeated_store_does_not_bring_back_what_was_delivered(bench: &Bench) {
    let session = bench.session().await;
    let mail = bench.mails(&["a.example", "b.example"]);
    let lease = FirstLeases {
        count: 1,
        lease: LEASE,
    };
    let mut leased = session.store(mail.clone(), Some(lease)).await.unwrap();
    let done = settle(&*session, removal(leased.remove(0))).await;
    assert_eq!(done, Settled::Done);
    session.store(mail.clone(), None).await.unwrap();
    let left = list_all(&*session).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].message, mail.messages[1]);
}

/// Mail from another storage may have lost the message that gave its submission
/// the id; what is left shares its contents as before.
pub async fn the_rest_of_a_submission_can_be_stored(bench: &Bench) {
    let session = bench.session().await;
    let mut mail = bench.mails(&["a.example", "b.example", "c.example"]);
    mail.messages.remove(0);
    session.store(mail.clone(), None).await.unwrap();
    let ids: Vec<_> = mail.messages.iter().map(|m| m.id).collect();
    assert_eq!(list_all(&*session).await.len(), 2);
    let submission = Filter::id(mail.messages[0].submission);
    let listed = session.list(&submission, Page::first(10)).await.unwrap();
    assert_eq!(listed.messages.len(), 2);
    for (done, id) in ids.iter().enumerate() {
        let bytes = session.stats().await.unwrap().bytes;
        assert_eq!(bytes, mail.content.len() as u64, "{done} settled");
        let content = session.contents(*id).await.unwrap().unwrap();
        assert_eq!(content.to_vec(), mail.content.to_vec());
        let leased = session.lock(*id, LEASE).await.unwrap().unwrap();
        assert_eq!(settle(&*session, removal(leased)).await, Settled::Done);
    }
    assert_eq!(session.stats().await.unwrap().bytes, 0);
}

/// The first so many messages are leased in the same commit; the rest are due.
pub async fn first_leases_come_with_the_store(bench: &Bench) {
    let session = bench.session().await;
    let mail = bench.mails(&["a.example", "b.example", "c.example"]);
    let lease = FirstLeases {
        count: 2,
        lease: LEASE,
    };
    let leased = session.store(mail.clone(), Some(lease)).await.unwrap();
    assert_eq!(leased.len(), 2);
    for (leased, message) in leased.iter().zip(&mail.messages) {
        assert_eq!(leased.message, *message);
        assert_eq!(leased.lease.id(), message.id);
        assert_eq!(leased.lease.end(), bench.now().after(LEASE));
        let listed = session.load(message.id).await.unwrap().unwrap();
        assert_eq!(listed.lease.unwrap().owner, *session.owner());
    }
    assert!(claim(&*session, "a.example", 10).await.is_empty());
    let rest = claim(&*session, "c.example", 10).await;
    assert_eq!(rest, [mail.messages[2].id]);
}

/// Nothing is trimmed, re-coded or split anew.
pub async fn contents_survive_byte_for_byte(bench: &Bench) {
    let session = bench.session().await;
    let contents = [
        Content::default(),
        Content::new("no header here"),
        Content::new(&b"A: \xff\0\r\n\r\n\0\xff\n.\r\r\n"[..]),
        Content::from_parts("A: 1\r\n\r\n", "B: 2\r\n\r\nbody"),
        Content::from_parts("", "A: 1\r\n\r\nall body"),
    ];
    for content in contents {
        let mut mail = bench.mail("a.example");
        mail.content = content.clone();
        let id = mail.messages[0].id;
        session.store(mail, None).await.unwrap();
        let read = session.contents(id).await.unwrap().unwrap();
        assert_eq!(read, content);
    }
}

/// 4 MiB of contents, 10,000 recipients, all that can be promised, and texts that look
/// like anything.
pub async fn big_contents_and_many_recipients_survive(bench: &Bench) {
    let session = bench.session().await;
    let mut mail = bench.mail("a.example");
    let body: Vec<u8> = (0..4_u32 << 20).map(|i| (i % 251) as u8).collect();
    mail.content = Content::from_parts("A: 1\r\n\r\n", body);
    let message = &mut mail.messages[0];
    let recipients = (0..10_000).map(|n| Recipient::new(address(&format!("user{n}"))));
    message.envelope = Envelope {
        recipients: recipients.collect(),
        envid: Some("'\"%\\\n\r\0 🐌".to_owned()),
        release: Some(FutureRelease::For(3600)),
        deliver_by: Some(DeliverBy {
            by: Timestamp::MAX,
            mode: ByMode::Return,
            trace: true,
        }),
        require_tls: true,
        ..Envelope::new(ReversePath::Null, [])
    };
    message.due = Timestamp::MAX;
    message.received = Timestamp::from_millis(-1);
    let (expected, id) = (message.clone(), message.id);
    session.store(mail.clone(), None).await.unwrap();
    let read = session.load(id).await.unwrap().unwrap();
    assert!(read.message == expected);
    let content = session.contents(id).await.unwrap().unwrap();
    assert!(content == mail.content);
}

/// Messages of a submission share one copy, which goes with the last of them.
pub async fn contents_stay_until_the_last_sharer_is_gone(bench: &Bench) {
    let session = bench.session().await;
    let mail = bench.mails(&["a.example", "b.example"]);
    let size = mail.content.len() as u64;
    let lease = FirstLeases {
        count: 2,
        lease: LEASE,
    };
    let mut leased = session.store(mail.clone(), Some(lease)).await.unwrap();
    assert_eq!(session.stats().await.unwrap().bytes, size);
    // The first gives the submission its id; the contents outlive it.
    let second = leased.pop().unwrap();
    let first = leased.pop().unwrap();
    let _ = settle(&*session, removal(first)).await;
    assert_eq!(session.stats().await.unwrap().bytes, size);
    let content = session.contents(second.lease.id()).await.unwrap();
    assert_eq!(content, Some(mail.content));
    let _ = settle(&*session, removal(second)).await;
    assert_eq!(session.stats().await.unwrap().bytes, 0);
}

/// Not finding a message is no failure of the engine.
pub async fn unknown_ids_are_an_answer(bench: &Bench) {
    let session = bench.session().await;
    let unknown = bench.id();
    assert_eq!(session.load(unknown).await.unwrap(), None);
    assert_eq!(session.contents(unknown).await.unwrap(), None);
    assert_eq!(session.lock(unknown, LEASE).await.unwrap(), None);
    assert!(claim(&*session, "nowhere.example", 10).await.is_empty());
    assert_eq!(session.next_due().await.unwrap(), None);
    assert_eq!(session.stats().await.unwrap(), Default::default());
}

/// A closed session answers with an error, and others go on.
pub async fn a_closed_session_says_so(bench: &Bench) {
    let (closed, other) = (bench.session().await, bench.session().await);
    closed.close().await;
    closed.close().await;
    let refused = closed.store(bench.mail("a.example"), None).await;
    assert_eq!(refused, Err(StorageError::Closed));
    assert_eq!(closed.stats().await, Err(StorageError::Closed));
    assert_eq!(closed.settle(&[]).await, Err(StorageError::Closed));
    assert_eq!(closed.changed(0).await, Err(StorageError::Closed));
    bench.stored(&*other, "a.example").await;
}

/// A lease shows whose it is.
pub async fn sessions_have_names_of_their_own(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    assert_ne!(a.owner(), b.owner());
    let leased = bench.leased(&*b, "a.example").await;
    let listed = a.load(leased.lease.id()).await.unwrap().unwrap();
    assert_eq!(listed.lease.unwrap().owner, *b.owner());
}
