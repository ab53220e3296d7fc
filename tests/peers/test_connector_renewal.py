"""A connector's certificate is renewed from two thirds of its life, whatever is lost on the way; and what the server says of times and versions
is heard. Time goes by under libfaketime, for the server and its connectors alike. Exchange is not there, and is not needed for any of it."""

import os
import pathlib
import re
import shutil
import time
import unittest
import uuid

from connector_side import ORG, QUIET, Connector
from harness import BINARY, Identity, eventually, free_port, openssl, request, self_made
from test_clock import DAY, library
from test_connector_faults import Relay, pem_of
from test_renewal import Ageing

# Of two years: before two thirds of them, and after.
EARLY, LATE = 470 * DAY, 500 * DAY
# Seconds. A lease is asked for each third of it, and a renewal that is due with it.
LEASE = 3
SOON = 20


class Faulty(Relay):
    """It loses answers, or says something else instead, where a test asks for that."""

    def __init__(self, folder, target):
        super().__init__(folder, target, days=2000)
        self.lost, self.instead, self.asked = 0, {}, []

    def _forward(self, near, der, head, body):
        (_, path, _), _ = head
        call = path.rsplit("/", 1)[-1].partition("?")[0]
        self.asked.append((call, time.monotonic()))
        if call in self.instead:
            near.sendall(self.instead[call])
        elif call == "renew" and self.lost:
            self.lost -= 1
            super()._forward(Deaf(), der, head, body)
            raise ConnectionError("the answer is lost")
        else:
            super()._forward(near, der, head, body)

    def times(self, call):
        return [when for name, when in self.asked if name == call]


class Deaf:
    def sendall(self, data):
        """Nobody hears it."""


class Aged(Connector):
    """One that lives in the server's time."""

    @property
    def program(self):
        return [str(word) for word in self.server.wrap([str(BINARY)])]

    def identity(self):
        """Its certificate and key as they lie there, in files of their own."""
        text = (self.dir / "identity.pem").read_text()
        kept = [self.folder / f"{name}-{time.monotonic_ns()}" for name in ("certificate", "key")]
        kept[0].write_text("".join(re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.S)))
        kept[1].write_text(re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\n", text, re.S).group())
        return Identity(*kept)

    def fingerprint(self):
        return openssl("x509", "-in", self.identity().certificate, "-noout", "-fingerprint", "-sha256").decode()

    def said_in_log(self, words):
        return self.output().count(words)


class Served(unittest.TestCase):
    def setUp(self):
        if library() is None:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                self.fail("libfaketime is not installed")
            self.skipTest("libfaketime is not installed")
        device = free_port()
        self.server = Ageing(["--device-addr", f"127.0.0.1:{device}"]).start()
        self.addCleanup(self.server.stop)
        self.server.verb("settings", "set", "exchange.lease", f"{LEASE}s")
        self.server.verb("settings", "set", "net.trusted_proxies", "127.0.0.1")
        self.server.restart()
        self.relay = Faulty(self.server.folder, device)
        self.addCleanup(self.relay.stop)
        clients = pem_of(self.server.verb("ca", "show", "--pem"))
        self.relay.serve(self.server, "".join(re.findall(r"-----BEGIN.*?-----END [^-]*-----\n", clients, re.S)))
        self.app = self_made(self.server.folder, "app")
        self.count = 0

    def connector(self):
        """Another one, enrolled."""
        self.count += 1
        away = f"https://localhost:{free_port()}"
        flags = ["--tenant", TENANT, "--app-id", uuid.uuid4(), "--cert", self.app.certificate, "--key", self.app.key,
                 "--exchange-url", away, "--login-url", away]
        folder = self.server.folder / f"machine{self.count}"
        url = f"https://localhost:{self.relay.port}"
        made = Aged(self.server, folder, flags, [self.relay.authority.root], url)
        code = self.server.verb("connector", "invite", "--org", ORG, "--kind", "online")["code"]
        self.addCleanup(made.stop)
        return made.enrol(code)

    def leader(self):
        [listed] = [each for each in self.server.verb("connector", "list") if each["org"] == ORG]
        return listed["leader"]

    def leads(self, connector, seconds=SOON):
        eventually(lambda: self.leader() == connector.instance(), "it leads", seconds)

    def later(self, seconds, *connectors):
        """So much time has gone by for all of them."""
        for each in connectors:
            each.stop()
        self.server.later(seconds)
        for each in connectors:
            each.start()

    def renewed(self, connector, before):
        eventually(lambda: connector.fingerprint() != before, "another certificate", SOON)

    def taken(self, identity):
        """Whether the server still takes that certificate."""
        headers = {"Content-Type": "application/json"}
        reply = request(f"{self.server.public_url}/connector/v1/lease", "POST", b'{"epoch":null}', headers, identity, self.server.ca)
        return reply.status in (200, 409)


TENANT = str(uuid.uuid4())


class Renewal(Served):
    def undisturbed(self, connector):
        """A poll that was held under the former certificate ended with it: that is no removal, nor an end of its lead."""
        self.assertEqual(connector.said_in_log("knows this connector no more"), 0, connector.output()[-3000:])

    def test_it_is_renewed_in_time_and_goes_on_under_the_new_one(self):
        connector = self.connector().start()
        self.leads(connector)
        before, former = connector.fingerprint(), connector.identity()
        self.later(EARLY, connector)
        self.leads(connector)
        time.sleep(QUIET)
        self.assertEqual(connector.fingerprint(), before, "not before two thirds of its life")
        self.assertTrue(self.taken(former))
        self.later(LATE, connector)
        self.renewed(connector, before)
        after = connector.fingerprint()
        time.sleep(QUIET)
        self.assertEqual((connector.fingerprint(), len(self.relay.times("renew"))), (after, 1), "once")
        self.undisturbed(connector)
        self.assertEqual(connector.stop(), 0)
        connector.start()
        self.leads(connector)
        eventually(lambda: not self.taken(former), "the former is nobody's once the new one was shown", SOON)
        self.assertEqual(connector.fingerprint(), after)
        # Under the new one alone: the first would have ended by now.
        self.later(LATE + 250 * DAY, connector)
        self.leads(connector)
        self.assertEqual(connector.fingerprint(), after)

    def test_lost_answers_lock_nobody_out(self):
        connector = self.connector().start()
        self.leads(connector)
        before, former = connector.fingerprint(), connector.identity()
        self.relay.lost = 2
        self.later(LATE, connector)
        eventually(lambda: self.relay.lost == 1, "the first is lost", SOON)
        # With an answer lost it ends, and begins anew under what it has.
        self.assertEqual(connector.kill().fingerprint(), before)
        self.assertTrue(self.taken(former))
        connector.start()
        eventually(lambda: self.relay.lost == 0, "the second is lost", SOON)
        self.renewed(connector, before)
        self.leads(connector)
        self.assertEqual(connector.stop(), 0)
        connector.start()
        self.leads(connector)
        eventually(lambda: not self.taken(former), "the former is nobody's any more", SOON)

    def test_one_that_cannot_be_written_down_is_asked_for_again(self):
        connector = self.connector().start()
        self.leads(connector)
        before = connector.fingerprint()
        connector.stop()
        in_the_way = connector.dir / "identity.new"
        in_the_way.mkdir()
        self.later(LATE, connector)
        eventually(lambda: connector.said_in_log("could not be renewed") >= 2, "it says so and goes on", SOON)
        self.assertEqual((connector.fingerprint(), self.leader()), (before, connector.instance()))
        in_the_way.rmdir()
        self.renewed(connector, before)
        self.leads(connector)

    def test_two_instances_renew_beside_each_other(self):
        first = self.connector().start()
        self.leads(first)
        second = self.connector().start()
        eventually(lambda: "ready" in second.output(), "the second stands by", SOON)
        before = {each: each.fingerprint() for each in (first, second)}
        self.later(LATE, first, second)
        for each in (first, second):
            self.renewed(each, before[each])
        self.assertEqual(len({each.fingerprint() for each in (first, second)}), 2)
        eventually(lambda: self.leader() in (first.instance(), second.instance()), "one leads", SOON)
        leads, stands_by = (first, second) if self.leader() == first.instance() else (second, first)
        leads.kill()
        self.leads(stands_by, 60)
        leads.start()
        eventually(lambda: leads.output().count("ready ") >= 3, "the other is back, under its new one", SOON)
        for each in (first, second):
            self.undisturbed(each)
        time.sleep(QUIET)
        self.assertEqual(self.leader(), stands_by.instance())

    def test_a_copy_of_the_folder_made_before_is_of_no_use_after(self):
        connector = self.connector().start()
        self.leads(connector)
        before = connector.fingerprint()
        connector.stop()
        copy = self.server.folder / "copy"
        shutil.copytree(connector.dir, copy)
        self.later(LATE, connector)
        self.renewed(connector, before)
        self.assertEqual(connector.stop(), 0)
        connector.start()
        self.leads(connector)
        connector.dir, kept = pathlib.Path(copy), connector.dir
        try:
            [server] = [step for step in connector.check() if step["step"] == "server"]
            self.assertFalse(server["ok"], server)
        finally:
            connector.dir = kept


class Words(Served):
    """What the server answers, by the relay's mouth."""

    def answers(self, call, status, headers, code, text):
        body = f'{{"code":"{code}","detail":"{text}"}}'.encode()
        head = f"HTTP/1.1 {status} No\r\nContent-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self.relay.instead[call] = head.encode() + body

    def test_a_version_that_is_spoken_no_more_is_said_once_and_asked_for_seldom(self):
        connector = self.connector().start()
        self.leads(connector)
        connector.stop()
        for call in ("hello", "lease"):
            self.answers(call, 426, "", "no_version", "this server speaks versions [2] of the calls, the connector [1]")
        [server] = [step for step in connector.check() if step["step"] == "server"]
        self.assertFalse(server["ok"])
        self.assertIn("too old", server["detail"])
        self.assertIn("[2]", server["detail"])
        self.relay.asked.clear()
        connector.start()
        eventually(lambda: connector.said_in_log("too old") == 1, "its log says so", SOON)
        time.sleep(3 * QUIET)
        self.assertEqual((len(self.relay.times("hello")), self.relay.times("work"), connector.said_in_log("too old")), (1, [], 1))
        self.assertTrue(connector.running(), "it goes on")
        self.assertIsNone(self.leader())
        self.assertEqual(connector.stop(), 0)

    def test_the_server_is_not_asked_before_the_moment_that_it_named(self):
        connector = self.connector()
        self.answers("hello", 503, "Retry-After: 5\r\n", "busy", "the store is busy")
        connector.start()
        eventually(lambda: len(self.relay.times("hello")) >= 2, "it asks again", SOON)
        self.relay.instead.clear()
        first, second, *_ = self.relay.times("hello")
        self.assertGreaterEqual(second - first, 5)
        self.assertLess(second - first, 8)
        self.leads(connector)


if __name__ == "__main__":
    unittest.main()
