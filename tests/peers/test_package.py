"""The Debian package: the unit's rules as far as a machine without systemd can judge them, and, where LANYARD_DEB names a package and
LANYARD_DEB_ROOT a Debian to try it in (`cargo xtask package` makes both), its whole life under systemd, in a machine of its own.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from apple_device import AppleDevice
from harness import BINARY, ROOT, Server, eventually, free_port, openssl, request, tool
from windows_device import WindowsDevice

PACKAGING = ROOT / "packaging"
UNIT = PACKAGING / "debian/lanyard.service"
# Of `systemd-analyze security`, in tenths: 0 is a service that can do nothing, 10 is one that can do all.
EXPOSURE = 17
DEB, DEBIAN = os.environ.get("LANYARD_DEB"), os.environ.get("LANYARD_DEB_ROOT")
BOOT, STEP = 60, 120


def needs(test, *programs):
    """Skips the test where a program is not installed, or fails it where all must be."""
    missing = [name for name in programs if not shutil.which(name)]
    if missing and os.environ.get("LANYARD_REQUIRE_PEERS"):
        test.fail(f"not installed: {missing}")
    if missing:
        test.skipTest(f"not installed: {', '.join(missing)}")


class Unit(unittest.TestCase):
    """What needs no systemd that runs."""

    def test_the_unit_is_understood_and_exposes_little(self):
        needs(self, "systemd-analyze")
        words = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", UNIT]
        tool(words)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", UNIT], capture_output=True, text=True, check=False)
        # Here it is not installed; nothing else may be said of it.
        said = [line for line in done.stderr.splitlines() if UNIT.name in line and "/usr/bin/lanyard is not executable" not in line]
        self.assertEqual(said, [])

    def test_the_maintainers_scripts_are_sound(self):
        needs(self, "shellcheck")
        scripts = [PACKAGING / "debian" / name for name in ("postinst", "prerm", "postrm")] + [PACKAGING / "certbot-deploy"]
        tool(["shellcheck", *scripts])
        for script in scripts:
            tool(["sh", "-n", script])
            self.assertTrue(os.access(script, os.X_OK), script)

    def test_the_configuration_that_comes_along_is_one_with_each_remark_made_a_line(self):
        text = (PACKAGING / "lanyard.yaml").read_text()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-yaml-"))
        self.addCleanup(shutil.rmtree, folder, True)
        for row, said in (("as it comes", text), ("whole", re.sub(r"^#(?=[a-z])", "", text, flags=re.M))):
            with self.subTest(row):
                file = folder / "lanyard.yaml"
                file.write_text(said)
                # This is looked at when the file has been taken.
                done = subprocess.run([BINARY, "serve", "--config", file, "--store", "nowhere"], capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, done.stderr[:19]), (2, "lanyard: --store (o"), done.stderr)

    def test_what_the_server_asks_of_the_kernel_is_what_the_unit_grants(self):
        needs(self, "systemd-analyze", "strace")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-calls-"))
        self.addCleanup(shutil.rmtree, folder, True)
        traced = Traced(["--public-url", "https://localhost:8443"])
        traced.trace = folder / "trace"
        traced.arguments = ["--device-addr", "127.0.0.1:0"]
        traced.start()
        self.addCleanup(lambda: traced.process.poll() is None and traced.process.kill())
        live_and_wipe(traced, folder)
        traced.stop()
        text = traced.trace.read_text(errors="replace")
        called = {match[1] for match in re.finditer(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", text, re.M)}
        self.assertLessEqual({"bind", "accept4", "openat", "setpriority"}, called, "the trace holds what it should")
        granted = self.granted()
        # The program that starts it; systemd does so by itself.
        self.assertEqual(sorted(called - granted - {"execve"}), [])
        families = set(re.findall(r"\bsocket\((AF_\w+)", text))
        # Names are looked up without it as well.
        self.assertLessEqual(families, {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"})
        for line in re.findall(r"^.*\b(?:mmap|mprotect)\(.*$", text, re.M):
            self.assertFalse("PROT_EXEC" in line and "PROT_WRITE" in line, line)

    @staticmethod
    def granted():
        """The system calls that the unit's filter lets through, by systemd's own lists."""
        text, sets = tool(["systemd-analyze", "syscall-filter"]).decode(), {}
        for line in text.splitlines():
            if line.startswith("@"):
                name = line.strip()
                sets[name] = set()
            elif line.strip() and not line.strip().startswith("#") and sets:
                sets[name].add(line.strip())

        def whole(name):
            return set().union(*(whole(each) if each.startswith("@") else {each} for each in sets[name]))

        granted = set()
        for words in re.findall(r"^SystemCallFilter=(.+)$", UNIT.read_text(), re.M):
            named = set().union(*(whole(each) for each in words.lstrip("~").split()))
            granted = granted - named if words.startswith("~") else granted | named
        return granted


class Traced(Server):
    def wrap(self, command):
        return ["strace", "-f", "-qq", "-o", self.trace, *command]

    def stop(self):
        # strace passes its own end on to nobody.
        os.kill(json.loads((self.data / "server.json").read_text())["pid"], signal.SIGTERM)
        self.end()


def live_and_wipe(server, folder):
    """An iPhone and a PC enrol and are wiped, and what administrators look at is looked at."""
    phone = AppleDevice(server, folder).enrol(server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))
    phone.poll()
    computer = WindowsDevice(server, folder).enrol(server.verb("invite", "--channel", "windows", "--user", "bob@example.org"))
    computer.connect()
    server.policy("name: base\nassign: all\npasscode: {required: true, min_length: 6}\n")
    commands = [server.verb("wipe", server.device_of(name)["id"], "--scope", "full", "--reason", "lost", "--yes")
                for name in (phone.udid, computer.ident)]
    phone.poll()
    computer.connect()
    states = [eventually(lambda: server.command(command["id"])["state"] in ("confirmed", "presumed"), "it ends") for command in commands]
    assert all(states) and phone.erased and computer.wiped
    server.verb("devices", "list")
    assert server.verb("audit", "verify")["ok"]


class Told(unittest.TestCase):
    """A service manager, by its socket: in a folder, and by a name in none."""

    def test_a_service_manager_hears_when_the_ports_answer_and_when_the_end_begins(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-notify-"))
        self.addCleanup(shutil.rmtree, folder, True)
        for name in (str(folder / "notify"), f"@lanyard-notify-{os.getpid()}"):
            with self.subTest(name), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(name.replace("@", "\0"))
                manager.settimeout(30)
                server = Server()
                server.wrap = lambda command, name=name: ["env", f"NOTIFY_SOCKET={name}", *command]
                server.start()
                self.assertEqual(manager.recv(100), b"READY=1\n")
                self.assertEqual(request(f"https://{server.described()['admin']}/readyz", ca=server.ca).status, 200)
                server.stop()
                self.assertEqual(manager.recv(100), b"STOPPING=1\n")

    def test_a_manager_that_is_not_there_keeps_nobody_from_serving(self):
        server = Server()
        server.wrap = lambda command: ["env", "NOTIFY_SOCKET=/nowhere/notify", *command]
        server.start()
        self.assertIn("could not be told", server.output())
        server.stop()


class Renewed(unittest.TestCase):
    """Debian's certbot, with Debian's pebble for an authority that believes everybody."""

    NAME = "mdm.lanyard.test"

    def authority(self, folder):
        """The ACME directory's URL."""
        listens, manages = free_port(), free_port()
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-keyout", folder / "acme.key",
                "-out", folder / "acme.pem", "-addext", "subjectAltName=DNS:localhost")
        (folder / "pebble.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{listens}", "managementListenAddress": f"127.0.0.1:{manages}", "httpPort": free_port(),
            "tlsPort": free_port(), "certificate": str(folder / "acme.pem"), "privateKey": str(folder / "acme.key"),
            "certificateValidityPeriod": 90 * 86_400}}))
        log = open(folder / "pebble.log", "wb")
        self.addCleanup(log.close)
        pebble = subprocess.Popen(
            ["pebble", "-config", folder / "pebble.json"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "PEBBLE_VA_ALWAYS_VALID": "1", "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"})
        self.addCleanup(pebble.wait, 10)
        self.addCleanup(pebble.terminate)

        def answers():
            assert pebble.poll() is None, (folder / "pebble.log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", listens)) == 0

        eventually(answers, "pebble")
        return f"https://localhost:{listens}/dir"

    def test_certbots_hook_brings_each_certificate_without_a_restart(self):
        needs(self, "certbot", "pebble")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-certbot-"))
        self.addCleanup(shutil.rmtree, folder, True)
        own, acme, port = folder / "etc", self.authority(folder), free_port()
        own.mkdir()

        def certbot(*words):
            places = [word for name in ("config", "work", "logs") for word in (f"--{name}-dir", folder / f"certbot-{name}")]
            tool(["certbot", *words, "--non-interactive", *places], environment={
                "REQUESTS_CA_BUNDLE": str(folder / "acme.pem"), "LANYARD_CONFIGURATION": str(own), "LANYARD_GROUP": str(os.getgid())})
            return (folder / f"certbot-config/live/{self.NAME}/fullchain.pem").read_text().split("-----END")[0].strip()

        def shown():
            return ssl.get_server_certificate(("127.0.0.1", port)).split("-----END")[0].strip()

        # The page's words, and who it is.
        first = certbot("certonly", "--deploy-hook", PACKAGING / "certbot-deploy", "-d", self.NAME, "--standalone", "--http-01-port",
                        str(free_port()), "--server", acme, "--agree-tos", "--register-unsafely-without-email")
        (own / "lanyard.yaml").write_text(f"device-addr: 127.0.0.1:{port}\npublic-url: https://{self.NAME}:{port}\n"
                                          "tls-cert: fullchain.pem\ntls-key: privkey.pem\n")
        server = Server(["--config", own / "lanyard.yaml", "--device-addr", f"127.0.0.1:{port}"]).start()
        self.addCleanup(server.stop)
        self.assertEqual(shown(), first)
        for _ in range(2):
            now = certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")
            self.assertNotEqual(now, first)
            eventually(lambda now=now: shown() == now, "the renewed certificate")
        self.assertEqual({file.name: file.stat().st_mode & 0o777 for file in own.glob("*.pem")},
                         {"fullchain.pem": 0o640, "privkey.pem": 0o640})
        self.assertEqual(sorted(file.name for file in own.iterdir()), ["fullchain.pem", "lanyard.yaml", "privkey.pem"])
        self.assertEqual([line["code"] for line in server.verb("status") if line["code"] in ("server_cert_unfit", "server_cert_refused")], [])

    def test_outside_of_certbot_it_does_nothing(self):
        done = subprocess.run([PACKAGING / "certbot-deploy"], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ["PATH"]})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("RENEWED_LINEAGE", done.stderr)


class Machine:
    """A Debian that boots systemd; what is changed in it is gone afterwards. It shares this machine's network."""

    def __init__(self, test):
        self.shared = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-machine-"))
        test.addCleanup(shutil.rmtree, self.shared, True)
        shutil.copy(DEB, self.shared / "lanyard.deb")
        self.log = open(self.shared / "console", "wb")
        self.process = subprocess.Popen(
            ["systemd-nspawn", f"--directory={DEBIAN}", "--volatile=overlay", "--boot", "--register=no", "--keep-unit", "--quiet",
             f"--machine=lanyard-{os.getpid()}", f"--bind={self.shared}:/trial"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        test.addCleanup(self.stop)
        self.leader = eventually(self.first, "the machine's first process", BOOT)
        eventually(lambda: self.run("systemctl is-system-running --wait")[1].strip() in ("running", "degraded"), "it has booted", BOOT)

    def first(self):
        assert self.process.poll() is None, (self.shared / "console").read_text(errors="replace")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next((pid for pid in children if "systemd" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()), None)

    def run(self, script):
        """Exit code and all that a script in the machine says."""
        done = subprocess.run(
            ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "/usr/bin/env", "-i",
             "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "/bin/sh", "-ec", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=STEP, check=False)
        return done.returncode, done.stdout

    def done(self, script):
        code, said = self.run(script)
        assert code == 0, f"{script}: exit code {code}\n{said}\n{self.run('journalctl -u lanyard --no-pager | tail -40')[1]}"
        return said

    def shown(self, *keys):
        """Properties of the unit."""
        said = self.done(f"systemctl show lanyard {' '.join(f'-p {key}' for key in keys)}")
        return dict(line.split("=", 1) for line in said.splitlines())

    def stop(self):
        # systemd's signal for a clean end of the machine.
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Installed(Server):
    """The server in the machine, as administrators and devices outside see it."""

    def __init__(self, machine):
        super().__init__()
        self.machine, self.folder = machine, machine.shared
        self.data = machine.shared / "data"
        self.data.mkdir(exist_ok=True)
        self.look()

    def look(self):
        for name in ("server.json", "ca.pem", "local.token"):
            self.machine.done(f"cp /var/lib/lanyard/{name} /trial/data/{name}")
        return self.opened()


@unittest.skipUnless(DEB and DEBIAN, "`cargo xtask package` tries the package")
class Package(unittest.TestCase):
    def machine(self, install=True):
        machine = Machine(self)
        if install:
            machine.done("dpkg -i /trial/lanyard.deb")
        return machine

    def configured(self, machine, more=""):
        """Says under which name it is reached, on a port that only root may open else."""
        self.port = next(port for port in range(600, 1024) if not self.is_used(port))
        machine.done("cat > /etc/lanyard/lanyard.yaml <<'E'\n"
                     f"device-addr: 127.0.0.1:{self.port}\nadmin-addr: 127.0.0.1:{free_port()}\n"
                     f"public-url: https://localhost:{self.port}\n{more}E\n")

    @staticmethod
    def is_used(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def test_it_installs_and_serves_nobody_before_it_is_told_to(self):
        machine = Machine(self)
        said = machine.done("dpkg -i /trial/lanyard.deb")
        self.assertIn("systemctl enable --now lanyard", said)
        self.assertEqual(machine.done("lanyard --version").split()[0], "lanyard")
        self.assertEqual(machine.run("systemctl is-active lanyard")[1].strip(), "inactive")
        self.assertEqual(machine.run("systemctl is-enabled lanyard")[1].strip(), "disabled")
        self.assertEqual(machine.done("stat -c '%U %G %a' /etc/lanyard /etc/lanyard/lanyard.yaml").splitlines(),
                         ["root lanyard 750", "root lanyard 640"])
        self.assertEqual(machine.run("test -e /var/lib/lanyard")[0], 1)
        self.assertNotIn("debug", machine.done("ls -s --block-size=M /usr/bin/lanyard"))
        machine.done("ls /usr/share/man/man1/lanyard.1* /usr/share/man/man1/lanyard-devices-list.1*")
        machine.done("bash -n /usr/share/bash-completion/completions/lanyard")
        self.assertEqual(machine.done("systemd-analyze verify --man=no lanyard.service"), "")
        machine.done("dpkg --verify lanyard")

    def test_devices_enrol_and_are_wiped_under_the_units_rules(self):
        machine = self.machine()
        self.configured(machine)
        machine.done("systemctl enable --now lanyard")
        # Type=notify: where the start is over, both ports answer.
        server = Installed(machine)
        self.assertEqual(request(f"https://{server.described()['admin']}/readyz", ca=server.ca).status, 200)
        status = machine.done("cat /proc/$(systemctl show --value -p MainPID lanyard)/status")
        found = dict(re.findall(r"^(\w+):\s+(.+)$", status, re.M))
        number = machine.done("id -u lanyard").strip()
        self.assertEqual((found["Uid"].split()[0], found["NoNewPrivs"], found["Seccomp"]), (number, "1", "2"))
        # CAP_NET_BIND_SERVICE is the tenth.
        self.assertEqual({found[key] for key in ("CapPrm", "CapEff", "CapBnd", "CapAmb")}, {f"{1 << 10:016x}"})
        live_and_wipe(server, machine.shared)
        self.assertEqual(machine.done("stat -c '%U %a' /var/lib/lanyard").split(), ["lanyard", "700"])
        # A verb by the server's user, on its own machine.
        machine.done("runuser -u lanyard -- env LANYARD_DATA=/var/lib/lanyard lanyard status")
        machine.done("systemctl stop lanyard")
        self.assertEqual(self.ended(machine), ("success", "0", "0"))
        log = machine.done("journalctl -u lanyard --no-pager")
        for word in ("panicked", "denied", "not permitted", "WARN lanyard::serve::folder"):
            self.assertNotIn(word, log)

    @staticmethod
    def ended(machine):
        shown = machine.shown("Result", "ExecMainStatus", "NRestarts")
        return shown["Result"], shown["ExecMainStatus"], shown["NRestarts"]

    def test_wrong_words_are_said_once_and_a_server_that_dies_is_started_anew(self):
        machine = self.machine()
        self.configured(machine, "tls-crt: nothing\n")
        self.assertNotEqual(machine.run("systemctl start lanyard")[0], 0)
        time.sleep(7)
        self.assertEqual(self.ended(machine), ("exit-code", "2", "0"), "it was not tried again")
        self.assertIn("tls-crt", machine.done("journalctl -u lanyard --no-pager"))
        self.configured(machine)
        machine.done("systemctl start lanyard")
        first = machine.shown("MainPID")["MainPID"]
        machine.done(f"kill -9 {first}")
        eventually(lambda: machine.shown("ActiveState", "MainPID") | {"first": first} if machine.shown("ActiveState")["ActiveState"] == "active"
                   and machine.shown("MainPID")["MainPID"] != first else None, "it is back", 30)

    def test_an_upgrade_keeps_the_data_the_configuration_and_the_devices(self):
        machine = self.machine(install=False)
        machine.done("cd /trial && dpkg-deb -R lanyard.deb older && sed -i 's/^Version: .*/Version: 0.0.1/' older/DEBIAN/control && "
                     "dpkg-deb -Znone --root-owner-group -b older older.deb && rm -r older && dpkg -i older.deb")
        self.configured(machine)
        machine.done("systemctl enable --now lanyard")
        server = Installed(machine)
        phone = AppleDevice(server, machine.shared).enrol(server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))
        phone.poll()
        before, pid = server.ca.read_bytes(), machine.shown("MainPID")["MainPID"]
        configuration = machine.done("cat /etc/lanyard/lanyard.yaml")
        machine.done("dpkg -i /trial/lanyard.deb")
        self.assertNotEqual(machine.shown("MainPID")["MainPID"], pid, "the new program runs")
        self.assertEqual(machine.done("systemctl is-active lanyard").strip(), "active")
        self.assertEqual(machine.done("cat /etc/lanyard/lanyard.yaml"), configuration)
        server.look()
        self.assertEqual(server.ca.read_bytes(), before)
        phone.poll()
        self.assertEqual(server.device_of(phone.udid)["state"], "enrolled")
        # Nor does a server that was stopped start by it.
        machine.done("systemctl stop lanyard && dpkg -i /trial/lanyard.deb")
        self.assertEqual(machine.run("systemctl is-active lanyard")[1].strip(), "inactive")

    def test_a_removal_keeps_the_data_and_a_purge_says_what_it_takes_and_takes_it(self):
        machine = self.machine()
        self.configured(machine)
        machine.done("systemctl enable --now lanyard")
        said = machine.done("dpkg -r lanyard")
        self.assertIn("/var/lib/lanyard stays. A purge deletes it", said)
        self.assertNotIn("lanyard", machine.run("cat /proc/[0-9]*/comm")[1].split())
        machine.done("test -s /var/lib/lanyard/master.key && test -e /etc/lanyard/lanyard.yaml")
        # Installed anew it goes on where it was.
        machine.done("dpkg -i /trial/lanyard.deb && systemctl start lanyard")
        said = machine.done("dpkg -P lanyard")
        self.assertLess(said.index("A purge deletes it"), said.index("deleting /var/lib/lanyard"))
        left = machine.done("find / -xdev -name '*lanyard*' -not -path '/trial/*' -not -path '/proc/*' -not -path '/tmp/*' "
                            "-not -path '/var/log/*' -not -path '/var/lib/dpkg/*' -not -path '/sys/*' -not -path '/run/*'")
        self.assertEqual(left, "")
        self.assertNotIn("lanyard", machine.run("cat /proc/[0-9]*/comm")[1].split())


if __name__ == "__main__":
    unittest.main()
