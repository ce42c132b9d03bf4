"""A stranger signs the message on stdin by DKIM, and prints it with the signature.

    sign_dkim.py KEY SELECTOR DOMAIN
"""

import sys

import dkim


def main():
    key, selector, domain = sys.argv[1:]
    with open(key, "rb") as file:
        private = file.read()
    message = sys.stdin.buffer.read()
    signature = dkim.sign(message, selector.encode(), domain.encode(), private)
    sys.stdout.buffer.write(signature + message)


main()
