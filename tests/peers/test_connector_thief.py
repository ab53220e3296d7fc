"""Whoever has a connector's certificate: it speaks for its own organisation alone, reports and obeys; it orders nothing and proves nothing for others."""

import datetime
import json
import time
import unittest
import uuid

from apple_device import RESULT, AppleDevice
from connector_side import ORG, QUIET, SOON, Connected
from harness import Identity, eventually, handshake_refusal, request, self_made

REFUSED = (400, 401, 403, 404, 409, 413, 422, 426)


def rfc3339(moment=None):
    return (moment or datetime.datetime.now(datetime.timezone.utc)).isoformat().replace("+00:00", "Z")


class Stolen(Connected):
    """The connector has synchronised and is stopped; the thief has its files."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.connector.stop()
        cls.identity = Identity(cls.connector.dir / "identity.pem", cls.connector.dir / "identity.pem")
        cls.thief = Thief(cls.server, cls.identity, cls.connector.instance(), cls.exchange.tenant)

    def managed(self, user):
        phone = AppleDevice(self.server, self.folder(), "Phone").enrol(self.server.verb("invite", "--channel", "apple", "--user", user))
        phone.poll()
        return phone

    def test_an_old_epoch_is_refused(self):
        epoch = self.thief.lead()
        self.assertEqual(self.thief.post("results", {"epoch": epoch - 1, "results": []})[0], 409)
        self.assertEqual(self.thief.batch([], epoch=epoch - 1)[0], 409)
        self.assertEqual(self.thief.post("results", {"epoch": epoch, "results": []})[0], 200)

    def test_another_organisation_or_version_is_refused(self):
        self.assertEqual(self.thief.hello()[0], 200)
        self.assertIn(self.thief.hello(org=str(uuid.uuid4()))[0], REFUSED)
        self.assertIn(self.thief.hello(kind="onprem")[0], REFUSED)
        status, said = self.thief.hello(protocols=[999])
        self.assertEqual(status, 426, said)
        self.assertEqual(self.thief.hello(protocols=[1, 999])[0], 200, "a later program that speaks ours too")

    def test_it_has_no_work_of_another_organisation(self):
        second = self.installed().enrol(self.invite(org="second"))
        other = Thief(self.server, Identity(second.dir / "identity.pem", second.dir / "identity.pem"), second.instance(), str(uuid.uuid4()))
        epoch = self.thief.lead()
        row = self.thief.row()
        self.assertEqual(self.thief.batch([row], epoch=epoch)[0], 200)
        device = eventually(lambda: self.server.device_of(row["device_id"]), "a partnership", SOON)
        self.server.verb("devices", "block", device["id"])
        orders = eventually(lambda: self.thief.work(epoch), "the block", SOON)
        self.assertIn("block", [order["op"] for order in orders])
        theirs = other.lead()
        self.assertFalse(other.work(theirs))
        taken = [order["id"] for order in orders]
        other.post("results", {"epoch": theirs, "results": [{"id": ident, "outcome": "done"} for ident in taken]})
        self.assertEqual([order["id"] for order in self.thief.work(epoch)], taken, "nor does it end any")

    def test_what_it_reports_wipes_nobody(self):
        epoch = self.thief.lead()
        moment = rfc3339()
        row = self.thief.row(status="DeviceWipeSucceeded", wipe={"requested": moment, "sent": moment, "acked": moment})
        self.thief.batch([row], epoch=epoch)
        device = eventually(lambda: self.server.device_of(row["device_id"]), "a partnership", SOON)
        self.assertNotIn(device["state"], ("wiping", "wiped", "retiring", "retired"))
        self.assertEqual([command for command in self.server.commands_of(device) if command["action"] == "wipe"], [])
        self.thief.post("results", {"epoch": epoch, "results": [{"id": str(uuid.uuid4()), "outcome": "done", "observed": row}]})
        self.assertEqual([command for command in self.server.commands_of(device) if command["action"] == "wipe"], [])

    def test_what_it_reports_proves_nothing_for_a_phones_own_management(self):
        epoch = self.thief.lead()
        phone = self.managed("erin@example.org")
        row = self.thief.row(device_id=phone.eas_identifier, address="erin@example.org")
        self.thief.batch([row], epoch=epoch)
        device = eventually(lambda: self.server.device_of(phone.eas_identifier), "a partnership", SOON)
        own = self.server.device_of(phone.udid)
        command = self.server.verb("wipe", own["id"], "--scope", "full", "--reason", "lost", "--yes")
        moment = rfc3339(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2))
        wiped = {**row, "status": "DeviceWipeSucceeded", "wipe": {"requested": moment, "sent": moment, "acked": moment}}
        self.thief.batch([wiped], epoch=epoch)
        done = [{"id": order["id"], "outcome": "done", "observed": wiped} for order in self.thief.work(epoch) or []]
        done.append({"id": command["id"], "outcome": "done", "observed": wiped})
        self.thief.post("results", {"epoch": epoch, "results": done})
        time.sleep(QUIET)
        self.assertEqual(self.server.command(command["id"])["state"], "queued", device)
        self.assertEqual(phone.poll(), ["EraseDevice"])
        self.assertEqual(self.server.command(command["id"])["state"], "confirmed")

    def test_another_persons_device_is_not_joined(self):
        epoch = self.thief.lead()
        phone = self.managed("frank@example.org")
        self.thief.batch([self.thief.row(device_id=phone.eas_identifier, address="mallory@example.org")], epoch=epoch)
        time.sleep(QUIET)
        self.assertEqual([each["channel"] for each in self.server.device_of(phone.udid)["enrolments"]], ["apple"])

    def test_the_same_batch_again_changes_nothing(self):
        epoch, run = self.thief.lead(), str(uuid.uuid4())
        first, second = self.thief.row(), self.thief.row()
        for row in (first, second):
            self.assertEqual(self.thief.batch([row], epoch=epoch, run=run)[0], 200)
        self.assertIsNotNone(eventually(lambda: self.server.device_of(first["device_id"]), "the first", SOON))
        self.assertIsNone(self.server.device_of(second["device_id"]))

    def test_more_than_500_rows_or_nonsense_are_refused(self):
        epoch = self.thief.lead()
        self.assertIn(self.thief.batch([self.thief.row() for _ in range(501)], epoch=epoch)[0], REFUSED)
        self.assertIn(self.thief.batch([{"guid": "none"}], epoch=epoch)[0], REFUSED)
        for body in (b"", b"[]", b"{", b"\xff" * 100, b"[" * 100_000):
            reply = request(f"{self.server.public_url}/connector/v1/hello", "POST", body, {"Content-Type": "application/json"}, self.identity, self.server.ca)
            self.assertIn(reply.status, REFUSED, body[:10])

    def test_the_certificate_opens_nothing_else(self):
        phone = self.managed("gina@example.org")
        mdm = request(phone.mdm()["ServerURL"], "PUT", b"<plist/>", {"Content-Type": RESULT}, self.identity, self.server.ca)
        self.assertIn(mdm.status, REFUSED)
        self.assertNotEqual(mdm.status, 401, "on Apple's paths that would be an order")
        admin = request(f"https://{self.server.described()['admin']}/api/v1/devices", "GET", None, {}, None, self.server.ca)
        self.assertEqual(admin.status, 401)
        mail = request(f"{self.server.public_url}/Microsoft-Server-ActiveSync", "OPTIONS", None, {}, self.identity, self.server.ca)
        self.assertNotEqual(mail.status, 200)
        # Nor does a device's open this.
        for identity in (phone.identity, None):
            said = Thief(self.server, identity, self.connector.instance(), self.exchange.tenant).hello()[0]
            self.assertIn(said, (400, 401, 403))
        self.assertIsNotNone(handshake_refusal(self.server.device, "localhost", self.server.ca, self_made(self.folder())))


class Ended(Connected):
    def test_a_removed_one_is_refused_from_the_next_call_on(self):
        self.connector.stop()
        identity = Identity(self.connector.dir / "identity.pem", self.connector.dir / "identity.pem")
        thief = Thief(self.server, identity, self.connector.instance(), self.exchange.tenant)
        epoch = thief.lead()
        self.server.verb("connector", "remove", ORG)
        for status, _ in (thief.hello(), thief.post("lease", {"epoch": epoch}), thief.batch([thief.row()], epoch=epoch),
                          thief.post("results", {"epoch": epoch, "results": []}), thief.post("renew", {"request": "x"})):
            self.assertIn(status, (401, 403))


class Thief:
    """Calls of our own making under a connector's certificate."""

    def __init__(self, server, identity, instance, org):
        self.server, self.identity, self.instance, self.org, self.seq = server, identity, instance, org, 0

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        reply = request(f"{self.server.public_url}/connector/v1/{path}", method, json.dumps(body) if body is not None else None, headers,
                        self.identity, self.server.ca)
        try:
            return reply.status, json.loads(reply.body) if reply.body else None
        except ValueError:
            return reply.status, reply.body

    def post(self, path, body):
        return self.call("POST", path, body)

    def hello(self, **changes):
        return self.post("hello", {"instance": self.instance, "org": self.org, "kind": "online", "version": "0", "protocols": [1],
                                   "capabilities": ["account_only", "of_a_later_version"], **changes})

    def lead(self):
        """Its epoch, once nobody else leads."""
        status, said = self.hello()
        assert status == 200, (status, said)
        return eventually(lambda: self.asked(), "a lease", 90)

    def asked(self):
        status, said = self.post("lease", {"epoch": None})
        return said["epoch"] if status == 200 else None

    def work(self, epoch):
        status, said = self.call("GET", f"work?after={self.seq}&wait=1&epoch={epoch}")
        assert status in (200, 204), (status, said)
        return said or []

    def row(self, **changes):
        ident = uuid.uuid4().hex.upper()
        return {"guid": str(uuid.uuid4()), "device_id": ident, "mailbox": str(uuid.uuid4()), "address": f"{ident[:8].lower()}@example.org", "type": "iPhone",
                "client": "EAS", "version": "16.1", "access": "Allowed", "reason": "Global", "status": "DeviceOk", **changes}

    def batch(self, rows, epoch, run=None, number=1):
        return self.post(f"sync/{run or uuid.uuid4()}/{number}", {"epoch": epoch, "kind": "delta", "began": rfc3339(), "sent": rfc3339(), "rows": rows})


if __name__ == "__main__":
    unittest.main()
