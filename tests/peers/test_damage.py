"""A store that was damaged at rest is whole, or its start is refused by name; and `lanyard store accept-loss` is the only way on.

Copies of one store have bytes changed, files cut short, emptied and removed, the whole of it removed or replaced by an older or
another one. What then starts must know all that the store held, to the last field. LANYARD_SEED=N LANYARD_DAMAGES=1: one again.
"""

import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from collections import Counter

import damage
from crowd import MAIL_PASSWORD, MAIL_USER
from harness import BINARY, REQUEST_LIMIT, ROOT, Server, settled
from mail_server import MailServer
from starts import PANIC, Start, everything
from template import Template

DAMAGES = int(os.environ.get("LANYARD_DAMAGES", "40"))
AT_ONCE = 2
# What nobody may make anew beside a store that is refused.
KEYS = ("ca.pem", "master.key", "local.token", "node.id")
CHECKED = {"ok", "store", "commit", "expected", "records", "missing", "damaged"}


def differences(expected, found):
    """Which lists are not what they were. The log may have grown by the start itself."""
    wrong = []
    for name in sorted(expected.keys() | found.keys()):
        then, now = expected.get(name), found.get(name)
        if name == "audit":
            hashes = {entry["hash"] if isinstance(entry, dict) else entry for entry in now}
            same = all(entry["hash"] in hashes for entry in then)
        elif name == "audit/verify":
            same = now.get("ok") is True
        else:
            same = now == then or isinstance(now, list) and [settled(r) for r in now] == [settled(r) for r in then]
        if not same:
            sizes = f": {len(now)} of {len(then)}" if isinstance(now, list) and len(now) != len(then) else ""
            wrong.append(f"{name}{sizes}")
    return wrong


class Spoilt:
    """One damaged copy, and all that is wrong with how the server takes it."""

    def __init__(self, template, folder, seed):
        self.template, self.folder, self.seed = template, folder, seed
        self.data, self.faults, self.ways = template.copy(folder), [], []
        self.done = damage.KINDS[seed % len(damage.KINDS)](random.Random(seed), self.data, template)
        self.keys = self.kept()

    def kept(self):
        return {name: (self.data / name).read_bytes() if (self.data / name).exists() else None for name in KEYS}

    def judge(self):
        start = self.start()
        if start.refused is None:
            self.ways.append("whole")
            self.look(start)
        else:
            self.ways.append("refused")
            self.judge_refusal(start)
            self.judge_way_on()
        return self

    def start(self):
        return Start(self.data, self.data.parent, self.template.arguments)

    def look(self, start):
        """A server that started knows everything."""
        self.unchanged()
        try:
            self.faults += [f"started without a word, but not as it was: {what}"
                            for what in differences(self.template.expected, everything(start.server))]
        except Exception as error:  # noqa: BLE001
            self.faults.append(f"started, and then {type(error).__name__}: {str(error)[:200]}")
        finally:
            start.end(kill=True)

    def judge_refusal(self, start):
        self.faults += [f"refused, with {fault}" for fault in start.faults_of_the_refusal(self.data / "store")]
        self.unchanged()
        if (self.data / "server.json").exists():
            self.faults.append("a refused server wrote server.json")

    def unchanged(self):
        """Certificates of a new authority would be worth nothing to any device."""
        self.faults += [f"{name} was made anew" for name, was in self.keys.items() if self.kept()[name] != was]

    # The way on

    def verb(self, *words):
        done = store_verb(self.data, *words)
        if any(word in done.stderr for word in PANIC):
            self.faults.append(f"store {words[0]}: a panic's text")
        return done

    def judge_way_on(self):
        commit = self.judge_check(ok=False)
        if commit is not None and self.verb("accept-loss", "--commit", str(commit + 1), "--yes").returncode == 0:
            self.faults.append("the loss of another commit than the one that is there was accepted")
        accepted = self.verb("accept-loss", "--commit", str(commit or 0), "--yes")
        again = self.start()
        if accepted.returncode == 0:
            self.ways.append("accepted")
            self.judge_accepted(again)
            return
        self.ways.append("not to be accepted")
        if accepted.returncode != 1 or len(accepted.stderr.split()) < 4:
            self.faults.append(f"accept-loss: exit code {accepted.returncode}, and says {accepted.stderr[:200]!r}")
        if again.refused is None:
            again.end(kill=True)
            self.faults.append("a start after accept-loss had refused")
        else:
            self.judge_refusal(again)

    def judge_check(self, ok):
        """The commit that `store check` names."""
        checked = self.verb("check", "--json")
        try:
            said = json.loads(checked.stdout)
        except ValueError:
            self.faults.append(f"store check: exit code {checked.returncode}, no document")
            return None
        if (checked.returncode == 0, said.get("ok")) != (ok, ok) or checked.returncode not in (0, 1):
            self.faults.append(f"store check: exit code {checked.returncode}, ok {said.get('ok')} where it is {ok}")
        if CHECKED - said.keys():
            self.faults.append(f"store check: lacks {sorted(CHECKED - said.keys())}")
        return said.get("commit")

    def judge_accepted(self, start):
        if start.refused is not None:
            # The keys in another server's store are sealed under its own master key, whatever was accepted.
            if not ("another" in self.done and "master key" in start.refused):
                self.faults.append(f"accepted, and yet: {start.last_line().replace(str(self.data), '…')}")
            return
        try:
            self.judge_held(everything(start.server))
        finally:
            start.end()
        self.unchanged()
        self.judge_check(ok=True)

    def judge_held(self, found):
        """What was lost may have been a cancelling: nothing that people asked for goes out by itself."""
        commands = [command for command in found["commands"] if isinstance(command, dict)]
        people = {c["id"]: c for c in self.template.expected["commands"] if c["requested_by"] == "local"}

        def is_loose(command):
            known = people.get(command["id"])
            # What had been sent before could not be cancelled any more; the stop keeps it from being sent again.
            before = known and command["state"] == "sent" and command["sent"] == known["sent"]
            return known and command["state"] in ("queued", "sent") and not before

        loose = Counter(f"{c['action']} {c['state']}" for c in commands if is_loose(c))
        if loose:
            self.faults.append(f"accepted, and what people asked for is not held: {dict(loose)}")
        if not found["stop"].get("on"):
            self.faults.append("accepted, and the stop is off")
        if not any(isinstance(entry, dict) and entry["action"] == "store.loss_accepted" for entry in found["audit"]):
            self.faults.append("accepted, and the audit log does not say so")


def store_verb(data, *words):
    """`lanyard store …` on a data folder whose server is stopped."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LANYARD_")}
    environment["LANYARD_DATA"] = str(data)
    command = [str(BINARY), "store", *words]
    try:
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=REQUEST_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, None, "", f"no end within {REQUEST_LIMIT} s")


class Damaged(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-damage-", dir="/var/tmp"))
        if not os.environ.get("LANYARD_PEERS_KEEP"):
            self.addCleanup(shutil.rmtree, self.folder, True)
        self.mail = MailServer({MAIL_USER: MAIL_PASSWORD})
        self.addCleanup(self.mail.stop)
        self.seed = int(os.environ.get("LANYARD_SEED", str(random.randrange(1 << 32))))

    def test_a_damaged_store_is_whole_or_refused_by_name(self):
        template = Template(self.folder, self.mail, kill=self.seed % 2 == 1)
        self.assertEqual(differences(template.expected, template.seen_on_a_copy()), [], "an undamaged copy is what it was")
        kept = Counter(device["channel"] for device in template.expected["devices"])
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            judged = list(pool.map(lambda number: self.judge(template, self.seed + number), range(DAMAGES)))
        ways = Counter(" and ".join(each.ways) for each in judged)
        faults = Counter(re.sub(r": \d+ of \d+", "", fault) for each in judged for fault in set(each.faults))
        bad = sum(bool(each.faults) for each in judged)
        print(f"         {dict(kept)}, {len(template.expected['commands'])} commands; {DAMAGES} damages: {dict(ways)}; "
              f"{bad} taken badly")
        self.assertEqual(dict(faults), {}, f"LANYARD_SEED={self.seed} LANYARD_DAMAGES={DAMAGES}")

    def test_nothing_is_begun_anew_where_a_server_was(self):
        server = Server([]).start()
        self.addCleanup(lambda: server.process.poll() is None and server.process.kill())
        server.process.terminate()
        server.process.wait()
        keys = {name: (server.data / name).read_bytes() for name in KEYS}
        shutil.rmtree(server.data / "store")
        (server.data / "store.mark").unlink()
        server.log.close()
        server.launch()
        self.assertEqual(server.process.wait(20), 1)
        self.assertRegex(server.output(), "store .*: gone, and its mark with it")
        self.assertEqual({name: (server.data / name).read_bytes() for name in KEYS}, keys)
        server.end()

    def test_a_store_is_checked_while_it_is_whole(self):
        data = self.folder / "data"
        data.mkdir()
        start = Start(data, self.folder)
        self.assertIsNone(start.refused, start.refused)
        start.end()
        checked = store_verb(data, "check", "--json")
        self.assertEqual(checked.returncode, 0, checked.stderr)
        said = json.loads(checked.stdout)
        self.assertEqual(said.keys() & CHECKED, CHECKED, said)
        self.assertTrue(said["ok"] and said["records"], said)
        self.assertEqual((said["commit"], said["damaged"]), (said["expected"], []), said)

    def test_a_store_of_the_former_layout_gets_its_mark_and_is_refused_without_it(self):
        archive = ROOT / "fixtures/stores/0.1.0.tar.gz"
        with tarfile.open(archive) as opened:
            opened.extractall(self.folder)
        data = self.folder / "data"
        self.assertFalse((data / damage.MARK).exists(), "made before there were marks")
        Start(data, self.folder).end()
        self.assertTrue((data / damage.MARK).is_file(), "migrated")
        (data / damage.MARK).unlink()
        start = Start(data, self.folder)
        try:
            self.assertIsNotNone(start.refused, "a store without its mark was opened")
            self.assertEqual(start.faults_of_the_refusal(data / "store"), [], start.refused)
        finally:
            start.end(kill=True)

    def judge(self, template, seed):
        spoilt = Spoilt(template, self.folder, seed).judge()
        if spoilt.faults:
            print(f"seed {seed}: {spoilt.done}: {spoilt.faults}")
        if not os.environ.get("LANYARD_PEERS_KEEP"):
            shutil.rmtree(spoilt.data.parent, ignore_errors=True)
        return spoilt


if __name__ == "__main__":
    unittest.main()
