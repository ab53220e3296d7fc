"""imitune's PC: the program is installed from PyPI, unmodified, under a Python of its own, and run from here.

It does not enrol; `WindowsDevice` does that for it.
"""

import json
import pathlib

import pypi
from harness import openssl, tool
from windows_device import WindowsDevice

HERE = pathlib.Path(__file__).resolve().parent / "imitune"
PASSWORD = "imitune"


def install():
    """Its Python, which must be 3.12 or later."""
    return pypi.install("imitune", (3, 12))


class Imitune:
    """One PC; `tree` is what it has, by LocURI."""

    def __init__(self, server, folder, python):
        self.server, self.folder, self.python = server, folder, python
        self.enrolled_by = WindowsDevice(server, folder, "IMITUNE")

    @property
    def ident(self):
        return self.enrolled_by.ident

    def enrol(self, invitation):
        self.enrolled_by.enrol(invitation)
        identity = self.enrolled_by.identity
        openssl("pkcs12", "-export", "-in", identity.certificate, "-inkey", identity.key, "-passout", f"pass:{PASSWORD}",
                "-out", self.folder / "imitune.pfx")
        (self.folder / self.ident).mkdir()
        info = {f"./DevInfo/{name}": value for name, value in
                {"DevId": self.ident, "Man": "Peer", "Mod": "imitune", "DmV": "1.3", "Lang": "en-US"}.items()}
        tree = {**info, "./Vendor/MSFT/DMClient/HWDevID": "0" * 64, "./DevDetail/Ext/Microsoft/DeviceName": "IMITUNE"}
        self.file.write_text(json.dumps(tree))
        return self

    @property
    def file(self):
        return self.folder / self.ident / "managementTree.json"

    @property
    def tree(self):
        return json.loads(self.file.read_text())

    def connect(self):
        """A whole session; what was heard, as (verb, LocURI, data)."""
        said = tool([self.python, HERE / "session.py", self.ident, self.folder / "imitune.pfx", PASSWORD, self.enrolled_by.application()["ADDR"]],
                    environment={"REQUESTS_CA_BUNDLE": str(self.server.ca)}, folder=self.folder, seconds=60)
        return [tuple(each) for each in json.loads(said.decode().strip().splitlines()[-1])]
