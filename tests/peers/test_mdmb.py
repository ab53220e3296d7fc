"""mdmb, a simulator that others wrote, enrols three devices, polls, answers, and does not know EraseDevice."""

import os
import pathlib
import tempfile
import unittest

from harness import ServedTest, eventually, free_port
from mdmb_devices import Mdmb, Unsigning
from test_clock import library
from test_renewal import LATE, Ageing


class Simulated(ServedTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # mdmb refuses a profile that does not ask for signatures: it knows no other way to say who it is.
        cls.server.verb("settings", "set", "apple.sign_messages", "on")

    def device(self, udid):
        found = self.server.device_of(udid)
        self.assertIsNotNone(found, f"{udid} is in the registry")
        return found

    def test_three_devices_enrol_answer_and_one_refuses_to_be_erased(self):
        devices = Mdmb(self.server, self.folder(), 3)
        for number, udid in enumerate(devices.udids):
            user = f"user{number}@example.org"
            devices.enrol(udid, self.server.verb("invite", "--channel", "apple", "--user", user))
            self.assertEqual((self.device(udid)["state"], self.device(udid)["user"]), ("enrolled", user))
        devices.connect()

        # The serial comes with Authenticate; that DeviceInformation was asked and answered shows in what was seen.
        for udid in devices.udids:
            device = self.device(udid)
            self.assertTrue(device["serial"] and device["name"] and device["last_seen"], device)

        target, *others = devices.udids
        command = self.server.verb("wipe", self.device(target)["id"], "--scope", "full", "--reason", "lost", "--yes")
        said = devices.connect(target)
        self.assertIn("MDM command not handled: EraseDevice", said)
        ended = self.wait_for_end(command, "failed", "presumed")
        self.assertTrue(ended["error"] or ended["evidence"], ended)

        said = devices.connect(*others)
        self.assertNotIn("EraseDevice", said)
        for udid in others:
            self.assertEqual(self.server.commands_of(self.device(udid), "wipe"), [])
            self.assertEqual(self.device(udid)["state"], "enrolled")

    def test_device_information_is_asked_and_answered(self):
        devices = Mdmb(self.server, self.folder(), 1)
        [udid] = devices.udids
        devices.enrol(udid, self.server.verb("invite", "--channel", "apple", "--user", "dora@example.org"))
        said = devices.connect()
        self.assertIn("unknown DeviceInfo queries", said)

        def synced():
            command = self.server.verb("devices", "sync", self.device(udid)["id"])
            self.assertIn("unknown DeviceInfo queries", devices.connect())
            return self.server.command(command["id"])["state"] == "acknowledged"

        eventually(synced, "a sync that mdmb acknowledges")


class Renewed(unittest.TestCase):
    """mdmb takes the enrolment profile anew, where it can read it. It does so in its own way: it removes the profile that it has, gets a
    certificate, says Authenticate and TokenUpdate under that, and has forgotten with the former identity that it was to answer."""

    def setUp(self):
        if library() is None:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                self.fail("libfaketime is not installed")
            self.skipTest("libfaketime is not installed")
        self.server = Ageing(["--device-addr", f"127.0.0.1:{free_port()}"]).start()
        self.addCleanup(self.server.stop)
        self.server.verb("settings", "set", "apple.sign_messages", "on")

    def enrolled(self, by_way_of=None):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.server.folder))
        devices = Mdmb(self.server, folder, 1)
        invitation = self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org")
        devices.enrol(devices.udids[0], invitation, by_way_of)
        devices.connect()
        return devices

    def pinned(self, devices):
        device = self.server.device_of(devices.udids[0])
        self.assertEqual(device["state"], "enrolled")
        return device["enrolments"][0]["certificate"]["sha256"]

    def renewals(self, devices):
        return [command["state"] for command in self.server.commands_of(self.server.device_of(devices.udids[0]), "renew")]

    def is_served(self, devices):
        command = self.server.verb("devices", "sync", self.server.device_of(devices.udids[0])["id"])
        devices.connect()
        return self.server.command(command["id"])["state"] == "acknowledged"

    def test_an_identity_is_renewed_and_the_device_goes_on_under_the_new_one(self):
        between = Unsigning(self.server)
        self.addCleanup(between.stop)
        devices = self.enrolled(between)
        before = self.pinned(devices)
        self.server.later(LATE)
        between.said.clear()
        devices.connect()
        self.assertIn("InstallProfile", between.commands)
        self.assertIn("Authenticate", between.said)
        self.assertIn("TokenUpdate", between.said)
        # It never acknowledges, so it is asked once more, and then heard under what it has.
        devices.connect()
        self.assertNotEqual(self.pinned(devices), before, between.said)
        between.said.clear()
        self.assertTrue(eventually(lambda: self.is_served(devices), "a sync under the new identity"))
        self.assertNotIn("Authenticate", between.said, "it is not asked on end")
        self.assertEqual(len(self.renewals(devices)), 1)

    def test_one_that_cannot_read_what_it_is_sent_works_on_under_its_old_one(self):
        devices = self.enrolled()
        before = self.pinned(devices)
        self.server.later(LATE)
        devices.connect()
        self.assertEqual(self.renewals(devices), ["failed"])
        self.assertEqual(self.pinned(devices), before)
        self.assertTrue(eventually(lambda: self.is_served(devices), "a sync"))


if __name__ == "__main__":
    unittest.main()
