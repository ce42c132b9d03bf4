"""What a process and all that came from it take: processor time and memory."""

import collections
import os
import pathlib
import re
import time

# Looking at memory may take a twentieth of the time.
MEMORY_SECONDS_MIN, MEMORY_SHARE = 0.1, 20


def stat(pid):
    """The fields of /proc/PID/stat from the state on, which is field 3."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def start_time(pid):
    fields = stat(pid)
    return fields and fields[19]


def tree(root):
    """A process and all that came from it, with the times of their starts,
    which tell a process from a later one of the same id."""
    children, started = collections.defaultdict(list), {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat(name)):
            children[int(fields[1])].append(int(name))
            started[int(name)] = fields[19]
    found, left = {}, [root]
    while left:
        pid = left.pop()
        if pid in started:
            found[pid] = started[pid]
            left += children[pid]
    return found


def cpu_seconds(root):
    """User and system time of a process tree, those that ended among them."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(sum(map(int, fields[11:15])) for pid in tree(root) if (fields := stat(pid))) / ticks


class Memory:
    """The most memory that a process tree has at once, shared pages counted
    once (PSS)."""

    def __init__(self, root):
        self.root, self.peak, self.next = root, 0, 0

    def look(self):
        begin = time.monotonic()
        if begin < self.next:
            return
        self.peak = max(self.peak, sum(map(self.pss, tree(self.root))))
        end = time.monotonic()
        self.next = end + max(MEMORY_SECONDS_MIN, MEMORY_SHARE * (end - begin))

    @staticmethod
    def pss(pid):
        try:
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:  # it has just ended
            return 0
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
