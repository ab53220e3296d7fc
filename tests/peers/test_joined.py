"""One iPhone, managed and reading mail: one device, and a wipe of it closes its mail before the phone itself has answered."""

import http.client
import time
import unittest
import urllib.parse

import wbxml
from apple_device import AppleDevice
from harness import context, eventually, in_background
from mail_client import FOLDERS, TYPE, MailClient
from test_mail import CAROL, DAVE, WORD, Gateway
from test_proxies import Mail

# Both may be held for ten minutes.
PING = wbxml.document((13, 0x05, [(13, 0x08, "600"), (13, 0x09, [(13, 0x0A, [(13, 0x0B, "1"), (13, 0x0C, "Email")])])]))
SYNC = wbxml.document((0, 0x05, [(0, 0x1C, [(0, 0x0F, [(0, 0x0B, "1"), (0, 0x12, "1")])]), (0, 0x29, "600")]))


class Holds(Mail):
    """Holds Syncs as it does Pings."""

    def handler(mail):
        class Handler(super().handler()):
            def do_POST(self):
                if "Cmd=Sync" in self.path:
                    self.hold()
                super().do_POST()

        return Handler


class Held:
    """A request under way on a thread of its own: its answer, and when it came."""

    def __init__(self, client, command, body):
        self.client, self.command, self.body, self.reply, self.ended = client, command, body, None, None
        self.thread = in_background(self._ask)

    def _ask(self):
        self.reply = self.client.post(self.command, self.body)
        self.ended = time.monotonic()


class Joined(Gateway):
    @classmethod
    def make_mail(cls):
        return Holds({CAROL: WORD, DAVE: WORD})

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
                self.assert_names_both(ended)
                client.folder_sync()
                self.assertEqual(len(self.mail.commands(client.ident)), before)

    def assert_names_both(self, ended):
        """One record, in which the phone's own word stands beside the mail that was closed with it."""
        [closed] = [entry for entry in ended["evidence"] if entry["channel"] == "activesync"]
        self.assertEqual(closed["kind"], "access_blocked")
        self.assertEqual({entry["channel"] for entry in ended["evidence"]}, {"apple", "activesync"})

    def test_a_wipe_ends_what_mail_holds_open_within_a_second_and_one_record_names_both_channels(self):
        phone, client = self.phone_with_mail()
        kept = self.connection()
        self.assertIn(b"Peer inbox", self.over(kept, client))
        held = [Held(client, command, body) for command, body in (("Ping", PING), ("Sync", SYNC))]
        eventually(lambda: self.mail.waiting == len(held), "Ping and Sync that the mail server holds")
        before = self.mail.commands(client.ident).count("FolderSync")
        device = self.device(client)
        asked = time.monotonic()
        command = self.server.verb("wipe", device["id"], "--scope", "full", "--reason", "lost", "--yes")
        for each in held:
            each.thread.join(5)
            self.assertIsNotNone(each.ended, each.command)
            # Counted from before the verb began, which is a program of its own.
            self.assertLess(each.ended - asked, 1, each.command)
        self.assertEqual(wbxml.parse(held[0].reply.body), (13, 0x05, [(13, 0x07, "7")]), "go to FolderSync, which is refused")
        self.assertNotIn(b"from the mail server", held[1].reply.body)
        self.assertNotIn(b"Peer inbox", self.over(kept, client), "nor over a connection that was open before")
        self.assertEqual(self.mail.commands(client.ident).count("FolderSync"), before, "nothing more reaches the mail server")
        eventually(lambda: self.mail.waiting == 0, "the mail server is rid of them")

        phone.poll()
        ended = self.wait_for_end(command, "confirmed")
        self.assert_names_both(ended)
        wipes = [each for each in self.server.commands_of(device) if each["action"] == "wipe"]
        self.assertEqual([each["id"] for each in wipes], [command["id"]], "one wipe for the whole device")
        shown = self.device(client)
        self.assertEqual([enrolment["state"] for enrolment in shown["enrolments"]], ["wiped", "wiped"])

    def connection(self):
        host, port = self.server.device.rsplit(":", 1)
        made = http.client.HTTPSConnection("localhost", int(port), timeout=10, context=context(self.server.ca))
        self.addCleanup(made.close)
        return made

    @staticmethod
    def over(connection, client):
        """The body of a FolderSync's answer over a connection that stays open."""
        headers = client.headers(**{"MS-ASProtocolVersion": client.version, "Content-Type": TYPE, "X-MS-PolicyKey": client.key})
        parts = urllib.parse.urlsplit(client.url("FolderSync"))
        connection.request("POST", f"{parts.path}?{parts.query}", wbxml.document((FOLDERS, 0x16, [(FOLDERS, 0x12, "0")])), headers)
        return connection.getresponse().read()

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
