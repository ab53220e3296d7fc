"""imitune, an OMA-DM client that Intune itself serves: whole sessions, a policy in its tree, a wipe that it hears."""

import os
import unittest

import imitune_device
import pypi
from harness import ServedTest
from imitune_device import Imitune

LENGTH = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"
CAMERA = "./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera"


class Impersonated(ServedTest):
    @classmethod
    def setUpClass(cls):
        try:
            cls.python = imitune_device.install()
        except pypi.Absent as absent:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                raise
            raise unittest.SkipTest(str(absent).splitlines()[0]) from absent
        super().setUpClass()

    def device(self, computer):
        found = self.server.device_of(computer.ident)
        self.assertIsNotNone(found, computer.ident)
        return self.server.verb("devices", "show", found["id"])

    def enrolled(self):
        invitation = self.server.verb("invite", "--channel", "windows", "--user", "ivy@example.org")
        return Imitune(self.server, self.folder(), self.python).enrol(invitation)

    def test_it_completes_its_sessions_gets_a_policy_and_hears_a_wipe(self):
        computer = self.enrolled()
        heard = computer.connect()
        self.assertIn("Get", [verb for verb, _, _ in heard])
        device = self.device(computer)
        self.assertEqual((device["state"], device["os_version"], device["name"]), ("enrolled", "10.0.22621.525", "IMITUNE"))
        self.assertEqual([c["state"] for c in self.server.commands_of(device, "sync")], ["acknowledged"])
        self.assertEqual(computer.connect(), [], "with nothing due a session is one message and its answer")

        # Settings in an Atomic and by themselves.
        self.server.policy("name: imitated\nassign: all\ncamera: blocked\npasscode: {required: true, min_length: 8}\n")
        heard = computer.connect()
        self.assertIn("Atomic", [verb for verb, _, _ in heard])
        self.assertEqual((computer.tree.get(LENGTH), computer.tree.get(CAMERA)), ("8", "0"))
        self.assertEqual([c["state"] for c in self.server.commands_of(device, "policy")], ["acknowledged"])

        command = self.server.verb("wipe", device["id"], "--scope", "full", "--reason", "lost", "--yes")
        heard = computer.connect()
        self.assertIn(("Exec", "./Device/Vendor/MSFT/RemoteWipe/doWipe"), [each[:2] for each in heard])
        self.assert_evidence(self.wait_for_end(command, "presumed"))
        self.assertEqual(self.device(computer)["problems"], [], "nothing of what it sent could not be read")


if __name__ == "__main__":
    unittest.main()
