#!/usr/bin/env python3
"""What a large organisation costs a connector: 10,000 mailboxes with 15,000 partnerships, over the stand-in for Exchange Online.

By hand: `LANYARD_BIN=target/release/lanyard tests/peers/exchange_crowd.py [MAILBOXES PARTNERSHIPS]`. It prints a line for each figure: calls,
seconds and memory of the first full run and of a delta, and how long a block takes while a full run is under way. The stand-in and the
server share the machine with the connector, and Exchange's own pace (`LANYARD_EXCHANGE_SECONDS` for each look at statistics) is none unless said.
"""

import collections
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

from connector_side import ORG, Connector
from exchange_online import ExchangeOnline
from harness import Server, eventually

PACE = float(os.environ.get("LANYARD_EXCHANGE_SECONDS", "0"))
BLOCKS = 10


def resident(process, what="VmHWM"):
    """Kilobytes of memory: the most that it had, or `VmRSS`, what it has now."""
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


class Crowd:
    def __init__(self, mailboxes, partnerships):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-crowd-"))
        self.server = Server().start()
        self.exchange = ExchangeOnline(self.folder / "exchange")
        self.org = self.exchange.organisation
        self.org.fill(mailboxes, partnerships)
        self.partnerships = partnerships
        self.exchange.seconds["Get-MobileDeviceStatistics"] = PACE
        self.server.verb("settings", "set", "exchange.delta_every", "10s")
        self.connector = Connector(self.server, self.folder / "machine", self.exchange.flags(), [self.exchange.authority.root])
        self.connector.enrol(self.server.verb("connector", "invite", "--org", ORG, "--kind", "online")["code"])

    def end(self):
        self.connector.stop()
        self.exchange.stop()
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def listed(self, key):
        return next((each[key] for each in self.server.verb("connector", "list") if each["org"] == ORG), None)

    def calls(self, since=0):
        return dict(collections.Counter(call.name for call in self.org.calls[since:]))

    def first_run(self):
        begun = time.monotonic()
        self.connector.start()
        eventually(lambda: self.listed("last_full"), "the first full run", 3600)
        said("first full run", f"{time.monotonic() - begun:.1f} s, {self.calls()}, connector {resident(self.connector.process)} kB at most,"
             f" server {resident(self.server.process, 'VmRSS')} kB")
        said("known here", self.listed("partnerships"))
        assert not self.org.writes(), self.org.writes()[:3]

    def delta(self):
        before, at = self.listed("last_delta"), len(self.org.calls)
        eventually(lambda: self.listed("last_delta") not in (None, before), "a delta", 120)
        time.sleep(5)
        said("a delta", f"{self.calls(at)}, connector {resident(self.connector.process, 'VmRSS')} kB")

    def blocks(self):
        """While one full run follows another, each page of which takes its time."""
        self.server.verb("settings", "set", "exchange.full_every", "1s")
        self.exchange.seconds["Get-MobileDevice"] = max(PACE, 0.2)
        self.connector.stop()
        at = len(self.org.calls)
        self.connector.start()
        eventually(lambda: self.calls(at).get("Get-MobileDevice"), "a further full run", 120)
        took = []
        for number in range(BLOCKS):
            device = list(self.org.devices.values())[number * (self.partnerships // BLOCKS)]
            ident = self.server.verb("devices", "show", device.device_id)["id"]
            begun = time.monotonic()
            self.server.verb("devices", "block", ident, "--reason", "tried")
            eventually(lambda device=device: device.device_id in device.mailbox.past[-1].blocked, "blocked", 60)
            took.append(time.monotonic() - begun)
        said("a block in a full run", f"median {statistics.median(took):.2f} s, longest {max(took):.2f} s, of {len(took)}")
        said("sins", self.org.sins)


def said(what, figure):
    print(f"{what:<24} {figure}", flush=True)


def main(mailboxes=10_000, partnerships=15_000):
    crowd = Crowd(int(mailboxes), int(partnerships))
    try:
        crowd.first_run()
        crowd.delta()
        crowd.blocks()
    finally:
        crowd.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
