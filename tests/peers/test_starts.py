"""Starts that come to nothing: the first words of the last line name the cause, and the exit code says whether waiting may mend it."""

import json
import os
import re
import socket
import subprocess
import unittest

from harness import BINARY, ServedTest, openssl

# Seconds. A database that is away is tried for a minute.
LIMIT = 100


class Starts(ServedTest):
    def start(self, *words, data=None, **variables):
        """The exit code and the lines of a start that comes to nothing."""
        data = data or self.folder() / "data"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LANYARD_")} | variables
        command = [BINARY, "serve", "--data", data]
        for port in ("--device-addr", "--admin-addr"):
            if port not in words:
                command += [port, "127.0.0.1:0"]
        command = [str(word) for word in [*command, *words]]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
        return done.returncode, done.stderr.splitlines()

    def certificate(self, name):
        """A chain and a key for localhost."""
        folder = self.folder()
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-addext", f"subjectAltName=DNS:{name}", "-days", "90", "-out", folder / "chain.pem", "-keyout", folder / "key.pem")
        return folder / "chain.pem", folder / "key.pem"

    def test_the_first_words_name_the_cause(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        chain, key = self.certificate("localhost")
        _, another = self.certificate("localhost")
        elsewhere, its_key = self.certificate("mdm.example.org")
        absent, garbled = self.folder() / "absent.pem", self.folder() / "garbled.pem"
        garbled.write_text("nothing\n")
        typed = self.folder() / "lanyard.yaml"
        typed.write_text("devise-addr: 127.0.0.1:0\n")
        plain = self.folder() / "plain"
        plain.write_text("a file")
        for cause, words, variables, code, first in (
            ("a level that is none", (), {"LANYARD_LOG": "inof"}, 2, 'LANYARD_LOG: "inof" is no level; the nearest is info'),
            ("an unknown key", ("--config", typed), {}, 2, f'--config {typed}: unknown key "devise-addr"; the nearest is device-addr'),
            ("no file of words", ("--config", absent), {}, 2, f"--config {absent}: No such file"),
            ("no connection string", ("--store", "postgres://u:secret@h:port/d"), {}, 2, "--store (or LANYARD_STORE): invalid"),
            ("the same in a variable", (), {"LANYARD_STORE": "postgres://u:secret@h/d?sslmod=x"}, 2, "--store (or LANYARD_STORE): invalid"),
            ("a devices' port that is taken", ("--device-addr", f"127.0.0.1:{port}"), {}, 1, f"--device-addr 127.0.0.1:{port}: Address already in use"),
            ("an admin port that is taken", ("--admin-addr", f"127.0.0.1:{port}"), {}, 1, f"--admin-addr 127.0.0.1:{port}: Address already in use"),
            ("no certificate", ("--tls-cert", absent, "--tls-key", key), {}, 1, f"--tls-cert: {absent}: No such file"),
            ("no key", ("--tls-cert", chain, "--tls-key", absent), {}, 1, f"--tls-cert: {absent}: No such file"),
            ("a chain that is none", ("--tls-cert", garbled, "--tls-key", key), {}, 1, f"--tls-cert: {garbled}: server certificate: "),
            ("a key that is none", ("--tls-cert", chain, "--tls-key", garbled), {}, 1, f"--tls-cert: {garbled}: server key: "),
            ("another's key", ("--tls-cert", chain, "--tls-key", another), {}, 1, f"--tls-cert: {chain} and {another}: server certificate and key: "),
            ("another's name", ("--tls-cert", elsewhere, "--tls-key", its_key), {}, 1, f"--tls-cert: {elsewhere}: the server certificate does not cover localhost"),
            ("no roots", ("--trust", absent), {}, 1, f"--trust {absent}: No such file"),
            ("no database there", ("--store", f"postgres://u:secret@127.0.0.1:{closed_port()}/d"), {}, 1, "store: error connecting to server: Connection refused"),
        ):
            with self.subTest(cause=cause):
                ended, lines = self.start(*words, **variables)
                self.assertEqual(ended, code, lines)
                self.assertTrue(lines[-1].startswith(f"lanyard: {first}"), lines)
                self.assertNotIn("secret", "\n".join(lines))
        ended, lines = self.start(data=plain)
        self.assertEqual(ended, 1, lines)
        self.assertTrue(lines[-1].startswith(f"lanyard: {plain}: "), lines)

    def test_with_json_every_line_is_an_object_up_to_the_last(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        code, lines = self.start("--log", "json", "--admin-addr", f"127.0.0.1:{taken.getsockname()[1]}", "--public-url", "https://localhost")
        self.assertEqual(code, 1, lines)
        last = [json.loads(line) for line in lines][-1]
        self.assertEqual((last["level"], set(last)), ("error", {"time", "level", "text"}))
        self.assertTrue(last["text"].startswith("--admin-addr "), last)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


class Objects(ServedTest):
    def test_a_failed_start_takes_nothing_of_the_first_hour_and_each_line_of_json_says_when_how_bad_and_what(self):
        server, data = self.server, self.folder() / "data"
        command = [str(BINARY), "serve", "--data", str(data), "--log", "json", "--device-addr", "127.0.0.1:0", "--admin-addr"]
        failed = subprocess.run([*command, server.described()["admin"]], capture_output=True, text=True, timeout=LIMIT, check=False)
        self.assertEqual(failed.returncode, 1, failed.stderr)
        self.assertNotIn("second administrator", failed.stderr)
        process = subprocess.Popen([*command, "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        lines = []
        for line in process.stderr:
            lines.append(json.loads(line))
            if lines[-1].get("event") == "ready":
                break
        process.terminate()
        lines += [json.loads(line) for line in process.stderr]
        self.assertEqual(process.wait(30), 0)
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
            self.assertIn(line["level"], ("error", "warn", "info"))
            self.assertTrue(line["text"], line)
        ready = next(line for line in lines if line.get("event") == "ready")
        self.assertLessEqual({"device", "admin", "public", "enrol"}, set(ready))
        hour = next(line for line in lines if "second administrator" in line["text"])
        self.assertRegex(hour["text"], r"^make a second administrator now: until \d\d:\d\d UTC ")
        self.assertTrue(re.match(r"\d{4}-", hour["until"]), hour)
        told = [(line["text"].split(":")[0], line.get("signal")) for line in lines[lines.index(ready) + 1 :]]
        self.assertEqual(told, [("stopping", "SIGTERM"), ("stopped", None)])


if __name__ == "__main__":
    unittest.main()
