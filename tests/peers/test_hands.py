"""A fleet changes hands: names, records that are removed and come back, and whose a device is."""

import os
import subprocess
import unittest

from apple_device import PASSCODE, AppleDevice, payloads
from harness import BINARY, Api, ServedTest, VerbFailed, eventually, request


class Hands(ServedTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # In the store's first hour, before any device: she counts.
        cls.server.verb("admins", "add", "Alice")
        cls.alice = cls.server.verb("token", "create", "--admin", "Alice")["token"]

    def invite(self, *words, user="ann@example.org"):
        return self.server.verb("invite", "--channel", "apple", "--user", user, *words)

    def enrolled(self, *words, user="ann@example.org", phone=None):
        phone = phone or AppleDevice(self.server, self.folder(), "A phone")
        phone.enrol(self.invite(*words, user=user))
        phone.poll()
        return phone

    def retire(self, phone, ident):
        command = self.server.verb("wipe", ident, "--scope", "selective", "--reason", "changes hands", "--yes")
        phone.poll()
        eventually(lambda: self.server.command(command["id"])["state"] == "confirmed", "the retire is proved")

    def test_an_invitation_that_leaked_is_taken_back(self):
        made = self.server.verb("invite", "--channel", "apple", "--user", "leak@example.org")
        self.assertEqual(request(made["url"] + "/profile", ca=self.server.ca).status, 200)
        listed = {one["id"]: one for one in self.server.verb("invitations", "list")}[made["id"]]
        self.assertEqual((listed["url"], listed["code"], listed["uses"], listed["used"], listed["revoked"]), (None, None, 1, 0, False))
        self.assertEqual(listed["user"], "leak@example.org")
        phone = AppleDevice(self.server, self.folder(), "Late")
        phone.fetch(made)
        self.assertTrue(self.server.verb("invitations", "revoke", made["id"])["revoked"])
        self.assertIn(request(made["url"] + "/profile", ca=self.server.ca).status, (403, 410))
        with self.assertRaises(AssertionError):
            phone.certificate()
        self.assertRegex(self.server.output(), 'an enrolment was refused.*channel="scep".*leak@example.org.*revoked')
        self.assertTrue({one["id"]: one for one in self.server.verb("invitations", "list")}[made["id"]]["revoked"])

    def test_what_has_ended_is_removed_and_is_back_when_it_is_heard(self):
        phone = self.enrolled()
        ident = self.server.device_of(phone.udid)["id"]
        with self.assertRaisesRegex(VerbFailed, "not_ended"):
            self.server.verb("devices", "remove", ident)
        self.retire(phone, ident)
        removed = self.server.verb("devices", "remove", phone.serial)
        self.assertEqual((removed["id"], removed["state"]), (ident, "retired"))
        listed = lambda: [device["id"] for device in self.server.verb("devices", "list")]
        self.assertNotIn(ident, listed())
        for name in (ident, ident[:18]):
            with self.assertRaisesRegex(VerbFailed, f"the record of {ident} was removed on .*: it was .* of .*, retired.*not_found"):
                self.server.verb("devices", "show", name)
        self.assertIn(ident, [device["id"] for device in Api(self.server, self.alice).done("GET", "devices?removed=true&limit=1000")["items"]])
        # What was done is told with whose it was.
        for noun in ("commands", "audit"):
            shown = subprocess.run([str(BINARY), noun, "list", "--device", ident], env={**os.environ, "LANYARD_DATA": str(self.server.data)},
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
            self.assertIn(removed["user"], shown)
            self.assertIn(removed["name"], shown)
        [wipe] = [c for c in self.server.verb("commands", "list", "--device", ident) if c["action"] == "wipe"]
        self.assertEqual(wipe["state"], "confirmed")
        self.assertIn("device.removed", [e["action"] for e in self.server.verb("audit", "list", "--device", ident)])
        self.assertEqual(phone.report("Idle").status, 403)
        self.assertIn(ident, listed(), "contact brings it back")

    def test_a_serial_means_the_one_that_lives(self):
        phone = self.enrolled(user="first@example.org")
        first = self.server.device_of(phone.udid)["id"]
        self.retire(phone, first)
        self.enrolled(user="second@example.org", phone=phone)
        second = self.server.verb("devices", "show", phone.serial)
        self.assertEqual((second["user"], second["state"]), ("second@example.org", "enrolled"))
        # Another that claims the same serial, and lives.
        other = AppleDevice(self.server, self.folder(), "Another")
        other.serial = phone.serial
        self.enrolled(user="third@example.org", phone=other)
        with self.assertRaises(VerbFailed) as refused:
            self.server.verb("devices", "show", phone.serial)
        said = str(refused.exception)
        for part in ("(ambiguous)", second["id"], "second@example.org, enrolled, last seen 20", "third@example.org"):
            self.assertIn(part, said)
        status, problem = Api(self.server, self.alice).call("GET", f"devices/{phone.serial}")
        self.assertEqual((status, problem["code"]), (409, "ambiguous"))
        self.assertEqual([c["state"] for c in problem["candidates"]], ["enrolled", "enrolled", "retired"])
        self.assertEqual(set(problem["candidates"][0]), {"id", "user", "state", "last_seen"})

    def test_a_users_own_device_becomes_the_organisations_with_a_second_person(self):
        phone = self.enrolled("--ownership", "personal")
        ident = self.server.device_of(phone.udid)["id"]
        approval = self.server.verb("devices", "set", ident, "--ownership", "corporate")
        self.assertEqual((approval["subject"], approval["state"]), ("device.ownership", "waiting"))
        self.assertEqual(self.server.verb("devices", "show", ident)["ownership"], "personal")
        with self.assertRaisesRegex(VerbFailed, "own_request"):
            self.server.verb("approvals", "approve", approval["id"])
        alice = Api(self.server, self.alice)
        alice.done("GET", f"approvals/{approval['id']}")
        alice.done("POST", f"approvals/{approval['id']}/approve")
        self.assertEqual(self.server.verb("devices", "show", ident)["ownership"], "corporate")
        # Its profile gave no right to erase it, and no approval makes that grow: its user enrols anew for it.
        with self.assertRaisesRegex(VerbFailed, "invite its user anew"):
            self.server.verb("wipe", ident, "--scope", "full", "--reason", "lost", "--yes")
        self.enrolled(phone=phone)
        self.assertEqual(self.server.device_of(phone.udid)["id"], ident)
        wipe = self.server.verb("wipe", ident, "--scope", "full", "--reason", "lost", "--yes", "--delay", "1h")
        with self.assertRaisesRegex(VerbFailed, "under_wipe"):
            self.server.verb("devices", "set", ident, "--ownership", "personal")
        self.server.verb("commands", "cancel", wipe["id"])
        own = self.server.verb("devices", "set", ident, "--ownership", "personal")
        self.assertEqual(own["ownership"], "personal")
        with self.assertRaisesRegex(VerbFailed, "not_shared"):
            self.server.verb("devices", "set", ident, "--user", "eve@example.org")

    def test_who_agrees_to_a_wipe_is_told_how_the_device_erases_itself(self):
        phones = [self.enrolled(user=f"{number}@example.org") for number in range(3)]
        self.server.verb("settings", "set", "wipe.full.per_admin", "1")
        ways = ((), ("--preserve-data-plan",), ("--return-to-service", "--preserve-data-plan"))
        wipes = [self.server.verb("wipe", phone.serial, "--scope", "full", "--reason", "lost", "--yes", *way)
                 for phone, way in zip(phones, ways, strict=True)]
        self.assertEqual([wipe["erasing"] for wipe in wipes], [
            None, {"preserve_data_plan": True, "return_to_service": False, "obliteration": None},
            {"preserve_data_plan": True, "return_to_service": True, "obliteration": None}])
        self.assertEqual([wipe["state"] for wipe in wipes][1:], ["held", "held"])
        detail = self.server.verb("approvals", "show", wipes[1]["approval"])["detail"]
        for way in ("erasing so: keeping its data plan", "erasing so: keeping its data plan, returning to service by itself"):
            self.assertIn(way, detail)
        self.assertIn("with Apple's automated enrolment alone", detail)
        self.server.verb("approvals", "reject", wipes[1]["approval"])

    def test_whose_a_phone_is_decides_what_its_policy_asks_of_it(self):
        phone = self.enrolled()
        self.server.policy("name: tries\nassign: all\npasscode: {required: true, max_failed: 8}\n")
        self.addCleanup(self.server.verb, "policy", "delete", "tries", "--yes")
        phone.poll()

        def tries():
            return payloads(phone.installed["org.lanyard.settings"], PASSCODE)[0].get("maxFailedAttempts")

        self.assertEqual(tries(), 8)
        self.server.verb("devices", "set", phone.serial, "--ownership", "personal")
        phone.poll()
        self.assertIsNone(tries())

    def test_a_lost_phone_says_whom_to_call_and_a_users_own_keeps_its_passcode(self):
        phone = self.enrolled()
        ident = self.server.device_of(phone.udid)["id"]
        command = self.server.verb("lock", ident, "--message", "Found? Please call.", "--phone", "+44 20 7946 0000")
        phone.poll()
        [order] = [asked for kind, asked in phone.commands if kind == "DeviceLock"]
        self.assertEqual((order["Message"], order["PhoneNumber"]), ("Found? Please call.", "+44 20 7946 0000"))
        self.assertEqual(self.server.command(command["id"])["state"], "acknowledged")
        own = self.enrolled("--ownership", "personal")
        with self.assertRaisesRegex(VerbFailed, "personal"):
            self.server.verb("clear-passcode", self.server.device_of(own.udid)["id"])


if __name__ == "__main__":
    unittest.main()
