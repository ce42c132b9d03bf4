"""What the benchmarks have in common: a next hop that counts, clients, servers
of slimta, and processes that are gone when their block ends."""

import collections
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

# Longest wait for a server to come up or go down, and for a message to arrive.
START_SECONDS_MAX = 20
STALL_SECONDS_MAX = 60
# A look at the sink's counter: how exact a rate can be.
LOOK_SECONDS = 0.005
SENDER, RECIPIENT = "bench@sender.example", "sink@next-hop.example"
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"

Work = collections.namedtuple("Work", "size messages sessions reuse")


def send(ports, work, sink, look=lambda: None):
    """Sends it all, the same share to each port; gives the seconds until the
    last message is in the sink."""
    expected = sink.expects(work.messages)
    shares = [work.messages // len(ports) + (n < work.messages % len(ports))
              for n in range(len(ports))]
    sessions = max(1, work.sessions // len(ports))
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = []
        for port, share in zip(ports, shares):
            clients.append(stack.enter_context(
                source(port, share, sessions, work.size * 1024, RECIPIENT, work.reuse)))
        last_seen, last_time = sink.seen(), begin
        while (seen := sink.seen()) < expected:
            now = time.monotonic()
            if seen > last_seen:
                last_seen, last_time = seen, now
            for client in clients:
                if client.poll() not in (None, 0):
                    raise SystemExit(f"smtp-source failed: status {client.returncode}")
            if now - last_time > STALL_SECONDS_MAX:
                raise SystemExit(f"{expected - seen} messages of {work} did not arrive")
            look()
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - begin
        for client in clients:
            client.wait(STALL_SECONDS_MAX)
        return seconds


def source(port, messages, sessions, size, recipient, reuse=True, numbered=False):
    """Postfix's client, which sends messages of `size` bytes, to a recipient
    with a number before it where that is wanted."""
    command = [tool("smtp-source"), "-s", str(sessions), "-m", str(messages),
               "-l", str(size), "-f", SENDER, "-t", recipient]
    command += ["-d"] * reuse + ["-N"] * numbered + [f"127.0.0.1:{port}"]
    return Process(command, stdin=subprocess.DEVNULL)


class Process(subprocess.Popen):
    """A process that is gone when its block ends, however it ends."""

    def __exit__(self, *exception):
        if self.poll() is None:
            self.terminate()
            try:
                self.wait(START_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
        super().__exit__(*exception)


class Sink:
    """The next hop: Postfix's sink, which counts what it takes."""

    def __init__(self, port=None):
        self.port = port or free_port()

    def __enter__(self):
        self.count, self.expected = 0, 0
        # It must never be what holds a client up.
        command = [tool("smtp-sink"), "-c", "-m", "4000"]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]  # it refuses to run as root
        command += [f"127.0.0.1:{self.port}", "1000"]
        self.process = Process(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest = b""
        wait_for_banner(self.port, self.process)
        return self

    def __exit__(self, *exception):
        self.process.__exit__(*exception)

    def expects(self, messages):
        """So many more; gives how many that makes in all."""
        self.expected += messages
        return self.expected

    def seen(self):
        """How many messages it has taken."""
        try:
            while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
                self.rest = self.rest[-100:] + chunk
        except BlockingIOError:
            pass
        if counts := re.findall(rb"mesg=(\d+)\s", self.rest):
            self.count = max(self.count, int(counts[-1]))
        return self.count

    def must_have_all(self):
        if self.seen() != self.expected:
            raise SystemExit(f"{self.seen()} messages arrived of {self.expected}")


class Slimta:
    """A server with its defaults, on any storage; without a next hop it only
    stores."""

    def __init__(self, binary, directory, storage, next_hop, *more):
        self.port = free_port()
        self.command = [binary, "serve", "--listen", f"127.0.0.1:{self.port}",
                        "--storage", storage, "--relay",
                        f"smtp://127.0.0.1:{next_hop}" if next_hop else "none", *more]
        self.log = open(directory / f"log-{self.port}", "wb")

    def __enter__(self):
        self.process = Process(self.command, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=self.log)
        self.pid = self.process.pid
        try:
            wait_for_banner(self.port, self.process)
        except SystemExit:
            self.log.flush()
            sys.stderr.write(pathlib.Path(self.log.name).read_text())
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exception):
        self.process.__exit__(*exception)
        self.log.close()


def wait_for_banner(port, process):
    """Until the server greets."""
    give_up = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < give_up and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                if connection.recv(3) == b"220":
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"{process.args[0]} did not come up (status {process.poll()})")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tool(name):
    return shutil.which(name, path=PATH)
