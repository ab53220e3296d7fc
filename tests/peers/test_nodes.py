"""Two servers on one PostgreSQL: a wipe queued on one reaches the woken device by the other at its first poll; a killed node
loses nothing; and one server on its own store keeps everything over restarts."""

import base64
import os
import pathlib
import plistlib
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from apple_device import AppleDevice, fleet
from harness import Api, BINARY, Nodes, ServedTest, Server, eventually, free_port, settled, tool
from windows_device import WindowsDevice
from test_push import TOPIC, Apns, push_certificate

FLEET = 200


class Woken(unittest.TestCase):
    def test_two_hundred_of_two_hundred_hear_by_the_other_node(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-apns-"))
        self.addCleanup(shutil.rmtree, folder, True)
        apns = Apns(folder)
        self.addCleanup(apns.end)
        nodes = Nodes(self, "--trust", apns.certificate)
        first, second = nodes.servers
        local = Api(first, nodes.local(first))
        # Two administrators with 100 retires an hour each, as shipped.
        local.done("POST", "admins", {"name": "Alice"})
        alice = Api(first, local.done("POST", "tokens", {"admin": "Alice"})["token"])
        first.verb("apple", "push-cert", "set", push_certificate(folder, TOPIC))
        first.verb("settings", "set", "apple.push_url", f"https://localhost:{apns.port}")
        phones = fleet(nodes, FLEET)
        by_token = {phone.token.hex(): phone for phone in phones}
        ids = {e["identity"]: device["id"] for device in local.all("devices") for e in device["enrolments"]}
        for phone in phones:
            # The second node answers this one from memory: that is what could make it miss a wipe.
            phone.node = second
            self.assertEqual(phone.poll(), [])
            apns.knows(phone.token.hex())
        time.sleep(1)
        seen = len(apns.said())

        def woken():
            return set(re.findall(r":path: /3/device/([0-9a-f]+)", apns.said()[seen:]))

        def keep_idle(stop):
            # Polls go on meanwhile, so that the memory stays warm; a device that is to be woken is left alone.
            while not stop.is_set():
                for phone in list(phones)[:20]:
                    if phone.enrolled and phone.token.hex() not in asked and not stop.is_set():
                        phone.report("Idle")

        asked, stop = set(), threading.Event()
        pollers = threading.Thread(target=keep_idle, args=[stop], daemon=True)
        pollers.start()
        for number, phone in enumerate(phones):
            asked.add(phone.token.hex())
            caller = local if number % 2 else alice
            answer = caller.done("POST", f"devices/{ids[phone.udid]}/wipe", {"scope": "selective", "reason": "left"})
            self.assertEqual(answer["state"], "queued", answer)
        stop.set()
        pollers.join()
        first_polls, polled = [], set()

        def poll_the_woken():
            for token in woken() - polled:
                polled.add(token)
                first_polls.append(by_token[token].poll())
            return len(polled) == FLEET

        eventually(poll_the_woken, "all devices woken", 60)
        got = sum(came == ["RemoveProfile"] for came in first_polls)
        self.assertEqual(got, FLEET, "each hears of its wipe at its first poll after the wake")
        ends = [command["state"] for command in local.all("commands") if command["action"] == "wipe"]
        self.assertEqual((len(ends), set(ends)), (FLEET, {"confirmed"}))

    def test_a_node_killed_in_a_session_is_followed_by_the_other(self):
        nodes = Nodes(self)
        first, second = nodes.servers
        [phone] = fleet(nodes, 1)
        device = first.device_of(phone.udid)
        command = first.verb("wipe", device["id"], "--scope", "full", "--reason", "lost", "--yes")
        phone.node = first
        order = plistlib.loads(phone.report("Idle").body)
        self.assertEqual(order["Command"]["RequestType"], "EraseDevice")
        first.restart(kill=True)
        first.process.kill()
        phone.node = second
        again = plistlib.loads(phone.report("Idle").body)
        self.assertEqual(again["CommandUUID"], order["CommandUUID"], "the same command, under the same id")
        phone.report("Acknowledged", CommandUUID=order["CommandUUID"])
        shown = Api(second, nodes.local(second)).done("GET", f"commands/{command['id']}")
        self.assertEqual(shown["state"], "confirmed", shown)
        first.process.wait()
        first.log.close()
        first.run()


class Windows(unittest.TestCase):
    """Messages of one session come to two nodes in turn."""

    def computer(self, nodes):
        first = nodes.servers[0]
        folder = pathlib.Path(tempfile.mkdtemp(dir=nodes.folder))
        computer = WindowsDevice(first, folder)
        return computer.enrol(first.verb("invite", "--channel", "windows", "--user", "bob@example.org"))

    def test_a_session_goes_to_both_nodes_in_turn(self):
        nodes = Nodes(self)
        first, second = nodes.servers
        computer = self.computer(nodes)
        computer.nodes = [first, second]
        computer.connect()
        first.policy("name: strict\nassign: all\npasscode: {required: true, min_length: 8}\n")
        computer.connect()
        self.assertEqual(computer.tree.get("Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"), "8")
        self.assertEqual(second.device_of(computer.ident)["compliance"], "compliant")
        command = second.verb("wipe", first.device_of(computer.ident)["id"], "--scope", "full", "--reason", "lost", "--yes")
        computer.connect()
        self.assertTrue(computer.wiped)
        ended = first.command(command["id"])
        self.assertIn(ended["state"], ("presumed", "confirmed"), ended)
        self.assertTrue(ended["evidence"])

    def test_a_node_killed_in_a_session_is_followed_by_the_other(self):
        nodes = Nodes(self)
        first, second = nodes.servers
        computer = self.computer(nodes)
        computer.nodes = [first]
        computer.connect()
        command = second.verb("wipe", second.device_of(computer.ident)["id"], "--scope", "full", "--reason", "lost", "--yes")
        computer.session += 1
        orders = computer.orders(computer.post(computer.message(1, computer.package_one(False))))
        self.assertIn("Exec", [order[1] for order in orders])
        first.process.kill()
        first.process.wait()
        computer.nodes = [second]
        answers = computer.answer(orders)
        self.assertEqual(computer.orders(computer.post(computer.message(2, answers))), [], "nothing follows a wipe")
        self.assertIn(second.command(command["id"])["state"], ("presumed", "confirmed"))
        first.log.close()
        first.run()


class SameName(unittest.TestCase):
    def test_two_processes_of_one_node_are_kept_apart(self):
        nodes = Nodes(self)
        first, second = nodes.servers
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder)
            (copy / "node.id").write_text((first.data / "node.id").read_text())
            words = [BINARY, "serve", "--data", copy, "--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", *nodes.arguments]
            done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another process is node", done.stderr)
        self.assertEqual(second.verb("devices", "list"), [], "the others go on")


class Checked(unittest.TestCase):
    """`serve --check` of a node of a database."""

    def test_a_check_of_a_start_writes_nothing_and_takes_no_name(self):
        nodes = Nodes(self, count=1)
        [server] = nodes.servers
        check = [str(BINARY), "serve", "--check", "--data", str(server.data)]

        def rows():
            return tool(["psql", nodes.store, "-Atc", "select key, xmin, md5(value) from lanyard_docs order by key"])

        def files():
            return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in server.data.iterdir() if path.is_file()}

        before = rows(), files()
        said = subprocess.run([*check, *(str(word) for word in nodes.arguments)], capture_output=True, text=True)
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        self.assertIn("which opens the device CA", said.stdout)
        self.assertEqual((rows(), files()), before)
        self.assertEqual(server.verb("devices", "list"), [], "its name was not taken")

        empty = f"{nodes.folder}/none"
        said = subprocess.run([str(BINARY), "serve", "--check", "--data", empty, *(str(word) for word in nodes.arguments)],
                              capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertFalse(os.path.exists(empty))


class Restarted(ServedTest):
    arguments = ["--device-addr", f"127.0.0.1:{free_port()}"]

    def listed(self):
        verbs = (["devices", "list"], ["commands", "list"], ["policy", "list"], ["group", "list"], ["admins", "list"],
                 ["settings", "list"], ["approvals", "list"], ["stop", "status"], ["ca", "show"])
        found = {" ".join(verb): self.server.verb(*verb) for verb in verbs}
        return {verb: [settled(record) for record in list_] if isinstance(list_, list) else list_ for verb, list_ in found.items()}

    def test_a_restart_keeps_everything(self):
        phone = AppleDevice(self.server, self.folder(), "Kept").enrol(
            self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))
        phone.poll()
        device = self.server.device_of(phone.udid)["id"]
        self.server.verb("group", "create", "kept")
        self.server.verb("group", "add", "kept", device)
        self.server.policy("name: kept\nassign: [kept]\npasscode: {min_length: 8}\n")
        self.server.verb("admins", "add", "Alice")
        token = self.server.verb("token", "create", "--admin", "Alice")["token"]
        self.server.verb("settings", "set", "windows.poll", "30m")
        waiting = self.server.verb("wipe", device, "--scope", "selective", "--reason", "left", "--delay", "1h", "--yes")
        before = self.listed()
        for kill in (False, True):
            begun = time.monotonic()
            self.server.restart(kill)
            self.assertLess(time.monotonic() - begun, 10)
            self.assertEqual(self.listed(), before, f"kill={kill}")
            self.assertEqual(Api(self.server, token).done("GET", "stop")["on"], False, "the token opens it still")
            self.assertTrue(self.server.verb("audit", "verify")["ok"])
        self.server.verb("commands", "cancel", waiting["id"])
        self.assertEqual(self.server.device_of(phone.udid)["state"], "enrolled")

    def test_another_master_key_is_refused_with_the_one_that_is_wanted(self):
        with tempfile.TemporaryDirectory() as folder:
            other = pathlib.Path(folder) / "other.key"
            other.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
            server = Server(["--store", f"sled:{folder}/store"]).start()
            server.process.terminate()
            server.process.wait()
            mark = (server.data / "store.mark").read_bytes()
            server.end()
            with self.assertRaisesRegex(AssertionError, "its mark .* is gone"):
                Server(["--store", f"sled:{folder}/store", "--master-key", other]).start()
            server = Server(["--store", f"sled:{folder}/store", "--master-key", other])
            server.folder = pathlib.Path(folder) / "another"
            server.data = server.folder / "data"
            server.data.mkdir(parents=True)
            (server.data / "store.mark").write_bytes(mark)
            with self.assertRaisesRegex(AssertionError, "master key"):
                server.run()


if __name__ == "__main__":
    unittest.main()
