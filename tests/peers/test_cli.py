"""What the command line says beside its documents, and how its verbs end: exit codes, remarks on stderr, waits."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import unicodedata
import unittest

from apple_device import AppleDevice
from harness import (
    BINARY, REQUEST_LIMIT, STOP_LIMIT, Api, Server, ServedTest, VerbFailed, eventually, free_port, in_background, request
)


class Verb:
    """A verb under way: what it has said on stderr so far, and how it ends."""

    def __init__(self, server, *words, **variables):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LANYARD_")}
        environment["LANYARD_DATA"] = str(server.data)
        self.process = subprocess.Popen(
            [str(BINARY), *(str(word) for word in words)], env={**environment, **variables},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said, self.printed = "", ""
        self.reader = in_background(self._read)

    def _read(self):
        printed = in_background(self._print)
        for line in self.process.stderr:
            self.said += line
        printed.join()

    def _print(self):
        for line in self.process.stdout:
            self.printed += line

    def end(self):
        code = self.process.wait(REQUEST_LIMIT)
        self.reader.join(REQUEST_LIMIT)
        return code, self.said


class Terminal:
    """A verb at a terminal of so many columns: what it shows, and what a person types."""

    def __init__(self, server, *words, columns=80, **variables):
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("LANYARD_") and key not in ("COLUMNS", "NO_COLOR")}
        environment.update({"LANYARD_DATA": str(server.data), "TERM": "xterm"}, **variables)
        self.main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen([str(BINARY), *(str(word) for word in words)], env=environment, stdin=side, stdout=side, stderr=side)
        os.close(side)
        self.raw = b""
        self.reader = in_background(self._read)

    def _read(self):
        try:
            while part := os.read(self.main, 65536):
                self.raw += part
        except OSError:
            pass  # The verb has ended, and with it the other side.

    @property
    def shown(self):
        return self.raw.decode(errors="replace")

    def type(self, text):
        os.write(self.main, text.encode())

    def end(self):
        code = self.process.wait(REQUEST_LIMIT)
        self.reader.join(REQUEST_LIMIT)
        os.close(self.main)
        return code, self.shown


COLOUR = re.compile("\x1b\\[[0-9;]*m")


def columns(line):
    """How wide a terminal shows it."""
    wide = lambda c: 2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1
    return sum(wide(c) for c in line)


class CommandLine(ServedTest):
    # A server that comes back must be found where it was.
    arguments = ["--admin-addr", f"127.0.0.1:{free_port()}", "--device-addr", f"127.0.0.1:{free_port()}"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # In the store's first hour, before any device: she counts, and local may approve what she asks for.
        cls.server.verb("admins", "add", "Alice")
        cls.alice = cls.server.verb("token", "create", "--admin", "Alice")["token"]

    def phone(self, ownership="corporate"):
        phone = AppleDevice(self.server, self.folder(), "Spoken of").enrol(self.server.verb(
            "invite", "--channel", "apple", "--user", "ann@example.org", "--ownership", ownership))
        phone.poll()
        return phone, self.server.device_of(phone.udid)["id"]

    def says(self, *words, code=0, **variables):
        ended, said = Verb(self.server, *words, **variables).end()
        self.assertEqual(ended, code, said)
        return said

    def newcomer(self):
        """The token of somebody who does not count yet."""
        name = f"new {self._testMethodName}"
        self.server.verb("admins", "add", name)
        return self.server.verb("token", "create", "--admin", name)["token"]

    def test_the_ca_is_shown_as_a_file_of_anchors(self):
        show = Verb(self.server, "ca", "show", "--pem")
        self.assertEqual(show.end()[0], 0)
        shown = self.server.verb("ca", "show", "--pem")
        self.assertEqual(shown, self.server.verb("ca", "show"), "the document holds them already")
        self.assertEqual(show.printed, "".join(shown[part]["pem"].strip() + "\n" for part in ("root", "issuing")))
        self.assertEqual(show.printed.splitlines()[0], "-----BEGIN CERTIFICATE-----")

    def test_a_wait_outlasts_a_restart(self):
        phone, ident = self.phone()
        held = Api(self.server, self.newcomer()).done("POST", f"devices/{self.phone()[1]}/lock", {})
        wipe = Verb(self.server, "wipe", ident, "--scope", "full", "--reason", "lost", "--yes", "--wait")
        approval = Verb(self.server, "approvals", "wait", held["approval"])
        eventually(lambda: "nothing wakes the device" in wipe.said, "the wipe's remark")
        eventually(lambda: "waits for a second person" in approval.said, "the approval's remark")
        self.server.process.send_signal(signal.SIGTERM)
        self.server.process.wait(STOP_LIMIT)
        for verb in (wipe, approval):
            eventually(lambda verb=verb: "asking on" in verb.said, "the remark on the server", 30)
        self.server.run()
        phone.poll()
        self.server.verb("approvals", "reject", held["approval"])
        code, said = wipe.end()
        self.assertEqual((code, said.count("asking on")), (0, 1), said)
        code, said = approval.end()
        self.assertEqual((code, said.count("asking on")), (1, 1), said)

    def test_a_wait_ends_in_time_though_the_server_is_away(self):
        _, ident = self.phone()
        wipe = Verb(self.server, "wipe", ident, "--scope", "full", "--reason", "lost", "--yes", "--wait", "--timeout", "4s")
        eventually(lambda: "nothing wakes the device" in wipe.said, "the wipe's remark")
        self.server.process.send_signal(signal.SIGTERM)
        self.server.process.wait(STOP_LIMIT)
        code, said = wipe.end()
        self.server.run()
        self.assertEqual(code, 1, said)
        self.assertIn("not ended within the time given", said)

    def test_asked_again_it_speaks_of_what_is_under_way(self):
        phone, ident = self.phone()
        wipe = ("wipe", ident, "--yes", "--reason", "lost", "--scope")
        said = self.says(*wipe, "full")
        self.assertIn("the device will be erased", said)
        self.assertNotIn("this is command", said)
        said = self.says(*wipe, "selective", "--delay", "1h")
        self.assertIn("the device will be erased", said)
        self.assertIn("asked for by local, scope full; --delay, --expires, --reason and --pin given now do not count", said)
        phone.poll()
        said = self.says(*wipe, "full")
        self.assertIn("is confirmed", said)
        self.assertNotIn("will be", said, "it is done")

    def test_nobody_is_asked_to_say_yes_in_vain(self):
        _, ident = self.phone("personal")
        wipe = ("wipe", ident, "--reason", "lost", "--scope")
        self.assertIn("(personal)", self.says(*wipe, "full", code=1))
        said = self.says(*wipe, "selective", code=2)
        self.assertIn("if you say yes, the management profile will go", said)
        self.assertIn("--yes", said)

    def test_the_stop_and_the_breaker_are_spoken_of(self):
        _, ident = self.phone()
        command = self.server.verb("wipe", ident, "--scope", "full", "--reason", "lost", "--yes")
        self.server.verb("stop", "on")
        self.addCleanup(self.lift_stop)
        self.assertIsNone(self.server.command(command["id"])["expected_by"])
        said = self.says("wipe", ident, "--scope", "full", "--reason", "lost", "--yes")
        self.assertIn("the emergency stop holds it back", said)
        said = self.says("lock", self.phone()[1])
        self.assertRegex(said, "is held: the emergency stop is on; may approve: Alice, once the emergency stop is lifted; "
                               "it waits for a second person: lanyard approvals wait ")
        # The same under --wait, and of what others asked for, without having read it.
        held = self.server.verb("lock", self.phone()[1])
        read = Verb(self.server, "wipe", self.phone()[1], "--scope", "full", "--reason", "lost", "--yes", "--wait", "--timeout", "1s",
                    LANYARD_TOKEN=self.alice)
        code, said = read.end()
        self.assertEqual(code, 1, said)
        self.assertRegex(said, "is held: the emergency stop is on; may approve: local, once")
        self.assertIn("request that you have not looked at waits", said, "that of the other is told")
        asked = Api(self.server, self.alice)
        self.assertEqual(asked.call("POST", f"approvals/{held['approval']}/approve", {})[1]["code"], "approval_grew")
        said = self.says("devices", "list")
        self.assertIn("1 request that you have not looked at waits", said, "hers; his own was told when he asked")
        for approval in self.server.verb("approvals", "list"):
            if approval["state"] == "waiting":
                self.server.verb("approvals", "reject", approval["id"])

    def test_an_undo_window_says_when_it_ends(self):
        _, ident = self.phone()
        command = self.server.verb("wipe", ident, "--scope", "full", "--reason", "lost", "--yes", "--delay", "1h")
        self.assertEqual(command["state"], "held")
        self.assertRegex(command["leaves_at"], r"^\d{4}-\d\d-\d\dT[0-9:.]+Z$")
        said = self.says("wipe", ident, "--scope", "full", "--reason", "lost", "--yes")
        self.assertIn("leaves when its undo window ends, at 20", said)
        self.assertRegex(said, r"Z \(in (59|60) min\)")
        self.assertIsNone(self.server.verb("commands", "cancel", command["id"])["leaves_at"])

    def test_who_approves_is_asked_with_what_it_would_do(self):
        phone, ident = self.phone()
        newcomer = Api(self.server, self.newcomer())
        lock = newcomer.done("POST", f"devices/{ident}/lock", {"reason": "lost"})
        # In a program's hands it is what it was: no question, and nobody approves blind.
        self.assertIn("(approval_grew)", self.says("approvals", "approve", lock["approval"], code=1, LANYARD_TOKEN=self.alice))
        verb = Terminal(self.server, "approvals", "approve", lock["approval"][:18], LANYARD_TOKEN=self.alice)
        eventually(lambda: "[y/N]" in verb.shown, "the question")
        shown = " ".join(COLOUR.sub("", verb.shown).split())
        self.assertRegex(shown, r"asks to lock 1: ann@example.org, Spoken of, last seen (now|\d+ s ago), reason 'lost' held: ")
        self.assertRegex(shown, "is new here and counts from .*; may approve: Alice|may approve: .*Alice")
        verb.type("n\n")
        code, shown = verb.end()
        self.assertEqual((code, self.server.command(lock["id"])["state"]), (1, "held"), shown)
        verb = Terminal(self.server, "approvals", "approve", lock["approval"], LANYARD_TOKEN=self.alice)
        eventually(lambda: "[y/N]" in verb.shown, "the question")
        verb.type("y\n")
        self.assertEqual(verb.end()[0], 0)
        self.assertNotEqual(self.server.command(lock["id"])["state"], "held")
        # Listing counts as reading: so the list says what each asks.
        again = newcomer.done("POST", f"devices/{ident}/clear-passcode", {})
        listed = Verb(self.server, "approvals", "list", LANYARD_TOKEN=self.alice)
        self.assertEqual(listed.end()[0], 0)
        self.assertIn(again["approval"] + "  new ", listed.printed)
        self.assertIn("asks to clear the passcode of 1: ann@example.org, Spoken of, last seen", listed.printed)
        self.assertIn("may approve: Alice", listed.printed)
        self.assertNotIn("asks to lock 1", listed.printed, "what is decided is a row of the table below")
        self.says("approvals", "approve", again["approval"], LANYARD_TOKEN=self.alice)
        verb = Verb(self.server, "approvals", "show", lock["approval"])
        self.assertEqual(verb.end()[0], 0)
        self.assertIn("asked to lock 1: ann@example.org, Spoken of", verb.printed)
        self.assertIn("approved by Alice", verb.printed)

    def test_what_cannot_be_undone_is_asked_about_at_a_terminal(self):
        phone, ident = self.phone()
        self.server.verb("group", "create", "ward 3")
        self.server.verb("group", "add", "ward 3", ident)
        for words, question, there in (
            (("group", "delete", "ward 3"), "Delete the group ward 3? Its 1 device stays; no policy is assigned to it.",
             lambda: "ward 3" in [group["name"] for group in self.server.verb("group", "list")]),
            (("devices", "revoke", ident[:18]), "End the certificates of ann@example.org, Spoken of, last seen",
             lambda: self.server.verb("devices", "show", ident)["state"] == "enrolled"),
        ):
            verb = Terminal(self.server, *words, columns=200)
            eventually(lambda verb=verb: "[y/N]" in verb.shown, "the question")
            self.assertIn(question, verb.shown)
            verb.type("n\n")
            self.assertEqual((verb.end()[0], there()), (1, True))
            self.assertEqual(Terminal(self.server, *words, "--yes").end()[0], 0)
            self.assertFalse(there())
        # A program is asked nothing: the verbs are as they were.
        self.server.verb("group", "create", "ward 3")
        self.server.verb("group", "delete", "ward 3")

    def test_lists_name_people_and_are_filtered(self):
        phone, ident = self.phone()
        self.server.verb("devices", "sync", ident)
        phone.poll()
        mine = lambda *words: [c["action"] for c in self.server.verb("commands", "list", "--device", ident, *words)]
        self.assertIn("sync", mine())
        self.assertEqual(set(mine("--action", "sync", "--state", "acknowledged", "--user", "ANN@example.org")), {"sync"})
        self.assertEqual((mine("--action", "wipe"), mine("--user", "bob@example.org"), mine("--state", "held")), ([], [], []))
        for words, known in ((("commands", "list", "--state", "nonsense"), "held, queued"), (("commands", "list", "--action", "erase"), "wipe, lock"),
                             (("devices", "list", "--state", "held"), "enrolled, retiring"), (("devices", "list", "--platform", "iphone"), "ios, ipados")):
            self.assertIn(known, self.says(*words, code=2))
        asked = Api(self.server, (self.server.data / "local.token").read_text().strip())
        for path, known in (("commands?state=nonsense", "held, queued"), ("commands?action=erase", "wipe, lock"), ("devices?state=held", "enrolled, retiring"),
                            ("devices?platform=iphone", "ios, ipados"), ("audit?action=wip", "the nearest is wipe")):
            status, problem = asked.call("GET", path)[:2]
            self.assertEqual((status, problem["code"]), (422, "invalid"))
            self.assertIn(known, problem["detail"])
        self.assertIn("the nearest is wipe", self.says("audit", "list", "--action", "wip", code=1))
        shown = Verb(self.server, "commands", "list", "--device", ident)
        self.assertEqual(shown.end()[0], 0)
        self.assertRegex(shown.printed, "ann@example.org +Spoken of +sync")
        hers = self.server.verb("devices", "show", "ann@example.org")
        self.assertIn(ident, [device["id"] for device in hers])
        self.assertIn("(not_found)", self.says("devices", "show", "nobody@example.org", code=1))
        audit = lambda *words: self.server.verb("audit", "list", *words)
        self.assertEqual({e["action"].split(".")[0] for e in audit("--action", "admin")}, {"admin"})
        self.assertEqual({e["actor"] for e in audit("--actor", "local")}, {"local"})
        self.assertEqual(audit("--since", "1h", "--limit", "2"), audit()[-2:])
        self.assertEqual(audit("--since", "2999-01-01T00:00:00Z"), [])
        self.assertIn("--since", self.says("audit", "list", "--since", "yesterday", code=2))
        shown = Verb(self.server, "audit", "list", "--device", ident, "--actor", "local")
        self.assertEqual(shown.end()[0], 0)
        self.assertRegex(shown.printed, "local +[a-z.]+ .* ann@example.org +Spoken of")

    def lift_stop(self):
        asked = Api(self.server, self.alice).done("PUT", "stop", {"on": False})
        self.server.verb("approvals", "show", asked["id"])
        self.server.verb("approvals", "approve", asked["id"])

    def test_wrong_words_end_with_two_and_name_the_argument(self):
        wipe = ("wipe", "x", "--scope", "full", "--reason", "r", "--yes")
        for words, argument in (
            (("invite", "--channel", "apple", "--user", "u", "--expires", "soon"), "--expires"),
            (("devices", "list", "--expiring", "60"), "--expiring"),
            ((*wipe, "--delay", "5 m"), "--delay"),
            ((*wipe, "--expires", "x"), "--expires"),
            ((*wipe, "--pin", "12345"), "--pin"),
            (("lock", "x", "--pin", "abcdef"), "--pin"),
            (("audit", "verify", "--head", "1234"), "--head"),
            (("devices", "list", "--time", "then"), "--time"),
        ):
            with self.subTest(words=words):
                self.assertIn(argument, self.says(*words, code=2))
        self.assertIn("LANYARD_TIME", self.says("devices", "list", code=2, LANYARD_TIME="then"))
        self.says("devices", "list", LANYARD_TIME="")


class Alone(ServedTest):
    def test_who_sets_the_stop_alone_is_told_before_that_nobody_else_could_lift_it(self):
        verb = Terminal(self.server, "stop", "on")
        eventually(lambda: "[y/N]" in verb.shown, "the question")
        self.assertIn("nobody but you could agree to lift the emergency stop", " ".join(verb.shown.split()))
        verb.type("n\n")
        self.assertEqual(verb.end()[0], 1)
        self.assertFalse(self.server.verb("stop", "status")["on"])
        verb = Verb(self.server, "stop", "on")
        code, said = verb.end()
        self.assertEqual(code, 0, "no program is kept from an emergency stop")
        self.assertIn("nobody but you could agree", said)
        self.assertTrue(self.server.verb("stop", "status")["on"])


class Night(ServedTest):
    def test_one_screen_says_what_waits_for_whom_and_whose_wipes_are_open(self):
        self.server.verb("admins", "add", "Alice")
        alice = self.server.verb("token", "create", "--admin", "Alice")["token"]
        phones = [AppleDevice(self.server, self.folder(), f"Phone of {user}") for user in ("ann", "bob")]
        for phone, user in zip(phones, ("ann@example.org", "bob@example.org")):
            phone.enrol(self.server.verb("invite", "--channel", "apple", "--user", user)).poll()
        ann, bob = (self.server.device_of(phone.udid)["id"] for phone in phones)
        wipe = ("--scope", "full", "--reason", "lost", "--yes")
        self.server.verb("wipe", ann, *wipe, "--delay", "2h")
        watch = Terminal(self.server, "status", "--watch")
        self.addCleanup(watch.process.kill)
        eventually(lambda: "EMERGENCY STOP: off" in watch.shown, "the first screen")
        self.server.verb("stop", "on")
        held = Api(self.server, alice).done("POST", f"devices/{bob}/wipe", {"scope": "full", "reason": "stolen"})
        eventually(lambda: "asks to ERASE 1: bob@example.org" in " ".join(watch.shown.split()), "the screen is kept up to date", 30)
        code, shown = Terminal(self.server, "status").end()
        self.assertEqual(code, 0, shown)
        plain = COLOUR.sub("", shown)
        self.assertLessEqual(max(columns(line) for line in plain.splitlines() if not line.startswith("lanyard: ")), 80, plain)
        told = " ".join(plain.split())
        self.assertRegex(told, r"EMERGENCY STOP: ON since (now|\d+ s ago), set by local")
        self.assertRegex(told, r"Alice asks to ERASE 1: bob@example.org, Phone of bob, last seen [^,]*, reason 'stolen'")
        self.assertIn("may approve: local (once the emergency stop is lifted)", told)
        self.assertRegex(told, r"ann@example.org Phone of ann .*held .*leaves in (119|120|1|2) (min|h)")
        self.assertIn("push_cert_missing", told)
        self.assertRegex(told, "CAN APPROVE NOW[^:]*: (local, Alice|Alice, local)")
        self.assertEqual(Api(self.server, (self.server.data / "local.token").read_text().strip()).call(
            "POST", f"approvals/{held['approval']}/approve", {})[1]["code"], "approval_grew", "the screen counts as no reading")
        piped = Verb(self.server, "status")
        self.assertEqual(piped.end()[0], 0)
        self.assertIn(held["approval"], piped.printed)


class Tables(ServedTest):
    HOSTILE = "\u7530\u4e2d\u3055\u3093\x9b31m\u202e\u96fb\u8a71 of quite a long name, so that it has to be cut"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("iPhone 07E6", cls.HOSTILE):
            phone = AppleDevice(cls.server, cls.server.folder, name)
            phone.enrol(cls.server.verb("invite", "--channel", "apple", "--user", "ann@example.org")).poll()

    def shown(self, *words, **how):
        code, shown = Terminal(self.server, *words, **how).end()
        self.assertEqual(code, 0, shown)
        return [line for line in shown.splitlines() if not COLOUR.sub("", line).startswith("lanyard: ")]

    def piped(self, *words, **variables):
        verb = Verb(self.server, *words, **variables)
        code, said = verb.end()
        self.assertEqual(code, 0, said)
        return verb.printed

    def test_a_table_fits_its_terminal_and_its_ids_are_taken(self):
        for width in (80, 200):
            lines = self.shown("devices", "list", columns=width)
            self.assertEqual(len(lines), 3, lines)
            plain = [COLOUR.sub("", line) for line in lines]
            self.assertNotEqual(plain, lines, "a terminal has colours")
            self.assertLessEqual(max(map(columns, plain)), width, plain)
            self.assertFalse(any(c in line for line in plain for c in "\x1b\x9b\u202e"), plain)
            self.assertRegex(plain[1], r"(now|\d+ s ago)$")
        self.assertIn("\\u{9b}31m\\u{202e}", plain[2])
        short = plain[1].split()[0]
        self.assertLess(len(short), 36)
        whole = self.server.verb("devices", "show", short)["id"]
        self.assertTrue(whole.startswith(short))
        with self.assertRaisesRegex(VerbFailed, r"\(ambiguous\)"):
            self.server.verb("devices", "show", whole[:6])
        plain = self.shown("devices", "list", columns=200, NO_COLOR="1", COLUMNS="80", LANYARD_TIME="local", TZ="Asia/Kolkata")
        self.assertNotIn("\x1b", "".join(plain))
        self.assertLessEqual(max(map(columns, plain)), 80, plain)
        self.assertRegex(plain[1], r"\d\d:\d\d:\d\d IST$")

    def test_a_pipe_gets_all_of_it_and_json_is_as_it_was(self):
        head, first, second = self.piped("devices", "list").splitlines()
        ids = [device["id"] for device in self.server.verb("devices", "list")]
        self.assertEqual([first.split()[0], second.split()[0]], ids)
        self.assertIn("so that it has to be cut", second)
        self.assertRegex(first, r"\d{4}-\d\d-\d\dT[0-9:.]+Z$")
        self.assertFalse(any(c in head + first + second for c in "\x1b\x9b\u202e"))
        self.assertEqual(self.piped("devices", "list", COLUMNS="20").splitlines()[2], second, "the shell's COLUMNS is no wish of anybody's")
        self.assertEqual(self.server.verb("devices", "show", ids[0][:18] + "\u2026")["id"], ids[0], "as an id that was cut is pasted")
        printed = self.piped("devices", "list", "--json", "--time", "ago", COLUMNS="20")
        self.assertEqual(json.loads(printed)[1]["name"], self.HOSTILE)
        self.assertRegex(json.loads(printed)[0]["last_seen"], r"^\d{4}-\d\d-\d\dT[0-9:.]+Z$")

    def test_what_could_not_be_printed_is_no_success(self):
        environment = {**os.environ, "LANYARD_DATA": str(self.server.data)}
        for words in (("devices", "list"), ("devices", "list", "--json"), ("stop", "status"), ("status", "--watch"), ("--version",),
                      ("help",), ("wipe", "--help"), ("completions", "bash")):
            with self.subTest(words=words), open("/dev/full", "wb") as full:
                done = subprocess.run([str(BINARY), *words], env=environment, stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=REQUEST_LIMIT, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("could not be printed whole: No space left on device", done.stderr)


class WhatIsWrong(ServedTest):
    def said(self, *words):
        verb = Verb(self.server, *words)
        code, said = verb.end()
        self.assertEqual(code, 0, said)
        return verb.printed, said.splitlines()

    def test_status_lists_it_and_the_last_line_of_every_verb_names_the_worst(self):
        printed, said = self.said("status", "--json")
        hour, = json.loads(printed)
        self.assertEqual((hour["severity"], hour["code"], hour["subject"]), ("note", "first_hour", "local"))
        self.assertEqual(said, [], "nothing is wrong with a new server")
        invited = self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org")
        printed, said = self.said("status", "--json")
        first, second, hour = json.loads(printed)
        self.assertEqual(set(first), {"severity", "code", "subject", "text", "since", "until"})
        self.assertEqual((first["severity"], first["code"], first["subject"]), ("error", "push_cert_missing", "push_cert"))
        self.assertEqual((second["severity"], second["code"], second["subject"]), ("warning", "invitation_unpushed", invited["id"]))
        self.assertEqual(second["until"], invited["expires"])
        self.assertEqual(said, [], "no push certificate: told here, and with invitations, and not under every verb")
        told = f"lanyard: {first['text']}; see docs/apple-push-certificate.md"
        self.assertEqual(self.said("invitations", "list")[1], [told])
        self.assertEqual(self.said("invite", "--channel", "apple", "--user", "bob@example.org")[1], [told])
        self.assertEqual(self.said("devices", "list")[1], [])
        first, second, hour = json.loads(self.said("status", "--json")[0])
        token = (self.server.data / "local.token").read_text().strip()
        reply = request(f"https://{self.server.described()['admin']}/api/v1/status", "GET", None,
                        {"Authorization": f"Bearer {token}"}, ca=self.server.ca)
        self.assertEqual((reply.status, json.loads(reply.body)), (200, [first, second, hour]), "the API answers the same")
        self.assertNotIn("lanyard-worst", reply.headers)
        self.server.verb("admins", "add", "Alice")
        alice = self.server.verb("token", "create", "--admin", "Alice")["token"]
        # What this very call did is told by it, and not what was before.
        stopped = "lanyard: error stop_on: the emergency stop is on, set by local: no wipe, retire or lock leaves until it is lifted (lanyard status)"
        self.assertEqual(self.said("stop", "on")[1][-1], stopped)
        printed, said = self.said("devices", "list", "--json")
        self.assertEqual((json.loads(printed), said), ([], [stopped]), "what is printed stays what it was")
        lift = Api(self.server, alice).done("PUT", "stop", {"on": False})
        self.said("approvals", "show", lift["id"])
        self.assertEqual(self.said("approvals", "approve", lift["id"])[1], [])
        self.assertEqual(self.said("stop", "on")[1][-1], stopped)
        refused = Verb(self.server, "devices", "show", "nobody")
        self.assertEqual(refused.end()[0], 1)
        self.assertIn("emergency stop is on, set by local", self.said("status")[0])


class Watched(ServedTest):
    # A server that comes back must be found where it was.
    arguments = ["--admin-addr", f"127.0.0.1:{free_port()}", "--device-addr", f"127.0.0.1:{free_port()}"]

    def test_status_that_is_watched_is_printed_whenever_it_is_another_and_outlasts_a_restart(self):
        # The first hour rests while no server runs, and its end is told as long as there is no second administrator.
        self.server.verb("admins", "add", "Alice")
        self.server.verb("token", "create", "--admin", "Alice")
        watch = Verb(self.server, "status", "--watch")
        self.addCleanup(watch.process.kill)
        self.server.verb("stop", "on")
        eventually(lambda: "stop_on" in watch.printed, "the stop is seen")
        self.server.restart(kill=True)
        self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org")
        eventually(lambda: "invitation_unpushed" in watch.printed, "the next one too", 30)
        self.assertEqual(watch.printed.count("stop_on"), 2, "once for each list, and no list comes twice")
        self.assertIsNone(watch.process.poll())


class Serving(ServedTest):
    def refused(self, *words, code, **variables):
        """What a second `lanyard serve` says, and that it made no folder where its words alone are wrong."""
        data = self.folder() / "new"
        words = ["serve", "--data", data, "--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", *words]
        ended, said = Verb(self.server, *words, **variables).end()
        self.assertEqual(ended, code, said)
        self.assertTrue(code == 1 or not data.exists(), said)
        return said

    def file(self, text):
        path = self.folder() / "file"
        path.write_text(text)
        return path

    def test_wrong_words_end_with_two_and_leave_no_files(self):
        for words, part in (
            (("--store", "mysql://u:secret@x"), "--store (or LANYARD_STORE)"),
            (("--public-url", "http://x"), "--public-url: "),
            (("--enrol-url", "https://x/y"), "--enrol-url: "),
            (("--eas-upstream", "mail"), "--eas-upstream"),
            (("--tls-cert", "chain.pem"), "--tls-key"),
            (("--config", self.file("- log\n")), "a line `name: value` each"),
            (("--config", self.file("pubic-url: x\n")), "the nearest is public-url"),
        ):
            with self.subTest(words=words):
                self.assertIn(part, self.refused(*words, code=2))
        said = self.refused(code=2, LANYARD_STORE="mysql://u:secret@x")
        self.assertIn("LANYARD_STORE", said)
        self.assertNotIn("secret", said)

    def test_a_key_that_is_none_names_its_place(self):
        path = self.file("nonsense")
        said = self.refused("--master-key", path, code=1)
        self.assertEqual(said.count("master key: "), 1, said)
        self.assertIn(f"--master-key {path}: ", said)
        self.assertIn("LANYARD_MASTER_KEY: ", self.refused(code=1, LANYARD_MASTER_KEY="nonsense"))

    def test_a_store_in_use_names_the_other_server(self):
        words = ["serve", "--data", self.server.data, "--device-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"]
        code, said = Verb(self.server, *words).end()
        self.assertEqual(code, 1, said)
        self.assertIn(f"another server (process {self.server.process.pid}) uses it", said)

    def test_secrets_are_for_the_server_alone(self):
        folder = self.folder()
        other = Server(["--store", f"sled:{folder}/elsewhere/store"]).start()
        try:
            self.assertEqual((folder / "elsewhere/store").stat().st_mode & 0o777, 0o700)
            self.assertNotIn("others on this machine", other.output())
            (other.data / "local.token").chmod(0o644)
            other.data.chmod(0o755)
            other.restart()
            for path in (other.data, other.data / "local.token"):
                self.assertIn(f"others on this machine can read it path={path} ", other.output())
        finally:
            other.stop()

    def test_a_nodes_name_that_is_lost_or_garbled_is_told(self):
        other = Server().start()
        try:
            (other.data / "node.id").unlink()
            other.restart()
            self.assertIn("local.token is another node's", other.output())
            self.assertRaises(VerbFailed, other.verb, "devices", "list")
            (other.data / "local.token").unlink()
            other.restart()
            self.assertNotIn("local.token is another node's", other.output())
            other.verb("devices", "list")
        finally:
            other.stop()
        data = self.folder()
        for garbled in ("a\x00b", "two words", "x" * 65):
            (data / "node.id").write_text(garbled)
            code, said = Verb(self.server, "serve", "--data", data).end()
            with self.subTest(garbled=garbled[:9]):
                self.assertEqual(code, 1, said)
                self.assertIn(f"{data / 'node.id'}: no name of a node", said)

    def test_the_client_names_what_is_wrong_with_its_variables(self):
        device = f"https://{self.server.device}"
        for variables, part in (
            ({"LANYARD_URL": "localhost:9443"}, "LANYARD_URL: "),
            ({"LANYARD_URL": "http://localhost:9443"}, "LANYARD_URL: "),
            ({"LANYARD_URL": device}, f"{device} is no admin port"),
            ({"LANYARD_CA": str(self.file(""))}, "LANYARD_CA, "),
            ({"LANYARD_CA": str(self.file("nothing"))}, "LANYARD_CA, "),
            ({"LANYARD_CA": "/nowhere"}, "LANYARD_CA, /nowhere: "),
        ):
            with self.subTest(variables=variables):
                code, said = Verb(self.server, "devices", "list", **variables).end()
                self.assertEqual(code, 1, said)
                self.assertIn(part, said)


class Refusals(ServedTest):
    def test_each_is_a_problem_with_a_code(self):
        token = (self.server.data / "local.token").read_text().strip()
        base = f"https://{self.server.described()['admin']}"
        for method, path, body, status, code, field in (
            ("PATCH", "/api/v1/devices", None, 405, "method", None),
            ("POST", "/livez", None, 405, "method", None),
            ("GET", "/api/v1/nothing", None, 404, "no_such_route", None),
            ("GET", "/api/v1/devices/%ff", None, 400, "path", None),
            ("POST", "/api/v1/invitations", "{", 400, "json", None),
            ("POST", "/api/v1/invitations", '{"channel": 5, "user": "u"}', 422, "invalid", "channel"),
            ("POST", "/api/v1/invitations", '{"channel": "apple"}', 422, "invalid", "user"),
            ("POST", "/api/v1/invitations", '[5]', 422, "invalid", "body"),
            ("PUT", "/api/v1/apple/push-cert", '{"file": 1}', 422, "invalid", "file"),
        ):
            with self.subTest(method=method, path=path, body=body):
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
                reply = request(base + path, method, body, headers, None, self.server.ca)
                self.assertEqual(reply.headers["content-type"], "application/problem+json", reply)
                problem = json.loads(reply.body)
                self.assertEqual((reply.status, problem["code"], problem.get("field")), (status, code, field), problem)
                if status == 405:
                    self.assertIn("GET", reply.headers["allow"])


if __name__ == "__main__":
    unittest.main()
