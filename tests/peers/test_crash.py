"""kill -9 at random moments while devices enrol, poll and are wiped. They do whatever they are sent, and remember it; then both
sides are counted: nothing acknowledged is missing, nothing was done twice, no wipe reached a device that was not named."""

import os
import random
import time
import unittest

from crowd import MAIL_PASSWORD, MAIL_USER, Computer, Crowd, Mail, Phone
from harness import ServedTest, free_port
from mail_server import MailServer

KILLS = int(os.environ.get("LANYARD_KILLS", "50"))


class Killed(ServedTest):
    arguments = ["--device-addr", f"127.0.0.1:{free_port()}", "--admin-addr", f"127.0.0.1:{free_port()}"]

    @classmethod
    def setUpClass(cls):
        cls.mail = MailServer({MAIL_USER: MAIL_PASSWORD})
        cls.addClassCleanup(cls.mail.stop)
        cls.arguments = [*cls.arguments, "--eas-upstream", cls.mail.url]
        super().setUpClass()

    def setUp(self):
        self.seed = int(os.environ.get("LANYARD_SEED", str(random.randrange(1 << 32))))
        self.random = random.Random(self.seed)
        self.asked = {}
        self.crowd = Crowd(self.server, self.seed, self.folder())

    def administer(self, chance):
        """Wipes, locks and looks, at devices that have been told of."""
        caller, crowd = self.crowd.caller(), self.crowd
        while not crowd.stop.is_set():
            known = crowd.known()
            if not known:
                time.sleep(0.05)
                continue
            device = chance.choice(known[-16:])
            act, body = chance.choice([
                ("wipe", {"scope": "full", "reason": "lost"}), ("wipe", {"scope": "selective", "reason": "left"}),
                ("lock", {"reason": "found"}), ("sync", {}), ("sync", {}),
            ])
            status, answer = caller.certain("POST", f"devices/{device.called()}/{act}", body)
            # A device that has left takes no more; all else is acknowledged.
            assert status in (201, 409), answer
            if status == 201:
                with crowd.lock:
                    self.asked[answer["id"]] = (device.called(), answer["action"], answer["scope"])
            time.sleep(chance.random() * 0.2)

    def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice(self):
        crowd = self.crowd
        crowd.lift_limits()
        for number, kind in enumerate([Phone, Phone, Computer, Computer, Mail]):
            crowd.start(crowd.live, number, kind)
        for number in range(2):
            crowd.start(self.administer, 100 + number)
        kills = 0
        while kills < KILLS and not crowd.failures:
            time.sleep(0.2 + self.random.random() * 1.2)
            self.server.restart(kill=True)
            kills += 1
        crowd.finish()
        self.assertEqual(crowd.failures, [], f"LANYARD_SEED={self.seed}")
        self.count(kills)

    def count(self, kills):
        """Both sides, after all devices have asked once more."""
        for _ in range(3):
            for device in self.crowd.devices:
                if not device.gone():
                    device.poll()
        caller, note = self.crowd.caller(), f"LANYARD_SEED={self.seed}"
        shown = {e["identity"].lower(): device for device in caller.all("devices") for e in device["enrolments"]}
        commands = {command["id"]: command for command in caller.all("commands")}
        wipes = [command for command in commands.values() if command["action"] == "wipe"]
        # Nothing acknowledged is missing.
        for device in self.crowd.devices:
            self.assertIn(device.called().lower(), shown, f"an enrolment that was acknowledged is missing; {note}")
        named = {}
        for ident, (name, action, scope) in self.asked.items():
            self.assertIn(ident, commands, f"a command that was acknowledged is missing; {note}")
            command = commands[ident]
            self.assertEqual((command["action"], command["scope"], command["device"]),
                             (action, scope, shown[name.lower()]["id"]), note)
            if action == "wipe":
                named.setdefault(name, []).append(command)
        # Nothing is done twice, and nothing to a device that was not named.
        repeats = 0
        for device in self.crowd.devices:
            for ident, kinds in getattr(device, "acts", {}).items():
                self.assertEqual(len(kinds), 1, f"{device.called()} did {ident} more than once: {kinds}; {note}")
                command = commands[ident.split(".")[0].lower()]
                self.assertEqual(command["device"], shown[device.called().lower()]["id"], f"{ident} reached another; {note}")
            done = device.wipes()
            if done:
                self.assertIn(device.called(), named, f"a wipe that nobody asked for; {note}")
                distinct = len({command["scope"] for command in named[device.called()]})
                self.assertLessEqual(done - device.unheard, distinct, f"{device.called()} {done} times; {note}")
                repeats += min(device.unheard, max(0, done - 1))
                self.assertIn(shown[device.called().lower()]["state"], ("wiped", "retired"), f"{device.called()}; {note}")
        # And what the server says was done, was done.
        ends = {}
        for command in wipes:
            ends[command["state"]] = ends.get(command["state"], 0) + 1
            if command["state"] in ("confirmed", "presumed"):
                self.assertTrue(command["evidence"], note)
        untouched = {device.called().lower() for device in self.crowd.devices if not device.wipes()}
        for name in untouched:
            over = [c for c in wipes if c["device"] == shown[name]["id"] and c["state"] == "confirmed"]
            self.assertEqual(over, [], f"confirmed, and the device {name} knows nothing of it; {note}")
        self.assertFalse({"held", "queued", "sent", "not_now"} & set(ends), f"{ends}; {note}")
        self.assertTrue(caller.done("GET", "audit/verify")["ok"], note)
        count = {kind: sum(device.channel == kind for device in self.crowd.devices) for kind in ("apple", "windows", "activesync")}
        print(f"         {kills} kills; devices {count}, {len(self.asked)} acts acknowledged, wipes {ends}; done again since the "
              f"first answer was lost (OMA-DM): {repeats}; untouched: {len(untouched)}")


if __name__ == "__main__":
    unittest.main()
