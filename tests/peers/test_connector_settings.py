"""What an Exchange decides by itself: mailbox policies made of the policies here, its default and its access rules; shown, set, and set right."""

import json
import unittest

from connector_side import ORG, QUIET, SOON, Connected
from exchange_world import Phone, Rule
from harness import VerbFailed, eventually

STRICT = ("name: base\nassign: all\npasscode: {min_length: 8, max_failed: 6, expire_days: 90}\ncamera: blocked\n"
          "activesync: {MaxInactivityTimeDeviceLock: 7200}\n")
SAID = {
    "PasswordEnabled": True, "MinPasswordLength": 8, "MaxPasswordFailedAttempts": 6, "MaxInactivityTimeLock": "01:00:00",
    "PasswordExpiration": "90.00:00:00", "AllowCamera": False, "AllowNonProvisionableDevices": False,
}


class Settings(Connected):
    def drifts(self):
        return self.server.verb("audit", "list", "--action", "exchange.drift")

    def shown(self):
        return self.server.verb("connector", "show", ORG)

    def ours(self):
        return {name: says for name, says in self.org.policies.items() if name.startswith("Lanyard ")}

    def under(self, mailbox):
        return mailbox.past[-1].policy


class Policies(Settings):
    """Four clients of three mailboxes; the last mailbox has a policy of its own."""

    mailboxes, partnerships = 3, 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.org.policies["theirs"] = {"MinPasswordLength": 4}
        cls.org.edit(cls.org.mailboxes[2], policy="theirs")
        eventually(lambda: cls.reported(cls.org.mailboxes[2]), "a delta tells of it", 30)

    @classmethod
    def reported(cls, mailbox):
        """A delta was read since the last change of a mailbox."""
        calls = [call for call in cls.org.called("Get-CASMailbox") if "Filter" in call.parameters and call.time > mailbox.past[-1].since]
        return len(calls) > 1

    def all_under(self, *names):
        eventually(lambda: [self.under(mailbox) for mailbox in self.org.mailboxes] == list(names), f"mailboxes under {names}", 30)

    def test_a_policy_is_exchanges_too_as_long_as_it_is_assigned(self):
        self.assertEqual(self.org.writes(), [], "without a policy nothing is written")
        self.server.policy(STRICT)
        eventually(self.ours, "a mailbox policy of ours", SOON)
        [(name, says)] = self.ours().items()
        self.assertEqual(says, SAID)
        self.all_under(name, name, name)
        self.assertEqual(len(self.org.called("New-MobileDeviceMailboxPolicy")), 1)
        eventually(lambda: self.shown()["policies"] and self.shown()["policies"][0]["mailboxes"] == 3, "it is shown", SOON)
        [policy] = self.shown()["policies"]
        self.assertEqual((policy["name"], len(policy["near"])), (name, 1), "Exchange knows no longer than an hour")
        self.assertIn("MaxInactivityTimeLock", policy["near"][0])
        before = len(self.org.writes())
        eventually(lambda: self.reported(self.org.mailboxes[0]), "some deltas", 30)
        self.assertEqual((len(self.org.writes()), self.drifts()), (before, []), "what is so is left alone")
        self.drifted_mailbox(name)
        self.drifted_rules(name)
        self.stricter(name)
        for policy in ("base", "nurses"):
            self.server.verb("policy", "delete", policy, "--yes")
        self.all_under("Default", "Default", "theirs")
        self.assertEqual(self.org.policies["theirs"], {"MinPasswordLength": 4}, "another's is not written")

    def drifted_mailbox(self, name):
        """Somebody puts a mailbox under another policy."""
        mailbox = self.org.mailboxes[1]
        self.org.edit(mailbox, policy="Default")
        self.all_under(name, name, name)
        eventually(self.drifts, "an entry of the audit log", SOON)
        self.assertEqual(len(self.drifts()), 1)
        self.assertIn("exchange_drift", [line["code"] for line in self.server.verb("status")])

    def drifted_rules(self, name):
        """Somebody loosens what the policy says."""
        sets = len(self.org.called("Set-MobileDeviceMailboxPolicy"))
        self.org.policies[name]["MinPasswordLength"] = 1
        eventually(lambda: self.org.policies[name] == SAID, "set right", 30)
        self.assertEqual([entry["subject"] for entry in self.drifts()].count(ORG), 1)
        eventually(lambda: self.reported(self.org.mailboxes[0]), "some deltas", 30)
        self.assertEqual(len(self.org.called("Set-MobileDeviceMailboxPolicy")), sets + 1, "by one write, for all mailboxes")

    def stricter(self, name):
        """A policy for one device is its whole mailbox's; the others keep theirs."""
        [client] = self.org.mailboxes[1].devices
        self.server.verb("group", "create", "nurses")
        self.server.policy("name: nurses\nassign: [nurses]\npasscode: {min_length: 12}\n")
        self.server.verb("group", "add", "nurses", self.server.device_of(client.device_id)["id"])
        eventually(lambda: len(self.ours()) == 2, "another policy", SOON)
        [other] = set(self.ours()) - {name}
        self.all_under(name, other, name)
        self.assertEqual(self.ours()[other], SAID | {"MinPasswordLength": 12})

    def test_of_a_client_that_keeps_to_no_policy_exchange_says_so(self):
        phone = Phone(self.org, self.org.mailboxes[0], provisions=False)
        self.org.policies["strict"] = {"AllowNonProvisionableDevices": False}
        self.assertEqual(self.org.access(phone.device)[1], "Global")
        access = self.org.seen(phone.mailbox)
        self.assertEqual(self.org.access(phone.device, type(access)(access.since, allowed=(phone.device_id,), policy="strict"))[:2], ("Blocked", "Policy"))


class WhatFails(Settings):
    mailboxes, partnerships = 2, 2

    def test_a_missing_role_for_policies_keeps_no_decision_waiting(self):
        self.exchange.forbidden = {"New-MobileDeviceMailboxPolicy"}
        self.addCleanup(setattr, self.exchange, "forbidden", set())
        self.server.policy(STRICT)
        eventually(lambda: self.shown()["policy_error"], "why it is not so", SOON)
        phone = self.phone()
        self.decide("block", phone)
        self.soon(phone, "blocked")
        self.assertEqual(self.ours(), {})
        self.exchange.forbidden = set()
        eventually(self.ours, "the policy, once it may be made", 90)

    def test_a_missing_role_for_the_settings_keeps_no_report_waiting(self):
        self.exchange.forbidden = {"Get-ActiveSyncDeviceAccessRule", "Get-MobileDeviceMailboxPolicy"}
        self.addCleanup(setattr, self.exchange, "forbidden", set())
        self.phone(self.org.mailboxes[1])


class FirstSync(Settings):
    starts = False
    mailboxes, partnerships = 3, 5

    def test_nothing_is_written_before_all_was_read_and_a_dry_run_prints_it(self):
        self.server.policy(STRICT)
        connector = self.another().start("--dry-run")
        self.synced()

        def printed(cmdlet):
            lines = [json.loads(line) for line in connector.out.read_text().splitlines() if line.startswith("{")]
            return [line["parameters"] for line in lines if line["cmdlet"] == cmdlet]

        eventually(lambda: len(printed("Set-CASMailbox")) >= 3, "what it would write", SOON)
        [first, *_] = printed("New-MobileDeviceMailboxPolicy")
        self.assertEqual({key: value for key, value in first.items() if key != "Name"}, SAID)
        self.assertEqual({line["ActiveSyncMailboxPolicy"] for line in printed("Set-CASMailbox")}, {first["Name"]})
        self.assertEqual(self.org.writes(), [])
        connector.stop()
        fault = self.exchange.fails("slow", "Get-MobileDevice", after=QUIET)
        real = self.another().start()
        eventually(lambda: fault.met, "another connector's first question", 60)
        eventually(lambda: {self.under(mailbox) for mailbox in self.org.mailboxes} == {first["Name"]}, "then it is written", 60)
        real.stop()


class AccessRules(Settings):
    """Six clients of three mailboxes get mail, as Exchange lets everybody in."""

    mailboxes, partnerships = 3, 6
    default = "Allow"

    @classmethod
    def setUpClass(cls):
        cls.starts = False
        super().setUpClass()
        cls.org.default = "Allow"
        cls.org.rules.append(Rule("DeviceType", "Palm", "Block"))
        cls.connector = cls.another().start()
        cls.synced()

    def access(self, document, *words):
        file = self.server.folder / "access.json"
        file.write_text(json.dumps(document))
        return self.server.verb("connector", "access", ORG, "--file", file, *words)

    def refused(self, document, *words):
        with self.assertRaises(VerbFailed) as refused:
            self.access(document, *words)
        return refused.exception.stderr

    def rules(self):
        return {(rule.characteristic, rule.query): rule.level for rule in self.org.rules}

    def test_what_exchange_decides_is_shown_set_kept_and_given_back(self):
        shown = eventually(lambda: self.shown()["access"], "it is told", SOON)
        self.assertEqual((shown["default"], shown["document"], shown["lacking"], shown["others"]), ("allow", None, [], []))
        self.assertEqual(shown["rules"], [{"characteristic": "DeviceType", "query": "Palm", "level": "block"}])
        self.org.settings["UserMailInsert"] = "as it was"
        eventually(lambda: self.shown()["access"]["insert"] == "as it was", "a change there is shown", 30)
        self.assertEqual((self.drifts(), self.org.writes()), ([], []), "and is none of ours")
        document = {"default": "quarantine", "recipients": ["it@example.org"],
                    "rules": [{"characteristic": "DeviceModel", "query": "iPhone14C5", "level": "quarantine"}]}
        self.asked(document)
        self.access(document, "--yes", "--cut", 6)
        eventually(lambda: self.org.default == "Quarantine", "it is set", SOON)
        self.assertEqual(self.rules(), {("DeviceType", "Palm"): "Block", ("DeviceModel", "iPhone14C5"): "Quarantine"})
        self.assertEqual((self.org.settings["AdminMailRecipients"], self.org.settings["UserMailInsert"]), (["it@example.org"], "as it was"))
        names = [call.name for call in self.org.writes()]
        self.assertEqual(names, ["New-ActiveSyncDeviceAccessRule", "Set-ActiveSyncOrganizationSettings"], "rules first")
        [entry] = self.server.verb("audit", "list", "--action", "exchange.access")
        self.assertEqual((entry["actor"], entry["subject"]), ("local", ORG))
        self.repaired()
        self.given_back(document)

    def asked(self, document):
        """It is shown first, and leaving Allow needs the number of those whom it cuts."""
        change = self.access(document)
        self.assertEqual((change["applied"], change["cuts"], len(change["changes"])), (False, 6, 3))
        self.assertIn("--cut 6", self.refused(document, "--yes"))
        self.refused(document, "--yes", "--cut", 5)
        self.refused({"default": "sometimes"})
        self.refused({"rules": [{"characteristic": "DeviceType", "query": "iPh*", "level": "allow"}]})
        self.refused({"surprise": 1})
        self.assertEqual(self.org.writes(), [])

    def repaired(self):
        """What somebody changes there is found and set right; rules of others are shown and stay."""
        eventually(lambda: self.shown()["access"]["lacking"] == [], "in place", SOON)
        self.org.default = "Allow"
        self.org.rules = [rule for rule in self.org.rules if rule.query == "Palm"] + [Rule("DeviceOS", "Old 1", "Allow")]
        eventually(lambda: self.drifts(), "an entry of the audit log", 30)
        eventually(lambda: self.org.default == "Quarantine", "set right", 30)
        self.assertEqual(self.rules(), {("DeviceType", "Palm"): "Block", ("DeviceOS", "Old 1"): "Allow", ("DeviceModel", "iPhone14C5"): "Quarantine"})
        others = {rule["query"] for rule in self.shown()["access"]["others"]}
        self.assertEqual(others, {"Palm", "Old 1"})
        [entry] = self.drifts()
        self.assertEqual(entry["subject"], ORG)
        self.assertIn("default", entry["detail"])
        self.assertIn("exchange_drift", [line["code"] for line in self.server.verb("status")])

    def given_back(self, document):
        """A rule of ours that the document names no more goes; without a document all stays."""
        self.access(document | {"rules": []}, "--yes")
        eventually(lambda: ("DeviceModel", "iPhone14C5") not in self.rules(), "it goes", SOON)
        self.assertEqual(set(self.rules()), {("DeviceType", "Palm"), ("DeviceOS", "Old 1")})
        self.server.verb("connector", "access", ORG, "--release")
        before = len(self.org.writes())
        self.org.default = "Allow"
        eventually(lambda: self.shown()["access"]["default"] == "allow", "it is shown", 30)
        self.assertEqual((len(self.org.writes()), len(self.drifts())), (before, 1), "and left")


if __name__ == "__main__":
    unittest.main()
