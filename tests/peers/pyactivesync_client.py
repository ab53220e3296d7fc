"""pyactivesync's mail app: the program is installed from PyPI, unmodified, under a Python of its own, and called from here.

It says 16.1 whatever it is offered, provisions before all else, keeps its policy key as long as it runs, and comes by password.
"""

import json
import os
import pathlib
import subprocess
import urllib.parse
import uuid

import pypi
from harness import STOP_LIMIT

SESSION = pathlib.Path(__file__).resolve().parent / "pyactivesync/session.py"


def install():
    """Its Python, which must be 3.10 or later."""
    return pypi.install("pyactivesync", (3, 10))


class Refused(Exception):
    """What it made of an answer: `name` of its exception, `status` of HTTP or of the command."""

    def __init__(self, answer):
        super().__init__(answer["words"])
        self.name, self.status = answer["refused"], str(answer["status"])


class Pyactivesync:
    """One mail app, from its start to the test's end."""

    def __init__(self, test, python, user, password):
        self.ident = f"PYAS{uuid.uuid4().hex[:24].upper()}"
        server = urllib.parse.urlsplit(test.server.public_url).netloc
        self.log = open(test.folder() / "pyactivesync.log", "w+")
        self.process = subprocess.Popen(
            [str(python), str(SESSION), server, user, password, self.ident], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, text=True, env={**os.environ, "REQUESTS_CA_BUNDLE": str(test.server.ca)})
        test.addCleanup(self.end)

    def ask(self, name, **given):
        """Sends a call on its way; `answer` has what came of it."""
        self.process.stdin.write(json.dumps([name, given]) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise AssertionError(self.log.read())
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer)
        return answer["done"]

    def call(self, name, **given):
        """What one of its methods returns; `Refused` where it made an exception of the answer."""
        self.ask(name, **given)
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait(STOP_LIMIT)
        self.process.stdout.close()
        self.log.close()
