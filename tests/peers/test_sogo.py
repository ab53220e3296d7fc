"""SOGo behind the gateway: mail is sent, read and waited for through it by pyactivesync, by the simulator and by a mail app of our own.

pyactivesync does all that by itself, unmodified. What it cannot do: it shows no certificate, so it comes by password; it says 16.1 to everybody, and
SOGo takes that though it ends at 14.1; it asks for a policy at its start and never again, whatever status it is answered with, so the test calls its
`provision` anew; and it does not know wipes: it acknowledges the policy that comes beside one and reads no further. That wipe is acknowledged by a
mail app of our own under the same name. SOGo has no policies and no Provision worth the name; those are the gateway's.
"""

import os
import threading
import time
import unittest

import pyactivesync_client
import pypi
import sogo
import wbxml
from harness import ServedTest
from mail_client import FOLDERS, MIN_LENGTH, PROVISION, REMOTE_WIPE, MailClient
from pyactivesync_client import Pyactivesync, Refused
from sogo import PING, Sogo
from tbsync_client import CALENDAR, CONTACTS, TASKS, Challenged, GivesUp, TbSync
from test_simulate import Simulate

POLICY = "name: sogo\nassign: all\npasscode: {required: true, min_length: 6}\n"
CAROL, DAVE, ERIN, FRANK, GRACE = USERS = [f"{name}@example.org" for name in ("carol", "dave", "erin", "frank", "grace")]
WORD = "right horse"
INBOX = 2
# What may pass before somebody is let in: neither brings any.
NO_MAIL = {"FolderSync", "Settings"}
NEWS = b"From: news@example.org\r\nTo: all@example.org\r\nSubject: %s\r\n\r\nRead all about it.\r\n"


class BehindTheGateway(ServedTest):
    @classmethod
    def setUpClass(cls):
        try:
            database = os.environ.get("LANYARD_TEST_POSTGRES")
            if not database:
                raise sogo.Absent("LANYARD_TEST_POSTGRES names no database server")
            cls.python = pyactivesync_client.install()
            cls.sogo = Sogo(dict.fromkeys(USERS, WORD), database)
        except (pypi.Absent, sogo.Absent) as absent:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                raise
            raise unittest.SkipTest(str(absent).splitlines()[0]) from absent
        cls.addClassCleanup(cls.sogo.stop)
        cls.sogo.start()
        cls.arguments = ["--eas-upstream", cls.sogo.url]
        super().setUpClass()
        cls.server.policy(POLICY)

    def tearDown(self):
        # SOGo closes each connection after its answer and does not say so: nobody may notice.
        self.assertNotIn("WARN lanyard::channel::mail::upstream", self.server.output())

    def device(self, app):
        found = self.server.device_of(app.ident)
        self.assertIsNotNone(found, app.ident)
        return found

    def state(self, app):
        return self.device(app)["state"]

    def refused(self, app, name, *statuses, **given):
        with self.assertRaises(Refused) as refused:
            app.call(name, **given)
        self.assertIn(refused.exception.status, statuses, refused.exception)

    def subjects(self, address):
        return [message["Subject"] for message in self.sogo.inbox(address)]

    def came_to_sogo(self, app):
        """The commands of a device that SOGo has seen."""
        return [command for command in self.sogo.commands(app.ident) if command != "Provision"]

    # pyactivesync

    def test_pyactivesync_reads_and_sends_once_it_is_let_in_and_no_longer_than_that(self):
        self.sogo.deliver(CAROL, NEWS % b"Before")
        app = Pyactivesync(self, self.python, CAROL, WORD)
        self.waits_in_quarantine(app)
        self.server.verb("devices", "allow", self.device(app)["id"])
        inbox, key = self.reads_what_is_there(app)
        self.sends(app)
        self.waits_for_mail(app, inbox, key)
        self.is_shut_out_while_it_waits(app, inbox)
        self.server.verb("devices", "allow", self.device(app)["id"])
        self.is_wiped(app, inbox)

    def waits_in_quarantine(self, app):
        self.assertTrue(app.call("provision"), "a policy key")
        self.assertEqual(self.state(app), "quarantined")
        for folder in self.folders_if_any(app):
            self.assertNotIn("Before", self.shown(app, folder))
        try:
            app.call("send_mail", mail={"sender": CAROL, "to": DAVE, "subject": "Too early", "text": "x"})
        except Refused:
            pass  # However it is refused: what counts is that nothing is sent.
        self.assertEqual(self.subjects(DAVE), [])
        self.assertLessEqual(set(self.came_to_sogo(app)), NO_MAIL)

    @staticmethod
    def folders_if_any(app):
        try:
            return [folder["id"] for folder in app.call("list_folders")]
        except Refused:
            return []

    @staticmethod
    def shown(app, folder):
        """The subjects of what a folder's first two Syncs bring."""
        try:
            key = app.call("sync_folder", folder_id=folder)["sync_key"]
            return [item["fields"].get("Email.Subject") for item in app.call("sync_folder", folder_id=folder, sync_key=key)["added"]]
        except Refused:
            return []

    def reads_what_is_there(self, app):
        """The inbox's name and its SyncKey afterwards."""
        folders = app.call("list_folders")
        [inbox] = [folder["id"] for folder in folders if folder["type"] == INBOX]
        self.assertLessEqual({"INBOX", "Sent", "Drafts", "Trash"}, {folder["name"] for folder in folders})
        first = app.call("sync_folder", folder_id=inbox)
        self.assertEqual(first["added"], [])
        [item], key = self.synced(app, inbox, first["sync_key"])
        self.assertEqual(item["fields"]["Email.Subject"], "Before")
        whole = app.call("fetch_item", folder_id=inbox, item_id=item["server_id"], body_type=1)
        self.assertEqual(whole["bodies"][0]["data"].strip(), "Read all about it.")
        return inbox, key

    @staticmethod
    def synced(app, folder, key):
        """What Syncs bring until nothing more comes, and the key then: SOGo's comes up to date only with an empty one."""
        items = []
        while True:
            answer = app.call("sync_folder", folder_id=folder, sync_key=key)
            if (answer["sync_key"], answer["added"]) == (key, []):
                return items, key
            items, key = items + answer["added"], answer["sync_key"]

    def sends(self, app):
        app.call("send_mail", mail={"sender": CAROL, "to": DAVE, "subject": "Through the gateway", "text": "Good morning."})
        [arrived] = self.sogo.inbox(DAVE)
        self.assertEqual((arrived["Subject"], arrived.get_payload().strip()), ("Through the gateway", "Good morning."))

    def waits_for_mail(self, app, inbox, key):
        begun = time.monotonic()
        self.assertEqual(app.call("ping", folder_ids=inbox, heartbeat=PING)["status"], "1", "nothing came")
        self.assertGreater(time.monotonic() - begun, PING - 1)
        app.ask("ping", folder_ids=inbox, heartbeat=PING)
        time.sleep(1)
        self.sogo.deliver(CAROL, NEWS % b"News")
        self.assertEqual(app.answer(), {"status": "2", "changed_folder_ids": [inbox]})
        [item], _ = self.synced(app, inbox, key)
        self.assertEqual(item["fields"]["Email.Subject"], "News")

    def is_shut_out_while_it_waits(self, app, inbox):
        app.ask("ping", folder_ids=inbox, heartbeat=PING)
        time.sleep(1)
        self.server.verb("devices", "block", self.device(app)["id"], "--reason", "lost")
        begun = time.monotonic()
        self.assertEqual(app.answer()["status"], "7", "go to FolderSync, which is refused")
        self.assertLess(time.monotonic() - begun, 1)
        came = self.came_to_sogo(app)
        self.refused(app, "list_folders", "129")
        self.refused(app, "sync_folder", "129", folder_id=inbox)
        self.refused(app, "send_mail", "129", mail={"sender": CAROL, "to": DAVE, "subject": "Too late", "text": "x"})
        self.assertEqual((self.came_to_sogo(app), self.subjects(DAVE)), (came, ["Through the gateway"]))

    def is_wiped(self, app, inbox):
        self.assertTrue(app.call("list_folders"))
        command = self.server.verb("wipe", self.device(app)["id"], "--scope", "full", "--reason", "lost", "--yes")
        came = self.came_to_sogo(app)
        self.refused(app, "list_folders", "140")
        self.assertTrue(app.call("provision"), "it acknowledges the policy, and does not see the wipe beside it")
        self.refused(app, "sync_folder", "140", folder_id=inbox)
        self.assertEqual(self.server.command(command["id"])["state"], "sent")
        self.acknowledges(app.ident, CAROL, command)
        self.refused(app, "list_folders", "129")
        self.assertEqual((self.state(app), self.came_to_sogo(app)), ("wiped", came))

    def acknowledges(self, ident, user, command):
        """A mail app of our own under that name hears of a full wipe and says that it is done."""
        client = MailClient(self.server, self.folder(), user, WORD)
        client.ident = ident
        self.assertEqual(client.directives(), [REMOTE_WIPE])
        client.acknowledge(REMOTE_WIPE)
        ended = self.wait_for_end(command, "confirmed")
        self.assert_evidence(ended)
        self.assertIn("policy in force there: sogo", ended["evidence"][0]["detail"])

    # The simulator

    def test_the_simulator_reads_its_mail_and_is_wiped(self):
        password = self.server.folder / "password"
        password.write_text(WORD + "\n")
        running = Simulate(self, "--channel", "activesync", "--user", ERIN, "--password-file", password)
        running.shows("in quarantine, as its inbox says")
        [name] = running.names()
        self.server.verb("devices", "allow", name)
        running.shows("reads its mail")
        command = self.server.verb("wipe", name, "--scope", "full", "--reason", "trial", "--wait", "--timeout", "50s", "--yes")
        self.assertEqual(command["state"], "confirmed")
        self.assert_evidence(command)
        self.assertEqual(running.end(), 0, running.said)

    # Thunderbird's add-on

    def test_the_requests_of_tbsync_are_answered_as_it_wants_them(self):
        for version, shown in ((None, "14.1"), ("14.0", "14.0"), ("2.5", "2.5")):
            with self.subTest(version=shown):
                self.connects(TbSync(self.server, self.folder(), GRACE, WORD, version), shown)

    def connects(self, client, version):
        try:
            client.connect()
        except (GivesUp, Challenged):
            pass  # However it is kept waiting: no mail passes.
        self.assertEqual(self.state(client), "quarantined")
        self.assertLessEqual(set(self.came_to_sogo(client)), NO_MAIL)
        self.server.verb("devices", "allow", self.device(client)["id"])
        client.said.clear()
        client.key = None  # As an account that is set up anew.
        folders = client.connect()
        self.assertEqual(client.version, version)
        self.assertLessEqual({CONTACTS, CALENDAR, TASKS}, {kind for _, kind in folders})
        self.assertEqual(set(client.synced), {CONTACTS, CALENDAR, TASKS})
        # Challenged once, without a key; from then on each request has the last one that it got.
        provision = [key for command, key in client.said if command == "Provision"]
        self.assertEqual((client.said[0][1], provision[0], len(provision)), (None, "0", 2))
        again = len(client.said)
        client.connect()
        self.assertEqual({key for _, key in client.said[again:]}, {client.key}, "no Provision at the next connect")

    # A mail app of our own

    def test_a_certificate_brings_mail_at_each_version_that_sogo_has(self):
        for version in ("12.1", "14.0", "14.1"):
            with self.subTest(version):
                client = MailClient(self.server, self.folder(), FRANK, WORD, version)
                client.certificate(self.server.verb("invite", "--channel", "activesync", "--user", FRANK))
                offered = client.options()
                self.assertEqual(offered.headers["ms-asprotocolversions"], "2.5,12.0,12.1,14.0,14.1")
                self.assertIn("Provision", offered.headers["ms-asprotocolcommands"].split(","), "SOGo leaves it out")
                reply = client.folder_sync()
                self.assertEqual((reply.status, self.status(reply)), (449, None) if version == "12.1" else (200, "142"))
                self.assertEqual(wbxml.text(client.provisioned(), PROVISION, MIN_LENGTH), "6")
                reply = client.folder_sync()
                self.assertEqual((reply.status, self.status(reply)), (200, "1"))
                self.assertIn("INBOX", [name for *_, name in wbxml.find(wbxml.parse(reply.body), FOLDERS, 0x07)])

    @staticmethod
    def status(reply):
        return wbxml.text(wbxml.parse(reply.body), FOLDERS, 0x0C) if reply.body else None

    def test_a_connection_that_sogo_has_closed_costs_nobody_an_answer(self):
        client = MailClient(self.server, self.folder(), FRANK, WORD)
        client.certificate(self.server.verb("invite", "--channel", "activesync", "--user", FRANK))
        client.provisioned()
        answers = []

        def ask():
            for _ in range(10):
                answers.append(client.folder_sync())

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([(reply.status, self.status(reply)) for reply in answers], [(200, "1")] * 40)


if __name__ == "__main__":
    unittest.main()
