"""The connector's machine: `lanyard connector` with a folder of its own, beside the stand-in for Exchange; and tests that share one."""

import json
import os
import signal
import subprocess

from exchange_online import ExchangeOnline
from exchange_world import Phone
from harness import BINARY, REQUEST_LIMIT, STOP_LIMIT, ServedTest, VerbFailed, eventually

ORG = "main"
STEPS = ["name", "proxy", "tls", "credential", "role", "cmdlet", "server"]
# Seconds within which an urgent act is with Exchange, as the tests wait; and what only a look at pending wipes brings, once a minute.
SOON, MINUTE = 15, 90
# Seconds in which nothing may happen: some deltas long.
QUIET = 3


class Connector:
    """One installation. `flags` are those of its driver; `url` and `ca` are those by which it reaches the server."""

    # What starts its program, and what its environment has besides.
    program, more = [str(BINARY)], {}

    def __init__(self, server, folder, flags, roots, url=None):
        self.server, self.folder, self.flags = server, folder, [str(flag) for flag in flags]
        self.url, self.process = url or server.public_url, None
        folder.mkdir(parents=True)
        self.dir, self.log, self.out = folder / "connector", folder / "log", folder / "out"
        self.ca = folder / "roots.pem"
        self.ca.write_text("".join(root.read_text() for root in (server.ca, *roots)))

    def environment(self):
        """None of the server's variables: this is another machine."""
        return {key: value for key, value in os.environ.items() if not key.startswith("LANYARD_")} | {"LANYARD_CONNECTOR": str(self.dir)} | self.more

    def said(self, *words):
        """Exit code, document (or text) on stdout, and stderr of one of its verbs."""
        done = subprocess.run([*self.program, "connector", *(str(word) for word in words)], env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=REQUEST_LIMIT, check=False)
        try:
            return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr
        except ValueError:
            return done.returncode, done.stdout, done.stderr

    def enrol(self, code):
        words = ["enrol", code, "--server", self.url, "--ca", self.ca, *self.flags]
        status, out, error = self.said(*words)
        if status != 0:
            raise VerbFailed(["connector", "enrol"], status, str(out), error)
        return self

    def check(self):
        """Whether all is well, and the steps."""
        status, steps, error = self.said("check", "--json")
        assert isinstance(steps, list), (status, steps, error)
        assert status == (0 if all(step["ok"] for step in steps) else 1), (status, steps)
        return steps

    def start(self, *flags):
        self.opened = open(self.log, "ab")
        self.process = subprocess.Popen([*self.program, "connector", "run", *flags], env=self.environment(), stdin=subprocess.DEVNULL,
                                        stdout=open(self.out, "ab"), stderr=self.opened)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """No goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_LIMIT)
        return self

    def stop(self):
        """Asks it to end; its exit code."""
        if not self.running():
            return None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def instance(self):
        """Its own id, which stands in `connector.json`."""
        return json.loads((self.dir / "connector.json").read_text())["instance"]


class Connected(ServedTest):
    """A server, an Exchange organisation, and one connector between them, which has synchronised once."""

    mailboxes, partnerships = 3, 0
    settings = {"exchange.delta_every": "1s", "exchange.lease": "6s"}
    starts = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.exchange = ExchangeOnline(cls.server.folder / "exchange")
        cls.addClassCleanup(cls.exchange.stop)
        cls.org = cls.exchange.organisation
        cls.org.fill(cls.mailboxes, cls.partnerships)
        for key, value in cls.settings.items():
            cls.server.verb("settings", "set", key, value)
        cls.count = 0
        if cls.starts:
            cls.connector = cls.another().start()
            cls.synced()

    @classmethod
    def invite(cls, kind="online", org=ORG):
        return cls.server.verb("connector", "invite", "--org", org, "--kind", kind)["code"]

    @classmethod
    def another(cls, *flags, org=ORG):
        """A further instance, enrolled and not started; it is stopped with the class."""
        made = cls.installed(*flags).enrol(cls.invite(org=org))
        cls.addClassCleanup(made.stop)
        return made

    @classmethod
    def installed(cls, *flags, url=None):
        """An installation that is not enrolled yet."""
        cls.count += 1
        folder = cls.server.folder / f"machine{cls.count}"
        return Connector(cls.server, folder, flags or cls.exchange.flags(), [cls.exchange.authority.root], url)

    @classmethod
    def listed(cls, org=ORG):
        return next((each for each in cls.server.verb("connector", "list") if each["org"] == org), None)

    @classmethod
    def synced(cls, since=None, seconds=60):
        """Waits for a full run that ended, and is another than `since`."""
        return eventually(lambda: (cls.listed() or {}).get("last_full") not in (None, since) and cls.listed(), "a full run", seconds)

    # Phones

    def phone(self, mailbox=None, **more):
        """A client that is new to Exchange, once the registry knows it too."""
        phone = Phone(self.org, mailbox or self.org.mailboxes[0], **more)
        eventually(lambda: self.server.device_of(phone.device_id), "a new partnership is in the registry", 30)
        return phone

    def device(self, phone):
        found = self.server.device_of(phone.device_id)
        self.assertIsNotNone(found, f"{phone.device_id} is in the registry")
        return found

    def enrolment(self, phone):
        [found] = [each for each in self.device(phone)["enrolments"] if each["channel"] == "exchange"]
        return found

    def decide(self, verb, phone, *words):
        return self.server.verb("devices", verb, self.device(phone)["id"], *words)

    def let_in(self, **more):
        phone = self.phone(**more)
        self.decide("allow", phone)
        self.soon(phone, "mail")
        return phone

    def soon(self, phone, wanted, seconds=SOON):
        """The next contact that is answered so."""
        answers = []

        def asked():
            answers.append(phone.sync())
            return answers[-1] == wanted

        try:
            eventually(asked, f"{phone.device_id}: {wanted}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {answers[-1]}") from None

    def wipe(self, phone, scope):
        return self.server.verb("wipe", self.device(phone)["id"], "--scope", scope, "--reason", "lost", "--yes")

    def ends(self, command, *states, seconds=MINUTE):
        eventually(lambda: self.server.command(command["id"])["state"] in states, f"{command['id']}: {' or '.join(states)}", seconds)
        return self.server.command(command["id"])

    # What Exchange was told

    def clears(self, phone=None, **parameters):
        """Requests for a wipe that were carried out, of one object or of all; what is a cancel is none."""
        return [call for call in self.org.called("Clear-MobileDevice", **parameters) if not call.parameters.get("Cancel")
                and (phone is None or call.parameters["Identity"].lower() == phone.device.guid)]

    def blocked(self, phone):
        return phone.device_id in phone.mailbox.past[-1].blocked

    def gone_and_blocked(self, phone):
        """As it is left after a wipe: on the blocked list, its object removed."""
        eventually(lambda: self.blocked(phone) and phone.device.guid not in self.org.devices, "blocked and removed", MINUTE)

    def assert_no_sins(self):
        self.assertEqual([(what, call.name, call.parameters) for what, call in self.org.sins], [])
        self.assertEqual(self.exchange.complaints, [])

    def tearDown(self):
        self.assert_no_sins()
