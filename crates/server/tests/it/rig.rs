//! What the tests share: a server, a next hop, a client, and waiting.
//!
//! Nothing waits for a fixed time: [`until`] looks at what an operator could
//! see, again and again, and gives up loudly.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::ports::free_port;

/// Longest wait for anything, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_after(what, PATIENCE, look)
}

/// As [`until`], with a patience of its own.
#[track_caller]
pub(crate) fn until_after<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begin.elapsed() < patience, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The binary with these arguments.
pub(crate) fn slimta(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slimta"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    slimta(args).output().unwrap()
}

/// What comes of a command that has `input` to read.
pub(crate) fn fed(command: &mut Command, input: impl AsRef<[u8]>) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended before it has read all of it.
    let _ = child.stdin.take().unwrap().write_all(input.as_ref());
    child.wait_with_output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A process that is told to go when the test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it and gives the address that stands in the first line it prints.
    #[track_caller]
    fn listening(command: &mut Command, log: impl FnOnce() -> String) -> (Self, SocketAddr) {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let running = Running(child);
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.split_whitespace().find_map(|word| word.parse().ok());
        // What it prints later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let address = address.unwrap_or_else(|| panic!("it does not listen: {line:?}\n{}", log()));
        (running, address)
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

/// A store, and a directory with what the servers on it logged.
pub(crate) struct Store {
    directory: TempDir,
    /// Where it is, unless in the directory.
    elsewhere: Option<String>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Store {
            directory: tempfile::tempdir().unwrap(),
            elsewhere: None,
        }
    }

    /// One that other servers may have open, too.
    pub(crate) fn at(url: &str) -> Self {
        Store {
            elsewhere: Some(url.to_owned()),
            ..Store::new()
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub(crate) fn url(&self) -> String {
        let own = || format!("embedded:{}", self.path().display());
        self.elsewhere.clone().unwrap_or_else(own)
    }

    /// Where operators reach a server whose store they cannot see.
    fn socket(&self) -> PathBuf {
        self.directory.path().join("admin.sock")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Starts a server on it.
    #[track_caller]
    pub(crate) fn serve(&self, args: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slimta"));
        self.start(&mut command, args)
    }

    /// Starts a server on it and kills it after so long, wherever it is then.
    pub(crate) fn kill_while_it_opens(&self, args: &[&str], moment: Duration) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slimta"));
        self.prepare(&mut command, args);
        let mut running = Running(command.stdout(Stdio::null()).spawn().unwrap());
        // Any moment will do.
        std::thread::sleep(moment);
        running.0.kill().unwrap();
        running.0.wait().unwrap();
    }

    /// The same, with the store on a file system of its own so large, which no
    /// other process sees and which is gone with the server.
    #[track_caller]
    pub(crate) fn serve_on_small_disk(&self, mib: u64, args: &[&str]) -> Server {
        // So that operators reach the server from outside.
        let socket = self.socket().display().to_string();
        let args = [args, &["--admin-socket", &socket]].concat();
        let mount = format!(
            "mkdir -m 700 \"$1\" && mount -t tmpfs -o size={mib}m,mode=700 none \"$1\" && shift && exec \"$@\""
        );
        let mut command = Command::new("unshare");
        let owned = if is_root() { "-m" } else { "-rm" };
        command.args([owned, "sh", "-c", &mount, "sh"]);
        command.arg(self.path()).arg(env!("CARGO_BIN_EXE_slimta"));
        self.start(&mut command, &args)
    }

    /// The same, started by another program that ends as it.
    #[track_caller]
    pub(crate) fn serve_by(&self, command: &mut Command, args: &[&str]) -> Server {
        self.start(command, args)
    }

    /// The same, where `ulimit` was given this, and what else the shell was told.
    #[track_caller]
    pub(crate) fn serve_under(&self, ulimit: &str, args: &[&str]) -> Server {
        let limited = format!("ulimit {ulimit} && exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_slimta")]);
        self.start(&mut command, args)
    }

    #[track_caller]
    fn start(&self, command: &mut Command, args: &[&str]) -> Server {
        self.prepare(command, args);
        let (running, address) = Running::listening(command, || self.logged());
        Server { running, address }
    }

    fn prepare(&self, command: &mut Command, args: &[&str]) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let url = self.url();
        let mut all = vec!["serve", "--storage", &url];
        if !args.contains(&"--hostname") {
            all.extend(["--hostname", "mx.test.example"]);
        }
        let address = free_address().to_string();
        if !args.contains(&"--listen") {
            all.extend(["--listen", &address]);
        }
        all.extend(args);
        command.args(&all).stdin(Stdio::null()).stderr(log);
    }

    /// Runs the binary on it, beside a server or without one.
    pub(crate) fn operate(&self, args: &[&str]) -> Output {
        let url = self.url();
        let socket = self.socket().display().to_string();
        let mut all = [args, &["--storage", &url]].concat();
        if self.socket().exists() {
            all.extend(["--admin-socket", &socket]);
        }
        run(&all)
    }

    /// `slimta queue` on it.
    pub(crate) fn queue(&self, args: &[&str]) -> Output {
        self.operate(&[&["queue"], args].concat())
    }

    /// The same, which must succeed; gives what it printed.
    #[track_caller]
    pub(crate) fn queue_ok(&self, args: &[&str]) -> String {
        let output = self.queue(args);
        assert!(
            output.status.success(),
            "{args:?}: {}\n{}",
            stderr(&output),
            self.logged()
        );
        stdout(&output)
    }

    /// All messages.
    #[track_caller]
    pub(crate) fn list(&self) -> Vec<Value> {
        let lines = self.queue_ok(&["list", "--json"]);
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[track_caller]
    pub(crate) fn stats(&self) -> Value {
        serde_json::from_str(&self.queue_ok(&["stats", "--json"])).unwrap()
    }

    /// Waits until the queue is as it should be.
    #[track_caller]
    pub(crate) fn until_list<T>(
        &self,
        what: &str,
        mut seen: impl FnMut(&[Value]) -> Option<T>,
    ) -> T {
        until(what, || seen(&self.list()))
    }

    #[track_caller]
    pub(crate) fn until_empty(&self) {
        self.until_list("an empty queue", |list| list.is_empty().then_some(()));
    }
}

/// A running server.
pub(crate) struct Server {
    running: Running,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Sends a signal, such as `-TERM`.
    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.0.id()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> ExitStatus {
        until("the end of the server", || {
            self.running.0.try_wait().unwrap()
        })
    }

    /// Ends it in good order.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.signal("-TERM");
        assert!(self.ended().success());
    }

    /// Ends it as a power cut would, but for the disk.
    pub(crate) fn kill(mut self) {
        self.running.0.kill().unwrap();
        self.running.0.wait().unwrap();
    }
}

/// A next hop that answers by rules.
pub(crate) struct NextHop {
    _running: Running,
    pub(crate) address: SocketAddr,
}

impl NextHop {
    /// The binary's own sink with these rules.
    #[track_caller]
    pub(crate) fn answering(rules: &[&str]) -> Self {
        let mut args = vec!["sink", "--listen", "127.0.0.1:0"];
        args.extend(rules.iter().flat_map(|rule| ["--reply", rule]));
        let (running, address) = Running::listening(&mut slimta(&args), String::new);
        NextHop {
            _running: running,
            address,
        }
    }

    /// One that takes all mail, at this address.
    #[track_caller]
    pub(crate) fn at(address: SocketAddr) -> Self {
        let listen = address.to_string();
        let (running, address) =
            Running::listening(&mut slimta(&["sink", "--listen", &listen]), String::new);
        NextHop {
            _running: running,
            address,
        }
    }

    /// What `--relay` says.
    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }
}

/// An address where nobody listens yet.
pub(crate) fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

/// Postfix's sink, which keeps each message it takes in a file.
pub(crate) struct KeepingSink {
    _running: Running,
    directory: TempDir,
    pub(crate) address: SocketAddr,
}

impl KeepingSink {
    #[track_caller]
    pub(crate) fn start() -> Self {
        KeepingSink::start_with(&[])
    }

    /// The same, which speaks LMTP.
    #[track_caller]
    pub(crate) fn start_lmtp() -> Self {
        KeepingSink::start_with(&["-L"])
    }

    /// The same, which takes no octets above 127.
    #[track_caller]
    pub(crate) fn start_7bit() -> Self {
        KeepingSink::start_with(&["-8"])
    }

    #[track_caller]
    fn start_with(args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // It cannot choose a port itself.
        let address = free_address();
        let mut command = Command::new(postfix("smtp-sink"));
        command.current_dir(directory.path()).args(args);
        if is_root() {
            // It refuses to run as root.
            command.args(["-u", "nobody"]);
            open_for_all(directory.path());
        }
        let files = format!("{}/%M.", directory.path().display());
        command
            .args(["-d", &files, "-c"])
            .arg(address.to_string())
            .arg("1000");
        command
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .stdin(Stdio::null());
        let running = Running(command.spawn().unwrap());
        until("Postfix's sink", || TcpStream::connect(address).ok());
        KeepingSink {
            _running: running,
            directory,
            address,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What it has taken, each message with the envelope above it.
    pub(crate) fn messages(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file.unwrap().path());
        files
            .map(|file| String::from_utf8_lossy(&read(file).unwrap()).into_owned())
            .collect()
    }
}

/// Where a tool of Postfix is: it is installed outside most people's PATH.
pub(crate) fn postfix(tool: &str) -> PathBuf {
    let usual = Path::new("/usr/sbin").join(tool);
    if usual.exists() {
        usual
    } else {
        PathBuf::from(tool)
    }
}

pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn open_for_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
}

/// One SMTP session, spoken by hand.
pub(crate) struct Client {
    reading: BufReader<TcpStream>,
}

impl Client {
    /// Connects and says hello.
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        Client::connect_within(address, PATIENCE)
    }

    /// The same, which waits so long for each answer.
    pub(crate) fn connect_within(address: SocketAddr, patience: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        let mut client = Client {
            reading: BufReader::new(stream),
        };
        client.expect("220")?;
        client.ask("EHLO client.test.example", "250")?;
        Ok(client)
    }

    /// Hands one message in and gives the last answer.
    pub(crate) fn send(
        &mut self,
        sender: &str,
        recipients: &[&str],
        content: &str,
    ) -> std::io::Result<String> {
        self.ask(&format!("MAIL FROM:<{sender}>"), "250")?;
        for recipient in recipients {
            self.ask(&format!("RCPT TO:<{recipient}>"), "250")?;
        }
        self.ask("DATA", "354")?;
        self.ask(&format!("{}\r\n.", content.replace('\n', "\r\n")), "250")
    }

    /// Hands one message in, octet by octet; its lines end with CRLF.
    pub(crate) fn send_octets(
        &mut self,
        sender: &str,
        recipient: &str,
        content: &[u8],
    ) -> std::io::Result<String> {
        self.ask(&format!("MAIL FROM:<{sender}>"), "250")?;
        self.ask(&format!("RCPT TO:<{recipient}>"), "250")?;
        self.ask("DATA", "354")?;
        for line in content.split_inclusive(|octet| *octet == b'\n') {
            let dot: &[u8] = if line.starts_with(b".") { b"." } else { b"" };
            self.reading.get_mut().write_all(&[dot, line].concat())?;
        }
        self.ask(".", "250")
    }

    /// Hands one message of any octets in (BINARYMIME), in one chunk.
    pub(crate) fn send_binary(
        &mut self,
        sender: &str,
        recipient: &str,
        content: &[u8],
    ) -> std::io::Result<String> {
        self.ask(&format!("MAIL FROM:<{sender}> BODY=BINARYMIME"), "250")?;
        self.ask(&format!("RCPT TO:<{recipient}>"), "250")?;
        self.say(&format!("BDAT {} LAST", content.len()))?;
        self.reading.get_mut().write_all(content)?;
        self.expect("250")
    }

    /// Says something and reads the answer, which must begin as expected.
    pub(crate) fn ask(&mut self, line: &str, expected: &str) -> std::io::Result<String> {
        self.say(line)?;
        self.expect(expected)
    }

    /// Says something and waits for nothing.
    pub(crate) fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.reading
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
    }

    /// Reads an answer.
    pub(crate) fn expect(&mut self, expected: &str) -> std::io::Result<String> {
        let mut whole = String::new();
        loop {
            let mut line = String::new();
            if self.reading.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            whole += &line;
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        let fits = whole.starts_with(expected);
        if fits {
            Ok(whole)
        } else {
            Err(std::io::Error::other(whole))
        }
    }
}

/// Hands one message in, which must be taken; gives the id that was answered.
#[track_caller]
pub(crate) fn send(address: SocketAddr, sender: &str, recipients: &[&str]) -> String {
    let content = format!("From: {sender}\nSubject: A test\n\nHello.");
    let answer = Client::connect(address)
        .unwrap()
        .send(sender, recipients, &content)
        .unwrap();
    let id = answer.trim_end().rsplit(' ').next().unwrap();
    assert_eq!(id.len(), 36, "no id in {answer:?}");
    id.to_owned()
}

/// A field of a listed message, as text.
#[track_caller]
pub(crate) fn text<'a>(message: &'a Value, field: &str) -> &'a str {
    message[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {message}"))
}
