"""A disk that fills up under a server at work, and a start on a full one."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from harness import Server, VerbFailed, eventually, request


class Small(Server):
    """Its data folder is on a file system of few megabytes."""

    def start(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-small-"))
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "small", self.disk], capture_output=True, check=False)
        if mounted.returncode != 0:
            raise unittest.SkipTest(f"NOT TRIED: nothing can be mounted here: {mounted.stderr.decode().strip()}")
        self.data = self.disk / "data"
        return self.run()

    def end(self):
        try:
            return super().end()
        finally:
            subprocess.run(["umount", "-l", self.disk], check=False)

    def fill(self):
        with open(self.disk / "filler", "wb", buffering=0) as filler:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    pass

    def free(self):
        (self.disk / "filler").unlink()

    def ready(self):
        reply = request(f"https://{self.described()['admin']}/readyz", ca=self.data / "ca.pem")
        return reply.status, reply.body.decode()

    def invite(self, user):
        return self.verb("invite", "--channel", "apple", "--user", f"{user}@example.org")["id"]


class FullDisk(unittest.TestCase):
    def setUp(self):
        try:
            self.server = Small([]).start()
        except unittest.SkipTest:
            if os.environ.get("LANYARD_REQUIRE_PEERS") and os.geteuid() == 0 and pathlib.Path("/dev/loop-control").exists():
                raise AssertionError("a small disk can be had here, and was not") from None
            raise
        self.addCleanup(self.server.stop)

    def write_until_refused(self):
        """Users whose invitation was acknowledged before the disk took no more."""
        told = []
        for number in range(2000):
            try:
                self.server.invite(f"u{number}")
            except VerbFailed as failed:
                self.assertIn("store_away", str(failed))
                return told
            told.append(number)
        self.fail("the disk was never full")

    def test_writes_come_back_by_themselves_when_there_is_room(self):
        kept = self.server.invite("before")
        self.server.fill()
        self.write_until_refused()
        eventually(lambda: self.server.ready()[0] == 503, "readiness says so")
        self.assertIn("No space left", json.loads(self.server.ready()[1])["detail"])
        lines = [line for line in self.server.output().splitlines() if "No space left" in line]
        self.assertLess(len(lines), 10, lines)
        self.server.free()
        eventually(lambda: self.server.ready()[0] == 200, "ready again")
        self.server.invite("after")
        audited = [entry["subject"] for entry in self.server.verb("audit", "list") if entry["action"] == "invitation.made"]
        self.assertIn(kept, audited)
        self.assertTrue(self.server.verb("audit", "verify")["ok"])

    def test_a_start_on_a_full_disk_spoils_nothing(self):
        kept, server = self.server.invite("before"), self.server
        server.fill()
        for signal in (server.process.kill, server.process.terminate):
            signal()
            server.process.wait()
            server.log.close()
            server.launch()
            eventually(lambda: server.process.poll() is not None or server._ready(), "an end or a start")
            if server.process.poll() is not None:
                self.assertIn("No space left", server.output())
                self.assertNotIn("panicked", server.output())
        server.free()
        server.process.kill()
        server.process.wait()
        server.log.close()
        server.run()
        audited = [entry["subject"] for entry in self.server.verb("audit", "list") if entry["action"] == "invitation.made"]
        self.assertIn(kept, audited)


if __name__ == "__main__":
    unittest.main()
