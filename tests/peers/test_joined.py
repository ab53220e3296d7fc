"""One iPhone, managed and reading mail: one device, and a wipe of it closes its mail before the phone itself has answered."""

import unittest

from apple_device import AppleDevice
from mail_client import MailClient
from test_mail import CAROL, WORD, Gateway


class Joined(Gateway):
    def phone_with_mail(self):
        """The mail app comes by password, under the name that the phone tells in DeviceInformation."""
        phone = AppleDevice(self.server, self.folder(), "Carol's iPhone").enrol(
            self.server.verb("invite", "--channel", "apple", "--user", CAROL))
        phone.poll()
        client = MailClient(self.server, self.folder(), CAROL, WORD, "14.1")
        client.ident = phone.eas_identifier
        client.options()
        client.folder_sync()
        device = self.device(client)
        [mail] = [e for e in device["enrolments"] if e["channel"] == "activesync"]
        self.assertIsNone(mail["certificate"], "by password: the weaker identity")
        if mail["state"] == "quarantined":
            self.server.verb("devices", "allow", device["id"])
        self.assert_mail(client.folder_sync())
        return phone, client

    def test_a_wipe_closes_mail_before_the_phone_has_answered(self):
        for scope in ("selective", "full"):
            with self.subTest(scope=scope):
                phone, client = self.phone_with_mail()
                device = self.device(client)
                self.assertEqual(
                    sorted(e["channel"] for e in device["enrolments"]), ["activesync", "apple"], "one device, two enrolments")
                self.assertEqual((device["channel"], self.server.device_of(phone.udid)["id"]), ("apple", device["id"]))
                before = len(self.mail.commands(client.ident))
                command = self.server.verb("wipe", device["id"], "--scope", scope, "--reason", "lost", "--yes")
                self.assertEqual((command["channel"], command["state"]), ("apple", "queued"))
                reply = client.folder_sync()
                self.assertTrue(reply.status == 403 or (reply.status == 200 and b"Peer inbox" not in reply.body), reply)
                self.assertEqual(len(self.mail.commands(client.ident)), before, "nothing reaches the mail server")
                self.assertEqual(self.server.command(command["id"])["state"], "queued", "the phone has not answered yet")
                self.assertEqual(client.directives(), [], "the phone is wiped through Apple, and not by mail as well")
                phone.poll()
                ended = self.wait_for_end(command, "confirmed")
                self.assert_evidence(ended)
                self.assertEqual({e["channel"] for e in ended["evidence"]}, {"apple"})
                client.folder_sync()
                self.assertEqual(len(self.mail.commands(client.ident)), before)

    def test_mail_opens_again_when_the_wipe_is_cancelled_in_its_undo_window(self):
        _, client = self.phone_with_mail()
        device = self.device(client)
        command = self.server.verb("wipe", device["id"], "--scope", "full", "--reason", "lost", "--delay", "1h", "--yes")
        self.assertEqual(command["state"], "held")
        before = len(self.mail.commands(client.ident))
        client.folder_sync()
        self.assertEqual(len(self.mail.commands(client.ident)), before, "closed in the undo window too")
        self.server.verb("commands", "cancel", command["id"])
        self.assert_mail(client.folder_sync())


if __name__ == "__main__":
    unittest.main()
