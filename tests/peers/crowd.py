"""A crowd on all three channels, for tests in which a server is killed, cut off or damaged: devices that enrol, poll, do what they
are sent and remember it, and administrators who repeat a call until it is answered."""

import base64
import http.client
import json
import pathlib
import random
import tempfile
import threading
import time
import traceback
import uuid

from apple_device import AppleDevice
from harness import Api, Identity, openssl, request
from mail_client import MailClient
from windows_device import Provisioning, WindowsDevice

MAIL_USER, MAIL_PASSWORD = "crash@example.org", "right horse"
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
        # By the command's id what was done; and when the server had taken which answer.
        self.acts, self.heard = {}, []

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
        reply = super().answer(ident, kind, command)
        if reply.status == 200:
            self.heard.append((time.monotonic(), ident))
        return reply

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
        super().__init__(server, folder, MAIL_USER, MAIL_PASSWORD, "16.1")
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


class Crowd:
    """Threads that enrol and poll, each with devices of its own, until `stop` is set. What goes wrong is in `failures`."""

    def __init__(self, server, seed, folder):
        self.server, self.seed = server, seed
        self.key = folder / "fleet.key"
        openssl("genrsa", "-traditional", "-out", self.key, "2048")
        self.devices, self.failures, self.threads = [], [], []
        self.lock, self.stop = threading.Lock(), threading.Event()

    def caller(self):
        return Caller(self.server, (self.server.data / "local.token").read_text().strip())

    def lift_limits(self):
        """In the first hour of a store with no device these count at once."""
        caller = self.caller()
        for key in ("wipe.full.per_admin", "wipe.full.per_tenant", "wipe.other.per_admin", "wipe.other.per_tenant"):
            assert caller.done("PUT", f"settings/{key}", {"value": "100000"})["pending"] is None, key

    def new_device(self, caller, kind):
        """From an invitation to a complete enrolment, each step repeated until it is through."""
        user = MAIL_USER if kind is Mail else f"{uuid.uuid4().hex[:8]}@example.org"
        status, invitation = caller.certain("POST", "invitations", {"channel": kind.channel, "user": user})
        assert status == 201, invitation
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.key.parent))
        device = kind(self.server, folder, "CRASH")
        device.begin(invitation, self.key)
        self.enrolled(device)
        with self.lock:
            self.devices.append(device)
        return device

    def enrolled(self, device):
        """Called once a device is complete, for those that keep a record of it."""

    def left(self, device):
        """Called once a device knows that its server has heard of its end."""

    def known(self):
        with self.lock:
            return list(self.devices)

    def live(self, chance, kind):
        """One thread's devices: a new one now and then, else a poll."""
        caller, mine = self.caller(), []
        while not self.stop.is_set():
            alive = [device for device in mine if not device.gone()]
            if len(alive) < 3:
                mine.append(self.new_device(caller, kind))
                continue
            device = chance.choice(alive)
            device.poll()
            if device.gone():
                self.left(device)
            time.sleep(chance.random() * 0.05)

    def start(self, work, number, *arguments):
        """A thread that does this work, with randomness of its own."""
        chance = random.Random(self.seed + number)

        def run():
            try:
                work(chance, *arguments)
            except Exception as error:  # noqa: BLE001
                traceback.print_exc()
                self.failures.append(error)

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(90)
