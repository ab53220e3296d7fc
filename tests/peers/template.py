"""A store with some forty devices on all channels, in all states, made once for tests that then spoil copies of it."""

import concurrent.futures
import pathlib
import shutil
import tempfile

from crowd import Computer, Crowd, Mail, Phone
from harness import Server
from starts import Start, everything
from witness import ICONS, policy

# Of each kind, before and after the older copy of the store is taken.
BEFORE, AFTER = {Phone: 13, Computer: 9, Mail: 9}, {Phone: 4, Computer: 3, Mail: 3}


class Template:
    """`data` is the folder of a server that has ended, or was killed; `older` the same some minutes before, `other` another's."""

    def __init__(self, folder, mail, kill=False):
        self.folder, self.arguments = folder, ["--eas-upstream", mail.url]
        self.data, self.older, self.other = folder / "data", folder / "older", folder / "other"
        self._another()
        self.server = Server(list(self.arguments))
        self.server.folder, self.server.data = folder, self.data
        self.server.run()
        try:
            self._fill()
            audit = self.caller.all("audit")
        finally:
            self._end(kill)
        # The log as it was: each start adds to it.
        self.expected = {**self.seen_on_a_copy(), "audit": audit}

    def _end(self, kill=False):
        (self.server.process.kill if kill else self.server.process.terminate)()
        self.server.process.wait(30)
        self.server.log.close()

    def _another(self):
        """A store of the same make that is not ours."""
        self.other.mkdir()
        start = Start(self.other, self.folder, self.arguments)
        try:
            start.server.verb("invite", "--channel", "apple", "--user", "eve@example.org")
        finally:
            start.end()

    def _fill(self):
        self.crowd = Crowd(self.server, 0, pathlib.Path(tempfile.mkdtemp(dir=self.folder)))
        self.crowd.lift_limits()
        self.caller = self.crowd.caller()
        self._enrol(BEFORE)
        for number, name in enumerate(ICONS):
            self._done("POST", "groups", {"name": f"group {number}"})
            text = policy(name, f"group {number}", number)
            self.caller.done("PUT", f"policies/{name}?apply=true", {"text": text})
        self._join(self.crowd.devices[::3])
        self._poll(self.crowd.devices)
        self._wipe(self.crowd.devices[:6])
        self._end()
        shutil.copytree(self.data, self.older)
        self.server.run()
        # Its ports are new ones, and with them all addresses.
        self.caller = self.crowd.caller()
        self._later()

    def _later(self):
        """What the older copy does not know; among it a wipe that is cancelled, whose device is named."""
        old = [device for device in self.crowd.devices if not device.gone()]
        self._enrol(AFTER)
        for number, name in enumerate(ICONS):
            self.caller.done("PUT", f"policies/{name}?apply=true", {"text": policy(name, f"group {number}", number + 3)})
        status, _ = self.caller.certain("POST", "admins", {"name": "Alice"})
        assert status == 201
        self.caller.certain("POST", "tokens", {"admin": "Alice"})
        self.caller.done("PUT", "settings/limit.connections_per_address", {"value": "2001"})
        for device in old[:4]:
            asked = self._act(device, "wipe", {"scope": "full", "reason": "a mistake"})
            status, told = self.caller.certain("POST", f"commands/{asked['id']}/cancel", {"mail": "allow"})
            assert (status, told["state"]) == (200, "cancelled"), told
        # None of these is sent: nobody polls any more.
        for at, device in enumerate(old[4:16]):
            if at % 3 == 0 or device.channel == "activesync":
                self._act(device, "wipe", {"scope": "selective", "reason": "left"})
            else:
                self._act(device, "lock" if device.channel == "apple" and at % 3 == 1 else "sync", {})
        self._act(old[16], "wipe", {"scope": "full", "reason": "in its undo window", "delay": "12h"})

    def _act(self, device, verb, body):
        status, answer = self.caller.certain("POST", f"devices/{device.called()}/{verb}", body)
        assert status == 201, (device.channel, verb, answer)
        return answer

    def _done(self, method, path, body):
        status, answer = self.caller.certain(method, path, body)
        assert status < 300, answer

    def _enrol(self, kinds):
        wanted = [kind for kind, count in kinds.items() for _ in range(count)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            new = list(pool.map(lambda kind: self.crowd.new_device(self.caller, kind), wanted))
        self._poll(new)

    def _poll(self, devices):
        for _ in range(2):
            for device in devices:
                if not device.gone():
                    device.poll()

    def _join(self, devices):
        for at, device in enumerate(devices):
            ident = self.caller.done("GET", f"devices/{device.called()}")["id"]
            self.caller.done("PUT", f"groups/group%20{at % 2}/devices/{ident}")

    def _wipe(self, devices):
        for at, device in enumerate(devices):
            self._act(device, "wipe", {"scope": ("full", "selective")[at % 2], "reason": "lost"})
            device.poll()

    def copy(self, folder):
        """The data folder once more, to be spoilt."""
        target = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "data"
        shutil.copytree(self.data, target)
        return target

    def seen_on_a_copy(self):
        """What a server says of it."""
        data = self.copy(self.folder)
        start = Start(data, self.folder, self.arguments)
        assert start.refused is None, start.refused
        try:
            found = everything(start.server)
        finally:
            start.end()
        shutil.rmtree(data.parent)
        return found
