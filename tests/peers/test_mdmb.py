"""mdmb, a simulator that others wrote, enrols three devices, polls, answers, and does not know EraseDevice."""

import unittest

from harness import ServedTest, eventually
from mdmb_devices import Mdmb


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


if __name__ == "__main__":
    unittest.main()
