"""Power cuts while devices enrol, poll and are wiped, wipes are cancelled, policies and groups change.

The server's data folder lies on an ext4 file system of its own, whose disk is `recorder.py`: it knows what the block layer wrote
and flushed. At random moments, and while all goes on, an image is taken as a cut would leave it: what was flushed, and of what was
written since a random part, torn between sectors too; nothing of what the kernel had not written yet. Every other life of the
server has its data written before their sizes, as ext4 comes, the rest not, as elsewhere. File system and store are then brought
back from the image by a mount and a start, and the server must know all that anybody had been told. No cut may need a refusal.

A copy of a disk's file while it is written would be no cut (its parts are of different moments), one of a stopped server would
hold no half-done flush, and `fsfreeze` would write what a cut loses.
"""

import os
import pathlib
import random
import shutil
import tempfile
import time
import unittest
from collections import Counter

from crowd import MAIL_PASSWORD, MAIL_USER, Computer, Mail, Phone
from disk import Disk, Mounted, why_not
from harness import Api, Server, tool
from mail_server import MailServer
from starts import Start
from witness import ENDED, Remembered, Witness

CUTS = int(os.environ.get("LANYARD_CUTS", "10"))
CUTS_OF_A_LIFE = 5
# One in so many is followed by another cut while the server starts.
CUT_AGAIN = 3
KINDS = (Phone, Phone, Computer, Mail)


class Cut:
    """One image, with what had been said before it was taken."""

    def __init__(self, life):
        self.ledger = life.crowd.ledger
        api = life.crowd.caller()
        self.shown = [(c["id"], c["state"]) for c in api.all("commands") if c["state"] in ENDED]
        self.heads = [head["hash"] for head in api.done("GET", "audit/verify")["heads"]]
        self.before = time.monotonic()
        self.image, self.lost = life.disk.cut(life.chance.randrange(1 << 32))
        self.after = time.monotonic()
        self.heard = life.crowd.heard(self.before)

    def faults(self, server):
        """All that the server should know and does not."""
        api = Api(server, (server.data / "local.token").read_text().strip())
        now = Remembered(api)
        found = [getattr(now, kind)(*what) for kind, what in self.ledger.facts_before(self.before)]
        found += [now.answered(ident) for ident in self.heard]
        found += [now.shown(*each) for each in self.shown]
        found += [now.value(key, allowed) for key, allowed in self.ledger.values_at(self.before, self.after).items()]
        for head in self.heads:
            if not api.done("GET", f"audit/verify?head={head}")["ok"]:
                found.append("the audit log is broken, or ends before a head that was shown")
        return [fault for fault in found if fault]


class Life:
    """A disk, a server on it and a crowd around that, until its cuts are taken."""

    def __init__(self, test, number):
        self.chance = random.Random(test.seed + number)
        self.disk = Disk(ordered=number % 2 == 0)
        test.addCleanup(self.disk.close)
        self.server = Server(["--eas-upstream", test.mail.url])
        self.server.folder = self.disk.mount
        self.server.data = self.disk.mount / "data"
        self.server.run()
        test.addCleanup(self.kill)
        self.crowd = Witness(self.server, self.chance.randrange(1 << 32), pathlib.Path(tempfile.mkdtemp(dir=test.folder)))
        test.addCleanup(self.crowd.stop.set)
        self.crowd.lift_limits()
        self.crowd.begin(KINDS)

    def cuts(self, count):
        """So many, at random moments; then the load ends."""
        taken = []
        while len(taken) < count and not self.crowd.failures:
            time.sleep(0.3 + self.chance.random() * 2)
            taken.append(Cut(self))
        self.crowd.finish()
        return taken

    def kill(self):
        self.server.process.kill()
        self.server.process.wait()
        self.server.log.close()


class PowerCut(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        reason = why_not()
        if reason:
            print(f"\n   ***   NO POWER IS CUT: {reason}   ***\n")
            self.skipTest(reason)
        self.seed = int(os.environ.get("LANYARD_SEED", str(random.randrange(1 << 32))))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-power-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.mail = MailServer({MAIL_USER: MAIL_PASSWORD})
        self.addCleanup(self.mail.stop)
        self.seen, self.cut = Counter(), 0

    def test_a_power_cut_loses_nothing_that_was_acknowledged(self):
        number = 0
        while self.cut < CUTS:
            self.live(number, min(CUTS - self.cut, CUTS_OF_A_LIFE))
            number += 1
        print(f"         {self.cut} cuts in {number} lives; {dict(self.seen)}")
        bad = {what: count for what, count in self.seen.items() if what.startswith("!")}
        self.assertEqual(bad, {}, f"LANYARD_SEED={self.seed} LANYARD_CUTS={CUTS}")

    def live(self, number, count):
        life = Life(self, number)
        taken = life.cuts(count)
        self.assertEqual(life.crowd.failures, [], f"LANYARD_SEED={self.seed}")
        life.kill()
        self.no_blobs(life.server.data)
        self.seen["facts told"] += len(life.crowd.ledger.facts)
        for at, cut in enumerate(taken):
            self.cut += 1
            if at % CUT_AGAIN == 0:
                self.judge_again(cut, life)
            self.judge(f"cut {self.cut}", cut, cut.image, cut.lost)
        life.disk.close()
        shutil.rmtree(life.crowd.key.parent, ignore_errors=True)

    def judge_again(self, cut, life):
        """The power goes once more while the server starts on what the cut left."""
        copy = cut.image.with_suffix(".copy")
        tool(["cp", "--sparse=always", cut.image, copy])
        disk = Disk(ordered=life.chance.random() < 0.5, image=copy)
        try:
            start = Start(disk.mount / "data", self.folder, ["--eas-upstream", self.mail.url], wait=False)
            time.sleep(life.chance.random() * 0.6)
            image, lost = disk.cut(life.chance.randrange(1 << 32))
            start.end(kill=True)
            self.seen["cut again at their start"] += 1
            self.judge(f"cut {self.cut}, and again at the start", cut, image, lost)
        finally:
            disk.close()

    def judge(self, name, cut, image, lost):
        """A boot on what a cut left."""
        self.seen["sectors not flushed"] += lost["sectors"]
        self.seen["of them kept"] += lost["kept"]
        with Mounted(image) as mounted:
            data = mounted / "data"
            self.no_blobs(data)
            start = Start(data, self.folder, ["--eas-upstream", self.mail.url])
            try:
                if start.refused is None:
                    faults = cut.faults(start.server)
                    self.seen["whole"] += not faults
                else:
                    faults = start.faults_of_the_refusal(data / "store") or ["refused by name"]
                    self.seen["refused"] += 1
                    print(f"{name} was refused: {start.last_line()}")
            finally:
                start.end(kill=True)
        image.unlink()
        if faults:
            print(f"{name}, {lost}: {dict(Counter(faults))}")
        for fault in set(faults):
            self.seen[f"! {fault}"] += 1

    def no_blobs(self, data):
        """What sled puts into files of its own beside `db` is never synced."""
        files = [path for path in (data / "store").rglob("blobs/*") if path.is_file()]
        if files:
            self.seen["! a file in blobs/"] += 1


if __name__ == "__main__":
    unittest.main()
