"""What all peers need: a server of the test's own, the command line's verbs, HTTPS with a client certificate.

The peers know the contract (verbs, JSON fields, files of the data folder, routes) and the protocols, and nothing of
the server's inside. Python's standard library and the programs openssl, scepclient and mdmb; no code of Lanyard's.
"""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LANYARD_BIN", ROOT / "target/debug/lanyard"))
# Seconds. The first is generous, for a machine that builds something else meanwhile.
START_LIMIT = 60
STOP_LIMIT = 15
REQUEST_LIMIT = 60


# Names of a server's own, without a line in /etc/hosts: all of them are this machine.
TEST_NAMES = ".lanyard.test"
_getaddrinfo = socket.getaddrinfo


def _lookup(host, *rest, **more):
    if isinstance(host, str) and host.endswith(TEST_NAMES):
        host = "127.0.0.1"
    return _getaddrinfo(host, *rest, **more)


socket.getaddrinfo = _lookup


class VerbFailed(Exception):
    """A verb that ended with another exit code than 0."""

    def __init__(self, words, code, stdout, stderr):
        super().__init__(f"lanyard {' '.join(words)}: exit code {code}\n{stdout}{stderr}")
        self.code, self.stdout, self.stderr = code, stdout, stderr


@dataclass
class Reply:
    """An HTTP answer. Header names in lower case."""

    status: int
    headers: dict
    body: bytes

    def __repr__(self):
        return f"HTTP {self.status} {self.headers} {self.body[:600]!r}"


@dataclass
class Identity:
    """A client certificate with its key, as PEM files; the chain may follow the certificate."""

    certificate: pathlib.Path
    key: pathlib.Path


@dataclass
class Server:
    """`lanyard serve` on free ports, with a data folder that is gone afterwards."""

    arguments: list = field(default_factory=list)

    def start(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-peers-"))
        self.data = self.folder / "data"
        return self.run()

    def run(self):
        """Starts the process on its data folder."""
        self.launch()
        try:
            eventually(self._ready, "the server's ready line", START_LIMIT)
        except BaseException:
            self.process.kill()
            self.end()
            raise
        return self.opened()

    def launch(self):
        """Begins a start, and does not wait for its end."""
        command = [BINARY, "serve", "--data", self.data]
        for port in ("--device-addr", "--admin-addr"):
            if port not in self.arguments:
                command += [port, "127.0.0.1:0"]
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [str(word) for word in self.wrap(command + self.arguments)], stdin=subprocess.DEVNULL, stderr=self.log, stdout=self.log
        )

    def opened(self):
        """Learns the addresses of a server that is ready."""
        described = self.described()
        self.device, self.public_url, self.enrol_url = (described[key] for key in ("device", "public_url", "enrol_url"))
        self.ca = self.data / "ca.pem"
        return self

    def described(self):
        """The addresses that it writes down at its start."""
        return json.loads((self.data / "server.json").read_text())

    def wrap(self, command):
        """For those that run the server under another program."""
        return command

    def restart(self, kill=False):
        """Ends the process, by a kill where asked for, and starts it anew on the same folder."""
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait(STOP_LIMIT)
        self.log.close()
        return self.run()

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended at once: {self.process.returncode}\n{self.output()}")
        return self.is_ready()

    def is_ready(self):
        """Whether it has said so, and written its addresses down."""
        return any(line.startswith("ready ") for line in self.output().splitlines()) and (self.data / "server.json").exists()

    def output(self):
        """All that the server has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    def stop(self):
        """Asks the server to end, and expects a clean end in time."""
        self.process.send_signal(signal.SIGTERM)
        code, text = self.end()
        assert code == 0, f"the server's exit code: {code}\n{text[-4000:]}"

    def end(self):
        """Waits for the process, kills it where that takes too long, and removes its folder. Exit code and log."""
        try:
            code = self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = f"none within {STOP_LIMIT} s of SIGTERM"
        self.log.close()
        text = self.output()
        if os.environ.get("LANYARD_PEERS_KEEP"):
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return code, text

    def verb(self, *words):
        """Runs a client verb and returns the document that it prints; `VerbFailed` where it refuses."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LANYARD_")}
        environment["LANYARD_DATA"] = str(self.data)
        words = [str(word) for word in words]
        done = subprocess.run(
            [str(BINARY), *words, "--json"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=REQUEST_LIMIT, check=False,
        )
        if done.returncode != 0:
            raise VerbFailed(words, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def device_of(self, identity):
        """The device that has an enrolment of that name in its protocol, or `None`."""
        for device in self.verb("devices", "list"):
            if any(same(enrolment["identity"], identity) for enrolment in device["enrolments"]):
                return device
        return None

    def command(self, ident):
        return self.verb("commands", "show", ident)

    def commands_of(self, device, *actions):
        """The device's commands, or those of some actions alone."""
        listed = self.verb("commands", "list", "--device", device["id"])
        return [command for command in listed if not actions or command["action"] in actions]

    def request(self, url, method="GET", body=None, headers=None, identity=None):
        """One request on a connection of its own, with a client certificate where an identity is given."""
        return request(url, method, body, headers, identity, self.ca)

    def policy(self, text):
        """Applies a policy given as the text of its file."""
        file = self.folder / "policy.yaml"
        file.write_text(text)
        return self.verb("policy", "apply", file, "--yes")


class Nodes:
    """Servers side by side on one PostgreSQL database, under one master key. Ended and removed with the test. `through` names the
    ports by which they reach it, where that is not its own."""

    def __init__(self, test, *arguments, count=2, through=()):
        base = os.environ.get("LANYARD_TEST_POSTGRES")
        if not base:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                raise AssertionError("LANYARD_TEST_POSTGRES names no database server")
            test.skipTest("LANYARD_TEST_POSTGRES names no database server")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-nodes-"))
        test.addCleanup(shutil.rmtree, self.folder, True)
        name = f"peers_{os.getpid()}_{time.monotonic_ns()}"
        tool(["psql", base, "-qc", f"create database {name}"])
        test.addCleanup(tool, ["psql", base, "-qc", f"drop database {name} with (force)"])
        self.store = base.rsplit("/", 1)[0] + "/" + name
        key = self.folder / "master.key"
        key.write_bytes(openssl("rand", "-base64", "32"))
        self.arguments = ["--store", self.store, "--master-key", key, *arguments]
        self.servers = []
        ports = list(through) or [None] * count
        for port in ports:
            server = Server(["--store", self.by(port), *self.arguments[2:]]).start()
            test.addCleanup(server.stop)
            self.servers.append(server)

    def by(self, port):
        """The store's address, by another port."""
        parts = urllib.parse.urlsplit(self.store)
        return self.store if port is None else self.store.replace(f":{parts.port}/", f":{port}/")

    @staticmethod
    def database():
        """Host and port of the database server; the test is skipped by the first `Nodes` where there is none."""
        parts = urllib.parse.urlsplit(os.environ.get("LANYARD_TEST_POSTGRES", "postgres://127.0.0.1:5432/none"))
        return parts.hostname, parts.port or 5432

    @staticmethod
    def local(server):
        """The token of `local` on that node."""
        return (server.data / "local.token").read_text().strip()


class Api:
    """Calls on a server's admin API with one token."""

    def __init__(self, server, token):
        admin = server.described()["admin"]
        self.base, self.token, self.ca = f"https://{admin}/api/v1/", token, server.data / "ca.pem"

    def call(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        reply = request(self.base + path, method, json.dumps(body) if body is not None else None, headers, None, self.ca)
        return reply.status, json.loads(reply.body)

    def done(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer

    def all(self, path):
        items, after = [], ""
        while True:
            page = self.done("GET", f"{path}?limit=1000{after}")
            items += page["items"]
            if page["next"] is None:
                return items
            after = f"&after={page['next']}"


# What a wait that goes on will end at: a server that was down counts none of that time.
WAITING = {"counts_from", "expected_by", "leaves_at"}


def settled(record):
    """A record as it stands over a stop of the server."""
    return {key: value for key, value in record.items() if key not in WAITING} if isinstance(record, dict) else record


def context(ca, identity=None):
    """TLS that trusts the server's CA alone."""
    made = ssl.create_default_context(cafile=str(ca))
    if identity:
        made.load_cert_chain(str(identity.certificate), str(identity.key))
    return made


def request(url, method="GET", body=None, headers=None, identity=None, ca=None):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port or 443, timeout=REQUEST_LIMIT, context=context(ca, identity)
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=REQUEST_LIMIT)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return Reply(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def handshake_refusal(address, name, ca, identity):
    """The TLS alert with which the server refuses a client certificate, or `None` where it takes it.

    In TLS 1.3 the client is done before the server has judged, so the alert comes with the first read.
    """
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host.strip("[]"), int(port)), timeout=REQUEST_LIMIT) as plain:
        try:
            with context(ca, identity).wrap_socket(plain, server_hostname=name) as secure:
                secure.settimeout(2)
                secure.recv(1)
        except ssl.SSLError as error:
            return error.reason
        except (TimeoutError, socket.timeout):
            return None
    return None


def self_made(folder, name="self-made"):
    """An identity that no CA of ours has seen."""
    identity = Identity(folder / f"{name}.pem", folder / f"{name}.key")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}",
            "-keyout", identity.key, "-out", identity.certificate)
    return identity


def openssl(*words, stdin=None):
    """What the openssl program prints; an error holds what it complained of."""
    return tool(["openssl", *words], stdin=stdin)


def tool(words, stdin=None, environment=None, folder=None, seconds=REQUEST_LIMIT, user=None):
    """What a program prints on stdout; an `AssertionError` with all it said where it fails."""
    words = [str(word) for word in words]
    done = subprocess.run(
        words, input=stdin if stdin is not None else b"", capture_output=True, timeout=seconds, check=False,
        env={**os.environ, **(environment or {})}, cwd=folder, user=user,
    )
    if done.returncode != 0:
        raise AssertionError(
            f"{' '.join(words[:3])} …: exit code {done.returncode}\n"
            f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}"
        )
    return done.stdout


def eventually(look, what, seconds=15):
    """The first answer of `look` that is true; fails with `what` after some seconds."""
    limit = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > limit:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def free_port():
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def same(one, other):
    """Names are compared without case: some protocols change it under way."""
    return one is not None and one.lower() == other.lower()


def serial_of(certificate):
    """The serial number of a PEM certificate as an integer."""
    return int(openssl("x509", "-in", certificate, "-noout", "-serial").decode().strip().partition("=")[2], 16)


def revoked_serials(crl):
    """The serial numbers in a revocation list, PEM or DER, as integers."""
    form = "PEM" if crl.lstrip().startswith(b"-----BEGIN") else "DER"
    text = openssl("crl", "-inform", form, "-noout", "-text", stdin=crl).decode()
    lines = [line.partition(":")[2].strip() for line in text.splitlines() if "Serial Number:" in line]
    return {int(line.replace(":", ""), 16) for line in lines}


class ServedTest(unittest.TestCase):
    """Tests that share one server; each brings devices, users and groups of its own, in any order."""

    arguments: list = []
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.server = Server(list(cls.arguments)).start()
        cls.addClassCleanup(cls.server.stop)

    def folder(self):
        """A folder for this test's keys and files, inside the server's and removed with it."""
        return pathlib.Path(tempfile.mkdtemp(prefix=f"{self._testMethodName[:40]}-", dir=self.server.folder))

    def wait_for_end(self, command, *states):
        """Waits for a command to reach one of the states, and returns it."""
        seen = {}

        def look():
            seen.update(self.server.command(command["id"]))
            return seen["state"] in states

        try:
            eventually(look, f"command {command['id']} {' or '.join(states)}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}") from None
        return seen

    def assert_evidence(self, command):
        """A wipe's proof: at least one entry, each with its time and kind."""
        self.assertTrue(command["evidence"], command)
        for entry in command["evidence"]:
            self.assertTrue(entry["time"] and entry["kind"], entry)
        self.assertIsNotNone(command["finished"], command)

    def assert_refused(self, reply, *statuses):
        self.assertIn(reply.status, statuses, reply)

    def assert_audited(self, action, identity):
        """The audit log has an entry of that action for the device's enrolment."""
        device = self.server.device_of(identity)
        names = {device["id"], identity.lower()} | {enrolment["id"] for enrolment in device["enrolments"]}
        entries = self.server.verb("audit", "list")
        found = [entry for entry in entries if entry["action"] == action and entry["subject"].lower() in names]
        self.assertTrue(found, f"no {action} for {identity} in {entries[-5:]}")


class PlainRelay:
    """Takes connections without TLS to the server's device port: for programs that trust the system's roots alone."""

    def __init__(self, server):
        self.server, self.listener = server, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        in_background(self._serve)

    def _serve(self):
        while True:
            client, _ = self.listener.accept()
            in_background(lambda client=client: self._carry(client))

    def _carry(self, client):
        host, port = self.server.described()["device"].rsplit(":", 1)
        inner = context(self.server.ca).wrap_socket(socket.create_connection((host, int(port))), server_hostname="localhost")

        def copy(source, target):
            try:
                while data := source.recv(65536):
                    target.sendall(data)
            except OSError:
                pass  # either side may go first
            target.close()

        in_background(lambda: copy(client, inner))
        copy(inner, client)


class NameProxy:
    """An HTTP proxy (CONNECT alone) for programs that look up names themselves: each name is this machine."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        in_background(self._serve)

    def _serve(self):
        while True:
            client, _ = self.listener.accept()
            in_background(lambda client=client: self._tunnel(client))

    @staticmethod
    def _tunnel(client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4096)
            if not piece:
                return
            head += piece
        port = int(head.split()[1].rsplit(b":", 1)[1])
        server = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")

        def copy(source, target):
            try:
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        in_background(lambda: copy(server, client))
        copy(client, server)


def in_background(function):
    """Runs a function on a thread of its own, which does not keep the process alive."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread
