//! Servers that crash, lose mail, are full, or are not there.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::{
    Client, Content, Destination, Envelope, History, MessageId, ReversePath, StoredMessage,
    Submission,
};
use slimta_core::storage::{
    Action, Change, Deferral, Filter, FirstLeases, Leased, Page, Session, Settled, Settlement,
    Storage, StorageError,
};
use slimta_core::world::World;

use super::super::Redis;
use super::server::{SAFE, Server};

const LEASE: Duration = Duration::from_secs(600);

fn mail(world: &World, content: Content) -> Submission {
    let id = MessageId::new(world);
    let message = StoredMessage {
        id,
        submission: id,
        destination: Destination::new("a.example"),
        client: Client::default(),
        envelope: Envelope::new(ReversePath::Null, ["to@a.example".parse().unwrap()]),
        received: world.now(),
        size: content.len() as u64,
        priority: Default::default(),
        attempts: 0,
        due: world.now(),
        held: None,
        last_response: None,
        delay_told: false,
        history: History::default(),
    };
    Submission {
        messages: vec![message],
        content,
    }
}

pub(super) fn some_mail(world: &World) -> Submission {
    mail(world, Content::new("Subject: hello\r\n\r\nworld\r\n"))
}

pub(super) fn removal(leased: Leased) -> Settlement {
    Settlement {
        lease: leased.lease,
        change: Change::Remove,
        notices: Vec::new(),
    }
}

pub(super) async fn connect(url: &str) -> Result<Arc<dyn Session>, StorageError> {
    Redis::new(url, World::system()).unwrap().connect().await
}

pub(super) async fn stored(session: &dyn Session) -> Result<MessageId, StorageError> {
    let mail = some_mail(&World::system());
    let id = mail.messages[0].id;
    session.store(mail, None).await.map(|_| id)
}

pub(super) async fn leased(session: &dyn Session) -> Leased {
    let lease = FirstLeases {
        count: 1,
        lease: LEASE,
    };
    let mail = some_mail(&World::system());
    session.store(mail, Some(lease)).await.unwrap().remove(0)
}

/// Asks until there is an answer again.
pub(super) async fn until_back<T>(mut ask: impl AsyncFnMut() -> Result<T, StorageError>) -> T {
    for _ in 0..200 {
        match ask().await {
            Ok(answer) => return answer,
            Err(StorageError::Unavailable(_)) => World::system().sleep(LEASE / 6000).await,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the storage does not come back");
}

#[tokio::test]
async fn what_was_answered_for_survives_kills_of_the_server() {
    let server = Server::start(&SAFE);
    let session = connect(&server.queue()).await.unwrap();
    let held = leased(&*session).await;
    let mut answered = vec![held.lease.id()];
    let kills = std::env::var("SLIMTA_KILLS").map_or(5, |kills| kills.parse().unwrap());
    for _ in 0..kills {
        let storing = tokio::spawn({
            let session = session.clone();
            async move {
                let mut ids = Vec::new();
                while let Ok(id) = stored(&*session).await {
                    ids.push(id);
                }
                ids
            }
        });
        World::system().sleep(Duration::from_millis(50)).await;
        server.kill();
        answered.extend(storing.await.unwrap());
        server.restart();
        until_back(async || session.stats().await).await;
    }
    assert!(
        answered.len() > kills,
        "too few to tell: {}",
        answered.len()
    );
    for id in &answered {
        assert!(session.load(*id).await.unwrap().is_some(), "{id} is lost");
        assert!(
            session.contents(*id).await.unwrap().is_some(),
            "{id} is lost"
        );
    }
    // One at most was stored without an answer for each kill.
    let messages = session.stats().await.unwrap().messages;
    let most = answered.len() + kills;
    assert!(messages <= most as u64, "{messages} of {most}");
    println!(
        "{kills} kills: {} answered, {messages} stored",
        answered.len()
    );
    // Leases and tokens survive, too.
    let settled = session.settle(&[removal(held)]).await.unwrap();
    assert_eq!(settled, [Ok(Settled::Done)]);
}

#[tokio::test]
async fn large_contents_are_sent_in_parts() {
    let server = Server::running();
    let (url, prefix) = server.queue_with_prefix();
    let session = connect(&url).await.unwrap();
    let body: Vec<u8> = (0..20_u32 << 20).map(|i| (i % 251) as u8).collect();
    let mail = mail(&World::system(), Content::from_parts("A: 1\r\n\r\n", body));
    let id = mail.messages[0].id;
    session.store(mail.clone(), None).await.unwrap();
    assert!(session.contents(id).await.unwrap() == Some(mail.content.clone()));
    // The same again is known, and what was sent for it goes by itself.
    assert!(session.store(mail, None).await.unwrap().is_empty());
    assert_eq!(session.stats().await.unwrap().messages, 1);
    let left = server.cli(&["KEYS", &format!("{{{prefix}:0}}:upload:*")]);
    assert_eq!(left.lines().count(), 1, "{left}");
    let millis: i64 = server.cli(&["PTTL", &left]).parse().unwrap();
    assert!(millis > 0, "an upload stays for ever");
}

#[tokio::test]
async fn a_server_that_may_lose_mail_is_refused() {
    let lossy: [(&[&str], &str); 4] = [
        (&[], "appendonly is \"no\""),
        (&["--appendonly", "yes"], "appendfsync is \"everysec\""),
        (
            &[&SAFE[..], &["--no-appendfsync-on-rewrite", "yes"]].concat(),
            "no-appendfsync-on-rewrite is \"yes\"",
        ),
        (
            &[&SAFE[..], &["--maxmemory-policy", "allkeys-lru"]].concat(),
            "maxmemory-policy is \"allkeys-lru\"",
        ),
    ];
    for (settings, told) in lossy {
        let server = Server::start(settings);
        let url = server.queue();
        let error = connect(&url).await.unwrap_err();
        assert!(matches!(error, StorageError::Open { .. }), "{error:?}");
        let error = error.to_string();
        assert!(
            error.contains(told) && error.contains("allow_lossy"),
            "{error}"
        );
        let allowed = connect(&format!("{url}&allow_lossy=true")).await.unwrap();
        stored(&*allowed).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_does_not_tell_its_settings_is_refused() {
    let forbidden = [&SAFE[..], &["--rename-command", "CONFIG", ""]].concat();
    let server = Server::start(&forbidden);
    let error = connect(&server.queue()).await.unwrap_err().to_string();
    assert!(error.contains("CONFIG GET is forbidden"), "{error}");
}

/// What docs/design/redis.md says that a user needs.
#[tokio::test]
async fn a_user_with_the_documented_rights_can_do_everything() {
    let server = Server::running();
    let (url, prefix) = server.queue_with_prefix();
    let rights = format!(
        "ACL SETUSER {prefix} on >se/cret ~{{{prefix}:* &{prefix}:changed +@read +@write +eval \
         +evalsha +subscribe +publish +time +info +config|get +ping"
    );
    let rights: Vec<&str> = rights.split(' ').collect();
    assert_eq!(server.cli(&rights), "OK");
    let url = url.replace("redis://", &format!("redis://{prefix}:se%2Fcret@"));
    let session = connect(&url).await.unwrap();
    // It listens, too.
    session.changed(0).await.unwrap();
    let leased = leased(&*session).await;
    let settled = session.settle(&[removal(leased)]).await.unwrap();
    assert_eq!(settled, [Ok(Settled::Done)]);
    let error = connect(&url.replace("se%2Fcret", "wrong")).await;
    let error = error.unwrap_err();
    assert!(matches!(error, StorageError::Open { .. }), "{error:?}");
    assert!(!error.to_string().contains("wrong"), "{error}");
}

#[tokio::test]
async fn a_replica_is_refused_and_so_is_a_primary_that_one_may_replace() {
    let primary = Server::start(&SAFE);
    let url = primary.queue();
    let before = connect(&url).await.unwrap();
    let port = primary.port.to_string();
    let replica = Server::start(&[&SAFE[..], &["--replicaof", "127.0.0.1", &port]].concat());
    let error = connect(&replica.queue()).await.unwrap_err().to_string();
    assert!(error.contains("is a replica"), "{error}");
    while !primary
        .cli(&["INFO", "replication"])
        .contains("state=online")
    {
        World::system().sleep(Duration::from_millis(20)).await;
    }
    let error = connect(&url).await.unwrap_err().to_string();
    assert!(error.contains("connected_slaves is 1"), "{error}");
    // A primary that becomes a replica takes nothing more.
    let port = replica.port.to_string();
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    primary.cli(&["REPLICAOF", "127.0.0.1", &port]);
    for _ in 0..200 {
        let error = stored(&*before).await.unwrap_err().to_string();
        if error.contains("is a replica") {
            return;
        }
        World::system().sleep(LEASE / 6000).await;
    }
    panic!("nobody says that it is a replica");
}

#[tokio::test]
async fn a_server_that_came_back_empty_stops_everything() {
    let server = Server::start(&SAFE);
    let (url, prefix) = server.queue_with_prefix();
    let session = connect(&url).await.unwrap();
    let leased = leased(&*session).await;
    let seen = session.changed(0).await.unwrap();
    let waiting = tokio::spawn({
        let session = session.clone();
        async move {
            let mut seen = seen;
            loop {
                match session.changed(seen).await {
                    Ok(now) => seen = now,
                    Err(error) => return error,
                }
            }
        }
    });
    server.kill();
    std::fs::remove_dir_all(server.directory().join("appendonlydir")).unwrap();
    server.restart();
    // Who only waits hears of it, because the listener looks.
    let error = waiting.await.unwrap();
    assert!(matches!(error, StorageError::Poisoned(_)), "{error:?}");
    assert!(error.to_string().contains("empty"), "{error}");
    let error = session.settle(&[removal(leased)]).await.unwrap_err();
    assert!(matches!(error, StorageError::Poisoned(_)), "{error:?}");
    assert!(matches!(
        stored(&*session).await,
        Err(StorageError::Poisoned(_))
    ));
    // Nor does one who begins anew go on, until an operator has looked.
    let error = connect(&url).await.unwrap_err().to_string();
    let key = format!("{{{prefix}:0}}:shard");
    assert!(error.contains(&format!("HDEL {key} lost")), "{error}");
    assert_eq!(server.cli(&["HDEL", &key, "lost"]), "1");
    let error = connect(&format!("{url}&must_exist=true"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("there is no queue"), "{error}");
    assert!(connect(&url).await.is_ok());
}

/// Somebody else began a queue there before it was noticed.
#[tokio::test]
async fn another_queue_in_the_same_place_stops_everybody() {
    let server = Server::start(&SAFE);
    let url = server.queue();
    let before = connect(&url).await.unwrap();
    before.changed(0).await.unwrap();
    server.cli(&["FLUSHALL"]);
    let after = connect(&url).await.unwrap();
    stored(&*after).await.unwrap();
    for session in [before, after] {
        let error = stored(&*session).await.unwrap_err();
        assert!(matches!(error, StorageError::Poisoned(_)), "{error:?}");
        assert!(error.to_string().contains("another queue"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_went_back_in_time_stops_everything() {
    let server = Server::start(&SAFE);
    let (url, prefix) = server.queue_with_prefix();
    let session = connect(&url).await.unwrap();
    stored(&*session).await.unwrap();
    let key = format!("{{{prefix}:0}}:shard");
    server.cli(&["HINCRBY", &key, "writes", "-1"]);
    let error = session.stats().await.unwrap_err();
    assert!(matches!(error, StorageError::Poisoned(_)), "{error:?}");
    assert!(error.to_string().contains("back in time"), "{error}");
}

#[tokio::test]
async fn a_full_server_takes_nothing_in_and_still_settles() {
    let server = Server::start(&SAFE);
    let session = connect(&server.queue()).await.unwrap();
    let held = leased(&*session).await;
    let other = leased(&*session).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let error = stored(&*session).await.unwrap_err();
    assert!(matches!(error, StorageError::Full(_)), "{error:?}");
    let due = World::system().now();
    let deferral = Settlement {
        change: Change::Defer(Deferral {
            recipients: other.message.envelope.recipients,
            attempts: 1,
            due,
            response: slimta_core::message::Response::new(450, None, "later"),
            delay_told: false,
            history: History::default(),
        }),
        lease: other.lease,
        notices: vec![some_mail(&World::system())],
    };
    let settled = session.settle(&[removal(held), deferral]).await.unwrap();
    assert_eq!(settled, [Ok(Settled::Done), Ok(Settled::Done)]);
    let claimed = session
        .claim(&Destination::new("a.example"), 5, LEASE)
        .await;
    assert_eq!(claimed.unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_in_time() {
    let world = World::system();
    let limit = Duration::from_secs(2);
    let in_time = async |session: &dyn Session| {
        let answer = world.timeout(limit, stored(session)).await;
        answer.expect("an answer within two seconds").unwrap_err()
    };
    let server = Server::start(&SAFE);
    let session = connect(&server.queue()).await.unwrap();
    server.kill();
    for _ in 0..3 {
        let error = in_time(&*session).await;
        assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    }
    server.restart();
    until_back(async || stored(&*session).await).await;
    // One that takes connections and never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let answer = world.timeout(limit, connect(&url)).await;
    let error = answer.expect("an answer within two seconds").unwrap_err();
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
}

/// Its connections stay open, and nothing comes.
#[tokio::test]
async fn a_server_that_hangs_is_given_up_until_it_goes_on() {
    let world = World::system();
    let server = Server::start(&SAFE);
    let session = connect(&server.queue()).await.unwrap();
    server.signal("-STOP");
    let answer = world
        .timeout(Duration::from_secs(12), stored(&*session))
        .await;
    let error = answer.expect("an answer in bounded time").unwrap_err();
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    // From now on everybody is told at once.
    for _ in 0..3 {
        let answer = world
            .timeout(Duration::from_secs(2), stored(&*session))
            .await;
        assert!(answer.expect("an answer within two seconds").is_err());
    }
    server.signal("-CONT");
    until_back(async || stored(&*session).await).await;
}

#[tokio::test]
async fn what_one_process_stores_wakes_another() {
    let server = Server::running();
    let url = server.queue();
    let (a, b) = (connect(&url).await.unwrap(), connect(&url).await.unwrap());
    // The first news is that it listens.
    let seen = b.changed(0).await.unwrap();
    stored(&*a).await.unwrap();
    b.changed(seen).await.unwrap();
    let found = b.claim(&Destination::new("a.example"), 5, LEASE).await;
    assert_eq!(found.unwrap().len(), 1);
}

/// Two operators at once, one of whom was slower: what the other wrote stays.
#[tokio::test]
async fn what_changed_since_it_was_read_is_read_anew() {
    let server = Server::running();
    let (url, prefix) = server.queue_with_prefix();
    let session = connect(&url).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(stored(&*session).await.unwrap());
    }
    ids.sort_unstable();
    let page = Page::first(100);
    let due = World::system().now().after(LEASE);
    let (hold, later) = (Action::Hold("wait".to_owned()), Action::SetDue(due));
    let all = Filter::default();
    let (held, put_off) = tokio::join!(
        session.act(&all, page, &hold),
        session.act(&all, page, &later)
    );
    assert_eq!(
        (held.unwrap().changed, put_off.unwrap().changed),
        (ids.clone(), ids)
    );
    let listing = session.list(&all, page).await.unwrap();
    for listed in listing.messages {
        assert_eq!(listed.message.held.as_deref(), Some("wait"));
        assert_eq!(listed.message.due, due);
        let key = format!("{{{prefix}:0}}:message:{}", listed.message.id);
        assert_eq!(server.cli(&["HGET", &key, "revision"]), "2");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_put_aside() {
    let server = Server::running();
    let (url, prefix) = server.queue_with_prefix();
    let session = connect(&url).await.unwrap();
    let (good, bad) = (
        stored(&*session).await.unwrap(),
        stored(&*session).await.unwrap(),
    );
    let key = format!("{{{prefix}:0}}:message:{bad}");
    server.cli(&["HSET", &key, "record", "rotten"]);
    let claimed = session
        .claim(&Destination::new("a.example"), 5, LEASE)
        .await;
    let claimed: Vec<_> = claimed.unwrap().iter().map(|l| l.lease.id()).collect();
    assert_eq!(claimed, [good]);
    let stats = session.stats().await.unwrap();
    assert_eq!((stats.messages, stats.quarantined), (1, 1));
    let page = Page::first(10);
    let listing = session.list(&Default::default(), page).await.unwrap();
    assert_eq!((listing.messages.len(), listing.unreadable.len()), (1, 1));
    assert_eq!(listing.unreadable[0].id, bad);
    assert_eq!(session.load(bad).await.unwrap(), None);
    assert_eq!(server.cli(&["HGET", &key, "record"]), "rotten");
}
