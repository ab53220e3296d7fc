"""A gateway before a mail server with a policy and wipes of its own, which answers as Z-Push does."""

import unittest

import wbxml
from harness import eventually
from mail_client import MIN_LENGTH, PASSWORD_ENABLED, PROVISION, REMOTE_WIPE
from mail_server import PolicyServer
from test_mail import CAROL, WORD, Gateway


class BeforeAPolicyServer(Gateway):
    @classmethod
    def make_mail(cls):
        return PolicyServer({CAROL: WORD}, [(PASSWORD_ENABLED, "1"), (MIN_LENGTH, "7")])

    def ready(self, version="14.1"):
        client = self.invited(version)
        rules = client.provisioned()
        self.assertEqual(wbxml.text(rules, PROVISION, MIN_LENGTH), "7", "the mail server's own rule")
        self.assert_mail(client.folder_sync())
        return client

    def ordered(self, client):
        device = self.device(client)
        return [c for c in self.server.commands_of(device, "wipe") if c["requested_by"] == "upstream"]

    def test_its_policy_is_acknowledged_when_the_client_has(self):
        client = self.ready()
        self.assertEqual(self.mail.acks[client.ident], ["1"])
        self.assertEqual(self.mail.models[client.ident], "iPhone14C5")
        self.mail.keys[client.ident] = "9"
        self.assert_mail(client.folder_sync())
        self.assertEqual(self.mail.acks[client.ident], ["1", "1"], "it holds that policy already")

    def test_old_versions_too(self):
        client = self.ready("12.1")
        self.mail.keys[client.ident] = "9"
        self.assert_mail(client.folder_sync())

    def test_its_wipe_reaches_the_phone_and_the_phones_word_goes_back(self):
        client = self.ready()
        self.mail.wiping.add(client.ident)
        self.assert_status(client.folder_sync(), "140")
        first = client.first_phase()
        self.assertTrue(wbxml.find(first, PROVISION, REMOTE_WIPE), first)
        [command] = self.ordered(client)
        self.assertEqual((command["state"], command["scope"]), ("sent", "full"))
        self.assertNotIn(client.ident, self.mail.wiped, "nothing is said for the phone")
        client.acknowledge(REMOTE_WIPE)
        self.assert_evidence(self.wait_for_end(command, "confirmed"))
        eventually(lambda: self.mail.wiped.get(client.ident) == "1", "the phone's own word at the mail server")
        self.assert_status(client.folder_sync(), "129")
        actions = [entry["action"] for entry in self.server.verb("audit", "list", "--device", command["device"])]
        eventually(
            lambda: "wipe.told_upstream" in [e["action"] for e in self.server.verb("audit", "list", "--device", command["device"])],
            f"an entry beside {actions}",
        )

    def test_its_wipe_waits_where_the_setting_says_so_and_is_taken_back(self):
        self.server.verb("settings", "set", "eas.upstream_wipe", "hold")
        client = self.ready()
        self.mail.wiping.add(client.ident)
        self.assert_status(client.folder_sync(), "111")
        self.assertEqual(client.directives(), [])
        [held] = self.ordered(client)
        self.assertEqual(held["state"], "held")
        approval = self.server.verb("approvals", "show", held["approval"])
        self.assertEqual((approval["requested_by"], approval["state"]), ("upstream", "waiting"))
        self.mail.wiping.discard(client.ident)
        client.provisioned()
        self.wait_for_end(held, "cancelled")
        self.assert_mail(client.folder_sync())
        self.assertNotIn(client.ident, self.mail.wiped)


if __name__ == "__main__":
    unittest.main()
