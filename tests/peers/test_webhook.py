"""Administrators are told of held wipes, and of wipes that ended, through a webhook that is down at first."""

import http.server
import json
import unittest

from apple_device import AppleDevice
from harness import ServedTest, VerbFailed, eventually, free_port, in_background


class Receiver:
    def __init__(self, port):
        got = self.got = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *words):
                pass

            def do_POST(self):
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        in_background(self.http.serve_forever)


class Told(ServedTest):
    def phone(self):
        phone = AppleDevice(self.server, self.folder(), "Told").enrol(
            self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))
        phone.poll()
        return phone

    def test_held_and_ended_wipes_are_told(self):
        port = free_port()
        # In the first hour of a store with no device these count at once.
        self.server.verb("settings", "set", "notify.webhook", f"http://127.0.0.1:{port}/hook")
        self.server.verb("settings", "set", "wipe.full.per_admin", "1")
        first, second = self.phone(), self.phone()

        def wipe(phone):
            return self.server.verb(
                "wipe", self.server.device_of(phone.udid)["id"], "--scope", "full", "--reason", "lost", "--yes")

        sent, held = wipe(first), wipe(second)
        self.assertEqual((sent["state"], held["state"]), ("queued", "held"))
        first.poll()
        receiver = Receiver(port)
        self.addCleanup(receiver.http.shutdown)

        def told():
            return {(notice["event"], notice["subject"]) for notice in receiver.got}

        eventually(lambda: {("wipe.ended", sent["id"]), ("approval.waiting", held["approval"])} <= told(), "both notices", 60)
        ended = next(notice for notice in receiver.got if notice["event"] == "wipe.ended")
        self.assertEqual(ended["data"], "confirmed")
        waiting = next(notice for notice in receiver.got if notice["event"] == "approval.waiting")
        self.assertIn("the limit wipe.full.per_admin is 1", waiting["data"], "why it is held")
        self.assertNotIn("ann@example.org", json.dumps(receiver.got), "no names leave the house")
        # Loosened now, it would wait: the webhook is a guard.
        pending = self.server.verb("settings", "set", "notify.webhook", "none")
        self.assertEqual((pending["pending"], pending["value"]), ("none", f"http://127.0.0.1:{port}/hook"))
        with self.assertRaises(VerbFailed):
            self.server.verb("settings", "set", "notify.webhook", "nonsense")


if __name__ == "__main__":
    unittest.main()
