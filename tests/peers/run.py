#!/usr/bin/env python3
"""Runs the peers' tests: all of them, or those whose module or name holds one of the words given.

`cargo xtask test` calls it. By hand: `cargo build && tests/peers/run.py apple`. LANYARD_BIN names another server
binary; LANYARD_PEERS_KEEP=1 keeps each server's data and log.
"""

import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class Lines(unittest.TextTestResult):
    """One line per test, `passed` or `FAILED`, with its time; the reasons follow at the end."""

    def startTest(self, test):
        unittest.TestResult.startTest(self, test)
        self.begun = time.monotonic()

    def line(self, word, test, note=""):
        took = time.monotonic() - getattr(self, "begun", time.monotonic())
        self.stream.writeln(f"{word:<8} {title(test):<84} {took:6.1f} s {note}".rstrip())
        self.stream.flush()

    def addSuccess(self, test):
        self.line("passed", test)

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self.line("FAILED", test)

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self.line("FAILED", test)

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        self.line("skipped", test, reason)


def title(test):
    """`apple: a spent challenge is refused`."""
    words = test.id().split(".")
    if len(words) < 3:
        return test.id()
    return f"{words[0].removeprefix('test_')}: {words[-1].removeprefix('test_').replace('_', ' ')}"


def chosen(suite, words):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from chosen(test, words)
        elif not words or any(word in test.id() for word in words):
            yield test


def main(words):
    sys.path.insert(0, str(HERE))
    found = unittest.TestLoader().discover(str(HERE), pattern="test_*.py")
    suite = unittest.TestSuite(chosen(found, words))
    if suite.countTestCases() == 0:
        print(f"no peer's test is called {' or '.join(words)}")
        return 0
    result = unittest.TextTestRunner(resultclass=Lines, verbosity=0).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
