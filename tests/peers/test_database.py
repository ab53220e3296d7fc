"""Nodes whose database, or whose link to it, does what databases and links do: stands still, is slow, breaks, fills up, is
exchanged. Nobody waits for long, nothing that was acknowledged is lost, and what cannot work is refused with words."""

import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import wbxml
from apple_device import fleet
from harness import BINARY, Api, Nodes, Server, eventually, free_port, in_background, request, tool
from link import Link
from mail_client import FOLDERS, MailClient
from mail_server import MailServer

# Seconds. What a caller may wait for its answer, whatever becomes of the database.
ANSWERED = 12
DAVE, WORD = "dave@example.org", "right horse"


def ready(server):
    return request(f"https://{server.described()['admin']}/readyz", ca=server.ca).status


def timed(call):
    """The answer and how long it took."""
    begun = time.monotonic()
    answer = call()
    return answer, time.monotonic() - begun


def refused(test, server, words):
    """The server does not start, and says so."""
    try:
        server.start()
    except AssertionError as error:
        test.assertRegex(str(error), words)
    else:
        server.stop()
        test.fail(f"it started: {words}")


class Linked(unittest.TestCase):
    """Nodes of which each reaches the database by a link of its own."""

    def links(self, count):
        made = [Link(Nodes.database()) for _ in range(count)]
        for link in made:
            self.addCleanup(link.stop)
        return made

    def api(self, nodes, server):
        return Api(server, nodes.local(server))


class Frozen(Linked):
    def test_a_link_that_stands_still_hangs_nothing(self):
        [link] = self.links(1)
        nodes = Nodes(self, through=[link.port])
        [server] = nodes.servers
        api = self.api(nodes, server)
        api.done("POST", "admins", {"name": "Alice"})
        calls = {
            "a write": lambda: api.call("POST", "admins", {"name": "Bob"})[0],
            "a list": lambda: api.call("GET", "devices")[0],
            "audit": lambda: api.call("GET", "audit/verify")[0],
            "ready": lambda: ready(server),
        }
        link.freeze()
        answers = {}

        def call(name, wait):
            time.sleep(wait)
            try:
                answers[(name, wait)] = timed(calls[name])
            except OSError as error:
                answers[(name, wait)] = (error, 0)

        threads = [threading.Thread(target=call, args=[name, wait]) for name in calls for wait in (0, 2, 5, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for which, (status, took) in answers.items():
            self.assertEqual(status, 503, which)
            self.assertLess(took, ANSWERED, which)
        link.thaw()
        eventually(lambda: ready(server) == 200, "the node serves again", 15)
        self.assertEqual(api.call("GET", "devices")[0], 200)
        api.done("POST", "admins", {"name": "Carol"})


class Held(Linked):
    @staticmethod
    def status(reply):
        """What the document says of a FolderSync."""
        return wbxml.text(wbxml.parse(reply.body), FOLDERS, 0x0C)

    def before(self, mail):
        """Two nodes before a mail server, each with a link to the database that can be cut, a folder, and a phone with a certificate at the first."""
        links = self.links(2)
        nodes = Nodes(self, "--eas-upstream", mail.url, through=[link.port for link in links])
        first = nodes.servers[0]
        folder = pathlib.Path(tempfile.mkdtemp(dir=nodes.folder))
        phone = MailClient(first, folder, DAVE, WORD).certificate(
            first.verb("invite", "--channel", "activesync", "--user", DAVE))
        return links, nodes.servers, folder, phone

    def test_a_held_ping_hears_of_a_block_made_while_the_link_was_cut(self):
        held, release = threading.Event(), threading.Event()

        class Slow(MailServer):
            """Holds each Ping until the test is over."""

            def handler(mail):
                base = super().handler()

                class Handler(base):
                    def do_POST(self):
                        if "Cmd=Ping" in self.path:
                            held.set()
                            release.wait(60)
                        super().do_POST()

                return Handler

        mail = Slow({DAVE: WORD})
        self.addCleanup(mail.stop)
        self.addCleanup(release.set)
        links, (first, second), _, phone = self.before(mail)
        self.assertEqual(phone.folder_sync().status, 200)
        answer = []
        in_background(lambda: answer.append(phone.post("Ping", b"")))
        eventually(held.is_set, "the Ping is held")
        time.sleep(1)
        links[0].cut(refuse=True)
        second.verb("devices", "block", second.device_of(phone.ident)["id"])
        time.sleep(3)
        self.assertEqual(answer, [], "it waits")
        links[0].mend()
        eventually(lambda: answer, "the held Ping is answered", 15)
        self.assertFalse(release.is_set(), "by the gateway, not by the mail server")
        self.assertEqual(self.status(phone.folder_sync()), "129", "the door is shut")

    def test_who_was_let_in_has_mail_while_the_store_is_away_and_nobody_else(self):
        mail = MailServer({DAVE: WORD})
        self.addCleanup(mail.stop)
        links, (first, second), folder, phone = self.before(mail)
        for _ in range(2):
            self.assertEqual(phone.folder_sync().status, 200)
        stranger = MailClient(first, folder, DAVE, WORD)
        links[0].cut(refuse=True)
        time.sleep(2)
        self.assertEqual(ready(first), 503)
        passed = len(mail.commands(phone.ident))
        for _ in range(3):
            reply, took = timed(phone.folder_sync)
            self.assertEqual(reply.status, 200)
            self.assertLess(took, ANSWERED)
        self.assertEqual(len(mail.commands(phone.ident)), passed + 3, "from memory")
        self.assertEqual(self.status(stranger.folder_sync()), "111", "come later")
        self.assertEqual(mail.commands(stranger.ident), [])
        second.verb("devices", "block", second.device_of(phone.ident)["id"])
        links[0].mend()
        eventually(lambda: ready(first) == 200, "the node serves again", 15)
        eventually(lambda: self.status(phone.folder_sync()) == "129", "what was done meanwhile counts", 15)


class Stopped(Linked):
    def test_a_stopped_node_holds_up_nobody_and_knows_what_was_done_meanwhile(self):
        nodes = Nodes(self, count=3)
        stopped, *others = nodes.servers
        phones = fleet(nodes, 4)
        for phone in phones:
            phone.node = stopped
            self.assertEqual(phone.poll(), [])
        ids = {e["identity"]: device["id"] for device in self.api(nodes, others[0]).all("devices") for e in device["enrolments"]}
        token = self.api(nodes, others[0])
        token.done("POST", "admins", {"name": "Alice"})
        secret = token.done("POST", "tokens", {"admin": "Alice"})
        alice = Api(stopped, secret["token"])
        alice.done("GET", "devices")
        stop = threading.Event()

        def keep_busy():
            while not stop.is_set():
                try:
                    self.api(nodes, stopped).call("POST", f"devices/{ids[phones[3].udid]}/sync", {})
                except OSError:
                    pass

        in_background(keep_busy)
        time.sleep(1)
        stopped.process.send_signal(signal.SIGSTOP)
        try:
            for number, server in enumerate(others * 3):
                api = self.api(nodes, server)
                (status, _), took = timed(lambda: api.call("POST", "admins", {"name": f"Bob {number}"}))
                self.assertLess(took, ANSWERED, number)
                if status == 503:
                    api.done("POST", "admins", {"name": f"Bob {number}"})
            api = self.api(nodes, others[0])
            api.done("DELETE", f"tokens/{secret['id']}")
            wiped = api.done("POST", f"devices/{ids[phones[0].udid]}/wipe", {"scope": "selective", "reason": "left"})
            time.sleep(5)
        finally:
            stopped.process.send_signal(signal.SIGCONT)
        stop.set()
        status, took = timed(lambda: alice.call("GET", "devices")[0])
        self.assertIn(status, (401, 403, 503), "a revoked token, asked of the node that slept through it")
        self.assertLess(took, ANSWERED)
        eventually(lambda: alice.call("GET", "devices")[0] == 401, "the token is refused for good")
        got = eventually(lambda: phones[0].poll(), "the wipe", 15)
        self.assertEqual(got, ["RemoveProfile"])
        self.assertEqual(others[1].command(wiped["id"])["state"], "confirmed")


class Pooled(unittest.TestCase):
    """pgbouncer between node and database."""

    def pooler(self, nodes, mode):
        program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not program:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                raise AssertionError("pgbouncer is not installed")
            self.skipTest("pgbouncer is not installed")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-pooler-"))
        self.addCleanup(shutil.rmtree, folder, True)
        who = "nobody" if os.geteuid() == 0 else None
        if who:
            os.chown(folder, pwd.getpwnam(who).pw_uid, -1)
        host, port = Nodes.database()
        user, word = nodes.store.split("//")[1].split("@")[0].split(":")
        (folder / "users").write_text(f'"{user}" "{word}"\n')
        own = free_port()
        (folder / "ini").write_text(
            f"[databases]\n* = host={host} port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\n"
            f"unix_socket_dir =\nauth_type = plain\nauth_file = {folder}/users\npool_mode = {mode}\nlogfile = {folder}/log\n")
        words = [program, *(["-u", who] if who else []), str(folder / "ini")]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return own

    def test_a_pooler_of_transactions_is_refused_with_words_and_one_of_sessions_works(self):
        nodes = Nodes(self, count=1)
        port = self.pooler(nodes, "transaction")
        refused(self, Server(["--store", nodes.by(port), *nodes.arguments[2:]]), "a pooler that exchanges sessions")
        port = self.pooler(nodes, "session")
        server = Server(["--store", nodes.by(port), *nodes.arguments[2:]]).start()
        self.addCleanup(server.stop)
        Api(server, nodes.local(server)).done("POST", "admins", {"name": "Alice"})


class Clocks(unittest.TestCase):
    def test_a_node_whose_clock_is_two_hours_off_does_not_start(self):
        library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
        if not library:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                raise AssertionError("faketime is not installed")
            self.skipTest("faketime is not installed")
        nodes = Nodes(self, count=1)

        class Off(Server):
            def wrap(self, command):
                return ["env", f"LD_PRELOAD={library}", f"FAKETIME={self.by}", "FAKETIME_DONT_FAKE_MONOTONIC=1", *command]

        for by in ("+2h", "-2h"):
            server = Off(list(nodes.arguments))
            server.by = by
            refused(self, server, "this machine's clock is .* the database's")
        server = Off(list(nodes.arguments))
        server.by = "+65s"
        server.start()
        self.addCleanup(server.stop)
        self.assertIn("this machine's clock is 6", server.output())


class Begun(Linked):
    def test_a_start_waits_for_a_database_that_comes_up(self):
        [link] = self.links(1)
        nodes = Nodes(self, count=1)
        link.cut(refuse=True)
        threading.Timer(4, link.mend).start()
        server = Server(["--store", nodes.by(link.port), *nodes.arguments[2:]]).start()
        self.addCleanup(server.stop)
        told = [line for line in server.output().splitlines() if "the database is away: trying again" in line]
        self.assertEqual(len(told), 1, server.output())


class Full(unittest.TestCase):
    """A database whose disk is full."""

    def test_a_node_whose_database_takes_no_writes_is_not_ready_until_it_takes_them_again(self):
        base = os.environ.get("LANYARD_TEST_POSTGRES")
        if not base:
            self.skipTest("LANYARD_TEST_POSTGRES names no database server")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-full-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, folder, True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "small", folder], capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(folder)], check=False)
        space = folder / "space"
        space.mkdir()
        os.chmod(folder, 0o755)
        shutil.chown(space, "postgres", "postgres")
        name = f"full_{os.getpid()}"
        tool(["psql", base, "-qc", f"create tablespace {name} location '{space}'"])
        self.addCleanup(tool, ["psql", base, "-qc", f"drop tablespace {name}"])
        tool(["psql", base, "-qc", f"create database {name} tablespace {name}"])
        self.addCleanup(tool, ["psql", base, "-qc", f"drop database {name} with (force)"])
        server = Server(["--store", base.rsplit("/", 1)[0] + "/" + name]).start()
        self.addCleanup(server.stop)
        api = Api(server, Nodes.local(server))
        self.assertEqual(ready(server), 200)
        ballast = folder / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"], capture_output=True, check=False)
        refused = []

        def fill():
            status, _ = api.call("POST", "admins", {"name": f"Admin {len(refused)} {'x' * 80}"})
            refused.append(status)
            return status == 503

        eventually(fill, "a write that finds no room", 60)
        self.assertEqual(ready(server), 503)
        time.sleep(2)
        self.assertEqual(ready(server), 503, "and it stays so")
        ballast.unlink()
        eventually(lambda: ready(server) == 200, "it is ready by itself when there is room", 15)
        api.done("POST", "admins", {"name": "Alice"})


class Cluster:
    """A PostgreSQL server of the test's own, of which standbys can be made."""

    programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "wal_level=replica", "max_wal_senders=4"]

    def __init__(self, test, folder, port):
        self.test, self.folder, self.port, self.process = test, folder, port, None
        test.addCleanup(self.kill)

    @staticmethod
    def run(*words):
        tool([str(word) for word in words], environment={"LC_ALL": "C.UTF-8", "PGPASSWORD": "secret"}, folder="/var/tmp",
             user="postgres" if os.geteuid() == 0 else None)

    def make(self):
        secret = self.folder.parent / "password"
        secret.write_text("secret")
        self.run(self.programs / "initdb", "--auth=scram-sha-256", "--username=lanyard", f"--pwfile={secret}", "-D", self.folder)
        with open(self.folder / "pg_hba.conf", "a") as rules:
            rules.write("host replication all 127.0.0.1/32 scram-sha-256\n")
        return self.start()

    def follow(self, primary):
        self.run(self.programs / "pg_basebackup", "-h", "127.0.0.1", "-p", primary.port, "-U", "lanyard", "-R", "-D", self.folder)
        return self.start()

    def start(self, *settings):
        words = [self.programs / "postgres", "-D", self.folder, "-p", self.port]
        for setting in [*self.settings, *settings]:
            words += ["-c", setting]
        log = open(self.folder.parent / f"log.{self.port}", "wb")
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/var/tmp",
                                        user="postgres" if os.geteuid() == 0 else None, start_new_session=True)
        eventually(lambda: self.sql("select 1"), "the cluster takes connections", 30)
        return self

    def sql(self, statement):
        words = ["psql", f"postgres://lanyard:secret@127.0.0.1:{self.port}/postgres", "-Atqc", statement]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    def kill(self):
        if self.process and self.process.poll() is None:
            # As a power cut: the postmaster, and its children by their group.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Promoted(unittest.TestCase):
    """The primary dies and a standby takes its place."""

    def setUp(self):
        if not Cluster.programs or os.geteuid() != 0:
            self.skipTest("two clusters need root and Debian's PostgreSQL")
        parent = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-promoted-", dir="/var/tmp"))
        shutil.chown(parent, "postgres", "postgres")
        self.addCleanup(shutil.rmtree, parent, True)
        self.primary = Cluster(self, parent / "first", free_port()).make()
        self.standby = Cluster(self, parent / "second", free_port()).follow(self.primary)
        eventually(lambda: self.primary.sql("select count(*) from pg_stat_replication") == "1", "the standby follows", 30)
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        self.arguments = ["--store", f"postgres://lanyard:secret@{hosts}/postgres", "--master-key", parent / "key"]
        (parent / "key").write_bytes(tool(["openssl", "rand", "-base64", "32"]))

    def nodes(self, count):
        made = [Server(list(self.arguments)).start() for _ in range(count)]
        for server in made:
            self.addCleanup(server.stop)
        return made

    def promote(self):
        self.primary.kill()
        self.standby.sql("select pg_promote()")

    def test_nothing_acknowledged_is_lost_over_a_synchronous_standby(self):
        self.primary.sql("alter system set synchronous_standby_names = '*'")
        self.primary.sql("select pg_reload_conf()")
        nodes = self.nodes(3)
        acknowledged, stop, slowest = [], threading.Event(), [0.0]

        def write(server, number):
            api, count = Api(server, Nodes.local(server)), 0
            while not stop.is_set():
                count += 1
                name = f"group-{number}-{count}"
                try:
                    (status, _), took = timed(lambda: api.call("POST", "groups", {"name": name}))
                except OSError:
                    continue
                slowest[0] = max(slowest[0], took)
                if status < 300:
                    acknowledged.append(name)

        threads = [in_background(lambda s=s, n=n: write(s, n)) for n, s in enumerate(nodes)]
        time.sleep(3)
        before = len(acknowledged)
        self.promote()
        eventually(lambda: len(acknowledged) > before + 30, "the nodes write on", 60)
        stop.set()
        for thread in threads:
            thread.join(30)
        self.assertLess(slowest[0], ANSWERED)
        found = {group["name"] for group in Api(nodes[0], Nodes.local(nodes[0])).all("groups")}
        self.assertEqual(set(acknowledged) - found, set(), "acknowledged, and not there")
        print(f"         {before} writes before, {len(acknowledged) - before} after; the slowest answer took {slowest[0]:.1f} s")

    def test_a_standby_that_lost_commits_is_refused_until_the_loss_is_accepted(self):
        first, second = self.nodes(2)
        api = Api(first, Nodes.local(first))
        api.done("POST", "groups", {"name": "kept"})
        eventually(lambda: self.primary.sql("select pg_current_wal_lsn() <= min(replay_lsn) from pg_stat_replication") == "t", "replay")
        self.standby.kill()
        api.done("POST", "groups", {"name": "lost"})
        # So that both have seen it.
        time.sleep(1)
        self.primary.kill()
        self.standby.start()
        self.standby.sql("select pg_promote()")
        eventually(lambda: "this node saw commit" in first.output() and "lanyard store accept-loss" in first.output(), "told", 30)
        for server in (first, second):
            self.assertEqual(ready(server), 503)
        for server in (first, second):
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(20)
            server.log.close()
        words = [BINARY, "serve", "--data", first.data, "--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", *self.arguments]
        started = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(started.returncode, 1, started)
        self.assertIn("this node saw commit", started.stderr)
        environment = {**os.environ, "LANYARD_DATA": str(first.data), "LANYARD_STORE": str(self.arguments[1])}
        checked = subprocess.run([BINARY, "store", "check", "--json"], env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 1, checked)
        found = json.loads(checked.stdout)
        self.assertLess(found["commit"], found["expected"])
        tool([BINARY, "store", "accept-loss", "--commit", found["commit"], "--yes"], environment=environment)
        first.run()
        second.run()
        api = Api(first, Nodes.local(first))
        self.assertEqual([group["name"] for group in api.all("groups")], ["kept"])
        self.assertTrue(Api(second, Nodes.local(second)).done("GET", "stop")["on"], "the stop is on")


if __name__ == "__main__":
    unittest.main()
