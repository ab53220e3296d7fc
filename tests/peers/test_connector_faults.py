"""The connector when things go wrong: Exchange in its moods, the network cut, killed at random; and what nobody may ever see."""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import secrets
import socket
import ssl
import tempfile
import time
import unittest
import urllib.parse

from authority import Authority
from connect_proxy import ConnectProxy
from connector_side import MINUTE, QUIET, SOON, STEPS, Connected, Connector
from exchange_child import WorldServer
from exchange_world import Organisation
from harness import context, eventually, free_port, in_background, openssl
from link import Link

# X509_V_FLAG_NO_CHECK_TIME, which Python has no name for.
NO_CHECK_TIME = 0x20_0000
KILLS = int(os.environ.get("LANYARD_CONNECTOR_KILLS", "10"))


class Moods(Connected):
    def test_too_many_requests_are_made_again_when_exchange_says(self):
        phone = self.phone()
        fault = self.exchange.fails(429, "Set-CASMailbox", after=3)
        asked = time.monotonic()
        self.decide("allow", phone)
        self.soon(phone, "mail", 30)
        self.assertEqual(fault.met, 1)
        self.assertGreater(time.monotonic() - asked, 2.5, "not before")

    def test_exchange_that_is_away_for_a_while(self):
        phone = self.phone()
        for kind in (503, 503, "busy", 504):
            self.exchange.fails(kind)
        self.decide("allow", phone)
        self.soon(phone, "mail", 60)

    def test_a_token_that_is_over_is_replaced(self):
        phone = self.phone()
        before = len(self.exchange.entra.issued)
        self.exchange.entra.expire()
        self.decide("allow", phone)
        self.soon(phone, "mail", 30)
        self.assertGreater(len(self.exchange.entra.issued), before)
        self.exchange.fails(401, "Set-CASMailbox")
        self.decide("block", phone)
        self.soon(phone, "blocked", 30)

    def test_a_wipe_whose_answer_is_lost_is_not_made_again(self):
        for kind in ("cut after", "cut before"):
            with self.subTest(kind):
                phone = self.let_in()
                fault = self.exchange.fails(kind, "Clear-MobileDevice")
                command = self.wipe(phone, "full")
                eventually(lambda: self.clears(phone), "the request for a wipe", 60)
                self.assertEqual(fault.met, 1)
                time.sleep(QUIET)
                self.assertEqual(len(self.clears(phone)), 1)
                self.soon(phone, "wiped")
                self.ends(command, "confirmed")
                self.assertEqual(len(self.clears(phone)), 1)

    def test_a_decision_whose_answer_is_lost_is_made(self):
        phone = self.phone()
        for kind in ("cut before", "cut after"):
            self.exchange.fails(kind, "Set-CASMailbox")
        self.decide("allow", phone)
        self.soon(phone, "mail", 60)

    def test_a_cmdlet_that_it_may_not_call_fails_with_its_reason(self):
        phone = self.let_in()
        self.exchange.forbidden = {"Clear-MobileDevice"}
        try:
            command = self.wipe(phone, "full")
            time.sleep(QUIET)
        finally:
            self.exchange.forbidden = set()
        self.assertNotIn(self.server.command(command["id"])["state"], ("confirmed", "presumed"))
        self.assertFalse(phone.erased)
        # Tried again, after a pause: whoever gives the role need not know of it.
        eventually(lambda: self.clears(phone), "the wipe, once it may be called", MINUTE)

    def test_another_client_under_the_same_guid_is_left_alone(self):
        phone = self.let_in()
        with self.org.lock:
            phone.device.device_id = "ANOTHER" + phone.device_id[7:]
        command = self.server.verb("wipe", self.server.device_of(phone.device_id)["id"], "--scope", "full", "--reason", "lost", "--yes")
        time.sleep(QUIET)
        self.assertEqual(self.clears(phone), [], "nothing is written where the names do not fit")
        self.ends(command, "failed")


class Vanished(Connected):
    """Full runs by the minute."""

    mailboxes, partnerships = 20, 40
    settings = {**Connected.settings, "exchange.full_every": "3s"}

    def identities(self):
        return {each["identity"] for device in self.server.verb("devices", "list") if device["state"] not in ("retired", "wiped")
                for each in device["enrolments"]}

    def test_half_of_all_that_is_gone_at_once_is_a_question_and_no_fact(self):
        gone = [device for number, device in enumerate(list(self.org.devices.values())) if number % 2]
        for device in gone:
            self.org.forget(device)
        self.synced(self.listed()["last_full"])
        self.synced(self.listed()["last_full"])
        self.assertLessEqual({device.device_id for device in gone}, self.identities(), "they are kept")
        with self.org.lock:
            for device in gone:
                self.org.devices[device.guid] = device
                device.mailbox.devices.append(device)

    def test_a_run_that_broke_off_makes_nobody_disappear(self):
        self.exchange.largest_page = 15
        self.exchange.dead_pages = True
        try:
            before, looks = self.listed()["last_full"], len(self.org.calls)
            time.sleep(3 * QUIET)
            self.assertGreater(len(self.org.calls), looks)
            self.assertEqual(self.listed()["last_full"], before, "it is not complete")
        finally:
            self.exchange.largest_page, self.exchange.dead_pages = 1000, False
        self.assertLessEqual({device.device_id for device in self.org.devices.values()}, self.identities())
        self.synced(self.listed()["last_full"])


class Killed(Connected):
    mailboxes, partnerships = 40, 60
    starts = False

    def test_killed_at_random_nothing_is_done_twice_and_nothing_missed(self):
        seed = int(os.environ.get("LANYARD_SEED", secrets.randbits(32)))
        chance = random.Random(seed)
        print(f"LANYARD_SEED={seed}", flush=True)
        self.exchange.seconds["Get-MobileDeviceStatistics"] = 0.03
        connector = self.another()
        for _ in range(KILLS // 2):
            connector.start()
            time.sleep(chance.uniform(0.05, 2.5))
            connector.kill()
        connector.start()
        self.synced()
        known = {each["identity"] for device in self.server.verb("devices", "list") for each in device["enrolments"]}
        self.assertLessEqual({device.device_id for device in self.org.devices.values()}, known)
        self.assertEqual(self.org.writes(), [])
        self.in_a_wipe(connector, chance)

    def in_a_wipe(self, connector, chance):
        asked = []
        for number in range(KILLS - KILLS // 2):
            phone = self.let_in(mailbox=self.org.mailboxes[number])
            bystander = self.let_in(mailbox=self.org.mailboxes[number + 10])
            command = self.wipe(phone, "full")
            time.sleep(chance.uniform(0, 0.6))
            connector.kill()
            # Decided while nobody is there to do it.
            self.decide("block", bystander)
            connector.start()
            asked.append((phone, bystander, command))
        for phone, bystander, command in asked:
            eventually(lambda phone=phone: self.clears(phone), "the request for a wipe", 60)
            self.soon(bystander, "blocked", 30)
            self.soon(phone, "wiped")
        for phone, _, command in asked:
            self.ends(command, "confirmed")
            self.assertEqual(len(self.clears(phone)), 1, "no second Clear")
            self.gone_and_blocked(phone)


class Cut(Connected):
    """Its way to the server leads over a link that can break."""

    starts = False

    @classmethod
    def setUpClass(cls):
        device = free_port()
        cls.link = Link(("127.0.0.1", device))
        cls.addClassCleanup(cls.link.stop)
        cls.arguments = ["--device-addr", f"127.0.0.1:{device}", "--public-url", f"https://localhost:{cls.link.port}"]
        super().setUpClass()

    def test_a_network_that_breaks_and_comes_back(self):
        connector = self.another().start()
        self.synced()
        phone, other = self.let_in(), self.let_in()
        self.link.cut(refuse=True)
        self.decide("block", phone)
        command = self.wipe(other, "full")
        time.sleep(2 * QUIET)
        self.assertEqual((phone.sync(), self.clears(other)), ("mail", []))
        self.link.mend()
        self.soon(phone, "blocked", 60)
        eventually(lambda: self.clears(other), "the request for a wipe", 60)
        self.link.cut()
        self.soon(other, "wiped")
        self.ends(command, "confirmed")
        self.assertEqual(len(self.clears(other)), 1)
        self.assertTrue(connector.running())

    def test_a_server_that_starts_anew(self):
        connector = self.another().start()
        self.synced()
        phone = self.let_in()
        self.server.restart(kill=True)
        self.decide("block", phone)
        self.soon(phone, "blocked", 60)
        self.assertTrue(connector.running())


def forms(secret):
    """A secret as it may stand in a stream of bytes: as it is, UTF-16, hexadecimal, in an address, and in base64 wherever it begins."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), urllib.parse.quote(raw, safe="").encode()}
    with contextlib.suppress(UnicodeDecodeError):
        found |= {raw.decode().encode("utf-16-le"), raw.decode().encode("utf-16-be")}
    for wide in list(found):
        for shift in range(3):
            packed = base64.b64encode(b"\0" * shift + wide)
            # The first and the last letters depend on what stands beside it.
            kept = packed[4 if shift else 0:len(packed) - 4]
            found |= {kept, kept.replace(b"+", b"-").replace(b"/", b"_")}
    return {form for form in found if len(form) >= 8}


def key_parts(identity):
    """Of a private key: its lines as PEM, and pieces of what must never be seen of it."""
    text = identity.key.read_text()
    numbers = openssl("rsa", "-in", identity.key, "-noout", "-text").decode()
    # The first lines hold the modulus, which stands in the certificate too.
    parts = text.splitlines()[8:-2]
    for name in ("privateExponent", "prime1", "prime2"):
        hexed = re.search(rf"{name}:\n((?:\s+[0-9a-f:]+\n)+)", numbers).group(1)
        parts.append(bytes.fromhex(re.sub(r"[^0-9a-f]", "", hexed))[8:40])
    return parts


class Relay:
    """Ends TLS before the server, keeps every byte that passes, and hands client certificates on as `Client-Cert`."""

    def __init__(self, folder, target, days=300):
        self.target, self.bytes, self.certified = target, bytearray(), 0
        self.authority = Authority(folder / "relay", "Relay Root")
        self.identity = self.authority.issue("localhost", days=days)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]

    def serve(self, server, clients):
        """`clients`: the PEM of the authority whose client certificates are taken, whatever the time is for them: that is the server's business."""
        self.inner = context(server.ca)
        self.outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.outer.load_cert_chain(self.identity.certificate, self.identity.key)
        self.outer.verify_mode = ssl.CERT_OPTIONAL
        self.outer.load_verify_locations(cadata=clients)
        self.outer.verify_flags |= NO_CHECK_TIME
        in_background(self._accept)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            in_background(lambda client=client: self._quietly(client))

    def _quietly(self, client):
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            self._carry(client)

    def _carry(self, client):
        with self.outer.wrap_socket(client, server_side=True) as near:
            der, reader = near.getpeercert(binary_form=True), near.makefile("rb")
            while head := self._head(reader):
                length = next((int(value) for name, value in head[1] if name.lower() == "content-length"), 0)
                body = reader.read(length)
                self.bytes += repr(head).encode() + body
                self._forward(near, der, head, body)

    @staticmethod
    def _head(reader):
        line = reader.readline().decode("latin-1").split()
        if len(line) != 3:
            return None
        headers = []
        while (field := reader.readline().decode("latin-1").strip()):
            name, _, value = field.partition(":")
            headers.append((name, value.strip()))
        return line, headers

    def _forward(self, near, der, head, body):
        (method, path, _), headers = head
        inner = http.client.HTTPSConnection("localhost", self.target, timeout=90, context=self.inner)
        try:
            inner.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() not in ("client-cert", "connection", "transfer-encoding"):
                    inner.putheader(name, value)
            if der:
                self.certified += 1
                inner.putheader("Client-Cert", f":{base64.b64encode(der).decode()}:")
            inner.endheaders(body or None)
            reply = inner.getresponse()
            answer = reply.read()
        finally:
            inner.close()
        kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in ("connection", "transfer-encoding", "content-length")]
        text = "".join(f"{name}: {value}\r\n" for name, value in [*kept, ("Content-Length", len(answer))])
        self.bytes += text.encode() + answer
        near.sendall(f"HTTP/1.1 {reply.status} {reply.reason}\r\n{text}\r\n".encode("latin-1") + answer)


class Watched(Connected):
    """Everything that goes to the server passes a relay that reads it; Exchange and the server are each behind a proxy with a password."""

    starts = False
    WORDS = ("gate-of-exchange", "gate-of-the-server")

    @classmethod
    def setUpClass(cls):
        device = free_port()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-relay-"))
        cls.relay = Relay(folder, device)
        cls.addClassCleanup(cls.relay.stop)
        cls.arguments = ["--device-addr", f"127.0.0.1:{device}", "--public-url", f"https://localhost:{cls.relay.port}"]
        super().setUpClass()
        cls.server.verb("settings", "set", "net.trusted_proxies", "127.0.0.1")
        cls.server.restart()
        clients = cls.server.verb("ca", "show", "--pem")
        cls.relay.serve(cls.server, "".join(re.findall(r"-----BEGIN.*?-----END [^-]*-----\n", clients if isinstance(clients, str) else pem_of(clients), re.S)))

    def secrets(self, passwords):
        yield from key_parts(self.exchange.app)
        yield from (token for token in self.exchange.entra.issued)
        # A piece of a token will do harm as well.
        yield from (token.split(".")[1][:40] for token in self.exchange.entra.issued)
        yield from self.exchange.entra.assertions
        yield from passwords

    def test_no_secret_leaves_its_machine_or_lies_open_on_it(self):
        passwords = [f"right horse {secrets.token_hex(6)}" for _ in range(2)]
        proxies = [ConnectProxy(user, word) for user, word in zip(self.WORDS, passwords)]
        flags = list(self.exchange.flags())
        for proxy, before, user, word in zip(proxies, ("--", "--server-"), self.WORDS, passwords):
            self.addCleanup(proxy.stop)
            file = self.folder() / "word"
            file.write_text(f"{word}\n")
            flags += [f"{before}proxy", proxy.url, f"{before}proxy-user", user, f"{before}proxy-password-file", file]
        folder = self.server.folder / "watched"
        connector = Connector(self.server, folder, flags, [self.exchange.authority.root, self.relay.authority.root])
        connector.enrol(self.invite())
        self.addCleanup(connector.stop)
        self.assertEqual([(step["step"], step["ok"]) for step in connector.check()], [(step, True) for step in STEPS])
        connector.start()
        self.synced()
        phone = self.let_in()
        self.exchange.entra.expire()
        self.exchange.fails(503)
        self.exchange.fails("busy", "Clear-MobileDevice")
        command = self.wipe(phone, "full")
        eventually(lambda: self.clears(phone), "the request for a wipe", 60)
        self.soon(phone, "wiped")
        self.ends(command, "confirmed")
        self.assertTrue(self.relay.certified and len(self.relay.bytes) > 5000, "it did pass here")
        self.assertTrue(all(proxy.asked and not proxy.passed.startswith(b"POST") for proxy in proxies))
        self.look_everywhere(connector, passwords)

    def look_everywhere(self, connector, passwords):
        process = pathlib.Path(f"/proc/{connector.process.pid}")
        places = {"what went to the server": bytes(self.relay.bytes), "its arguments": (process / "cmdline").read_bytes(),
                  "its environment": (process / "environ").read_bytes(), "its log": connector.log.read_bytes(), "its output": connector.out.read_bytes()}
        for root in (connector.dir, self.server.data):
            places |= {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != "secrets.sealed"}
        places["the server's log"] = self.server.output().encode()
        self.assertTrue(any(name.endswith("connector.json") for name in places))
        for secret in self.secrets(passwords):
            for form in forms(secret):
                for place, text in places.items():
                    self.assertFalse(form in text, f"{place} holds {secret[:12]!r}… as {form[:16]!r}…")
        sealed = (connector.dir / "secrets.sealed").read_bytes()
        for secret in self.secrets(passwords):
            self.assertFalse(any(form in sealed for form in forms(secret)), "sealed")


def pem_of(document):
    """The certificates in a document of `ca show`, wherever they stand in it."""
    return json.dumps(document).replace("\\n", "\n")


class OnPremises(Connected):
    """The same over a PowerShell child."""

    starts = False
    mailboxes, partnerships = 3, 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.premises = Organisation()
        cls.premises.fill(cls.mailboxes, cls.partnerships)
        cls.org = cls.premises
        cls.word = f"word of a child {secrets.token_hex(4)}"
        cls.world = WorldServer(cls.server.folder, cls.premises, "EX\\connector", cls.word)
        cls.addClassCleanup(cls.world.stop)
        file = cls.server.folder / "exchange.word"
        file.write_text(f"{cls.word}\n")
        flags = ["--exchange-host", "localhost", "--user", "EX\\connector", "--password-file", file, "--powershell", cls.world.program()]
        cls.connector = cls.installed(*flags).enrol(cls.invite("onprem"))
        cls.addClassCleanup(cls.connector.stop)
        file.unlink()

    def has_a_policy(self):
        """A policy becomes Exchange's, by one write though its answer is lost; and so does what it decides by itself."""
        self.world.fails("die after", "New-MobileDeviceMailboxPolicy")
        self.server.policy("name: base\nassign: all\npasscode: {min_length: 8, max_idle_minutes: 5}\n")
        mailboxes = {device.mailbox for device in self.org.devices.values()}
        eventually(lambda: all(mailbox.past[-1].policy.startswith("Lanyard ") for mailbox in mailboxes), "under a policy of ours", 60)
        [(_, says)] = [each for each in self.org.policies.items() if each[0].startswith("Lanyard ")]
        self.assertEqual((says["MinPasswordLength"], says["MaxInactivityTimeLock"], says["AllowNonProvisionableDevices"]), (8, "00:05:00", False))
        self.assertEqual(len(self.org.called("New-MobileDeviceMailboxPolicy")), 1)
        file = self.server.folder / "access.json"
        file.write_text(json.dumps({"default": "block", "rules": [{"characteristic": "DeviceType", "query": "iPhone", "level": "allow"}]}))
        self.server.verb("connector", "access", "main", "--file", file, "--yes")
        eventually(lambda: self.org.default == "Block", "the default", 30)
        self.assertEqual([(rule.query, rule.level) for rule in self.org.rules], [("iPhone", "Allow")])

    def test_a_day_on_premises(self):
        said = self.connector.check()
        self.assertEqual([step["step"] for step in said if not step["ok"]], [], said)
        self.connector.start()
        self.assertEqual(self.synced()["kind"], "onprem")
        self.assertEqual(self.org.writes(), [])
        phone = self.let_in()
        self.world.fails("noise", "Set-CASMailbox")
        self.decide("block", phone)
        self.soon(phone, "blocked")
        self.world.fails("die after", "Set-CASMailbox")
        self.decide("allow", phone)
        self.soon(phone, "mail", 60)
        self.world.fails("die after", "Clear-MobileDevice")
        command = self.wipe(phone, "full")
        eventually(lambda: self.clears(phone), "the request for a wipe", 60)
        self.soon(phone, "wiped")
        self.ends(command, "confirmed")
        self.assertEqual(len(self.clears(phone)), 1)
        self.gone_and_blocked(phone)
        self.has_a_policy()
        self.assertLessEqual(len(self.world.open_sessions()), 3, "sessions are few")
        self.connector.stop()
        eventually(lambda: not self.world.open_sessions(), "each session is ended", SOON)
        self.assertEqual({where for child in self.world.children for where in child["leaks"]}, set())
        self.assertTrue(all(child["knows"] for child in self.world.children))
        for path in self.connector.dir.rglob("*"):
            if path.is_file():
                self.assertFalse(any(form in path.read_bytes() for form in forms(self.word)), path)


if __name__ == "__main__":
    unittest.main()
