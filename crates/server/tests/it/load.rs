//! Load for a server that is hit: clients that send again what was not answered,
//! and a next hop that notes what it takes. Both pass by the trap.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use slimta_oracle::{Copy, History, Hit};

use crate::rig::{Client, PATIENCE, until};
use crate::trap::{Point, Trap};

const CLIENTS: u32 = 4;
/// After so many messages a client goes to the next of several servers.
const TO_ONE_MAX: u32 = 10;
const RECIPIENTS: [&str; 2] = ["one@to.example", "two@to.example"];

/// What all who take part share.
#[derive(Default)]
pub(crate) struct Scene {
    history: Mutex<History>,
    /// Which id the server gave to which mark, if the client was told.
    ids: Mutex<BTreeMap<String, String>>,
    put_off: AtomicUsize,
    held: Mutex<Held>,
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

    fn pass(&self, point: Point, server: &str) -> Option<Signal> {
        self.pass_when(point, server, || {})
    }

    /// Comes by the trap. Nobody notes anything between a kill and its note: who
    /// sees it acts at once.
    fn pass_when(&self, point: Point, server: &str, ready: impl FnOnce()) -> Option<Signal> {
        self.trap.pass(point, server, || {
            ready();
            let mut history = self.history();
            move |signal| {
                if signal == Signal::KILL {
                    history.hits_one(server, Hit::Killed);
                }
            }
        })
    }

    /// Holds messages of stopped servers that others bring from now on.
    pub(crate) fn hold(&self) {
        self.held.lock().unwrap().is_holding = true;
    }

    /// How many are held.
    pub(crate) fn taken_over(&self) -> usize {
        self.held.lock().unwrap().taken_over
    }

    /// Lets them go on.
    pub(crate) fn release(&self) {
        self.held.lock().unwrap().is_holding = false;
    }

    fn think_over(&self, copy: &Copy) {
        let mut held = self.held.lock().unwrap();
        if !held.is_holding || !held.copies.remove(copy) {
            return;
        }
        held.taken_over += 1;
        drop(held);
        until("the end of thinking", || {
            (!self.held.lock().unwrap().is_holding).then_some(())
        });
    }

    /// How many messages were answered 451, which leaves open what became of
    /// them.
    pub(crate) fn put_off(&self) -> usize {
        self.put_off.load(Ordering::Relaxed)
    }
}

/// Messages whose server was stopped when the next hop had just read them. When
/// another server brings them, the next hop can be made to think them over, so
/// that both servers are at work on them.
#[derive(Default)]
struct Held {
    copies: BTreeSet<Copy>,
    is_holding: bool,
    taken_over: usize,
}

/// A server by the name that it has at the next hop.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

/// Clients at work.
pub(crate) struct Load {
    scene: Arc<Scene>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(scene: &Arc<Scene>, address: SocketAddr) -> Self {
        let name = "mx.test.example".to_owned();
        Load::start_on(scene, &[Goal { name, address }], CLIENTS, PATIENCE)
    }

    /// So many clients, who go to several servers by turns, and to the next when
    /// one does not answer for so long.
    pub(crate) fn start_on(
        scene: &Arc<Scene>,
        goals: &[Goal],
        clients: u32,
        patience: Duration,
    ) -> Self {
        let start = |client| {
            let (scene, goals) = (scene.clone(), goals.to_vec());
            std::thread::spawn(move || keep_sending(client, &goals, patience, &scene))
        };
        Load {
            scene: scene.clone(),
            clients: (0..clients).map(start).collect(),
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

fn keep_sending(client: u32, goals: &[Goal], patience: Duration, scene: &Scene) {
    let mut session = None;
    // Each begins with another server, and leaves one that fails.
    let mut goals = goals.iter().cycle().skip(client as usize);
    for number in 0_u32.. {
        let mark = format!("mark-{client}-{number}-end");
        if number.is_multiple_of(TO_ONE_MAX) {
            session = None;
        }
        for number in 1.. {
            if scene.done.load(Ordering::Relaxed) {
                return;
            }
            let copy = Copy {
                mark: mark.clone(),
                number,
            };
            if session.is_none() {
                let goal = goals.next().unwrap();
                let client = Client::connect_within(goal.address, patience);
                session = client.ok().map(|client| (goal, client));
            }
            if let Some((goal, client)) = &mut session
                && send(client, &goal.name, &copy, scene).is_ok()
            {
                break;
            }
            // The server is down now and then: that is the point.
            session = None;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Hands it in and reads the answer, if nothing happens meanwhile.
fn send(session: &mut Client, to: &str, copy: &Copy, scene: &Scene) -> std::io::Result<()> {
    session.ask("MAIL FROM:<sender@from.example>", "250")?;
    for recipient in RECIPIENTS {
        session.ask(&format!("RCPT TO:<{recipient}>"), "250")?;
    }
    session.ask("DATA", "354")?;
    let body = body(copy);
    let checksum = crc32fast::hash(body.as_bytes());
    scene.history().sends_to(to, copy, checksum);
    let Copy { mark, number } = copy;
    let stuffed = body.replace("\r\n.", "\r\n..");
    session.say(&format!(
        "Subject: {mark}\r\nX-Copy: {number}\r\n\r\n{stuffed}."
    ))?;
    scene.pass(Point::Dot, to);
    let arrived = || {
        until("the message at the next hop", || {
            scene.history().has_arrived(copy).then_some(())
        });
    };
    if scene.pass_when(Point::Commit, to, arrived).is_some() {
        // An answer may have come, but this client has never seen it.
        return Err(ErrorKind::ConnectionAborted.into());
    }
    let answer = session.expect("250").inspect_err(|error| {
        let is_put_off = error.to_string().starts_with("451 4.3.0");
        scene
            .put_off
            .fetch_add(is_put_off.into(), Ordering::Relaxed);
        if is_put_off || matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            scene.history().hits_one(to, Hit::Unheard);
        }
    })?;
    let id = answer.trim_end().rsplit(' ').next().unwrap();
    scene.ids().insert(mark.clone(), id.to_owned());
    scene.history().is_answered(mark, &RECIPIENTS);
    scene.pass(Point::Answered, to);
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
    let mut server = String::new();
    loop {
        let command = read_line(&mut session)?;
        match command.get(..4).unwrap_or_default() {
            "EHLO" => command[4..].trim().clone_into(&mut server),
            "MAIL" => (begun, recipients) = (scene.history().begins(), BTreeSet::new()),
            "RCPT" => recipients.extend(mailbox(&command)),
            "DATA" => {
                say(&mut session, "354 Go on")?;
                let (copy, checksum) = read_message(&mut session)?;
                let recipients = recipients.clone();
                let arrival = {
                    let mut history = scene.history();
                    let arrival = history.takes(begun, copy.clone(), recipients, checksum);
                    history.comes_from(&server, arrival);
                    arrival
                };
                match scene.pass(Point::Taken, &server) {
                    Some(Signal::KILL) => return Ok(()),
                    Some(_) => drop(scene.held.lock().unwrap().copies.insert(copy)),
                    None => scene.think_over(&copy),
                }
                say(&mut session, "250 Taken")?;
                scene.history().replies(arrival);
                scene.pass(Point::Reply, &server);
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
    ended.ok_or_else(|| ErrorKind::UnexpectedEof.into())
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
