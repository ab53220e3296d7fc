"""Stores of released versions open, with all that was in them."""

import json
import pathlib
import shutil
import tarfile
import tempfile
import unittest

from harness import ROOT, Server


class Released(unittest.TestCase):
    def test_a_released_versions_store_opens(self):
        archives = sorted((ROOT / "fixtures/stores").glob("*.tar.gz"))
        self.assertTrue(archives)
        for archive in archives:
            with self.subTest(archive=archive.name):
                server = Server([])
                server.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-store-"))
                self.addCleanup(shutil.rmtree, server.folder, True)
                with tarfile.open(archive) as opened:
                    opened.extractall(server.folder)
                server.data = server.folder / "data"
                expected = json.loads((server.data / "expected.json").read_text())
                server.run()
                self.addCleanup(server.stop)
                devices, commands = server.verb("devices", "list"), server.verb("commands", "list")
                for now, then in ((devices, expected["devices"]), (commands, expected["commands"])):
                    self.assertEqual(len(now), len(then))
                    for one, other in zip(now, then):
                        # A later version may say more of a record; what was said then is said still.
                        changing = {"expected_by", "last_seen", "enrolments"}
                        if other.get("channel") == "apple" and other.get("compliance") == "compliant":
                            # The policy is about the passcode: now a phone is asked whether its own complies, and has not said yet.
                            other = {**other, "compliance": "pending"}
                        self.assertEqual({k: one[k] for k in other if k not in changing},
                                         {k: v for k, v in other.items() if k not in changing})
                self.assertEqual([policy["name"] for policy in server.verb("policy", "list")], ["strict"])
                self.assertTrue(server.verb("audit", "verify")["ok"])


if __name__ == "__main__":
    unittest.main()
