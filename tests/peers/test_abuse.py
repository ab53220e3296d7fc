"""What strangers and broken devices send: each is answered in the protocol's own form, costs little, and harms nobody.

Messages are mutilated by a generator with a seed, which a failure names; `LANYARD_ABUSE_SEED` plays one again.
"""

import base64
import os
import plistlib
import random
import socket
import ssl
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as ET

import wbxml
from apple_device import CHECK_IN, RESULT, SCEP, AppleDevice, payloads
from harness import REQUEST_LIMIT, Api, Nodes, ServedTest, context, eventually, in_background, openssl, request, self_made
from mail_client import POLICIES, PROVISION, TYPE, MailClient, policies
from mail_server import MailServer
from windows_device import DM, DISCOVERY, ENROLMENT, SoapFault, WindowsDevice, local, text

CAROL, WORD = "carol@example.org", "right horse"
SEED = int(os.environ.get("LANYARD_ABUSE_SEED", random.SystemRandom().randrange(2**32)))
MUTILATED = 40
# Bytes. A server under such a load gives its allocator some room; what grows with each round would be far more.
GROWTH = 24 * 1024 * 1024
SOAP = "application/soap+xml; charset=utf-8"


def mutilated(dice, whole):
    """The message with something done to it: cut, bytes changed, a piece twice, a piece left out, or random bytes put in."""
    while True:
        body = bytearray(whole)
        at, end = sorted((dice.randrange(len(body)), dice.randrange(len(body))))
        kind = dice.randrange(5)
        if kind == 0:
            del body[at:]
        elif kind == 1:
            for _ in range(dice.randrange(1, 9)):
                body[dice.randrange(len(body))] = dice.randrange(256)
        elif kind == 2:
            body[at:at] = body[at:end]
        elif kind == 3:
            del body[at:end]
        else:
            body[at:at] = dice.randbytes(dice.randrange(1, 200))
        if body != whole:
            return bytes(body)


def bombs(root):
    """XML that grows when it is read, or reaches for files; each shorter than what any address takes."""
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    return {
        "entities that multiply": f'<?xml version="1.0"?><!DOCTYPE {root} [<!ENTITY e0 "lol">{levels}]><{root}>&e11;</{root}>',
        "an entity from a file": f'<?xml version="1.0"?><!DOCTYPE {root} [<!ENTITY f SYSTEM "file:///etc/passwd">]><{root}>&f;</{root}>',
        "a deep tree": f"<{root}>" * 15_000,
        "a name without end": "<" + "a" * 200_000,
        "attributes without end": f"<{root} " + "".join(f'a{n}="1" ' for n in range(15_000)) + "/>",
        "another charset": f'<?xml version="1.0" encoding="UTF-16"?><{root}/>',
        "not UTF-8": f"<{root}>\xff\xfe</{root}>",
    }


def as_bytes(document):
    return document if isinstance(document, bytes) else document.encode("latin-1")


class Abuse(ServedTest):
    @classmethod
    def setUpClass(cls):
        cls.mail = MailServer({CAROL: WORD})
        cls.addClassCleanup(cls.mail.stop)
        cls.arguments = ["--eas-upstream", cls.mail.url]
        super().setUpClass()
        cls.server.policy("name: abused\nassign: all\npasscode: {required: true, min_length: 6}\n")

    def setUp(self):
        self.dice = random.Random(SEED)

    def tearDown(self):
        log = self.server.output()
        self.assertIsNone(self.server.process.poll(), log[-4000:])
        self.assertNotIn("panicked", log)

    def invite(self, channel):
        return self.server.verb("invite", "--channel", channel, "--user", CAROL)

    def row(self, name):
        return self.subTest(name, seed=SEED)

    # Apple

    def phone(self):
        phone = AppleDevice(self.server, self.folder()).enrol(self.invite("apple"))
        phone.poll()
        return phone

    def apple_bodies(self, phone):
        idle = {"Status": "Idle", "UDID": phone.udid}
        for form in (plistlib.FMT_XML, plistlib.FMT_BINARY):
            whole = plistlib.dumps(dict(idle, QueryResponses={"DeviceName": "x" * 40, "List": [1, 2.5, b"z"]}), fmt=form)
            yield from ((f"{form.name} {n}", mutilated(self.dice, whole)) for n in range(MUTILATED))
        # A binary property list whose one object is an array that holds itself, and one that claims 2^40 objects.
        yield "a list that holds itself", b"bplist00\xa1\x00\x08" + bytes(6) + b"\x01\x01" + (1).to_bytes(8) + bytes(8) + (10).to_bytes(8)
        yield "objects without end", b"bplist00\xa1\x00\x08" + bytes(6) + b"\x01\x01" + (2**40).to_bytes(8) + bytes(8) + (10).to_bytes(8)
        yield "a deep list", b"<plist><array>" + b"<array>" * 100_000
        yield from bombs("plist").items()

    def test_property_lists(self):
        phone = self.phone()
        before = self.server.verb("devices", "show", self.server.device_of(phone.udid)["id"])
        for kind in (RESULT, CHECK_IN):
            for name, body in self.apple_bodies(phone):
                with self.row(f"{kind}: {name}"):
                    reply = phone.put(phone.mdm()["ServerURL"], kind, as_bytes(body), phone.identity)
                    # What is still a report or a check-in after all is answered; never 401 or 410, which unenrol.
                    self.assertIn(reply.status, (200, 400, 403), reply)
        self.assertEqual(phone.report("Idle").status, 200)
        after = self.server.verb("devices", "show", before["id"])
        self.assertEqual((after["state"], after["name"]), (before["state"], before["name"]))

    def test_requests_for_certificates_by_scep(self):
        phone = AppleDevice(self.server, self.folder())
        invitation = self.invite("apple")
        url = payloads(phone.fetch(invitation), SCEP)[0]["PayloadContent"]["URL"]
        made = self_made(self.folder())
        signed = openssl("cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", made.certificate, "-inkey", made.key, stdin=b"inside")
        sealed = openssl("cms", "-encrypt", "-binary", "-outform", "DER", made.certificate, stdin=b"inside")
        rows = [("nothing", b""), ("text", b"hello"), ("no SCEP", signed), ("sealed for another", sealed),
                ("a depth without end", b"\x30\x80" * 50_000), ("a length without end", b"\x30\x84\xff\xff\xff\xff"),
                ("a length of lengths", b"\x30\xfe" + b"\xff" * 126)]
        rows += [(f"mutilated {n}", mutilated(self.dice, signed)) for n in range(MUTILATED)]
        for name, body in rows:
            with self.row(name):
                self.assert_no_certificate(self.server.request(f"{url}?operation=PKIOperation", "POST", body))
                if len(body) < 4000:
                    message = urllib.parse.quote(base64.b64encode(body))
                    self.assert_no_certificate(self.server.request(f"{url}?operation=PKIOperation&message={message}"))
        phone.certificate()  # the invitation is as it was

    def assert_no_certificate(self, reply):
        """Refused by HTTP, or by a CertRep that says failure."""
        if reply.status == 200:
            self.assertEqual(reply.headers["content-type"], "application/x-pki-message", reply)
            self.assertNotIn(b"BEGIN", reply.body)
        else:
            self.assert_refused(reply, 400, 403)

    # Windows

    def test_soap(self):
        computer, invitation = WindowsDevice(self.server, self.folder()), self.invite("windows")
        policy_url, service_url = computer.discover(CAROL)
        sent = []
        # What a whole enrolment sends, without sending it.
        for url, action in ((self.server.enrol_url + "/EnrollmentServer/Discovery.svc", f"{DISCOVERY}/IDiscoveryService/Discover"),
                            (policy_url, "policy"), (service_url, f"{ENROLMENT}/RST/wstep")):
            whole = computer.envelope(url, action, "<a><b>text</b></a>" * 5, computer.security(CAROL, "AAAA-BBBB-CCCC-DDDD"))
            sent += [(url, f"mutilated {n}", mutilated(self.dice, whole)) for n in range(MUTILATED)]
            sent += [(url, name, as_bytes(body)) for name, body in bombs("s:Envelope").items()]
        for url, name, body in sent:
            with self.row(f"{url.rsplit('/', 1)[1]}: {name}"):
                reply = self.server.request(url, "POST", body, {"Content-Type": SOAP})
                self.assertEqual(reply.status, 500, reply)
                self.assertEqual(local(ET.fromstring(reply.body)), "Envelope")
                self.assertTrue(text(ET.fromstring(reply.body), "Reason") or text(ET.fromstring(reply.body), "Text"), reply)
        csr = computer.csr()
        for n in range(MUTILATED):
            with self.row(f"certificate request {n}"):
                self.assert_fault(computer, service_url, invitation, mutilated(self.dice, csr))
        computer.enrol(invitation).connect()

    def assert_fault(self, computer, url, invitation, csr):
        with self.assertRaises(SoapFault) as refused:
            computer.request_token(url, invitation["user"], invitation["code"], csr)
        self.assertIn(refused.exception.subcode, ("CertificateRequest", "MessageFormat", "Authentication"))

    def test_sync_ml(self):
        computer = WindowsDevice(self.server, self.folder()).enrol(self.invite("windows"))
        computer.connect()
        computer.session += 1
        whole = computer.message(1, computer.package_one(False))
        rows = [(f"mutilated {n}", mutilated(self.dice, whole)) for n in range(2 * MUTILATED)]
        rows += [(name, as_bytes(body)) for name, body in bombs("SyncML").items()]
        many = "".join(f"<Alert><CmdID>{n}</CmdID><Data>1201</Data></Alert>" for n in range(2, 60_000))
        rows.append(("commands without end", computer.message(1, many)))
        for name, body in rows:
            with self.row(name):
                reply = computer.post(body)
                self.assertIn(reply.status, (200, 400, 403), reply)
                if reply.status == 200:
                    self.assertEqual(local(ET.fromstring(reply.body)), "SyncML")
        computer.connect()
        self.assertEqual(self.server.device_of(computer.ident)["state"], "enrolled")

    # Mail

    def test_wbxml(self):
        client = MailClient(self.server, self.folder(), CAROL, WORD).certificate(self.invite("activesync"))
        client.provisioned()
        whole = wbxml.document((PROVISION, 0x05, [policies((PROVISION, 0x08, POLICIES), (PROVISION, 0x09, client.key))]))
        head = wbxml.HEAD
        rows = [(f"mutilated {n}", mutilated(self.dice, whole)) for n in range(2 * MUTILATED)]
        rows += [
            ("a deep tree", head + bytes([0x00, PROVISION]) + b"\x45" * 100_000),
            ("opaque bytes without end", head + b"\x45\xc3\xff\xff\xff\xff\x7f"),
            ("a string table without end", b"\x03\x01\x6a\xff\xff\xff\xff\x7f"),
            ("a number without end", b"\x03" + b"\xff" * 1000),
            ("a string without its end", head + b"\x45\x03" + b"a" * 100_000),
        ]
        for name, body in rows:
            with self.row(name):
                reply = client.post("Provision", body)
                self.assertIn(reply.status, (200, 400, 403), reply)
                if reply.status == 200 and reply.body:
                    self.assertEqual(wbxml.parse(reply.body)[:2], (PROVISION, 0x05))
        for name, body in [*bombs("Autodiscover").items(), ("nothing", b"")]:
            with self.row(f"Autodiscover: {name}"):
                reply = self.server.request(self.server.public_url + "/autodiscover/autodiscover.xml", "POST", as_bytes(body),
                                            client.headers(**{"Content-Type": "text/xml"}))
                self.assertIn(reply.status, (200, 400, 401), reply)
                self.assertNotIn(b"root:", reply.body)
        client.provisioned()

    # The admin API

    def preview(self, api, text):
        """Shows what a policy would change; it must be refused."""
        status, answer = api.call("PUT", "policies/abused", {"text": text})
        self.assertEqual((status, answer.get("field")), (422, "text"), answer)
        return answer["detail"]

    def test_policies(self):
        api = Api(self.server, Nodes.local(self.server))
        for piece in ("[", "{", "- ", "a: ", "{a: ", "? ", "&a [", "*a ", "'", '"', "!a ", "#\n", "---\n", "|", "x" * 100, "- a\n"):
            with self.row(f"{piece!r} for 100 kB"):
                self.preview(api, piece * (100_000 // len(piece)))
        for row, text in {
            "4 MB, nearly": "[" * 4_000_000,
            "aliases that unfold": "a: &a [x,x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1 if n else ''},*a{n - 1 if n else ''}]\n" for n in range(30)),
            "an alias within itself": "a: &a [*a]\n",
            "a profile of arrays": "name: abused\nassign: all\napple: {profiles: ['" + "<array>" * 30_000 + "']}\n",
        }.items():
            with self.row(row):
                self.preview(api, text)
        self.assertIn("nested too deeply at line 1, column ", self.preview(api, "[" * 100_000))
        self.assertEqual(api.call("PUT", "policies/other", {"text": "name: abused\nassign: all\n"})[0], 422)

    def test_reading_a_policy_keeps_nobody_waiting(self):
        """Were policies read on the store's thread, each small call would wait for as many of them as are sent at a time."""
        local = Nodes.local(self.server)
        costly = "name: abused\n" + "x:\n" + " x\n" * 300_000
        refused, ended = [], []

        def previews():
            try:
                for _ in range(6):
                    refused.append(self.preview(Api(self.server, local), costly))
            finally:
                ended.append(True)

        for _ in range(4):
            in_background(previews)
        api, answered = Api(self.server, local), 0
        while len(ended) < 4:
            api.done("GET", "policies/abused")
            answered += 1
        self.assertEqual(len(refused), 24)
        self.assertGreater(answered, len(refused))

    def test_strange_words_in_the_request_line(self):
        client = MailClient(self.server, self.folder(), CAROL, WORD)
        for query in ("", "Cmd=", "Cmd=Provision", "Cmd=%ff%fe&User=a&DeviceId=b&DeviceType=c", "jQAJBBBERVZJQ0U", "%%%", "A" * 6000,
                      "Cmd=Sync&Cmd=Provision&User=..%2f..&DeviceId=" + "d" * 500 + "&DeviceType=x"):
            with self.row(query[:40]):
                reply = self.server.request(f"{self.server.public_url}/Microsoft-Server-ActiveSync?{query}", "POST", b"",
                                            client.headers(**{"MS-ASProtocolVersion": "14.1", "Content-Type": TYPE}))
                self.assertIn(reply.status, (400, 401, 403, 449), reply)

    # All

    def everywhere(self):
        """Each address that takes a body, with what is needed to have it read: (name, url, method, headers, identity)."""
        phone, computer = self.phone(), WindowsDevice(self.server, self.folder()).enrol(self.invite("windows"))
        client = MailClient(self.server, self.folder(), CAROL, WORD).certificate(self.invite("activesync"))
        invitation = self.invite("activesync")
        enrol, admin = self.server.enrol_url, self.admin()
        return [
            ("MDM", phone.mdm()["ServerURL"], "PUT", {"Content-Type": RESULT}, phone.identity),
            ("SCEP", f"{enrol}/scep?operation=PKIOperation", "POST", {}, None),
            ("SOAP", f"{enrol}/EnrollmentServer/Discovery.svc", "POST", {"Content-Type": SOAP}, None),
            ("DM", computer.application()["ADDR"], "POST", {"Content-Type": DM}, computer.identity),
            ("EAS", client.url("Provision"), "POST", client.headers(**{"Content-Type": TYPE, "MS-ASProtocolVersion": "14.1"}), client.identity),
            ("Autodiscover", self.server.public_url + "/autodiscover/autodiscover.xml", "POST", client.headers(**{"Content-Type": "text/xml"}), None),
            ("identity.p12", invitation["url"] + "/identity.p12", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, None),
            ("admin API", f"{admin[0]}/api/v1/invitations", "POST", {"Authorization": f"Bearer {admin[1]}", "Content-Type": "application/json"}, None),
        ]

    def admin(self):
        described = self.server.described()
        return f"https://{described['admin']}", (self.server.data / "local.token").read_text().strip()

    def test_a_body_too_long_is_refused_before_it_is_there(self):
        for name, url, method, headers, identity in self.everywhere():
            with self.row(f"{name}: claimed"), Raw(self.server, url, identity) as raw:
                raw.head(method, {**headers, "Content-Length": str(2**40)})
                self.assertEqual(raw.status(), 413)
            with self.row(f"{name}: by pieces"), Raw(self.server, url, identity) as raw:
                raw.head(method, {**headers, "Transfer-Encoding": "chunked"})
                sent = raw.pour(b"10000\r\n" + b"a" * 0x10000 + b"\r\n", 64 * 1024 * 1024)
                self.assertLess(sent, 32 * 1024 * 1024, "it is taken in without end")
                # Who goes on pouring may find the connection closed before the refusal was read.
                self.assertIn(raw.status(), (413, None))
            with self.row(f"{name}: two lengths"), Raw(self.server, url, identity) as raw:
                raw.head(method, {**headers, "Content-Length": "5\r\nContent-Length: 6"})
                self.assertIn(raw.status(), (400, None))
            with self.row(f"{name}: compressed"):
                reply = request(url, method, b"\x1f\x8b" + bytes(1000), {**headers, "Content-Encoding": "gzip"}, identity, self.server.ca)
                self.assertIn(reply.status, (400, 401, 415, 500), reply)

    def test_who_sends_slowly_or_not_at_all_keeps_nobody_out(self):
        places = self.everywhere()
        phone = self.phone()
        held = []
        for name, url, method, headers, identity in places:
            for sent in ("nothing", "half a head", "half a body"):
                raw = Raw(self.server, url, identity)
                self.addCleanup(raw.close)
                if sent == "half a head":
                    raw.send(f"{method} / HTTP/1.1\r\nHost: localhost\r\nX-".encode())
                elif sent == "half a body":
                    raw.head(method, {**headers, "Content-Length": "100"})
                    raw.send(b"<a>")
                held.append((f"{name}: {sent}", raw))
        for _ in range(20):
            self.assertEqual(phone.report("Idle").status, 200)
        limit = time.monotonic() + 90
        for name, raw in held:
            with self.row(name):
                # A refusal (408, or the protocol's own) and the end, or the end alone.
                self.assertIn(raw.ended(limit), (None, 400, 401, 408, 500))

    def test_no_growth(self):
        phone, computer = self.phone(), WindowsDevice(self.server, self.folder()).enrol(self.invite("windows"))
        computer.connect()
        client = MailClient(self.server, self.folder(), CAROL, WORD).certificate(self.invite("activesync"))
        scep = f"{self.server.enrol_url}/scep?operation=PKIOperation"
        soap = f"{self.server.enrol_url}/EnrollmentServer/Discovery.svc"
        large = b"<plist><array>" + b"<dict><key>a</key><string>b</string></dict>" * 20_000

        def round_of_abuse():
            phone.put(phone.mdm()["ServerURL"], RESULT, large, phone.identity)
            phone.put(phone.mdm()["ServerURL"], RESULT, self.dice.randbytes(200_000), phone.identity)
            self.server.request(scep, "POST", b"\x30\x80" * 50_000)
            self.server.request(soap, "POST", as_bytes(bombs("s:Envelope")["a deep tree"]), {"Content-Type": SOAP})
            computer.post(as_bytes(bombs("SyncML")["attributes without end"]))
            computer.post(computer.message(1, "<Alert><CmdID>2</CmdID><Data>9</Data></Alert>" * 5_000))
            client.post("Provision", wbxml.HEAD + bytes([0x00, PROVISION]) + b"\x45" * 100_000)
            client.post("Provision", self.dice.randbytes(100_000))

        for _ in range(20):
            round_of_abuse()
        before = self.resident()
        for _ in range(60):
            round_of_abuse()
        self.assertLess(self.resident() - before, GROWTH, f"{before} bytes before")

    def resident(self):
        """The server's memory in bytes, VmRSS."""
        with open(f"/proc/{self.server.process.pid}/status") as status:
            [line] = [line for line in status if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024


class Raw:
    """One TLS connection on which a request is written by hand."""

    def __init__(self, server, url, identity):
        parts = urllib.parse.urlsplit(url)
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.host = parts.netloc
        plain = socket.create_connection((parts.hostname, parts.port), timeout=REQUEST_LIMIT)
        self.socket = context(server.ca, identity).wrap_socket(plain, server_hostname=parts.hostname)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def head(self, method, headers):
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        self.send(f"{method} {self.target} HTTP/1.1\r\nHost: {self.host}\r\n{lines}\r\n".encode())

    def pour(self, piece, most):
        """Sends the piece again and again until the server has enough; answers how many bytes went out."""
        sent = 0
        try:
            while sent < most:
                self.send(piece)
                sent += len(piece)
        except OSError:
            pass
        return sent

    def status(self):
        """The answer's status; `None` where the connection ended without."""
        try:
            line = self.socket.makefile("rb").readline()
        except OSError:
            return None
        return int(line.split()[1]) if line else None

    def ended(self, limit):
        """Waits for the server to end the connection, until `limit`. The status that it sent before, if one."""
        self.socket.settimeout(max(1, limit - time.monotonic()))
        answer = b""
        try:
            while piece := self.socket.recv(65536):
                answer += piece
        except (ConnectionError, ssl.SSLError):
            pass
        return int(answer.split()[1]) if answer else None


if __name__ == "__main__":
    unittest.main()
