"""kill -9 at random moments while devices enrol, poll and are wiped. They do whatever they are sent, and remember it; then both
sides are counted: nothing acknowledged is missing, nothing was done twice, no wipe reached a device that was not named."""

import http.client
import json
import os
import plistlib
import random
import tempfile
import threading
import time
import unittest
import uuid

from apple_device import AppleDevice
from harness import Api, Identity, ServedTest, free_port, openssl, request

KILLS = int(os.environ.get("LANYARD_KILLS", "50"))
DEVICE_THREADS = 4
# Whatever a client sees of a server that is gone.
GONE = (OSError, http.client.HTTPException, ConnectionError, TimeoutError)


class Counted(AppleDevice):
    """Reports until it is heard, as real devices do, and counts what it did by the command's id."""

    def __init__(self, *rest):
        super().__init__(*rest)
        self.acts = {}
        self.heard = set()
        self.doubtful = 0

    def put(self, url, kind, body, identity, **headers):
        limit = time.monotonic() + 60
        while True:
            try:
                reply = super().put(url, kind, body, identity, **headers)
                if reply.status < 500:
                    return reply
            except GONE:
                pass
            assert time.monotonic() < limit, "no server within a minute"
            time.sleep(0.03)

    def answer(self, ident, kind, command):
        self.acts.setdefault(ident, []).append(kind)
        reply = super().answer(ident, kind, command)
        if reply.status == 200:
            self.heard.add(ident)
        return reply


class Caller(Api):
    """An administrator's program: repeats a call under its key until it is answered."""

    def certain(self, method, path, body=None):
        key, limit = str(uuid.uuid4()), time.monotonic() + 60
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "Idempotency-Key": key}
        while True:
            try:
                reply = request(self.base + path, method, json.dumps(body or {}), headers, None, self.ca)
                if reply.status < 500:
                    return reply.status, json.loads(reply.body)
            except GONE:
                pass
            assert time.monotonic() < limit, "no server within a minute"
            time.sleep(0.03)


class Killed(ServedTest):
    arguments = ["--device-addr", f"127.0.0.1:{free_port()}", "--admin-addr", f"127.0.0.1:{free_port()}"]

    def setUp(self):
        self.seed = int(os.environ.get("LANYARD_SEED", str(random.randrange(1 << 32))))
        self.random = random.Random(self.seed)
        self.key = self.folder() / "fleet.key"
        openssl("genrsa", "-traditional", "-out", self.key, "2048")
        self.devices, self.asked, self.failures = [], {}, []
        self.lock, self.stop = threading.Lock(), threading.Event()

    def caller(self):
        return Caller(self.server, (self.server.data / "local.token").read_text().strip())

    def new_device(self, caller):
        """From an invitation to TokenUpdate, each step repeated until it is through."""
        status, invitation = caller.certain(
            "POST", "invitations", {"channel": "apple", "user": f"{uuid.uuid4().hex[:8]}@example.org"})
        assert status == 201, invitation
        folder = tempfile.mkdtemp(dir=self.key.parent)
        phone = Counted(self.server, type(self.key.parent)(folder), "Crash")
        phone.identity = Identity(phone.folder / "phone.pem", phone.folder / "phone.key")
        phone.identity.key.write_bytes(self.key.read_bytes())
        for step in (lambda: phone.fetch(invitation), phone.certificate):
            limit = time.monotonic() + 60
            while True:
                try:
                    step()
                    break
                except (*GONE, AssertionError):
                    assert time.monotonic() < limit, "no enrolment within a minute"
                    time.sleep(0.05)
        for message in (phone.authenticate(), phone.token_update()):
            assert message.status == 200, message
        phone.enrolled = True
        return phone

    def live(self, number):
        """One thread's devices: a new one now and then, else a poll."""
        chance, caller, mine = random.Random(self.seed + number), self.caller(), []
        while not self.stop.is_set():
            try:
                alive = [phone for phone in mine if phone.enrolled and not phone.erased]
                if len(alive) < 3:
                    phone = self.new_device(caller)
                    mine.append(phone)
                    with self.lock:
                        self.devices.append(phone)
                elif chance.random() < 0.8:
                    phone = chance.choice(alive)
                    reply = phone.report("Idle")
                    while reply.status == 200 and reply.body:
                        order = plistlib.loads(reply.body)
                        kind = order["Command"]["RequestType"]
                        reply = phone.answer(order["CommandUUID"], kind, order["Command"])
                        if phone.erased or not phone.enrolled:
                            break
                    else:
                        assert reply.status == 200, reply
            except Exception as error:  # noqa: BLE001
                self.failures.append(error)
                return

    def administer(self, number):
        """Wipes, locks and looks, at devices that have been told of."""
        chance, caller = random.Random(self.seed + 100 + number), self.caller()
        while not self.stop.is_set():
            try:
                with self.lock:
                    known = list(self.devices)
                if not known:
                    time.sleep(0.05)
                    continue
                phone = chance.choice(known[-12:])
                act, body = chance.choice([
                    ("wipe", {"scope": "full", "reason": "lost"}), ("wipe", {"scope": "selective", "reason": "left"}),
                    ("lock", {"reason": "found"}), ("sync", {}), ("sync", {}),
                ])
                status, answer = caller.certain("POST", f"devices/{phone.udid}/{act}", body)
                # A device that has left takes no more; all else is acknowledged.
                assert status in (201, 409), answer
                if status == 201:
                    with self.lock:
                        self.asked[answer["id"]] = (phone.udid, answer["action"], answer["scope"])
                time.sleep(chance.random() * 0.2)
            except Exception as error:  # noqa: BLE001
                self.failures.append(error)
                return

    def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice(self):
        caller = self.caller()
        # In the first hour of a store with no device these count at once.
        for key in ("wipe.full.per_admin", "wipe.full.per_tenant", "wipe.other.per_admin", "wipe.other.per_tenant"):
            self.assertIsNone(caller.done("PUT", f"settings/{key}", {"value": "100000"})["pending"])
        threads = [threading.Thread(target=self.live, args=[n], daemon=True) for n in range(DEVICE_THREADS)]
        threads += [threading.Thread(target=self.administer, args=[n], daemon=True) for n in range(2)]
        for thread in threads:
            thread.start()
        kills = 0
        while kills < KILLS and not self.failures:
            time.sleep(0.2 + self.random.random() * 1.2)
            self.server.restart(kill=True)
            kills += 1
        self.stop.set()
        for thread in threads:
            thread.join(90)
        self.assertEqual(self.failures, [], f"LANYARD_SEED={self.seed}")
        self.count(kills)

    def count(self, kills):
        """Both sides, after all devices have asked once more."""
        for phone in self.devices:
            if phone.enrolled and not phone.erased:
                phone.poll()
        caller = self.caller()
        devices = {e["identity"]: device for device in caller.all("devices") for e in device["enrolments"]}
        commands = {command["id"]: command for command in caller.all("commands")}
        owner = {device["id"]: identity for identity, device in devices.items()}
        note = f"LANYARD_SEED={self.seed}"
        done = {}
        for phone in self.devices:
            self.assertIn(phone.udid, devices, f"an enrolment that was acknowledged is missing; {note}")
            for ident, kinds in phone.acts.items():
                self.assertEqual(len(kinds), 1, f"{phone.udid} did {ident} more than once: {kinds}; {note}")
                command = commands[ident.split(".")[0].lower()]
                self.assertEqual(owner[command["device"]], phone.udid, f"{ident} reached another device; {note}")
                done[command["id"]] = phone
                if kinds[0] in ("EraseDevice", "RemoveProfile") and command["action"] == "wipe":
                    self.assertIn(command["id"], self.asked, f"a wipe that nobody asked for; {note}")
        for ident, (udid, action, scope) in self.asked.items():
            self.assertIn(ident, commands, f"a command that was acknowledged is missing; {note}")
            command = commands[ident]
            self.assertEqual((command["action"], command["scope"], owner[command["device"]]), (action, scope, udid), note)
        wiped = {phone.udid for phone in self.devices if phone.erased or not phone.enrolled}
        named = {udid for udid, action, _ in self.asked.values() if action == "wipe"}
        self.assertLessEqual(wiped, named, note)
        ended = [command for command in commands.values() if command["action"] == "wipe" and command["state"] == "confirmed"]
        for command in ended:
            self.assertTrue(command["evidence"], note)
            self.assertIn(command["id"], done, f"confirmed, and the device knows nothing of it; {note}")
        for udid in wiped:
            self.assertIn(devices[udid]["state"], ("wiped", "retired"), f"{udid}; {note}")
        open_wipes = [c for c in commands.values() if c["action"] == "wipe" and c["state"] in ("held", "queued", "sent")]
        self.assertEqual(open_wipes, [], note)
        self.assertTrue(caller.done("GET", "audit/verify")["ok"], note)
        print(f"         {kills} kills: {len(self.devices)} devices, {len(self.asked)} acts acknowledged, {len(done)} commands "
              f"done once each, {len(ended)} wipes confirmed, {len(self.devices) - len(wiped)} devices untouched")


if __name__ == "__main__":
    unittest.main()
