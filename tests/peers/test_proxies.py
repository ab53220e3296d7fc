"""nginx and HAProxy in front, with the configuration that docs/proxies.md prints: each channel enrols through them and is wiped,
nothing is cut short or gathered, and nobody forges a certificate by its header.
"""

import base64
import http.client
import os
import pathlib
import plistlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import wbxml
from apple_device import MDM, RESULT, SCEP, AppleDevice, payloads
from harness import (
    BINARY, ROOT, Identity, NameProxy, Reply, Server, ServedTest, context, eventually, free_port, handshake_refusal, in_background, openssl, request,
    self_made, tool,
)
from mail_client import ACCOUNT_WIPE, TYPE, MailClient
from mail_server import MailServer
from test_tls import asked
from windows_device import WindowsDevice

PAGE = ROOT / "docs/proxies.md"
PUBLIC, ENROL, DISCOVER = "mdm.lanyard.test", "enterpriseenrollment.lanyard.test", "autodiscover.lanyard.test"
CAROL, WORD = "carol@example.org", "right horse"
LARGE = 20_000_000
# Longer than the timeouts with which nginx (60 s) and Debian's HAProxy (50 s) come.
HELD = 65
# Where nginx keeps what it does not keep in memory.
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
# As whom somebody comes whom the server does not trust.
ELSEWHERE = "127.0.0.2"


def printed(*beginnings):
    """The blocks of the page that begin with one of the comments, by the file that each names."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    found = {}
    for beginning in beginnings:
        [block] = [block for block in blocks if block.startswith(beginning)]
        found[pathlib.PurePath(beginning.split()[1].rstrip(","))] = block
    return found


class Mail(MailServer):
    """Holds Pings until `release`, counts what SendMail brings, and answers ItemOperations in two halves, the second when `go_on`."""

    def __init__(self, users):
        self.release, self.go_on, self.sent, self.waiting, self.hung_up = threading.Event(), threading.Event(), [], 0, 0
        super().__init__(users)

    def stop(self):
        self.release.set()
        self.go_on.set()
        super().stop()

    def handler(mail):
        class Handler(super().handler()):
            def do_POST(self):
                if "Cmd=Ping" in self.path:
                    self.hold()
                elif "Cmd=SendMail" in self.path:
                    mail.sent.append(len(self.body()))
                    self.reply(200)
                    return
                elif "Cmd=ItemOperations" in self.path:
                    self.body()
                    self.two_halves()
                    return
                super().do_POST()

            def hold(self):
                mail.waiting += 1
                while not mail.release.wait(0.2):
                    # Whoever asked has gone: the connection can be read, and nothing is there.
                    self.connection.settimeout(0.01)
                    try:
                        if self.connection.recv(1, socket.MSG_PEEK) == b"":
                            mail.hung_up += 1
                            break
                    except TimeoutError:
                        pass
                    finally:
                        self.connection.settimeout(None)
                mail.waiting -= 1

            def two_halves(self):
                self.send_response(200)
                self.send_header("Content-Type", TYPE)
                self.send_header("Content-Length", str(LARGE))
                self.end_headers()
                self.wfile.write(bytes(LARGE // 2))
                self.wfile.flush()
                mail.go_on.wait(60)
                self.wfile.write(bytes(LARGE - LARGE // 2))

        return Handler


class Proxy:
    """One proxy, with what the page prints, on a port of its own."""

    name: str
    program: str
    files: tuple

    def __init__(self, folder, port, server, changes=()):
        self.folder, self.port = folder, port
        folder.mkdir()
        for file, text in printed(*self.files).items():
            for before, after in (*self.places(folder, port), ("10.0.0.9:8443", server), ("example.org", "lanyard.test"), *changes):
                text = text.replace(before, after)
            assert not re.findall(r"example\.org|/etc/|10\.0\.0\.9", text), text
            # Below the folder as below /etc/nginx or /etc/haproxy.
            place = folder.joinpath(*file.parts[3:])
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)
        self.process = None

    def start(self, *under):
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen([*under, *self.command()], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True)
        eventually(self.answers, f"{self.name} answers")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        # With what it may run under.
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(15)
        self.log.close()


class Nginx(Proxy):
    name, program = "nginx", "/usr/sbin/nginx"
    files = ("// /etc/nginx/lanyard.js", "# /etc/nginx/snippets/lanyard.conf", "# /etc/nginx/conf.d/lanyard.conf")
    http2 = ((" ssl;", " ssl http2;"),)
    leaves_time_to_the_server = False
    unverified = (("proxy_ssl_verify on", "proxy_ssl_verify off"),)

    @staticmethod
    def places(folder, port):
        return ("/etc/nginx/", f"{folder}/"), ("listen 443 ", f"listen 127.0.0.1:{port} ")

    def command(self):
        """Under Debian's own nginx.conf, with its places moved to the folder."""
        text = pathlib.Path("/etc/nginx/nginx.conf").read_text()
        for before, after in (
            ("user www-data;", "user root; daemon off;"), ("/run/nginx.pid", f"{self.folder}/pid"), ("/var/log/nginx/error.log", "stderr info"),
            ("/var/log/nginx/access.log", f"{self.folder}/access"), ("/etc/nginx/conf.d/", f"{self.folder}/conf.d/"),
            ("/etc/nginx/sites-enabled/", f"{self.folder}/sites-enabled/"),
            ("http {", "http { " + " ".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in TEMPORARY)),
            ("/etc/nginx/modules-enabled/*.conf", f"{self.folder}/modules.conf"),
        ):
            assert before in text, f"nginx.conf is not Debian's: no {before}"
            text = text.replace(before, after)
        (self.folder / "modules.conf").write_text("load_module /usr/lib/nginx/modules/ngx_http_js_module.so;\n")
        (self.folder / "nginx.conf").write_text(text)
        return [self.program, "-p", self.folder, "-e", "stderr", "-c", self.folder / "nginx.conf"]

    def certificate(self, chain, key):
        shutil.copy(chain, self.folder / "mdm-fullchain.pem")
        shutil.copy(key, self.folder / "mdm-privkey.pem")


class Haproxy(Proxy):
    name, program = "HAProxy", "/usr/sbin/haproxy"
    files = ("# /etc/haproxy/lanyard.list", "# /etc/haproxy/haproxy.cfg,")
    http2 = (("alpn http/1.1", "alpn h2,http/1.1"),)
    leaves_time_to_the_server = True
    unverified = (("verify required ca-file", "verify none ca-file"),)

    @staticmethod
    def places(folder, port):
        return ("/etc/haproxy/", f"{folder}/"), ("bind :443 ", f"bind 127.0.0.1:{port} ")

    def command(self):
        # Debian's own, save for what only a daemon of root's can do.
        lines = pathlib.Path("/etc/haproxy/haproxy.cfg").read_text().replace("/run/haproxy/", f"{self.folder}/").splitlines()
        kept = [line for line in lines if line.split()[:1] not in (["chroot"], ["user"], ["group"], ["daemon"])]
        (self.folder / "debian.cfg").write_text("\n".join(kept).replace("/dev/log\tlocal0", "stdout format raw local0") + "\n")
        return [self.program, "-db", "-f", self.folder / "debian.cfg", "-f", self.folder / "haproxy.cfg"]

    def certificate(self, chain, key):
        (self.folder / "mdm.pem").write_bytes(chain.read_bytes() + key.read_bytes())


def send(address, method, path, body, headers, source=None, ca=None, name=PUBLIC, identity=None):
    """One request with headers in whatever form and number, under a name, from an address of this machine."""
    host, port = address.rsplit(":", 1)
    plain = socket.create_connection((host, int(port)), timeout=60, source_address=(source, 0) if source else None)
    connection = http.client.HTTPConnection(name, int(port))
    connection.sock = context(ca, identity).wrap_socket(plain, server_hostname=name)
    try:
        connection.putrequest(method, path)
        for key, value in headers:
            connection.putheader(key, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Reply(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())
    finally:
        connection.close()


class Behind:
    """What holds behind any of them."""

    proxy: type

    @classmethod
    def setUpClass(cls):
        if not pathlib.Path(cls.proxy.program).exists() and not os.environ.get("LANYARD_REQUIRE_PEERS"):
            raise unittest.SkipTest(f"there is no {cls.proxy.program}")
        cls.mail = Mail({CAROL: WORD})
        cls.addClassCleanup(cls.mail.stop)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-proxy-"))
        cls.addClassCleanup(shutil.rmtree, folder, True)
        cls.root, cls.port, own = folder / "root.pem", free_port(), free_port()
        cls.own = f"127.0.0.1:{own}"
        cls.server = Server(["--device-addr", cls.own, "--public-url", f"https://{PUBLIC}:{cls.port}",
                             "--enrol-url", f"https://{ENROL}:{cls.port}", "--eas-upstream", cls.mail.url]).start()
        cls.addClassCleanup(cls.server.stop)
        # The first hour of a new store.
        cls.server.verb("settings", "set", "net.trusted_proxies", "127.0.0.1")
        cls.server.restart()
        cls.own_ca = cls.server.ca
        cls.make_certificate(folder)
        cls.front = cls.another(folder / "proxy", cls.port, ())
        # Devices see the proxy's certificate.
        cls.server.ca = cls.root

    @classmethod
    def make_certificate(cls, folder):
        names = ",".join(f"DNS:{name}" for name in (PUBLIC, ENROL, DISCOVER))
        (folder / "extra").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "300", "-subj", "/CN=Root of the proxy", "-keyout",
                folder / "root.key", "-out", folder / "root.pem")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={PUBLIC}", "-keyout", folder / "leaf.key", "-out", folder / "csr")
        openssl("x509", "-req", "-in", folder / "csr", "-CA", folder / "root.pem", "-CAkey", folder / "root.key", "-CAcreateserial",
                "-days", "90", "-extfile", folder / "extra", "-out", folder / "leaf.pem")

    @classmethod
    def another(cls, folder, port, changes, *under):
        front = cls.proxy(folder, port, cls.own, changes)
        front.certificate(cls.root.parent / "leaf.pem", cls.root.parent / "leaf.key")
        # As the page says.
        (folder / "lanyard-ca.pem").write_bytes(
            tool([BINARY, "ca", "show", "--pem"], environment={"LANYARD_DATA": str(cls.server.data)}))
        front.start(*under)
        cls.addClassCleanup(front.stop)
        return front

    def phone(self, name="iPhone"):
        phone = AppleDevice(self.server, self.folder(), name)
        phone.proxy = NameProxy().url
        return phone.enrol(self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))

    def client(self, version="14.1"):
        invitation = self.server.verb("invite", "--channel", "activesync", "--user", CAROL)
        client = MailClient(self.server, self.folder(), CAROL, WORD, version).certificate(invitation)
        self.assertEqual(client.folder_sync().status, 200)
        return client

    def path(self, client, command):
        return client.url(command).split(f":{self.port}", 1)[1]

    def wipe(self, name, scope="selective"):
        device = self.server.device_of(name)
        return self.server.verb("wipe", device["id"], "--scope", scope, "--reason", "lost", "--yes")

    # What holds

    def test_a_certificate_is_asked_for_under_the_public_name_alone(self):
        for name in (PUBLIC, None):
            is_asked, authorities = asked(self.port, name)
            self.assertTrue(is_asked and authorities, name)
            self.assertTrue(all("Lanyard" in line for line in authorities), authorities)
        for name in (ENROL, DISCOVER):
            self.assertEqual(asked(self.port, name), (False, []), name)

    def test_an_iphone_enrols_and_is_wiped(self):
        phone = self.phone()
        self.assertIn(f"{ENROL}:{self.port}", payloads(phone.profile, SCEP)[0]["PayloadContent"]["URL"])
        self.assertIn(f"{PUBLIC}:{self.port}", payloads(phone.profile, MDM)[0]["ServerURL"])
        self.assertIn("DeviceInformation", phone.poll())
        command = self.wipe(phone.udid, "full")
        self.assertEqual(phone.poll(), ["EraseDevice"])
        self.assert_evidence(self.wait_for_end(command, "confirmed"))

    def test_a_pc_enrols_and_is_wiped(self):
        computer = WindowsDevice(self.server, self.folder())
        computer.enrol(self.server.verb("invite", "--channel", "windows", "--user", "bob@example.org"))
        computer.connect()
        command = self.wipe(computer.ident)
        computer.connect()
        self.assertTrue(computer.unenrolled)
        computer.connect(unenrolling=True)
        self.assert_evidence(self.wait_for_end(command, "confirmed"))

    def test_mail_enrols_and_is_wiped_out_of_a_held_ping(self):
        client = self.client("16.1")
        answer = []
        in_background(lambda: answer.append(client.post("Ping", b"")))
        eventually(lambda: self.mail.waiting == 1, "the Ping is held")
        command = self.wipe(client.ident)
        eventually(lambda: answer, "the held Ping is answered")
        self.assertEqual(client.directives(), [ACCOUNT_WIPE])
        client.acknowledge(ACCOUNT_WIPE)
        self.assert_evidence(self.wait_for_end(command, "confirmed"))

    def test_a_ping_is_held_as_long_as_it_takes(self):
        client = self.client()
        connection = http.client.HTTPSConnection(PUBLIC, self.port, timeout=2 * HELD, context=context(self.root, client.identity))
        self.addCleanup(connection.close)
        answer, begun = [], time.monotonic()
        connection.request("POST", self.path(client, "Ping"), b"", client.headers(**{"MS-ASProtocolVersion": "14.1"}))
        in_background(lambda: answer.append(connection.getresponse()))
        eventually(lambda: self.mail.waiting == 1, "the Ping is held")
        while time.monotonic() - begun < HELD:
            self.assertEqual(answer, [], f"after {time.monotonic() - begun:.0f} s")
            time.sleep(0.5)
        self.mail.release.set()
        self.addCleanup(self.mail.release.clear)
        self.assertEqual(eventually(lambda: answer, "its answer")[0].status, 200)

    def test_a_phone_that_has_gone_holds_nothing_at_the_mail_server(self):
        client = self.client()
        before = self.mail.hung_up
        raw = context(self.root, client.identity).wrap_socket(
            socket.create_connection(("127.0.0.1", self.port)), server_hostname=PUBLIC)
        path = self.path(client, "Ping")
        head = {"Host": f"{PUBLIC}:{self.port}", "MS-ASProtocolVersion": "14.1", "Content-Length": "0", **client.headers()}
        raw.sendall(f"POST {path} HTTP/1.1\r\n{''.join(f'{key}: {value}' + chr(13) + chr(10) for key, value in head.items())}\r\n".encode())
        eventually(lambda: self.mail.waiting == 1, "the Ping is held")
        raw.close()
        eventually(lambda: self.mail.hung_up > before, "the mail server's connection ends")

    def test_large_bodies_pass_and_are_not_gathered_first(self):
        client = self.client()
        self.assertEqual(client.post("SendMail", bytes(LARGE)).status, 200)
        self.assertEqual(self.mail.sent[-1], LARGE)
        connection = http.client.HTTPSConnection(PUBLIC, self.port, timeout=60, context=context(self.root, client.identity))
        self.addCleanup(connection.close)
        headers = client.headers(**{"MS-ASProtocolVersion": "14.1", "Content-Type": TYPE})
        connection.request("POST", self.path(client, "ItemOperations"), b"", headers)
        reply = connection.getresponse()
        self.assertEqual((reply.status, reply.headers["Content-Length"]), (200, str(LARGE)))
        # The other half is not there yet.
        self.assertEqual(len(reply.read(LARGE // 2 - 100_000)), LARGE // 2 - 100_000)
        self.mail.go_on.set()
        self.addCleanup(self.mail.go_on.clear)
        self.assertEqual(len(reply.read()), LARGE - LARGE // 2 + 100_000)

    def test_whoever_has_no_certificate_is_refused_before_a_large_body_is_read(self):
        phone = self.phone()
        reply = phone.put(phone.mdm()["ServerURL"], RESULT, bytes(8_000_000), "none")
        self.assertIn(reply.status, (400, 403, 413), "the server's own word")

    def test_a_certificate_of_another_ca_counts_as_none(self):
        phone, folder = self.phone(), self.folder()
        ended = Identity(folder / "ended.pem", folder / "ended.key")
        tool(["faketime", "-f", "-300d", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=ended",
              "-keyout", ended.key, "-out", ended.certificate])
        for stranger in (self_made(folder), ended):
            if handshake_refusal(f"127.0.0.1:{self.port}", PUBLIC, self.root, stranger) is None:
                self.assertEqual(self.idle(phone, identity=stranger).status, 400)
        unknown = [entry for entry in self.server.verb("audit", "list") if entry["action"] == "certificate.unknown"]
        self.assertEqual(unknown, [], "it does not look like one of ours that the store forgot")

    def test_a_certificate_that_has_ended_is_judged_as_the_page_says(self):
        phone = self.phone()
        phone.poll()
        port = free_port()
        # By this one's clock the device's certificate has ended, and the server's own as well.
        self.another(self.root.parent / "later", port, self.proxy.unverified, "faketime", "-f", "+1000d")
        reply = self.idle(phone, f"127.0.0.1:{port}", identity=phone.identity)
        self.assertEqual(reply.status, 200 if self.proxy.leaves_time_to_the_server else 400)
        self.assertEqual(self.idle(phone, f"127.0.0.1:{port}").status, 400)

    def idle(self, phone, address=None, source=None, headers=(), identity=None, ca=None):
        body = plistlib.dumps({"Status": "Idle", "UDID": phone.udid})
        address = address or f"127.0.0.1:{self.port}"
        return send(address, "PUT", "/apple/mdm", body, [("Content-Type", RESULT), *headers], source, ca or self.root, PUBLIC, identity)

    def test_a_forged_header_counts_for_nothing_through_the_proxy_and_straight_to_the_server(self):
        phone, thief = self.phone("Victim"), self.phone("Thief")
        command = self.server.verb("lock", self.server.device_of(phone.udid)["id"])
        der = openssl("x509", "-in", phone.identity.certificate, "-outform", "DER")
        word = f":{base64.b64encode(der).decode()}:"
        forged = [
            [("Client-Cert", word)], [("client-cert", word)], [("CLIENT-CERT", word), ("Client-Cert", word)], [("Client_Cert", word)],
            [("Client-Cert", ""), ("Client-Cert", word)], [("X-Ignore", "a"), ("Client-Cert", f"  {word}")],
            [("Connection", "Client-Cert"), ("Client-Cert", word)],
        ]
        for headers in forged:
            with self.subTest(headers=[name for name, _ in headers]):
                self.assertEqual(self.idle(phone, headers=headers).status, 400, "no certificate was shown")
                # The proxy's word about who really asks stands beside none of the client's.
                self.assertEqual(self.idle(thief, headers=headers, identity=thief.identity).status, 200)
                self.assert_refused(self.idle(phone, headers=headers, identity=thief.identity), 403)
                straight = self.idle(phone, self.own, ELSEWHERE, headers, ca=self.own_ca)
                self.assertEqual(straight.status, 400, "nobody there is believed")
        # Were it believed, it would say so: the same from the proxy's own address.
        self.assertEqual(self.idle(phone, self.own, None, [("Client-Cert", word)], ca=self.own_ca).status, 200)
        self.assertEqual(self.server.command(command["id"])["action"], "lock")

    def test_a_resumed_session_is_still_its_certificates(self):
        phone = self.phone()
        phone.poll()
        secure = context(self.root, phone.identity)
        session = None
        for turn in range(3):
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            raw = secure.wrap_socket(plain, server_hostname=PUBLIC, session=session)
            self.assertEqual(raw.session_reused, turn > 0)
            connection = http.client.HTTPConnection(PUBLIC, self.port)
            connection.sock = raw
            connection.request("PUT", "/apple/mdm", plistlib.dumps({"Status": "Idle", "UDID": phone.udid}), {"Content-Type": RESULT})
            reply = connection.getresponse()
            self.assertEqual((reply.status, reply.read()), (200, b""), turn)
            session = raw.session
            raw.close()

    def test_a_revocation_counts_on_a_kept_connection(self):
        phone = self.phone()
        phone.poll()
        connection = http.client.HTTPSConnection(PUBLIC, self.port, timeout=60, context=context(self.root, phone.identity))
        self.addCleanup(connection.close)
        body = plistlib.dumps({"Status": "Idle", "UDID": phone.udid})

        def idle():
            connection.request("PUT", "/apple/mdm", body, {"Content-Type": RESULT})
            reply = connection.getresponse()
            return reply.status, reply.read()

        self.assertEqual(idle(), (200, b""))
        self.server.verb("devices", "revoke", self.server.device_of(phone.udid)["id"], "--reason", "stolen")
        status, text = idle()
        self.assertEqual(status, 403)
        self.assertNotIn(b"com.apple.unrecognized.device", text)

    def test_a_name_that_does_not_ask_is_answered_421(self):
        phone = self.phone()
        url = phone.mdm()["ServerURL"].replace(PUBLIC, ENROL)
        self.assertEqual(request(url, "PUT", b"<plist/>", {"Content-Type": RESULT}, phone.identity, self.root).status, 421)
        # Nor by the public name in Host alone.
        reply = send(f"127.0.0.1:{self.port}", "PUT", "/apple/mdm", b"<plist/>", [("Content-Type", RESULT), ("X-Name", PUBLIC)],
                     ca=self.root, name=ENROL)
        self.assertEqual(reply.status, 421)

    def test_http_2_to_the_client_changes_nothing(self):
        phone = self.phone()
        phone.poll()
        self.server.verb("lock", self.server.device_of(phone.udid)["id"])
        port = free_port()
        self.another(self.root.parent / "http2", port, self.proxy.http2)
        words = ["curl", "--silent", "--http2", "--cacert", self.root, "--connect-timeout", "20", "--max-time", "60", "--write-out",
                 "\n%{http_version} %{http_code}"]
        for name in (PUBLIC, ENROL):
            words += ["--resolve", f"{name}:{port}:127.0.0.1"]

        def ask(*more):
            body, _, end = tool(words + list(more)).rpartition(b"\n")
            return end.decode(), body

        end, body = ask(f"https://{ENROL}:{port}/crl")
        self.assertEqual(end, "2 200")
        message = self.folder() / "idle"
        message.write_bytes(plistlib.dumps({"Status": "Idle", "UDID": phone.udid}))
        more = ["-X", "PUT", "--data-binary", f"@{message}", "-H", f"Content-Type: {RESULT}", f"https://{PUBLIC}:{port}/apple/mdm"]
        end, body = ask(*more)
        self.assertEqual(end, "2 400", "no certificate")
        end, body = ask("--cert", phone.identity.certificate, "--key", phone.identity.key, *more)
        self.assertEqual(end, "2 200")
        self.assertEqual(plistlib.loads(body)["Command"]["RequestType"], "DeviceLock")


class BehindNginx(Behind, ServedTest):
    proxy = Nginx


class BehindHaproxy(Behind, ServedTest):
    proxy = Haproxy


if __name__ == "__main__":
    unittest.main()
