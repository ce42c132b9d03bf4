//! Mail that a spam filter looks at: the real spamd and Rspamd, and scripted ones
//! for what these seldom say.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use crate::peers::Peer;
use crate::rig::{Client, Server, Store, free_address, run, stderr, text, until};

/// Serves one question: reads its head and the message that it announces, and
/// answers by the message.
fn serve_one(mut stream: impl Read + Write, answer: impl Fn(&str) -> String) -> (String, String) {
    let mut reader = BufReader::new(&mut stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(announced) = lower.strip_prefix("content-length:") {
            length = announced.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut message = vec![0; length];
    reader.read_exact(&mut message).unwrap();
    let message = String::from_utf8(message).unwrap();
    stream.write_all(answer(&message).as_bytes()).unwrap();
    (head, message)
}

/// A filter at a port, which tells what it was asked.
fn filter(answer: fn(&str) -> String) -> (SocketAddr, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = tell.send(serve_one(stream.unwrap(), answer));
        }
    });
    (address, asked)
}

fn spamd(message: &str) -> String {
    let (spam, score) = match message {
        message if message.contains("GTUBE") => ("True", "1000.0"),
        message if message.contains("offer") => ("True", "6.1"),
        _ => ("False", "-0.2"),
    };
    let tests = "NO_RELAYS,GTUBE\r\n";
    format!(
        "SPAMD/1.1 0 EX_OK\r\nContent-length: 17\r\nSpam: {spam} ; {score} / 5.0\r\n\r\n{tests}"
    )
}

/// Says how long its answer is and keeps the connection, as HTTP/1.1 does.
fn rspamd(message: &str) -> String {
    let (action, score) = match message.contains("GTUBE") {
        true => ("reject", 1000.0),
        false => ("no action", 1.25),
    };
    let body = format!(
        r#"{{"is_skipped":false,"score":{score:?},"required_score":15.0,"action":"{action}","symbols":{{"R_ONE":{{"score":1.0}}}}}}"#
    );
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn serve(store: &Store, table: &str) -> Server {
    let config = store.path().with_extension("toml");
    std::fs::write(&config, format!("[spam-scan]\n{table}\n")).unwrap();
    store.serve(&["--relay", "none", "--config", &config.display().to_string()])
}

/// What a client is told about a message of this subject.
fn told(server: &Server, subject: &str) -> Result<String, String> {
    let content = format!("X-Spam-Flag: NO\nFrom: a@from.example\nSubject: {subject}\n\nHello.");
    let mut client = Client::connect(server.address).unwrap();
    let said = client.send("a@from.example", &["b@to.example"], &content);
    said.map_err(|error| error.to_string())
}

/// The only message that is stored, as text with its lines unfolded.
fn stored(store: &Store) -> String {
    let list = store.list();
    assert_eq!(list.len(), 1);
    let content = store.queue_ok(&["show", text(&list[0], "id"), "--content"]);
    content.replace("\r\n ", " ").replace("\n ", " ")
}

#[test]
fn spamd_is_heeded() {
    let store = Store::new();
    let (address, asked) = filter(spamd);
    let table = format!("server = 'spamd://{address}'\nreject-score = 10");
    let server = serve(&store, &table);
    let refused = told(&server, "GTUBE").unwrap_err();
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    let (head, message) = asked.recv().unwrap();
    assert!(head.starts_with("SYMBOLS SPAMC/1."), "{head}");
    // The filter sees from whom the message comes, and no foreign verdict.
    assert!(
        message.starts_with("Received: from client.test.example"),
        "{message}"
    );
    assert!(!message.contains("X-Spam-Flag"), "{message}");
    told(&server, "An offer").unwrap();
    let stored = stored(&store);
    let marks = "X-Spam-Flag: YES\r\nX-Spam-Score: 6.1\r\nX-Spam-Status: Yes, score=6.1 required=5.0 \
                 tests=NO_RELAYS, GTUBE\r\nReceived:";
    assert!(
        stored
            .replace("\r\n", "\n")
            .starts_with(&marks.replace("\r\n", "\n")),
        "{stored}"
    );
    assert!(!stored.contains("X-Spam-Flag: NO"), "{stored}");
}

#[test]
fn rspamd_is_told_of_the_envelope_and_heeded() {
    let store = Store::new();
    let (address, asked) = filter(rspamd);
    let table = format!("server = 'rspamd://{address}'\nreject-score = 15.0");
    let server = serve(&store, &table);
    let refused = told(&server, "GTUBE").unwrap_err();
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    let (head, _) = asked.recv().unwrap();
    for line in [
        "POST /checkv2 HTTP/1.0\r\n",
        "\r\nIP: 127.0.0.1\r\n",
        "\r\nHelo: client.test.example\r\n",
        "\r\nFrom: <a@from.example>\r\n",
        "\r\nRcpt: b@to.example\r\n",
    ] {
        assert!(head.contains(line), "{line:?}: {head}");
    }
    told(&server, "Ham").unwrap();
    let stored = stored(&store);
    let status = "X-Spam-Status: No, score=1.2 required=15.0 tests=R_ONE";
    assert!(stored.contains(status), "{stored}");
}

#[test]
fn a_filter_at_a_socket_is_asked() {
    let store = Store::new();
    let path = store.path().with_extension("sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || serve_one(listener.accept().unwrap().0, spamd));
    let server = serve(&store, &format!("server = 'spamd:{}'", path.display()));
    // Nothing is refused unless a score says so.
    told(&server, "GTUBE").unwrap();
    assert!(stored(&store).contains("X-Spam-Score: 1000.0"));
}

#[test]
fn mail_waits_or_goes_without_a_filter_as_it_is_said() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (confused, _) = filter(|_| "220 mx.example ESMTP\r\n".to_owned());
    for url in [format!("spamd://{nobody}"), format!("rspamd://{confused}")] {
        let store = Store::new();
        let server = serve(&store, &format!("server = '{url}'"));
        let deferred = told(&server, "A test").unwrap_err();
        assert!(deferred.starts_with("451 4.3.0"), "{deferred}");
        assert!(store.list().is_empty());
        assert!(store.logged().contains(&url), "{}", store.logged());
        server.stop();
        let server = serve(&store, &format!("server = '{url}'\nfailure = 'accept'"));
        told(&server, "A test").unwrap();
        assert!(!stored(&store).contains("X-Spam"));
        drop(server);
    }
}

#[test]
fn a_filter_that_is_silent_costs_its_time_and_no_more() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let store = Store::new();
    let table = format!("server = 'spamd://{address}'\ntime-max = '100ms'\nfailure = 'accept'");
    let server = serve(&store, &table);
    told(&server, "A test").unwrap();
    assert!(store.logged().contains("did not answer in time"));

    // What is too large is not asked about.
    let table = format!("server = 'spamd://{address}'\nbytes-max = '1k'");
    server.stop();
    let server = serve(&store, &table);
    told(&server, &"long ".repeat(300)).unwrap();
    assert_eq!(store.list().len(), 2);
}

#[test]
fn a_table_without_sense_is_refused_with_its_place() {
    let store = Store::new();
    let config = store.path().with_extension("toml");
    let path = config.display().to_string();
    std::fs::write(&config, "[spam-scan]\nserver = 'spamd://'\n").unwrap();
    let said = run(&["serve", "--relay", "none", "--config", &path]);
    assert_eq!(said.status.code(), Some(78));
    let why = stderr(&said);
    assert!(
        why.contains(&path) && why.contains("lacks its host"),
        "{why}"
    );
}

/// What every filter takes for spam.
const TEST_SPAM: &str = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

/// The test message is refused, and another stored with `status` in it.
#[track_caller]
fn is_heeded(table: &str, status: &str) {
    let store = Store::new();
    let server = serve(&store, table);
    let told = |text: &str| {
        let content = format!("From: a@from.example\nSubject: news\n\n{text}\n");
        let mut client = Client::connect(server.address).unwrap();
        client.send("a@from.example", &["b@to.example"], &content)
    };
    let refused = told(TEST_SPAM).unwrap_err().to_string();
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    told("Hello.").unwrap();
    let stored = stored(&store);
    assert!(stored.contains("\nX-Spam-Status: No, score="), "{stored}");
    assert!(stored.contains(status), "{stored}");
    server.stop();
}

/// spamd of SpamAssassin, on the machine's own Perl with the modules of a peer.
struct Spamd {
    child: Child,
    _peer: Peer,
}

impl Spamd {
    /// Where it can be started, and where it listens.
    fn start() -> Option<(Self, SocketAddr)> {
        let peer = Peer::unpacked()?;
        let address = free_address();
        let port = address.port().to_string();
        let path = |file: &str| peer.path(file).display().to_string();
        let child = Command::new("perl")
            .args(["-T", "-I", &path("usr/share/perl5")])
            .args(["-I", &path("usr/perl5-machine")])
            .arg(path("usr/sbin/spamd"))
            .args(["--local", "--nouser-config", "--username", "nobody"])
            .args(["--max-children", "1", "--syslog", "stderr"])
            .args(["--listen", "127.0.0.1", "--port", &port])
            .args(["--siteconfigpath", &path("etc/spamassassin")])
            .args(["--configpath", &path("usr/share/spamassassin")])
            .stdin(Stdio::null())
            .stderr(File::create(path("said")).unwrap())
            .spawn()
            .unwrap();
        let spamd = Spamd { child, _peer: peer };
        until("spamd", || TcpStream::connect(address).ok());
        Some((spamd, address))
    }
}

impl Drop for Spamd {
    /// It ends its children itself.
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

#[test]
fn the_real_spamd_is_heeded() {
    let Some((_spamd, address)) = Spamd::start() else {
        return;
    };
    let table = format!("server = 'spamd://{address}'\nreject-score = 100");
    is_heeded(&table, "required=5.0 tests=");
}

#[test]
fn the_real_rspamd_is_heeded() {
    let Some(rspamd) = Peer::rspamd() else {
        return;
    };
    let table = format!("server = 'rspamd://{}'\nreject-score = 15", rspamd.address);
    is_heeded(&table, "required=15.0");
}
