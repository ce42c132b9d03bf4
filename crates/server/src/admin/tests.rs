//! Operators at the desk, and at the socket before it.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slimta_core::message::{
    Address, Client, Content, Destination, Envelope, History, MessageId, Priority, ReversePath,
    StoredMessage, Submission,
};
use slimta_core::queue::Queue;
use slimta_core::storage::{Memory, State, Storage};
use slimta_core::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};

use super::protocol::{Answer, Asked, Ends, VERSION};
use super::*;

fn request(line: &str) -> Result<Request, String> {
    let asked: Result<Asked, _> = serde_json::from_str(line);
    asked
        .map(|asked| asked.request)
        .map_err(|error| error.to_string())
}

#[test]
fn the_words_on_the_socket_are_the_documented_ones() {
    let id = MessageId::from_bytes([1; 16]);
    let which = Which {
        state: Some(StateName(State::Held)),
        ..Which::id(id)
    };
    let verb = Verb::Hold {
        reason: "why".to_owned(),
    };
    let asked = Asked {
        version: VERSION,
        request: Request::Act {
            which,
            verb,
            after: None,
            limit: None,
        },
    };
    let line = r#"{"version":1,"request":{"act":{"which":{"id":"01010101-0101-0101-0101-010101010101","state":"held"},"verb":{"hold":{"reason":"why"}},"after":null}}}"#;
    assert_eq!(serde_json::to_string(&asked).unwrap(), line);
    assert_eq!(request(line).unwrap(), asked.request);
    let stats = r#"{"version":1,"request":"stats"}"#;
    assert_eq!(request(stats).unwrap(), Request::Stats);
    let suspend = r#"{"version":1,"request":{"suspend":{"destinations":"*.example.org","reason":"why","ends":{"in-millis":5}}}}"#;
    let suspended = Request::Suspend {
        destinations: "*.example.org".parse().unwrap(),
        reason: "why".to_owned(),
        ends: Some(Ends::InMillis(5)),
    };
    assert_eq!(request(suspend).unwrap(), suspended);
    let contents = Answer::Contents { bytes: 7 };
    assert_eq!(
        serde_json::to_string(&contents).unwrap(),
        r#"{"contents":{"bytes":7}}"#
    );
    assert_eq!(
        serde_json::to_string(&Answer::Missing).unwrap(),
        r#""missing""#
    );
}

#[test]
fn a_request_that_is_wrong_anywhere_is_refused_whole() {
    for line in [
        "",
        "{}",
        r#"{"version":1,"request":"destroy"}"#,
        r#"{"version":1,"request":{"list":{"which":{"stat":"held"},"after":null}}}"#,
        r#"{"version":1,"request":{"list":{"which":{"state":"gone"},"after":null}}}"#,
        r#"{"version":1,"request":{"list":{"which":{"id":"../x"},"after":null}}}"#,
        r#"{"version":1,"request":"stats","extra":1}"#,
    ] {
        assert!(request(line).is_err(), "{line}");
    }
}

/// A queue in memory with messages from `sender@from.example`, and its desk.
async fn desk(messages: usize) -> Desk {
    let world = World::system();
    let storage: Arc<dyn Storage> = Arc::new(Memory::new(world.clone()));
    let session = storage.connect().await.unwrap();
    for number in 0..messages {
        let submission = submission(&world, &format!("to{number}@to.example"));
        session.store(submission, None).await.unwrap();
    }
    let queue = Queue::new(None, None, storage).with_world(world.clone());
    Desk::new(queue, session)
}

fn submission(world: &World, recipient: &str) -> Submission {
    let id = MessageId::new(world);
    let sender = ReversePath::parse("sender@from.example").unwrap();
    let content = Content::new("Subject: test\r\n\r\nHello.\r\n");
    let message = StoredMessage {
        id,
        submission: id,
        destination: Destination::new("to.example"),
        client: Client::default(),
        envelope: Envelope::new(sender, [Address::parse(recipient).unwrap()]),
        received: world.now(),
        size: content.len() as u64,
        priority: Priority::default(),
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

/// A desk behind a socket: the way to it, and the task that serves it.
async fn behind_socket(desk: Desk) -> (tempfile::TempDir, PathBuf, JoinHandle<()>) {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_path(directory.path());
    let socket = AdminSocket::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let desk = Arc::new(desk);
        socket.serve(desk, World::system(), pending()).await;
    });
    (directory, path, serving)
}

async fn walk(door: &Door) -> (usize, Vec<MessageView>) {
    let (mut pages, mut messages, mut after) = (0, Vec::new(), None);
    loop {
        let request = Request::List {
            which: Which::default(),
            after,
        };
        let Reply::Listed(page) = door.ask(request).await.unwrap() else {
            panic!("no list")
        };
        pages += 1;
        messages.extend(page.messages);
        after = page.next;
        if after.is_none() {
            return (pages, messages);
        }
    }
}

async fn act(door: &Door, which: Which, verb: Verb) -> usize {
    let request = Request::Act {
        which,
        verb,
        after: None,
        limit: None,
    };
    let Reply::Acted(acted) = door.ask(request).await.unwrap() else {
        panic!("not acted")
    };
    acted.changed.len()
}

#[tokio::test]
async fn a_long_queue_comes_in_pages() {
    let (_directory, path, _serving) = behind_socket(desk(250).await).await;
    let door = Door::beside(&path).await.unwrap().unwrap();
    let (pages, messages) = walk(&door).await;
    assert!(pages >= 3);
    assert_eq!(messages.len(), 250);
    let mut ids: Vec<_> = messages.iter().map(|message| &message.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 250);
}

#[tokio::test]
async fn contents_come_as_they_are_and_nothing_else_does() {
    let (_directory, path, _serving) = behind_socket(desk(1).await).await;
    let door = Door::beside(&path).await.unwrap().unwrap();
    let id: MessageId = walk(&door).await.1[0].id.parse().unwrap();
    let header = door
        .ask(Request::Contents {
            id,
            part: Part::Header,
        })
        .await
        .unwrap();
    assert_eq!(
        header,
        Reply::Contents(Some(b"Subject: test\r\n\r\n".to_vec()))
    );
    let whole = door
        .ask(Request::Contents {
            id,
            part: Part::Whole,
        })
        .await
        .unwrap();
    assert_eq!(
        whole,
        Reply::Contents(Some(b"Subject: test\r\n\r\nHello.\r\n".to_vec()))
    );
    let nobody = Request::Contents {
        id: MessageId::MIN,
        part: Part::Whole,
    };
    assert_eq!(door.ask(nobody).await.unwrap(), Reply::Contents(None));
}

#[tokio::test]
async fn a_walk_that_bounces_spares_the_notices_it_causes() {
    let door = Door::Desk(desk(3).await);
    let verb = || Verb::Bounce {
        reason: "No".to_owned(),
    };
    assert_eq!(act(&door, Which::default(), verb()).await, 3);
    assert_eq!(act(&door, Which::default(), verb()).await, 0);
    let (_, notices) = walk(&door).await;
    assert_eq!(notices.len(), 3);
    assert!(notices.iter().all(|notice| notice.sender.is_empty()));
    let by_name = Which {
        sender: Some(String::new()),
        ..Which::default()
    };
    assert_eq!(act(&door, by_name, verb()).await, 3);
    assert_eq!(walk(&door).await.1, []);
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_changes_nothing() {
    let (_directory, path, _serving) = behind_socket(desk(1).await).await;
    let endless = vec![b'{'; 70 << 10];
    let asked: [(&[u8], &str); 4] = [
        (b"hello\n", "not a request"),
        (b"{\"version\":2,\"request\":\"a thing of the future\"}\n", "version"),
        (b"{\"version\":1,\"request\":{\"act\":{\"which\":{\"ids\":[]},\"verb\":\"delete\",\"after\":null}}}\n", "ids"),
        (&endless, "one line"),
    ];
    for (line, named) in asked {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        // It may answer and close before it has read all.
        let _ = stream.write_all(line).await;
        // What is left unread breaks the connection, but after the answer.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.contains("failed") && answer.contains(named),
            "{named}: {answer}"
        );
    }
    let door = Door::beside(&path).await.unwrap().unwrap();
    assert_eq!(walk(&door).await.1.len(), 1);
}

#[tokio::test]
async fn a_socket_file_without_a_server_is_replaced_but_no_other_file() {
    let (directory, path, serving) = behind_socket(desk(0).await).await;
    assert!(Door::beside(&path).await.unwrap().is_some());
    serving.abort();
    let _ = serving.await;
    assert!(!path.exists());

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(Door::beside(&path).await.unwrap().is_none());
    drop(AdminSocket::bind(&path).unwrap());

    std::fs::write(&path, "precious").unwrap();
    assert!(AdminSocket::bind(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let long = directory.path().join("x".repeat(100));
    assert!(
        check_length(&long)
            .unwrap_err()
            .to_string()
            .contains("--admin-socket")
    );
    assert!(check_length(&path).is_ok());
}

#[tokio::test]
async fn the_socket_of_a_living_server_is_not_taken_away() {
    let (_directory, path, _serving) = behind_socket(desk(0).await).await;
    assert!(
        AdminSocket::bind(&path)
            .err()
            .unwrap()
            .to_string()
            .contains("another server")
    );
    assert!(Door::beside(&path).await.unwrap().is_some());
}

/// Else a change could be committed and the server end without its line.
#[tokio::test]
async fn what_was_asked_for_is_done_before_the_socket_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_path(directory.path());
    let socket = AdminSocket::bind(&path).unwrap();
    let (asked, goes_on, stop) = (Notify::new(), Notify::new(), Notify::new());
    let notes = Arc::new((asked, goes_on, AtomicBool::new(false)));
    let noted = notes.clone();
    let answer = move |line: Vec<u8>| {
        let noted = noted.clone();
        async move {
            noted.0.notify_one();
            noted.1.notified().await;
            noted.2.store(true, Ordering::Relaxed);
            (line, b"and more".to_vec())
        }
    };
    let serving = async {
        socket
            .serve_with(answer, World::system(), stop.notified())
            .await;
        assert!(
            notes.2.load(Ordering::Relaxed),
            "it ended before it was done"
        );
    };
    let asking = async {
        // One says nothing, and is not waited for.
        let silent = UnixStream::connect(&path).await.unwrap();
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"do it\n").await.unwrap();
        notes.0.notified().await;
        stop.notify_one();
        for _ in 0..100 {
            yield_now().await;
        }
        notes.1.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "do it\nand more");
        silent
    };
    tokio::join!(serving, asking);
}
