"""kill -9 at random moments while devices enrol, poll and are wiped. They do whatever they are sent, and remember it; then both
sides are counted: nothing acknowledged is missing, nothing was done twice, no wipe reached a device that was not named."""

import base64
import http.client
import json
import os
import pathlib
import random
import tempfile
import threading
import time
import traceback
import unittest
import uuid

from apple_device import AppleDevice
from harness import Api, Identity, ServedTest, free_port, openssl, request
from mail_client import MailClient
from mail_server import MailServer
from windows_device import Provisioning, WindowsDevice

KILLS = int(os.environ.get("LANYARD_KILLS", "50"))
# Whatever a client sees of a server that is gone.
GONE = (OSError, http.client.HTTPException, ConnectionError, TimeoutError)


def until_heard(send):
    """Sends again until a server answers, as real devices do."""
    limit = time.monotonic() + 60
    while True:
        try:
            reply = send()
            if reply.status < 500:
                return reply
        except GONE:
            pass
        assert time.monotonic() < limit, "no server within a minute"
        time.sleep(0.03)


def patiently(step):
    """Takes a step of enrolment again until it is through."""
    limit = time.monotonic() + 60
    while True:
        try:
            return step()
        except (*GONE, AssertionError):
            assert time.monotonic() < limit, "no enrolment within a minute"
            time.sleep(0.05)


class Phone(AppleDevice):
    """Counts what it did by the command's id, and reports until it is heard."""

    channel = "apple"
    # Acts whose first answer never reached the server, so that a repeat is nobody's fault.
    unheard = 0

    def __init__(self, *rest):
        super().__init__(*rest)
        self.acts = {}

    def begin(self, invitation, key):
        self.identity = Identity(self.folder / "phone.pem", self.folder / "phone.key")
        self.identity.key.write_bytes(key.read_bytes())
        patiently(lambda: self.fetch(invitation))
        patiently(self.certificate)
        for message in (self.authenticate(), self.token_update()):
            assert message.status == 200, message
        self.enrolled = True

    def put(self, *rest, **headers):
        send = super().put
        return until_heard(lambda: send(*rest, **headers))

    def answer(self, ident, kind, command):
        self.acts.setdefault(ident, []).append(kind)
        return super().answer(ident, kind, command)

    def called(self):
        return self.udid

    def gone(self):
        return self.erased or not self.enrolled

    def wipes(self):
        return sum(kinds.count(kind) for kinds in self.acts.values() for kind in ("EraseDevice", "RemoveProfile"))


class Computer(WindowsDevice):
    """A session that breaks off is forgotten, as on real PCs; the next one begins anew."""

    channel = "windows"

    def __init__(self, *rest):
        super().__init__(*rest)
        self.unheard = self.execs = 0
        self.told = False

    def begin(self, invitation, key):
        policy_url, service_url = patiently(lambda: self.discover(invitation["user"]))
        csr = self.csr()
        root = patiently(lambda: self.request_token(service_url, invitation["user"], invitation["code"], csr))
        token = next(each for each in root.iter() if each.tag.endswith("BinarySecurityToken"))
        self.provisioning = Provisioning.parse(base64.b64decode(token.text))
        der, _ = self.provisioning.certificate("CertificateStore", "My", "User")
        self.identity.certificate.write_bytes(openssl("x509", "-inform", "DER", stdin=der))
        patiently(self.connect)

    def carry_out(self, verb, path, data):
        wiping = verb == "Exec"
        if wiping:
            self.execs += 1
            self.pending = True
        return super().carry_out(verb, path, data)

    def poll(self):
        """One session. Where its answer to an Exec was not heard, the next may bring the Exec again."""
        self.pending = False
        try:
            if self.unenrolled:
                self.connect(unenrolling=True)
                self.told = True
            else:
                self.connect()
                self.told = self.told or self.wiped
        except GONE:
            self.unheard += self.pending and not self.unenrolled
        except AssertionError as refused:
            # Its last word was heard and the answer lost: a wipe that has ended is not sent again, and the device is refused.
            assert (self.wiped or self.unenrolled) and "HTTP 403" in str(refused), refused
            self.told = True

    def called(self):
        return self.ident

    def gone(self):
        return self.told

    def wipes(self):
        return self.execs


class Mail(MailClient):
    """A mail app with a certificate of ours."""

    channel = "activesync"
    unheard = 0

    def __init__(self, server, folder, name):
        super().__init__(server, folder, "crash@example.org", "right horse", "16.1")
        self.acknowledged = []

    def begin(self, invitation, key):
        patiently(lambda: self.certificate(invitation))
        self.options()
        self.folder_sync()

    def options(self):
        send = super().options
        return until_heard(send)

    def post(self, *rest, **more):
        send = super().post
        return until_heard(lambda: send(*rest, **more))

    def poll(self):
        self.folder_sync()
        for directive in self.directives():
            self.acknowledged.append(directive)
            self.acknowledge(directive)

    def called(self):
        return self.ident

    def gone(self):
        return bool(self.acknowledged)

    def wipes(self):
        return len(self.acknowledged)


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

    @classmethod
    def setUpClass(cls):
        cls.mail = MailServer({"crash@example.org": "right horse"})
        cls.addClassCleanup(cls.mail.stop)
        cls.arguments = [*cls.arguments, "--eas-upstream", cls.mail.url]
        super().setUpClass()

    def setUp(self):
        self.seed = int(os.environ.get("LANYARD_SEED", str(random.randrange(1 << 32))))
        self.random = random.Random(self.seed)
        self.key = self.folder() / "fleet.key"
        openssl("genrsa", "-traditional", "-out", self.key, "2048")
        self.devices, self.asked, self.failures = [], {}, []
        self.lock, self.stop = threading.Lock(), threading.Event()

    def caller(self):
        return Caller(self.server, (self.server.data / "local.token").read_text().strip())

    def new_device(self, caller, kind):
        """From an invitation to a complete enrolment, each step repeated until it is through."""
        user = "crash@example.org" if kind is Mail else f"{uuid.uuid4().hex[:8]}@example.org"
        status, invitation = caller.certain("POST", "invitations", {"channel": kind.channel, "user": user})
        assert status == 201, invitation
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.key.parent))
        device = kind(self.server, folder, "CRASH")
        device.begin(invitation, self.key)
        return device

    def live(self, number, kind):
        """One thread's devices: a new one now and then, else a poll."""
        chance, caller, mine = random.Random(self.seed + number), self.caller(), []
        while not self.stop.is_set():
            try:
                alive = [device for device in mine if not device.gone()]
                if len(alive) < 3:
                    device = self.new_device(caller, kind)
                    mine.append(device)
                    with self.lock:
                        self.devices.append(device)
                else:
                    chance.choice(alive).poll()
                    time.sleep(chance.random() * 0.05)
            except Exception as error:  # noqa: BLE001
                traceback.print_exc()
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
                device = chance.choice(known[-16:])
                act, body = chance.choice([
                    ("wipe", {"scope": "full", "reason": "lost"}), ("wipe", {"scope": "selective", "reason": "left"}),
                    ("lock", {"reason": "found"}), ("sync", {}), ("sync", {}),
                ])
                status, answer = caller.certain("POST", f"devices/{device.called()}/{act}", body)
                # A device that has left takes no more; all else is acknowledged.
                assert status in (201, 409), answer
                if status == 201:
                    with self.lock:
                        self.asked[answer["id"]] = (device.called(), answer["action"], answer["scope"])
                time.sleep(chance.random() * 0.2)
            except Exception as error:  # noqa: BLE001
                traceback.print_exc()
                self.failures.append(error)
                return

    def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice(self):
        caller = self.caller()
        # In the first hour of a store with no device these count at once.
        for key in ("wipe.full.per_admin", "wipe.full.per_tenant", "wipe.other.per_admin", "wipe.other.per_tenant"):
            self.assertIsNone(caller.done("PUT", f"settings/{key}", {"value": "100000"})["pending"])
        kinds = [Phone, Phone, Computer, Computer, Mail]
        threads = [threading.Thread(target=self.live, args=[n, kind], daemon=True) for n, kind in enumerate(kinds)]
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
        for _ in range(3):
            for device in self.devices:
                if not device.gone():
                    device.poll()
        caller, note = self.caller(), f"LANYARD_SEED={self.seed}"
        shown = {e["identity"].lower(): device for device in caller.all("devices") for e in device["enrolments"]}
        commands = {command["id"]: command for command in caller.all("commands")}
        wipes = [command for command in commands.values() if command["action"] == "wipe"]
        # Nothing acknowledged is missing.
        for device in self.devices:
            self.assertIn(device.called().lower(), shown, f"an enrolment that was acknowledged is missing; {note}")
        named = {}
        for ident, (name, action, scope) in self.asked.items():
            self.assertIn(ident, commands, f"a command that was acknowledged is missing; {note}")
            command = commands[ident]
            self.assertEqual((command["action"], command["scope"], command["device"]),
                             (action, scope, shown[name.lower()]["id"]), note)
            if action == "wipe":
                named.setdefault(name, []).append(command)
        # Nothing is done twice, and nothing to a device that was not named.
        repeats = 0
        for device in self.devices:
            for ident, kinds in getattr(device, "acts", {}).items():
                self.assertEqual(len(kinds), 1, f"{device.called()} did {ident} more than once: {kinds}; {note}")
                command = commands[ident.split(".")[0].lower()]
                self.assertEqual(command["device"], shown[device.called().lower()]["id"], f"{ident} reached another; {note}")
            done = device.wipes()
            if done:
                self.assertIn(device.called(), named, f"a wipe that nobody asked for; {note}")
                distinct = len({command["scope"] for command in named[device.called()]})
                self.assertLessEqual(done - device.unheard, distinct, f"{device.called()} {done} times; {note}")
                repeats += min(device.unheard, max(0, done - 1))
                self.assertIn(shown[device.called().lower()]["state"], ("wiped", "retired"), f"{device.called()}; {note}")
        # And what the server says was done, was done.
        ends = {}
        for command in wipes:
            ends[command["state"]] = ends.get(command["state"], 0) + 1
            if command["state"] in ("confirmed", "presumed"):
                self.assertTrue(command["evidence"], note)
        untouched = {device.called().lower() for device in self.devices if not device.wipes()}
        for name in untouched:
            over = [c for c in wipes if c["device"] == shown[name]["id"] and c["state"] == "confirmed"]
            self.assertEqual(over, [], f"confirmed, and the device {name} knows nothing of it; {note}")
        self.assertFalse({"held", "queued", "sent", "not_now"} & set(ends), f"{ends}; {note}")
        self.assertTrue(caller.done("GET", "audit/verify")["ok"], note)
        count = {kind: sum(device.channel == kind for device in self.devices) for kind in ("apple", "windows", "activesync")}
        print(f"         {kills} kills; devices {count}, {len(self.asked)} acts acknowledged, wipes {ends}; done again since the "
              f"first answer was lost (OMA-DM): {repeats}; untouched: {len(untouched)}")


if __name__ == "__main__":
    unittest.main()
