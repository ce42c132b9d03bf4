"""A stranger's eye on chains of ARC: verifies those of some messages.

    verify_arc.py RECORDS FILE...

RECORDS is a JSON object in the place of the DNS: names, and the text of their
TXT records. Prints a JSON array: for each file the state of its chain, how many
sets it has, and the reason.
"""

import json
import sys

import dkim


def main():
    with open(sys.argv[1]) as file:
        records = json.load(file)

    def lookup(name, timeout=5):
        return records.get(name.decode().rstrip("."))

    seen = []
    for path in sys.argv[2:]:
        with open(path, "rb") as file:
            message = file.read()
        state, sets, reason = dkim.arc_verify(message, dnsfunc=lookup)
        seen.append({
            "state": state.decode() if state else None,
            "sets": len(sets),
            "reason": reason,
        })
    json.dump(seen, sys.stdout)


main()
