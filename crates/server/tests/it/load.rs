//! Load for a server that is hit: clients that send again what was not answered,
//! and a next hop that notes what it takes. Both pass by the trap.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use slimta_oracle::{Copy, History};

use crate::rig::{Client, until};
use crate::trap::{Point, Trap};

const CLIENTS: u32 = 4;
const RECIPIENTS: [&str; 2] = ["one@to.example", "two@to.example"];

/// What all who take part share.
#[derive(Default)]
pub(crate) struct Scene {
    history: Mutex<History>,
    /// Which id the server gave to which mark, if the client was told.
    ids: Mutex<BTreeMap<String, String>>,
    pub(crate) trap: Trap,
    done: AtomicBool,
}

impl Scene {
    /// What has happened, to be told what happens.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// The ids of what was answered, by mark.
    pub(crate) fn ids(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.ids.lock().unwrap()
    }
}

/// Clients at work.
pub(crate) struct Load {
    scene: Arc<Scene>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(scene: &Arc<Scene>, to: SocketAddr) -> Self {
        let start = |client| {
            let scene = scene.clone();
            std::thread::spawn(move || keep_sending(client, to, &scene))
        };
        Load {
            scene: scene.clone(),
            clients: (0..CLIENTS).map(start).collect(),
        }
    }

    /// Waits until so many more messages are answered.
    #[track_caller]
    pub(crate) fn until_answered(&self, more: usize) {
        let goal = self.scene.history().answers() + more;
        until("answers", || {
            (self.scene.history().answers() >= goal).then_some(())
        });
    }

    /// Ends it; no client has failed.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.scene.done.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
    }
}

fn keep_sending(client: u32, to: SocketAddr, scene: &Scene) {
    let mut session = None;
    for number in 0_u32.. {
        let mark = format!("mark-{client}-{number}-end");
        for number in 1.. {
            if scene.done.load(Ordering::Relaxed) {
                return;
            }
            let copy = Copy {
                mark: mark.clone(),
                number,
            };
            match send(&mut session, to, &copy, scene) {
                Ok(()) => break,
                // The server is down now and then: that is the point.
                Err(_) => session = None,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Hands it in and reads the answer, if nothing happens meanwhile.
fn send(
    session: &mut Option<Client>,
    to: SocketAddr,
    copy: &Copy,
    scene: &Scene,
) -> std::io::Result<()> {
    let session = match session {
        Some(session) => session,
        None => session.insert(Client::connect(to)?),
    };
    session.ask("MAIL FROM:<sender@from.example>", "250")?;
    for recipient in RECIPIENTS {
        session.ask(&format!("RCPT TO:<{recipient}>"), "250")?;
    }
    session.ask("DATA", "354")?;
    let body = body(copy);
    let checksum = crc32fast::hash(body.as_bytes());
    scene.history().sends(copy, checksum);
    let Copy { mark, number } = copy;
    let stuffed = body.replace("\r\n.", "\r\n..");
    session.say(&format!(
        "Subject: {mark}\r\nX-Copy: {number}\r\n\r\n{stuffed}."
    ))?;
    scene.trap.pass(Point::Dot);
    let arrived = || {
        until("the message at the next hop", || {
            scene.history().has_arrived(copy).then_some(())
        });
    };
    if scene.trap.pass_when(Point::Commit, arrived).is_some() {
        // An answer may have come, but this client has never seen it.
        return Err(std::io::ErrorKind::ConnectionAborted.into());
    }
    let answer = session.expect("250")?;
    let id = answer.trim_end().rsplit(' ').next().unwrap();
    scene.ids().insert(mark.clone(), id.to_owned());
    scene.history().is_answered(mark, &RECIPIENTS);
    scene.trap.pass(Point::Answered);
    Ok(())
}

/// Contents of their own for each copy, of one line up to some hundred.
fn body(copy: &Copy) -> String {
    let line = format!(
        "{} {}\r\n.A line of some length.\r\n",
        copy.mark, copy.number
    );
    line.repeat(1 + crc32fast::hash(line.as_bytes()) as usize % 100)
}

/// A next hop that takes all mail, each session in a thread of its own. It lives
/// as long as the tests.
pub(crate) fn next_hop(scene: &Arc<Scene>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let scene = scene.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let scene = scene.clone();
            // Sessions end with the server that is killed.
            std::thread::spawn(move || take(BufReader::new(stream), &scene));
        }
    });
    address
}

fn take(mut session: BufReader<TcpStream>, scene: &Scene) -> std::io::Result<()> {
    let say = |session: &mut BufReader<TcpStream>, reply: &str| {
        session
            .get_mut()
            .write_all(format!("{reply}\r\n").as_bytes())
    };
    say(&mut session, "220 hop.test.example")?;
    let (mut begun, mut recipients) = (0, BTreeSet::new());
    loop {
        let command = read_line(&mut session)?;
        match command.get(..4).unwrap_or_default() {
            "MAIL" => (begun, recipients) = (scene.history().begins(), BTreeSet::new()),
            "RCPT" => recipients.extend(mailbox(&command)),
            "DATA" => {
                say(&mut session, "354 Go on")?;
                let (copy, checksum) = read_message(&mut session)?;
                let recipients = recipients.clone();
                let arrival = scene.history().takes(begun, copy, recipients, checksum);
                if scene.trap.pass(Point::Taken) == Some(Signal::KILL) {
                    return Ok(());
                }
                say(&mut session, "250 Taken")?;
                scene.history().replies(arrival);
                scene.trap.pass(Point::Reply);
                continue;
            }
            "QUIT" => return say(&mut session, "221 Bye"),
            _ => {}
        }
        say(&mut session, "250 Go on")?;
    }
}

/// What stands between angle brackets.
fn mailbox(command: &str) -> Option<String> {
    let (_, rest) = command.split_once('<')?;
    let (mailbox, _) = rest.split_once('>')?;
    Some(mailbox.to_owned())
}

/// A line without its end.
fn read_line(session: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    session.read_line(&mut line)?;
    let ended = line.strip_suffix("\r\n").map(str::to_owned);
    ended.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// Reads up to the final dot; gives which copy it is, and its body's checksum.
fn read_message(session: &mut BufReader<TcpStream>) -> std::io::Result<(Copy, u32)> {
    let (mut header, mut body) = (true, crc32fast::Hasher::new());
    let mut copy = Copy {
        mark: String::new(),
        number: 0,
    };
    loop {
        let line = read_line(session)?;
        if line == "." {
            return Ok((copy, body.finalize()));
        }
        if !header {
            let line = line.strip_prefix('.').unwrap_or(&line);
            body.update(line.as_bytes());
            body.update(b"\r\n");
        } else if let Some(mark) = line.strip_prefix("Subject: ") {
            mark.clone_into(&mut copy.mark);
        } else if let Some(number) = line.strip_prefix("X-Copy: ") {
            copy.number = number.parse().unwrap_or_default();
        }
        header &= !line.is_empty();
    }
}
