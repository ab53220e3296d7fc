"""Sign-on by constrained delegation: a certificate stands for its user's ticket. For a server that was built with Kerberos: `cargo xtask kerberos`."""

import json
import os
import pathlib
import subprocess
import unittest

import kdc
from harness import ServedTest, VerbFailed, eventually, in_background, request
from mail_client import MailClient

PATH = "/Microsoft-Server-ActiveSync"
ANN, BOB, CAROL, DAVE, NOBODY = (f"{name}@example.org" for name in ("ann", "bob", "carol", "dave", "nobody"))


class Negotiating:
    """The mail server, by the system's Python; `came` has a line for each request."""

    def __init__(self, environment):
        script = pathlib.Path(__file__).with_name("negotiate_server.py")
        self.process = subprocess.Popen(["/usr/bin/python3", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                                        env={**os.environ, **environment})
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}{PATH}"
        self.came = []
        in_background(lambda: self.came.extend(line.strip() for line in self.process.stdout))

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Kerberos(ServedTest):
    @classmethod
    def setUpClass(cls):
        if not os.environ.get("LANYARD_KERBEROS"):
            raise unittest.SkipTest("the server may have been built without Kerberos (LANYARD_KERBEROS says that it was not)")
        missing = kdc.why_not()
        assert not missing or not os.environ.get("LANYARD_REQUIRE_PEERS"), missing
        if missing:
            raise unittest.SkipTest(missing)
        cls.realm = kdc.Realm(["ann", "bob"], kept=["carol"])
        cls.addClassCleanup(cls.realm.stop)
        cls.mail = Negotiating(cls.realm.environment("service.keytab"))
        cls.addClassCleanup(cls.mail.stop)
        cls.arguments = ["--eas-upstream", cls.mail.url, "--eas-signon", f"kerberos:{kdc.SERVICE}"]
        before = dict(os.environ)
        os.environ.update(cls.realm.environment("own.keytab"))
        cls.addClassCleanup(lambda: (os.environ.clear(), os.environ.update(before)))
        super().setUpClass()

    def holder(self, user):
        """A mail app with a certificate, that brings no login."""
        client = MailClient(self.server, self.folder(), user, "")
        client.headers = lambda **more: {"User-Agent": "Apple-iPhone14C5/2207.86", **more}
        return client.certificate(self.server.verb("invite", "--channel", "activesync", "--user", user))

    def read(self, reply, user):
        """The mail server's own answer, which says whose ticket came."""
        self.assertEqual((reply.status, reply.body), (200, f"{user}@{kdc.REALM}".encode()), reply)

    def steps(self, user):
        """What `mail check` finds on the way to the mail server, for which it needs no password."""
        try:
            return json.dumps(self.server.verb("mail", "check", "--user", user))
        except VerbFailed as failed:
            return failed.stdout

    def test_a_certificate_stands_for_its_users_tickets(self):
        ann, bob = self.holder(ANN), self.holder(BOB)
        for _ in range(3):
            self.read(ann.folder_sync(), "ann")
            self.read(bob.folder_sync(), "bob")
        self.assertEqual(ann.options().status, 200)
        beside = request(self.server.public_url + "/ews/Exchange.asmx", "POST", b"x", {}, ann.identity, self.server.ca)
        self.read(beside, "ann")
        self.assertFalse([line for line in self.mail.came if line.startswith("refused")], "each ticket comes once")

    def test_who_has_no_certificate_comes_by_password_as_before(self):
        dave = MailClient(self.server, self.folder(), DAVE, "right horse")
        self.assertEqual(dave.folder_sync().status, 200)
        self.assertEqual(self.server.device_of(dave.ident)["state"], "quarantined")
        wrong = MailClient(self.server, self.folder(), DAVE, "wrong").folder_sync()
        self.assertEqual((wrong.status, wrong.headers["www-authenticate"]), (401, 'Basic realm="mail"'))

    def test_the_step_that_fails_is_named(self):
        steps = self.steps(ANN)
        self.assertIn("lanyard/gateway@EXAMPLE.ORG has a ticket for HTTP/mail.example.org", steps)
        self.assertIn("it takes our word", steps)
        for user, words in ((CAROL, "S4U2Proxy"), (NOBODY, "S4U2Self"), ("ann@example.com", "--eas-users")):
            self.assertIn(words, self.steps(user), user)
            reply = self.holder(user).folder_sync()
            self.assertEqual(reply.status, 503, reply)
            self.assertIn(b"no ticket", reply.body)
            eventually(lambda: words in self.server.output(), "the log says why")

    def test_what_is_delegated_no_more_opens_nothing(self):
        bob = self.holder("bob")
        self.read(bob.folder_sync(), "bob")
        self.realm.delegate("delete")
        try:
            self.server.restart()
            self.assertEqual(bob.folder_sync().status, 503)
        finally:
            self.realm.delegate("add")
        self.read(bob.folder_sync(), "bob")

    def test_tickets_that_are_kept_outlast_the_kdc(self):
        ann, other = self.holder(ANN), self.holder(BOB)
        self.read(ann.folder_sync(), "ann")
        self.server.restart()
        self.read(ann.folder_sync(), "ann")
        self.realm.end_kdc()
        try:
            self.read(ann.folder_sync(), "ann")
            self.assertEqual(other.folder_sync().status, 503)
        finally:
            self.realm.kdc()
        self.read(other.folder_sync(), "bob")


if __name__ == "__main__":
    unittest.main()
