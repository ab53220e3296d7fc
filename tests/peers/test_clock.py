"""Clocks that are set wrong, by libfaketime: nothing expires, nothing is issued, and all goes on when they are right again."""

import glob
import os
import pathlib
import tempfile
import unittest

from apple_device import AppleDevice
from harness import Server, free_port

DAY = 86_400


def library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    return found[0] if found else None


class Misled(Server):
    """The server under a wall clock that is so many seconds ahead. The time that passes is the machine's."""

    ahead = 0

    def wrap(self, command):
        if not self.ahead:
            return command
        return ["env", f"LD_PRELOAD={library()}", f"FAKETIME={self.ahead:+d}", "DONT_FAKE_MONOTONIC=1", *command]

    def again(self, ahead):
        """Ends the process and starts it anew under another clock."""
        self.ahead = ahead
        return self.restart()


class WrongClocks(unittest.TestCase):
    def setUp(self):
        if library() is None:
            if os.environ.get("LANYARD_REQUIRE_PEERS"):
                self.fail("libfaketime is not installed")
            self.skipTest("libfaketime is not installed")
        # The phone keeps the address that it enrolled with.
        self.server = Misled(["--device-addr", f"127.0.0.1:{free_port()}"]).start()
        self.addCleanup(self.server.stop)

    def phone(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.server.folder))
        return AppleDevice(self.server, folder)

    def invitation(self, user):
        return self.server.verb("invite", "--channel", "apple", "--user", user)

    def enrolled(self, invitation):
        phone = self.phone()
        try:
            phone.enrol(invitation)
        except AssertionError:
            return None
        return phone

    def jumps(self):
        return [entry["outcome"] for entry in self.server.verb("audit", "list") if entry["action"] == "clock.jump"]

    def test_a_start_years_ahead_or_back_poisons_nothing(self):
        later = self.invitation("later@example.org")
        phone = self.enrolled(self.invitation("first@example.org"))
        for years in (3, -3):
            with self.subTest(years=years):
                self.server.again(years * 365 * DAY)
                self.assertEqual(phone.report("Idle").status, 200, "its certificate has neither ended nor not begun")
                self.assertIsNone(self.enrolled(later), "nothing is issued under a clock that nobody believes")
                self.assertEqual(self.jumps()[-1], "doubted")
                self.server.again(0)
                self.assertEqual(phone.report("Idle").status, 200)
        self.assertIsNotNone(self.enrolled(later), "the invitation was not used up, and has not expired")

    def test_local_says_that_the_clock_is_right(self):
        self.server.again(60 * DAY)
        before = self.invitation("ann@example.org")
        self.assertIsNone(self.enrolled(before))
        self.server.verb("clock", "accept")
        self.assertIsNotNone(self.enrolled(self.invitation("ann@example.org")))
        self.assertIsNone(self.enrolled(before), "sixty days have gone by since: it has expired")


    def test_administrators_come_in_whatever_the_clock_said_at_the_first_start(self):
        for days in (2, -1095):
            with self.subTest(days=days):
                server = Misled([])
                server.ahead = days * DAY
                server.start()
                self.addCleanup(server.stop)
                server.again(0)
                server.verb("clock", "accept")
                server.again(0)
                self.assertEqual(server.verb("devices", "list"), [])


if __name__ == "__main__":
    unittest.main()
