"""Identities are renewed before they end: a phone that is asked gets another certificate, and whatever breaks off or is stolen on the way
leaves it with one that works. Time goes by under libfaketime; the server's certificate is a long-lived one of the test's own."""

import json
import os
import pathlib
import plistlib
import tempfile
import unittest

from apple_device import SCEP, AppleDevice, payloads, scep
from harness import BINARY, REQUEST_LIMIT, Identity, eventually, free_port, openssl, tool
from test_clock import DAY, Misled, library

# Of two years these are left, and less than the half year within which a renewal is asked for.
LATE = 600 * DAY


class Ageing(Misled):
    """Its verbs live in its own time."""

    def opened(self):
        super().opened()
        self.ca = self.folder / "root.pem"
        return self

    def start(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-peers-"))
        self.data, at = self.folder / "data", self.folder
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3000", "-subj", "/CN=Test Root",
                "-keyout", at / "root.key", "-out", at / "root.pem")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", at / "leaf.key", "-out", at / "leaf.csr")
        (at / "extra").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", at / "leaf.csr", "-CA", at / "root.pem", "-CAkey", at / "root.key", "-CAcreateserial",
                "-days", "2900", "-extfile", at / "extra", "-out", at / "leaf.pem")
        self.arguments = [*self.arguments, "--tls-cert", str(at / "leaf.pem"), "--tls-key", str(at / "leaf.key")]
        return self.run()

    def verb(self, *words):
        """As for others, under the clock of the server."""
        environment = {"LANYARD_DATA": str(self.data)}
        command = self.wrap([str(BINARY), *(str(word) for word in words), "--json"])
        printed = tool(command, environment=environment, seconds=REQUEST_LIMIT)
        return json.loads(printed) if printed.strip() else None

    def later(self, seconds):
        """So much time has gone by, and somebody says that it has."""
        self.again(seconds)
        self.verb("clock", "accept")


class Renewal(unittest.TestCase):
    def setUp(self):
        if library() is None:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                self.fail("libfaketime is not installed")
            self.skipTest("libfaketime is not installed")
        # A phone keeps the address that it enrolled with.
        self.server = Ageing(["--device-addr", f"127.0.0.1:{free_port()}"]).start()
        self.addCleanup(self.server.stop)

    def phone(self, *words):
        invitation = self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org", *words)
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.server.folder))
        phone = AppleDevice(self.server, folder).enrol(invitation)
        phone.poll()
        return phone

    def pinned(self, phone):
        """The fingerprint of the certificate that the record shows."""
        device = self.server.device_of(phone.udid)
        return device["enrolments"][0]["certificate"]["sha256"]

    @staticmethod
    def fingerprint(identity):
        text = openssl("x509", "-in", identity.certificate, "-noout", "-fingerprint", "-sha256").decode()
        return text.strip().split("=")[1].replace(":", "").lower()

    def renewals(self, phone):
        """The commands that asked for one, oldest first."""
        return sorted(self.server.commands_of(self.server.device_of(phone.udid), "renew"), key=lambda command: command["created"])

    def test_a_phone_is_asked_in_time_and_its_new_identity_takes_the_place_of_the_former(self):
        phones = {first: self.phone("--ownership", "personal") for first in (False, True)}
        self.assertEqual([phone.offered for phone in phones.values()], [[], []], "not at once")
        self.server.later(LATE)
        for first, phone in phones.items():
            with self.subTest(acknowledges_first=first):
                before, phone.acknowledges_first = phone.identity, first
                phone.poll()
                self.assertEqual(len(phone.offered), 1)
                self.assertNotEqual(self.fingerprint(phone.identity), self.fingerprint(before))
                self.assertEqual(self.pinned(phone), self.fingerprint(phone.identity))
                self.assertEqual([command["state"] for command in self.renewals(phone)], ["acknowledged"])
                self.assertEqual(phone.report("Idle", identity=before).status, 200, "for a while: an answer may be on its way")
                phone.poll()
                self.assertEqual(len(phone.offered), 1, "once")
                device = self.server.device_of(phone.udid)
                self.assertEqual((device["state"], device["ownership"]), ("enrolled", "personal"))
                wipe = self.server.verb("wipe", device["id"], "--scope", "selective", "--reason", "gone", "--yes")
                phone.poll()
                self.assertEqual(self.server.command(wipe["id"])["state"], "confirmed")

    def test_who_breaks_off_or_refuses_works_on_and_is_asked_again_after_a_while(self):
        phones = {how: self.phone() for how in ("SCEP", "check-in", "refuses")}
        self.server.later(LATE)
        for how, phone in phones.items():
            with self.subTest(how=how):
                before = self.fingerprint(phone.identity)
                if how == "refuses":
                    phone.refused.add("InstallProfile")
                else:
                    phone.breaks_off = how
                phone.poll()
                self.assertEqual(self.pinned(phone), before)
                self.assertNotIn("InstallProfile", phone.poll() if how == "refuses" else [], "not at each poll")
                phone.breaks_off = None
                phone.refused.clear()
                # Who asks for a sync does not wait.
                self.server.verb("devices", "sync", self.server.device_of(phone.udid)["id"])
                phone.poll()
                self.assertEqual(self.pinned(phone), self.fingerprint(phone.identity))
                self.assertNotEqual(self.fingerprint(phone.identity), before)

    def test_what_a_thief_gets_for_a_challenge_is_worth_nothing(self):
        phone = self.phone()
        self.server.later(LATE)
        device = self.server.device_of(phone.udid)
        # The phone was handed the profile and is switched off; somebody reads it and is the first at the SCEP server.
        phone.breaks_off = "SCEP"
        phone.poll()
        asked = payloads(phone.offered[-1], SCEP)[0]["PayloadContent"]
        stolen = Identity(phone.folder / "stolen.pem", phone.folder / "stolen.key")
        scep(self.server.ca, asked["URL"], asked["Challenge"], stolen)
        self.server.verb("lock", device["id"], "--reason", "test")
        honest = phone.identity
        # It says that it is the phone, with a push token of its own.
        phone.identity, phone.token, honest_token = stolen, os.urandom(32), phone.token
        self.assertEqual([phone.authenticate().status, phone.token_update().status], [200, 200])
        self.assertEqual(phone.report("Idle").body, b"", "it is told nothing")
        # A command id that it makes up shows nothing, nor does one that it cannot know.
        self.assertEqual(phone.report("Acknowledged", CommandUUID="01890a5d-ac96-774b-bcce-b302099a8057").body, b"")
        self.assertEqual(phone.check_in("GetBootstrapToken").status, 200)
        phone.check_out()
        phone.udid, udid = phone.udid.replace("0", "1"), phone.udid
        self.assertEqual(phone.report("Idle").status, 403, "a copy under another UDID")
        phone.udid = udid
        phone.identity, phone.token, phone.breaks_off = honest, honest_token, None
        self.assertEqual(self.pinned(phone), self.fingerprint(honest))
        # The phone is back, goes through with it, and what the thief has is refused.
        self.assertIn("InstallProfile", phone.poll())
        self.assertEqual(self.pinned(phone), self.fingerprint(phone.identity))
        self.assertEqual(phone.report("Idle", identity=stolen).status, 403)
        self.assertEqual(self.server.device_of(phone.udid)["state"], "enrolled")
        # A challenge is good for one key.
        late = Identity(phone.folder / "late.pem", phone.folder / "late.key")
        for profile in phone.offered:
            asked = payloads(profile, SCEP)[0]["PayloadContent"]
            with self.assertRaises(AssertionError):
                scep(self.server.ca, asked["URL"], asked["Challenge"], late)

    def test_a_wipe_in_between_goes_to_either_identity(self):
        phone = self.phone()
        self.server.later(LATE)
        device = self.server.device_of(phone.udid)
        phone.breaks_off = "check-in"
        phone.poll()
        # The certificate is there, and the phone checks in by it; its word on the command is lost, and so is its push magic.
        number = len(phone.offered)
        new = Identity(phone.folder / f"{phone.serial}-{number}.pem", phone.folder / f"{phone.serial}-{number}.key")
        before, phone.identity, phone.magic = phone.identity, new, "another"
        self.assertEqual([phone.authenticate().status, phone.token_update().status], [200, 200])
        wipe = self.server.verb("wipe", device["id"], "--scope", "full", "--reason", "lost", "--yes")
        erase = plistlib.loads(phone.report("Idle").body)
        self.assertEqual(erase["Command"]["RequestType"], "EraseDevice")
        for word in ("NotNow", "Error"):
            ends = phone.report(word, CommandUUID=erase["CommandUUID"])
            self.assertEqual((ends.status, ends.body), (200, b""), "who puts it off hears of it in the next session")
            self.assertNotIn(self.server.command(wipe["id"])["state"], ("presumed", "confirmed", "failed"))
        self.assertEqual(phone.poll(), ["EraseDevice"])
        told = self.server.command(wipe["id"])
        self.assertEqual(told["state"], "sent", "it has not shown that it is the phone")
        self.assertEqual({entry["kind"] for entry in told["evidence"]}, {"later_enrolment"})
        # Who has a certificate that nothing proves keeps no wipe from the phone.
        phone.erased, phone.identity = False, before
        self.assertEqual(phone.poll(), ["EraseDevice"])
        self.assertEqual(self.server.command(wipe["id"])["state"], "confirmed")

    def test_a_jump_of_the_clock_renews_nothing_and_status_names_who_cannot_be_renewed(self):
        phone = self.phone()
        self.server.again(715 * DAY)
        phone.refused.add("InstallProfile")
        self.assertNotIn("InstallProfile", phone.poll())
        self.server.verb("clock", "accept")
        # That is known within a second.
        eventually(lambda: "InstallProfile" in phone.poll(), "it is asked")
        told = {line["code"]: line for line in self.server.verb("status")}
        self.assertEqual(told["renewal_refused"]["subject"], self.server.device_of(phone.udid)["id"])
        self.assertIn("once in vain", told["renewal_refused"]["text"])
        self.server.later(740 * DAY)
        eventually(lambda: phone.report("Idle").status == 403, "its certificate has ended")
        status = lambda: {line["code"]: line for line in self.server.verb("status")}
        told = eventually(lambda: "device_cert_expired" in (told := status()) and told, "status tells of it")
        self.assertNotIn("renewal_refused", told)
        self.assertIn("must enrol anew", told["device_cert_expired"]["text"])


if __name__ == "__main__":
    unittest.main()
