"""A stranger's eye on DKIM signatures: verifies all of some messages.

    verify_dkim.py RECORDS FILE...

RECORDS is a JSON object in the place of the DNS: names, and the text of their
TXT records. Prints a JSON array with one object for each signature, from the
top: file, domain, selector, algorithm, and why it fails, if it does.
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
        signatures = [
            value
            for name, value in dkim.DKIM(message).headers
            if name.lower() == b"dkim-signature"
        ]
        for number, value in enumerate(signatures):
            tags = dkim.util.parse_tag_value(value)
            seen.append({
                "file": path,
                "domain": tags[b"d"].decode(),
                "selector": tags[b"s"].decode(),
                "algorithm": tags[b"a"].decode(),
                "fails": verify(message, number, lookup),
            })
    json.dump(seen, sys.stdout)


def verify(message, number, lookup):
    """Why a signature does not hold; none if it does."""
    try:
        holds = dkim.DKIM(message, minkey=2048).verify(number, dnsfunc=lookup)
        return None if holds else "it does not hold"
    except dkim.DKIMException as error:
        return str(error)


main()
