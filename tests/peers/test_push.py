"""Wakes through a stand-in for APNs: nghttpd over real TLS and HTTP/2, which asks for the push certificate."""

import pathlib
import shutil
import subprocess
import unittest
import uuid

from apple_device import AppleDevice
from harness import ServedTest, VerbFailed, eventually, free_port, openssl

TOPIC = f"com.apple.mgmt.External.{uuid.uuid4()}"


def push_certificate(folder, topic):
    """A certificate with its key in one PEM file, as an administrator has it from Apple."""
    certificate, key, both = (folder / f"{topic[-6:]}.{end}" for end in ("pem", "key", "both.pem"))
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "300", "-subj", f"/UID={topic}/CN=APSP:test",
            "-keyout", key, "-out", certificate)
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both


class Apns:
    """nghttpd: it answers 200 to the paths that it has files for, 404 to all others."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.documents = folder / "documents"
        (self.documents / "3/device").mkdir(parents=True)
        self.certificate, self.key = folder / "apns.pem", folder / "apns.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
                "-keyout", self.key, "-out", self.certificate)
        program = shutil.which("nghttpd") or "/usr/sbin/nghttpd"
        self.log = folder / "apns.log"
        self.process = subprocess.Popen(
            [program, "-v", "--verify-client", "-d", str(self.documents), str(self.port), str(self.key),
             str(self.certificate)],
            stdin=subprocess.DEVNULL, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT,
        )

    def knows(self, token):
        (self.documents / "3/device" / token).write_text("")

    def said(self):
        return self.log.read_text(errors="replace")

    def pushes(self, token):
        return self.said().count(f":path: /3/device/{token}")

    def end(self):
        self.process.kill()
        self.process.wait()


class Push(ServedTest):
    @classmethod
    def setUpClass(cls):
        import tempfile
        cls.apns_folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-apns-"))
        cls.apns = Apns(cls.apns_folder)
        cls.addClassCleanup(shutil.rmtree, cls.apns_folder, True)
        cls.addClassCleanup(cls.apns.end)
        cls.arguments = ["--trust", cls.apns.certificate]
        super().setUpClass()
        cls.server.verb("settings", "set", "apple.push_url", f"https://localhost:{cls.apns.port}")

    def test_a_wipe_wakes_the_phone_and_another_topic_is_refused(self):
        before = self.server.verb("apple", "push-cert", "show")
        self.assertFalse(before["set"])
        self.assertTrue(before["missing"] and before["topic"].startswith("com.apple.mgmt.External."))
        file = push_certificate(self.apns_folder, TOPIC)
        shown = self.server.verb("apple", "push-cert", "set", file)
        self.assertEqual((shown["set"], shown["topic"], shown["missing"]), (True, TOPIC, None))

        phone = AppleDevice(self.server, self.folder(), "Woken").enrol(
            self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))
        token = phone.token.hex()
        self.apns.knows(token)
        phone.poll()
        device = self.server.device_of(phone.udid)
        already = self.apns.pushes(token)
        command = self.server.verb("wipe", device["id"], "--scope", "selective", "--reason", "left", "--yes")
        self.assertIsNotNone(command["expected_by"], "by when it can be expected to hear of it")
        eventually(lambda: self.apns.pushes(token) > already, "a push")
        said = self.apns.said()
        for line in (f"apns-topic: {TOPIC}", "apns-push-type: mdm", "apns-priority: 10", ":method: POST"):
            self.assertIn(line, said)
        phone.poll()
        self.wait_for_end(command, "confirmed")

        # With a device enrolled the topic stays.
        AppleDevice(self.server, self.folder(), "Other").enrol(
            self.server.verb("invite", "--channel", "apple", "--user", "ben@example.org"))
        other = push_certificate(self.apns_folder, f"com.apple.mgmt.External.{uuid.uuid4()}")
        with self.assertRaises(VerbFailed) as refused:
            self.server.verb("apple", "push-cert", "set", other)
        self.assertIn("other_topic", refused.exception.stderr)
        self.server.verb("apple", "push-cert", "set", file)

    def test_what_is_no_push_certificate_is_refused(self):
        file = self.folder() / "no.pem"
        for content in (b"", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x82\x01\x00rest"):
            file.write_bytes(content)
            with self.assertRaises(VerbFailed):
                self.server.verb("apple", "push-cert", "set", file)


if __name__ == "__main__":
    unittest.main()
