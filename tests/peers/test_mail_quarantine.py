"""A mail app that nobody invited: its account is made, a message says what to do, its person claims it, and once let in it has its mail.

Its bytes are written by hand from the code pages of [MS-ASWBXML]: 0 AirSync, 2 Email, 13 Ping, 17 AirSyncBase.
"""

import re
import threading
import unittest
import urllib.parse

import wbxml
from harness import eventually, request
from mail_server import MAIL
from test_mail import CAROL, WORD, Gateway

SYNC, COLLECTIONS, COLLECTION, SYNC_KEY, COLLECTION_ID, STATUS, ADD = 0x05, 0x1C, 0x0F, 0x0B, 0x12, 0x0E, 0x07
SUBJECT = 0x14


class Quarantine(Gateway):
    def sync(self, client, key):
        """One Sync of the inbox: status, key, and what was added."""
        collection = (0, COLLECTION, [(0, SYNC_KEY, key), (0, COLLECTION_ID, "1")])
        reply = client.post("Sync", wbxml.document((0, SYNC, [(0, COLLECTIONS, [collection])])))
        self.assertEqual(reply.status, 200, reply)
        root = wbxml.parse(reply.body)
        return wbxml.text(root, 0, STATUS), wbxml.text(root, 0, SYNC_KEY), wbxml.find(root, 0, ADD)

    def ping(self, client):
        folders = (13, 0x09, [(13, 0x0A, [(13, 0x0B, "1"), (13, 0x0C, "Email")])])
        reply = client.post("Ping", wbxml.document((13, 0x05, [(13, 0x08, "600"), folders])))
        return wbxml.text(wbxml.parse(reply.body), 13, 0x07)

    def read(self, client):
        """The account is set up; the text of the one message in its inbox, and the key that has it."""
        self.assert_mail(client.folder_sync())
        status, key, added = self.sync(client, "0")
        self.assertEqual((status, added), ("1", []))
        status, key, [message] = self.sync(client, key)
        self.assertEqual(status, "1")
        return wbxml.text(message, 17, 0x0B), key

    def claim(self, link, user, password, code):
        form = urllib.parse.urlencode({"user": user, "password": password, "code": code})
        return request(link, "POST", form, {"Content-Type": "application/x-www-form-urlencoded"}, ca=self.server.ca)

    def test_it_reads_why_claims_itself_is_let_in_and_has_its_mail(self):
        client = self.stranger()
        message, key = self.read(client)
        link = re.search(r"https://\S+/claim/\S+", message).group()
        code = re.search(r"Code: (\S+)", message).group(1)
        self.assertIn("Apple-iPhone14C5/2207.86", message, "which device is meant")
        self.assertEqual(self.sync(client, key), ("1", key, []), "it comes once")
        shown = request(link, "GET", ca=self.server.ca)
        self.assertEqual(shown.status, 200, shown)
        for name in ("user", "password", "code"):
            self.assertIn(f'name="{name}"', shown.body.decode())
        device = self.device(client)
        self.assertEqual(self.claim(link, CAROL, "wrong", code).status, 403)
        self.assertEqual(self.claim(link, CAROL, WORD, "AAAA-AAAA-AAAA").status, 403)
        self.assertIsNone(self.device(client)["enrolments"][0]["claimed"])
        self.assertEqual(self.claim(link, CAROL, WORD, code.lower()).status, 200)
        [enrolment] = self.device(client)["enrolments"]
        self.assertTrue(enrolment["claimed"])
        self.assertEqual((enrolment["state"], enrolment["type"], enrolment["agent"]), ("quarantined", "iPhone", "Apple-iPhone14C5/2207.86"))
        listed = self.server.verb("audit", "list", "--device", device["id"])
        self.assertIn("enrolment.claimed", [entry["action"] for entry in listed])
        self.assertEqual(self.sync(client, key), ("1", key, []), "its person's word lets nobody in")

        ended = []
        held = threading.Thread(target=lambda: ended.append(self.ping(client)))
        held.start()
        self.server.verb("devices", "allow", device["id"])
        held.join(20)
        self.assertEqual(ended, ["7"], "a held Ping ends at once")
        self.assertEqual(self.sync(client, key)[0], "3", "from the beginning")
        self.assertEqual(self.mail.commands(client.ident), ["FolderSync"], "until then the mail server heard of nothing else")
        status, key, added = self.sync(client, "0")
        self.assertEqual((status, added), ("1", []))
        _, key, [mail] = self.sync(client, key)
        self.assertEqual(wbxml.text(mail, 2, SUBJECT), MAIL)
        self.assertEqual(self.mail.strange_keys, [])
        self.assertIsNone(self.device(client)["enrolments"][0]["claimed"], "that is over")

    def test_25_phones_of_one_mailbox_on_the_first_day_are_no_attack(self):
        clients = [self.stranger() for _ in range(25)]
        codes = {re.search(r"Code: (\S+)", self.read(client)[0]).group(1) for client in clients}
        self.assertEqual(len(codes), 25)
        idents = {client.ident for client in clients}
        waiting = self.server.verb("devices", "list", "--state", "quarantined")
        listed = {e["identity"] for device in waiting for e in device["enrolments"]}
        self.assertLessEqual(idents, listed)

    def test_an_old_client_reads_it_too(self):
        client = self.stranger("2.5")
        self.assert_mail(client.folder_sync())
        _, key, _ = self.sync(client, "0")
        _, _, [message] = self.sync(client, key)
        self.assertIn("/claim/", wbxml.text(message, 2, 0x0C))
        eventually(lambda: client.post("SendMail", b"x").status == 503, "put off")


if __name__ == "__main__":
    unittest.main()
