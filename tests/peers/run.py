#!/usr/bin/env python3
"""Runs the peers' tests: all of them, or those whose module or name holds one of the words given.

`cargo xtask test` calls it. By hand: `cargo build && tests/peers/run.py apple`. LANYARD_BIN names another server
binary; LANYARD_PEERS_KEEP=1 keeps each server's data and log.

A module is a process of its own, and as many run at once as LANYARD_PEERS_JOBS says (2): most of what the peers do is waiting.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
# The one module that a process is there for.
ONE = "--module"


class Lines(unittest.TextTestResult):
    """One line per test, `passed` or `FAILED`, with its time; the reasons follow at the end."""

    def startTest(self, test):
        unittest.TestResult.startTest(self, test)
        self.begun = time.monotonic()

    def line(self, word, test, note=""):
        took = time.monotonic() - getattr(self, "begun", time.monotonic())
        # In one piece, since other modules write beside this one.
        self.stream.write(f"{word:<8} {title(test):<84} {took:6.1f} s {note}".rstrip() + "\n")
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
    """Each module with a test of such a name, in processes of their own. The largest files go first, so that the last to end is a small one."""
    modules = [path.stem for path in sorted(HERE.glob("test_*.py"), key=lambda path: -path.stat().st_size)]
    jobs = int(os.environ.get("LANYARD_PEERS_JOBS", "2"))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        ended = dict(zip(modules, pool.map(lambda module: run_apart(module, words), modules), strict=True))
    if all(found == 0 for found, _ in ended.values()):
        print(f"no peer's test is called {' or '.join(words)}")
    failed = [module for module, (_, good) in ended.items() if not good]
    if failed:
        print(f"FAILED   in {', '.join(sorted(failed))}")
    return 1 if failed else 0


def run_apart(module, words):
    """How many of a module's tests there were, and whether all of them held."""
    if not any(True for _ in named(module, words)):
        return 0, True
    done = subprocess.run([sys.executable, __file__, ONE, module, *words], check=False)
    return 1, done.returncode == 0


def named(module, words):
    """The tests of a module that are called so."""
    return chosen(unittest.defaultTestLoader.loadTestsFromName(module), words)


def run_here(module, words):
    suite = unittest.TestSuite(named(module, words))
    result = unittest.TextTestRunner(resultclass=Lines, verbosity=0).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(run_here(sys.argv[2], sys.argv[3:]) if sys.argv[1:2] == [ONE] else main(sys.argv[1:]))
