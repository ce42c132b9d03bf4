"""Empty storages of each kind, in a directory: PostgreSQL and Redis are started
for it, with the settings under which they lose nothing they have acknowledged."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from parts import START_SECONDS_MAX, free_port


def wait_for(process, ready):
    """Until the command `ready` says that the server takes work."""
    until = time.monotonic() + START_SECONDS_MAX
    while subprocess.run(ready, capture_output=True).returncode != 0:
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            sys.exit(f"the server did not start: {ready[0]} finds none")
        time.sleep(0.1)


def as_postgres(*command):
    return (["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            if os.geteuid() == 0 else []) + [str(part) for part in command]


def postgres(directory):
    """A fresh server with its default durability."""
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    initdb = shutil.which("initdb") or (programs and programs[-1] / "initdb")
    if not initdb:
        sys.exit("there is no initdb: install postgresql, or leave it out of --engines")
    programs = pathlib.Path(initdb).resolve().parent
    data = directory / "data"
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
    subprocess.run(as_postgres(initdb, "--auth=trust", "--username=slimta", "-D", data),
                   check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    process = subprocess.Popen(
        as_postgres(programs / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", "",
                    "-c", "max_connections=200"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(process, [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)])
    return f"postgres://slimta@127.0.0.1:{port}/postgres", process


def redis(directory):
    """A fresh server that syncs every write."""
    if not shutil.which("redis-server"):
        sys.exit("there is no redis-server: install it, or leave it out of --engines")
    port = free_port()
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory),
         "--appendonly", "yes", "--appendfsync", "always", "--save", "",
         "--maxmemory-policy", "noeviction"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(process, ["redis-cli", "-p", str(port), "ping"])
    return f"redis://127.0.0.1:{port}", process


def embedded(directory):
    return f"embedded:{directory / 'store'}", None


ENGINES = {"embedded": embedded, "postgres": postgres, "redis": redis}


class Storage:
    """An empty storage; `url` names it while its block runs."""

    def __init__(self, engine, directory):
        self.engine, self.directory = engine, directory

    def __enter__(self):
        self.url, self.server = ENGINES[self.engine](self.directory)
        return self

    def memory(self):
        """The bytes that it keeps in memory; none where it keeps mail on its disk."""
        if self.engine != "redis":
            return None
        asked = subprocess.run(["redis-cli", "-u", self.url, "info", "memory"], check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        fields = dict(line.split(":", 1) for line in asked.splitlines() if ":" in line)
        return int(fields["used_memory"])

    def __exit__(self, *exception):
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            self.server.wait(60)
