//! A network that can be made bad: a TCP proxy between a manager and its
//! database that delays, cuts, swallows, or lets only one way through.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What is wrong with the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Each piece arrives so much later.
    Delay(Duration),
    /// Connections are closed, also those that are made anew.
    Cut,
    /// Nothing arrives, at neither end, until it ends. Connections stand.
    BlackHole,
    /// The same for what the server says only: it hears all.
    AnswersLost,
    /// The same for what the client says only.
    QuestionsLost,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Question,
    Answer,
}

impl Fault {
    fn holds(self, way: Way) -> bool {
        match self {
            Fault::BlackHole => true,
            Fault::AnswersLost => way == Way::Answer,
            Fault::QuestionsLost => way == Way::Question,
            Fault::None | Fault::Delay(_) | Fault::Cut => false,
        }
    }
}

struct Network {
    fault: Fault,
    /// How many pieces wait for the end of the fault.
    held: usize,
    is_over: bool,
    /// Those that are open: both ends of each connection, by its number.
    streams: BTreeMap<u64, [TcpStream; 2]>,
    last: u64,
}

/// A proxy on a port of its own. Its threads end with their connections.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<(Mutex<Network>, Condvar)>,
}

impl Proxy {
    /// In front of this port of this machine.
    pub(crate) fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Network {
            fault: Fault::None,
            held: 0,
            is_over: false,
            streams: BTreeMap::new(),
            last: 0,
        };
        let shared = Arc::new((Mutex::new(network), Condvar::new()));
        let listening = shared.clone();
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if listening.0.lock().unwrap().is_over {
                    return;
                }
                connect(&listening, &client, upstream);
            }
        });
        Proxy { port, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes the network so from now on.
    pub(crate) fn set(&self, fault: Fault) {
        let (network, changed) = &*self.shared;
        let mut network = network.lock().unwrap();
        network.fault = fault;
        if fault == Fault::Cut {
            for stream in std::mem::take(&mut network.streams).into_values().flatten() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        changed.notify_all();
    }

    /// Waits until something is held back.
    pub(crate) fn until_held(&self) {
        let (network, changed) = &*self.shared;
        let network = network.lock().unwrap();
        drop(changed.wait_while(network, |network| network.held == 0));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Fault::Cut);
        self.shared.0.lock().unwrap().is_over = true;
        // Its listener looks when somebody comes.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn connect(shared: &Arc<(Mutex<Network>, Condvar)>, client: &TcpStream, upstream: u16) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)) else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut network = shared.0.lock().unwrap();
    if network.fault == Fault::Cut {
        return;
    }
    let twins = [client, &server].map(|stream| stream.try_clone().unwrap());
    network.last += 1;
    let number = network.last;
    network.streams.insert(number, twins);
    drop(network);
    let pairs = [
        (client, &server, Way::Question),
        (&server, client, Way::Answer),
    ];
    for (from, to, way) in pairs {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let shared = shared.clone();
        thread::spawn(move || {
            pump(&shared, from, to, way);
            // Else each connection there ever was would stay open here.
            shared.0.lock().unwrap().streams.remove(&number);
        });
    }
}

/// Carries bytes one way until either end is gone.
fn pump(shared: &(Mutex<Network>, Condvar), mut from: TcpStream, mut to: TcpStream, way: Way) {
    let mut piece = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut piece) {
        let (network, changed) = shared;
        let mut network = network.lock().unwrap();
        if network.fault.holds(way) {
            network.held += 1;
            changed.notify_all();
            let waiting = changed.wait_while(network, |network| network.fault.holds(way));
            network = waiting.unwrap();
            network.held -= 1;
        }
        let fault = network.fault;
        drop(network);
        match fault {
            Fault::Cut => break,
            Fault::Delay(time) => thread::sleep(time),
            _ => {}
        }
        if to.write_all(&piece[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
