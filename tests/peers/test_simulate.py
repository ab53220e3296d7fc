"""`lanyard simulate` as an administrator uses it: simulated devices of each kind against a server of one's own, wiped by the command line."""

import json
import os
import pathlib
import pty
import signal
import subprocess
import unittest

from harness import BINARY, REQUEST_LIMIT, STOP_LIMIT, Server, ServedTest, VerbFailed, eventually, free_port, in_background, openssl
from mail_server import MailServer

ERIN, FRANK, WORD = "erin@example.org", "frank@example.org", "at the sea"


class Simulate:
    """The verb under way: what it has shown and said so far, and how it ends. Killed with the test where it has not ended by then."""

    def __init__(self, test, *words, data=None, json_too=False, **variables):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LANYARD_")}
        environment["LANYARD_DATA"] = str(test.server.data if data is None else data)
        command = [str(BINARY), "simulate", *(str(word) for word in words), *(["--json"] if json_too else [])]
        self.process = subprocess.Popen(
            command, env={**environment, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.shown, self.said = "", ""
        self.readers = [in_background(self._show), in_background(self._say)]
        test.addCleanup(self.process.kill)

    def _show(self):
        for line in self.process.stdout:
            self.shown += line

    def _say(self):
        for line in self.process.stderr:
            self.said += line

    def shows(self, words, times=1):
        """Waits until it has shown the words so often."""
        def look():
            assert self.process.poll() is None or self.shown.count(words) >= times, (words, self.shown, self.said)
            return self.shown.count(words) >= times
        eventually(look, words, REQUEST_LIMIT)

    def names(self):
        """The devices' serials, as its lines name them."""
        return [line.rsplit(" ", 1)[1] for line in self.shown.splitlines() if ": enrolled; lanyard devices show " in line]

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self):
        code = self.process.wait(REQUEST_LIMIT)
        for reader in self.readers:
            reader.join(STOP_LIMIT)
        return code


class SimulateTest(ServedTest):
    @classmethod
    def setUpClass(cls):
        cls.mail = MailServer({ERIN: WORD, FRANK: WORD})
        cls.addClassCleanup(cls.mail.stop)
        cls.arguments = ["--eas-upstream", cls.mail.url]
        super().setUpClass()

    def setUp(self):
        self.password = self.server.folder / "password"
        self.password.write_text(WORD + "\n")

    def invite(self, channel, *words):
        return self.server.verb("invite", "--channel", channel, *words)

    def wiped(self, name, scope):
        """Wiped by the command line, which waits for its end and says by its exit code that it came."""
        command = self.server.verb("wipe", name, "--scope", scope, "--reason", "trial", "--wait", "--timeout", "50s", "--yes")
        self.assertIn(command["state"], ("confirmed", "presumed"))
        return command

    def test_an_iphone_does_as_it_is_told_until_it_is_erased(self):
        invitation = self.invite("apple", "--user", "ann@example.org")
        running = Simulate(self, "--channel", "apple", "--url", invitation["url"])
        running.shows("Simulated iPhone 1: enrolled; lanyard devices show SIM")
        [name] = running.names()
        self.assertEqual(self.server.verb("devices", "show", name)["name"], "Simulated iPhone 1")
        self.assertIn("no push certificate", running.said)
        self.assertIn("other_topic", running.said)
        self.assertIn("by itself every 3 s", running.said)
        self.server.verb("restart", name)
        running.shows("Simulated iPhone 1: RestartDevice: done")
        self.assertEqual(self.wiped(name, "full")["state"], "confirmed")
        self.assertEqual(running.end(), 0, running.said)
        self.assertRegex(running.shown, r"(?m)^\d\d:\d\d:\d\d Simulated iPhone 1: EraseDevice \(full\): erased, gone$")
        self.assertIn(f"lanyard devices remove {name}", running.said)
        self.server.verb("devices", "remove", name)
        self.assertEqual([device for device in self.server.verb("devices", "list") if device["serial"] == name], [])

    def test_a_pc_does_as_it_is_told_until_it_is_retired(self):
        invitation = self.invite("windows", "--user", "bob@example.org")
        running = Simulate(self, "--channel", "windows", "--user", "bob@example.org", "--code", invitation["code"])
        running.shows("Simulated-PC-1: enrolled")
        [name] = running.names()
        self.assertIn("holds a session every 3 s", running.said)
        self.wiped(name, "selective")
        self.assertEqual(running.end(), 0, running.said)
        self.assertIn("(selective): the organisation's things removed, gone", running.shown)

    def test_a_mail_app_with_a_certificate_does_as_it_is_told_until_its_account_is_removed(self):
        invitation = self.invite("activesync", "--user", ERIN)
        running = Simulate(self, "--channel", "activesync", "--url", invitation["url"], "--code", invitation["code"],
                           "--password-file", self.password)
        running.shows("Simulated mail 1: reads its mail")
        [name] = running.names()
        self.wiped(name, "selective")
        self.assertEqual(running.end(), 0, running.said)
        self.assertIn("AccountOnlyRemoteWipe (selective)", running.shown)

    def test_a_mail_app_with_a_password_waits_to_be_let_in_and_is_wiped(self):
        running = Simulate(self, "--channel", "activesync", "--user", FRANK, "--password-file", self.password)
        running.shows("in quarantine, as its inbox says; `lanyard devices allow SIM")
        [name] = running.names()
        self.server.verb("devices", "allow", name)
        running.shows("reads its mail")
        self.wiped(name, "full")
        self.assertEqual(running.end(), 0, running.said)
        self.assertIn("RemoteWipe (full): erased, gone", running.shown)

    def test_a_wrong_code_or_password_and_a_used_link_are_refused_in_the_servers_words(self):
        wrong = Simulate(self, "--channel", "windows", "--user", "carol@example.org", "--code", "AAAA-BBBB-CCCC-DDDD")
        self.assertEqual(wrong.end(), 1)
        self.assertIn("refused by the server", wrong.said)
        self.assertIn("s:Authentication", wrong.said)
        bad = self.server.folder / "bad"
        bad.write_text("nonsense")
        mail = Simulate(self, "--channel", "activesync", "--user", ERIN, "--password-file", bad)
        self.assertEqual(mail.end(), 1)
        self.assertIn("HTTP 401", mail.said)
        revoked = self.invite("apple", "--user", "carol@example.org")
        self.server.verb("invitations", "revoke", revoked["id"])
        link = Simulate(self, "--channel", "apple", "--url", revoked["url"])
        self.assertEqual(link.end(), 1)
        self.assertIn("refused by the server", link.said)
        self.assertEqual([each.shown for each in (wrong, mail, link)], ["", "", ""])

    def test_three_come_by_a_link_for_three_and_one_by_a_link_for_one(self):
        self.server.verb("group", "create", "trial")
        many = self.invite("apple", "--uses", "3", "--group", "trial")
        running = Simulate(self, "--channel", "apple", "--url", many["url"], "--count", "3")
        running.shows(": enrolled", times=3)
        names = running.names()
        self.assertEqual(len(set(names)), 3)
        for name in names:
            self.wiped(name, "full")
        self.assertEqual(running.end(), 0, running.said)
        self.assertEqual(running.shown.count("erased, gone"), 3)

        pcs = self.invite("windows", "--uses", "2", "--group", "trial")
        running = Simulate(self, "--channel", "windows", "--user", "anybody", "--code", pcs["code"], "--count", "2")
        running.shows(": enrolled", times=2)
        reset, retired = running.names()
        self.assertEqual(self.wiped(reset, "full")["state"], "presumed")
        self.assertEqual(self.wiped(retired, "selective")["state"], "confirmed")
        self.assertEqual(running.end(), 0, running.said)
        self.assertIn("/doWipe (full): erased, gone", running.shown)
        self.assertIn("its record stays in the list", running.said)
        self.assertNotIn(f"lanyard devices remove {reset}", running.said)
        self.server.verb("devices", "remove", retired)
        with self.assertRaises(VerbFailed):
            self.server.verb("devices", "remove", reset)

        single = self.invite("apple", "--user", "dave@example.org")
        running = Simulate(self, "--channel", "apple", "--url", single["url"], "--count", "3")
        running.shows("Simulated iPhone 2: not enrolled: refused by the server")
        eventually(lambda: "lanyard invite --channel apple --uses 3 --group G" in running.said, "how three may come")
        self.wiped(running.names()[0], "selective")
        self.assertEqual(running.end(), 1, "not all enrolled")

    def test_ctrl_c_ends_it_and_says_what_stays(self):
        invitation = self.invite("windows", "--user", "gina@example.org")
        running = Simulate(self, "--channel", "windows", "--user", "gina@example.org", "--code", invitation["code"])
        running.shows(": enrolled")
        [name] = running.names()
        running.interrupt()
        self.assertEqual(running.end(), 0)
        self.assertIn("their keys are gone", running.said)
        self.assertIn(f"lanyard devices revoke {name}", running.said)
        self.server.verb("devices", "revoke", name)
        self.assertEqual(self.server.verb("devices", "list", "--user", "gina@example.org")[0]["state"], "retired")

    def test_json_is_one_document_with_what_each_device_did(self):
        invitation = self.invite("apple", "--user", "hugo@example.org")
        running = Simulate(self, "--channel", "apple", "--url", invitation["url"], json_too=True)
        eventually(lambda: ": enrolled" in running.said, "an enrolled device")
        [device] = self.server.verb("devices", "list", "--user", "hugo@example.org")
        self.wiped(device["id"], "full")
        self.assertEqual(running.end(), 0)
        [document] = json.loads(running.shown)
        self.assertEqual((document["serial"], document["state"], document["channel"]), (device["serial"], "erased", "apple"))
        self.assertEqual((document["acts"][-1]["kind"], document["acts"][-1]["effect"]), ("EraseDevice", "wiped"))

    def test_a_server_that_is_not_trusted_or_away_is_said_in_words(self):
        invitation = self.invite("apple", "--user", "ida@example.org")
        empty = self.folder()
        stranger = Simulate(self, "--channel", "apple", "--url", invitation["url"], data=empty)
        self.assertEqual(stranger.end(), 1)
        self.assertIn("not trusted", stranger.said)
        self.assertIn("--ca FILE", stranger.said)
        told = Simulate(self, "--channel", "apple", "--url", invitation["url"], "--ca", self.server.ca, data=empty)
        told.shows(": enrolled")
        told.interrupt()
        self.assertEqual(told.end(), 0)
        away = Simulate(self, "--channel", "apple", "--url", f"https://localhost:{free_port()}/enroll/x")
        self.assertEqual(away.end(), 1)
        self.assertIn("the server does not answer", away.said)
        nowhere = Simulate(self, "--channel", "windows", "--user", "ida@example.org", "--code", "x", data=empty)
        self.assertEqual(nowhere.end(), 1)
        self.assertIn("--url", nowhere.said)
        for words in (["--channel", "apple"], ["--channel", "windows", "--user", "ida"], ["--channel", "apple", "--url", "https://localhost"],
                      ["--channel", "activesync"], ["--channel", "activesync", "--user", "ida"], ["--channel", "apple", "--url", "x/enroll/y"]):
            self.assertEqual(Simulate(self, *words).end(), 2, words)

    def test_a_password_is_asked_for_and_not_shown(self):
        main, side = pty.openpty()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LANYARD_")}
        process = subprocess.Popen([str(BINARY), "simulate", "--channel", "activesync", "--user", ERIN],
                                   env={**environment, "LANYARD_DATA": str(self.server.data)}, stdin=side, stdout=side, stderr=side)
        os.close(side)
        self.addCleanup(process.kill)
        raw = bytearray()

        def read():
            try:
                while part := os.read(main, 65536):
                    raw.extend(part)
            except OSError:
                pass  # It has ended.

        in_background(read)
        eventually(lambda: b"password of erin@example.org at the mail server: " in raw, "the question")
        os.write(main, (WORD + "\n").encode())
        eventually(lambda: b": enrolled" in raw, "an enrolled mail app", REQUEST_LIMIT)
        self.assertNotIn(WORD.encode(), bytes(raw))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(REQUEST_LIMIT), 0)


class SimulateAloneTest(unittest.TestCase):
    def test_devices_go_on_when_the_server_restarts_and_without_a_mail_server_mail_is_refused_in_words(self):
        self.server = Server(["--device-addr", f"127.0.0.1:{free_port()}"]).start()
        self.addCleanup(self.server.stop)
        invitation = self.server.verb("invite", "--channel", "apple", "--user", "jo@example.org")
        running = Simulate(self, "--channel", "apple", "--url", invitation["url"])
        running.shows(": enrolled")
        self.server.process.send_signal(signal.SIGTERM)
        running.shows("it goes on asking")
        self.server.process.wait(STOP_LIMIT)
        self.server.log.close()
        self.server.run()
        running.shows("answered again")
        self.server.verb("wipe", running.names()[0], "--scope", "full", "--reason", "trial", "--wait", "--yes")
        self.assertEqual(running.end(), 0)

        password = self.server.folder / "password"
        password.write_text(WORD)
        mail = Simulate(self, "--channel", "activesync", "--user", ERIN, "--password-file", password)
        self.assertEqual(mail.end(), 1)
        self.assertIn("no mail server is set up here (--eas-upstream)", mail.said)

    def test_a_server_whose_name_leads_nowhere_is_asked_on_its_own_machine(self):
        self.server = Server(["--public-url", "https://mdm.nowhere.invalid"]).start()
        self.addCleanup(self.server.stop)
        invitation = self.server.verb("invite", "--channel", "windows", "--user", "lou@example.org")
        running = Simulate(self, "--channel", "windows", "--user", "lou@example.org", "--code", invitation["code"])
        running.shows(": enrolled")
        self.assertIn(f"is not reached from this machine by its name: the server is asked at {self.server.device} instead", running.said)
        running.interrupt()
        self.assertEqual(running.end(), 0)

    def test_without_a_push_certificate_it_warns_and_what_it_warns_of_ends_with_the_record(self):
        self.server = Server().start()
        self.addCleanup(self.server.stop)
        folder = pathlib.Path(self.server.folder)
        topic = "com.apple.mgmt.External.11111111-2222-4333-8444-555555555555"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/UID={topic}/CN=APSP",
                "-keyout", folder / "push.key", "-out", folder / "push.crt")
        (folder / "push.pem").write_bytes((folder / "push.crt").read_bytes() + (folder / "push.key").read_bytes())
        self.server.verb("settings", "set", "apple.push_url", f"https://localhost:{free_port()}")
        before = self.enrolled_and_left("kim@example.org")
        self.assertIn("no push certificate", before.said)
        with self.assertRaises(VerbFailed) as refused:
            self.server.verb("apple", "push-cert", "set", folder / "push.pem")
        self.assertIn("other_topic", refused.exception.stderr)
        self.server.verb("devices", "revoke", before.names()[0])
        self.server.verb("apple", "push-cert", "set", folder / "push.pem")
        self.assertNotIn("push certificate", self.enrolled_and_left("lea@example.org").said)

    def enrolled_and_left(self, user):
        """An iPhone that was enrolled when it was ended by Ctrl-C."""
        invitation = self.server.verb("invite", "--channel", "apple", "--user", user)
        running = Simulate(self, "--channel", "apple", "--url", invitation["url"])
        running.shows(": enrolled")
        running.interrupt()
        self.assertEqual(running.end(), 0)
        return running


if __name__ == "__main__":
    unittest.main()
