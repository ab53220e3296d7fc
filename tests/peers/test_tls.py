"""Who is asked for a client certificate, and what becomes of one that is revoked while its connection lives."""

import base64
import http.client
import pathlib
import plistlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from apple_device import CHECK_IN, MDM, RESULT, SCEP, AppleDevice, payloads
from harness import Identity, NameProxy, ServedTest, Server, VerbFailed, eventually, free_port, openssl, request, self_made, serial_of
from test_webhook import Receiver

PUBLIC, ENROL, THIRD = "mdm.lanyard.test", "enrol.lanyard.test", "mail.lanyard.test"


def asked(port, name):
    """Whether the server asks for a client certificate under that name, and the authorities that it names."""
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-msg"]
    words += ["-servername", name] if name else ["-noservername"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    text = done.stdout + done.stderr
    assert "Server certificate" in text, text
    authorities = []
    if "Acceptable client certificate CA names" in text:
        rest = text.split("Acceptable client certificate CA names\n", 1)[1]
        for line in rest.splitlines():
            if "=" not in line or line.startswith(("Requested", "Client Certificate", "Shared", "Peer")):
                break
            authorities.append(line)
    return "CertificateRequest" in text, authorities


class Names(unittest.TestCase):
    def authority(self):
        """A folder with an authority of the test's own."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-tls-"))
        self.addCleanup(shutil.rmtree, folder, True)
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2000", "-subj", "/CN=Test Root",
                "-keyout", folder / "root.key", "-out", folder / "root.pem")
        return folder

    @staticmethod
    def issue(folder, names, days=30, usage="serverAuth"):
        """Writes `leaf.pem` and `leaf.key` for these names."""
        request_file, extra, new = (folder / name for name in ("leaf.csr", "extra", "new.pem"))
        if not (folder / "leaf.key").exists():
            openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={names[0]}", "-keyout", folder / "leaf.key",
                    "-out", request_file)
        extra.write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
                         + (f"\nextendedKeyUsage={usage}" if usage else "") + "\n")
        openssl("x509", "-req", "-in", request_file, "-CA", folder / "root.pem", "-CAkey", folder / "root.key", "-CAcreateserial",
                "-days", str(days), "-extfile", extra, "-out", new)
        new.rename(folder / "leaf.pem")

    def serve(self, names, *more, days=30, usage="serverAuth"):
        """A server under a certificate of an authority of the test's own, for these names."""
        folder = self.authority()
        root, leaf, leaf_key = (folder / name for name in ("root.pem", "leaf.pem", "leaf.key"))
        self.issue(folder, names, days, usage)
        port = free_port()
        server = Server(["--device-addr", f"127.0.0.1:{port}", "--tls-cert", leaf, "--tls-key", leaf_key, *more])
        server.arguments = [str(word).replace("PORT", str(port)) for word in server.arguments]
        server.start()
        self.addCleanup(server.stop)
        return server, port, root

    def test_files_that_phones_would_not_take_are_told_of_and_not_taken(self):
        names = ["localhost"]
        server, port, root = self.serve(names, "--public-url", "https://localhost:PORT", days=300, usage=None)
        folder = root.parent

        def codes():
            return {line["code"]: line["text"] for line in server.verb("status") if line["subject"] == "server_cert"}

        # A server that stays down wipes nobody: it starts, and says so.
        self.assertIn("serverAuth", server.output())
        self.assertIn("serverAuth", codes()["server_cert_unfit"])
        self.issue(folder, names, days=300)
        eventually(lambda: not codes(), "the certificate is exchanged, and nothing is wrong")
        taken = ssl.get_server_certificate(("127.0.0.1", port))
        # One that phones do not take, one for other names, half a file: the former stays.
        self.issue(folder, names, days=1000)
        eventually(lambda: "1000 days" in codes().get("server_cert_refused", ""), "too long a life is told")
        self.issue(folder, ["elsewhere.test"], days=300)
        eventually(lambda: "localhost" in codes().get("server_cert_refused", ""), "a name that is missing is told")
        text = (folder / "leaf.pem").read_text()
        (folder / "leaf.pem").write_text(text[: len(text) // 2])
        eventually(lambda: set(codes()) == {"server_cert_refused"} and "localhost" not in codes()["server_cert_refused"], "half a file")
        self.assertEqual(ssl.get_server_certificate(("127.0.0.1", port)), taken)
        self.issue(folder, names, days=300)
        eventually(lambda: not codes(), "the next one is taken")
        self.assertNotEqual(ssl.get_server_certificate(("127.0.0.1", port)), taken)

    @staticmethod
    def signed_by(profile, root):
        """The property list, and the serial number of who signed it; an error where that is not of this root."""
        with tempfile.TemporaryDirectory() as folder:
            signed, signer = (pathlib.Path(folder) / name for name in ("signed", "signer"))
            signed.write_bytes(profile)
            plain = openssl("cms", "-verify", "-inform", "DER", "-in", signed, "-CAfile", root, "-purpose", "any", "-signer", signer)
            return plistlib.loads(plain), serial_of(signer)

    def test_profiles_are_signed_by_the_servers_certificate_and_after_an_exchange_by_the_next(self):
        names = ["localhost"]
        server, port, root = self.serve(names, "--public-url", "https://localhost:PORT", days=300)
        folder = root.parent
        server.ca = root
        server.policy("name: base\nassign: all\npasscode: {required: true}\n")
        invitation = server.verb("invite", "--channel", "apple", "--user", "ann@example.org")
        phone = AppleDevice(server, folder).enrol(invitation)
        mail = server.verb("invite", "--channel", "activesync", "--user", "ann@example.org")
        for kind in ("RSA", "EC"):
            if kind == "EC":
                openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                        "-keyout", folder / "leaf.key", "-out", folder / "leaf.csr")
                self.issue(folder, names, days=299)
                shown = serial_of(folder / "leaf.pem")
                eventually(lambda: self.shown(port, folder) == shown, "the certificate is exchanged")
                # What has not changed is not sent again, so something has.
                server.policy("name: base\nassign: all\npasscode: {required: true, min_length: 6}\n")
            serial = serial_of(folder / "leaf.pem")
            other = server.verb("invite", "--channel", "apple", "--user", f"{kind}@example.org")
            for url in (other["url"], mail["url"]):
                _, signer = self.signed_by(request(url + "/profile", ca=root).body, root)
                self.assertEqual(signer, serial, kind)
            came = len(phone.commands)
            phone.poll()
            settings = [command["Payload"] for name, command in phone.commands[came:] if name == "InstallProfile"]
            self.assertEqual(len(settings), 1)
            plain, signer = self.signed_by(settings[0], root)
            self.assertEqual((plain["PayloadIdentifier"], signer), ("org.lanyard.settings", serial), kind)

    @staticmethod
    def shown(port, folder):
        (folder / "shown.pem").write_text(ssl.get_server_certificate(("127.0.0.1", port)))
        return serial_of(folder / "shown.pem")

    def test_the_name_decides_who_is_asked(self):
        _, port, _ = self.serve(
            [PUBLIC, ENROL, THIRD], "--public-url", f"https://{PUBLIC}:PORT", "--enrol-url", f"https://{ENROL}:PORT")
        for name in (PUBLIC, None):
            is_asked, authorities = asked(port, name)
            self.assertTrue(is_asked, name)
            self.assertTrue(authorities, "our CA is named")
            for line in authorities:
                self.assertIn("Lanyard", line, "and no other")
        for name in (ENROL, THIRD):
            self.assertEqual(asked(port, name), (False, []), name)

    def test_an_end_in_sight_is_told_of_once(self):
        server, _, _ = self.serve(
            [PUBLIC, ENROL], "--public-url", f"https://{PUBLIC}:PORT", "--enrol-url", f"https://{ENROL}:PORT")
        lines = {line["subject"]: line for line in server.verb("status")}
        self.assertEqual(lines["server_cert"]["code"], "server_cert_ends")
        hook = free_port()
        receiver = Receiver(hook)
        self.addCleanup(receiver.http.shutdown)
        server.verb("settings", "set", "notify.webhook", f"http://127.0.0.1:{hook}/hook")
        # Every hour, and at the start.
        server.restart()
        eventually(lambda: receiver.got, "a notice")
        self.assertEqual([(notice["event"], notice["subject"]) for notice in receiver.got], [("expiry.soon", "server_cert")])
        self.assertIn("ends within 30 days", receiver.got[0]["data"])
        server.restart()
        time.sleep(3)
        self.assertEqual(len(receiver.got), 1, "the round at the start is over, and the webhook's")

    def test_a_device_enrols_and_checks_in_with_two_names(self):
        server, _, root = self.serve(
            [PUBLIC, ENROL], "--public-url", f"https://{PUBLIC}:PORT", "--enrol-url", f"https://{ENROL}:PORT")
        server.ca = root
        phone = AppleDevice(server, server.folder, "Two names")
        phone.proxy = NameProxy().url
        phone.enrol(server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))
        self.assertIn(ENROL, payloads(phone.profile, SCEP)[0]["PayloadContent"]["URL"])
        self.assertIn(PUBLIC, payloads(phone.profile, MDM)[0]["ServerURL"])
        phone.poll()
        self.assertEqual(server.device_of(phone.udid)["state"], "enrolled")
        # Under the name that does not ask: misdirected, and never a word that makes it unenrol.
        url = phone.mdm()["ServerURL"].replace(PUBLIC, ENROL)
        reply = request(url, "PUT", b"<plist/>", {"Content-Type": CHECK_IN}, phone.identity, root)
        self.assertEqual(reply.status, 421, reply)

    def test_a_certificate_without_one_of_our_names_is_refused_at_start(self):
        with self.assertRaisesRegex(AssertionError, ENROL):
            self.serve([PUBLIC], "--public-url", f"https://{PUBLIC}:PORT", "--enrol-url", f"https://{ENROL}:PORT")


class Revoked(ServedTest):
    """A revocation counts at the next request, whatever the connection knew before."""

    def enrolled(self):
        phone = AppleDevice(self.server, self.folder(), "Revoked")
        return phone.enrol(self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))

    def context(self, phone, version):
        made = ssl.create_default_context(cafile=str(self.server.ca))
        made.maximum_version = version
        made.load_cert_chain(str(phone.identity.certificate), str(phone.identity.key))
        return made

    def idle(self, secure, phone):
        """One poll on an open connection: its status and body."""
        body = plistlib.dumps({"Status": "Idle", "UDID": phone.udid})
        connection = http.client.HTTPConnection("localhost")
        connection.sock = secure
        connection.request("PUT", "/apple/mdm", body, {"Content-Type": "application/x-apple-aspen-mdm; charset=UTF-8"})
        reply = connection.getresponse()
        return reply.status, reply.read()

    def open(self, context, session=None):
        host, port = self.server.device.rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), timeout=20)
        return context.wrap_socket(plain, server_hostname="localhost", session=session)

    def test_on_a_kept_connection_and_on_a_resumed_session(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                phone = self.enrolled()
                phone.poll()
                context = self.context(phone, version)
                kept = self.open(context)
                self.assertEqual(self.idle(kept, phone)[0], 200)
                session = kept.session
                resumed = self.open(context, session)
                self.assertEqual(self.idle(resumed, phone)[0], 200)
                self.assertTrue(resumed.session_reused, "the session was resumed, so this test tells something")
                self.server.verb("devices", "revoke", self.server.device_of(phone.udid)["id"], "--reason", "stolen")
                for name, connection in (("kept", kept), ("resumed", resumed), ("resumed anew", self.open(context, session))):
                    status, body = self.idle(connection, phone)
                    self.assertEqual(status, 403, name)
                    self.assertNotIn(b"com.apple.unrecognized.device", body, name)
                self.assert_audited("enrolment.refused", phone.udid)

    def test_strangers_are_counted_in_the_audit_log(self):
        reply = self.server.request(self.server.public_url + "/enroll/nonsense")
        self.assertEqual(reply.status, 404)
        # The minute's count is written when the minute ends, and at the server's end.
        self.server.restart()
        found = [e for e in self.server.verb("audit", "list") if e["action"] == "stranger.refused"]
        self.assertTrue(found and int(found[0]["detail"]) >= 1, found)
        self.assertTrue(self.server.verb("audit", "verify")["ok"])

    def test_proxies_that_cannot_be_read_do_not_keep_the_server_from_starting(self):
        with self.assertRaises(VerbFailed):
            self.server.verb("settings", "set", "net.trusted_proxies", "proxy.example.org")
        self.server.verb("settings", "set", "net.trusted_proxies", "10.0.0.5, 10.1.0.0/16")
        self.server.restart()


class BehindAProxy(ServedTest):
    def test_a_proxys_word_counts_once_it_is_trusted_without_a_restart(self):
        phone = AppleDevice(self.server, self.folder())
        phone.fetch(self.server.verb("invite", "--channel", "apple", "--user", "erin@example.org"))
        body = plistlib.dumps({"Status": "Idle", "UDID": phone.udid})

        def by_header(identity):
            der = openssl("x509", "-in", identity.certificate, "-outform", "DER")
            headers = {"Client-Cert": f":{base64.b64encode(der).decode()}:"}
            return phone.put(phone.mdm()["ServerURL"], RESULT, body, "none", **headers).status

        stranger = self_made(self.folder())
        self.assertEqual(by_header(stranger), 400, "no certificate was shown")
        # In the first hour of a store without devices it counts at once.
        self.assertIsNone(self.server.verb("settings", "set", "net.trusted_proxies", "127.0.0.1")["pending"])
        eventually(lambda: by_header(stranger) == 403, "the header is read", 25)
        unknown = [entry for entry in self.server.verb("audit", "list") if entry["action"] == "certificate.unknown"]
        self.assertEqual(unknown, [], "it is of another CA: no sign of an older copy of the store")
        phone.certificate()
        for message in (phone.authenticate(), phone.token_update()):
            self.assertEqual(message.status, 200)
        self.assertEqual(by_header(phone.identity), 200)


if __name__ == "__main__":
    unittest.main()
