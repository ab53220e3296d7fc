"""imitune's PC: the program is installed from PyPI, unmodified, under a Python of its own, and run from here.

It does not enrol; `WindowsDevice` does that for it.
"""

import glob
import json
import os
import pathlib
import shutil
import sys

from harness import ROOT, openssl, tool
from windows_device import WindowsDevice

TARGET = pathlib.Path(os.environ.get("LANYARD_PEERS_TARGET", ROOT / "target/peers"))
HERE = pathlib.Path(__file__).resolve().parent / "imitune"
LEAST = (3, 12)
PASSWORD = "imitune"


class Absent(Exception):
    """There is no Python new enough, or no way to PyPI: what was tried, in words."""


def pythons():
    """Programs that may be such a Python: this one, those on the path, pyenv's."""
    names = [f"python3.{minor}" for minor in range(LEAST[1], LEAST[1] + 3)]
    return [sys.executable, *filter(None, map(shutil.which, names)),
            *sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.1[2-9]*/bin/python3")))]


def is_new_enough(python):
    try:
        return tool([python, "-c", f"import sys; print(sys.version_info >= {LEAST})"]).strip() == b"True"
    except (AssertionError, OSError):
        return False  # such as a shim of pyenv's for a version that is not chosen


def environment(folder):
    """A virtual environment of a Python that is new enough; where the machine has none, uv brings one."""
    python = next(filter(is_new_enough, pythons()), None)
    if python:
        tool([python, "-m", "venv", folder], seconds=120)
        return
    uv = shutil.which("uv")
    if uv is None:
        helper = folder.with_name("imitune-uv")
        tool([sys.executable, "-m", "venv", helper], seconds=120)
        tool([helper / "bin/pip", "install", "--quiet", "uv"], seconds=300)
        uv = helper / "bin/uv"
    tool([uv, "venv", "--seed", "--python", ".".join(map(str, LEAST)), folder], seconds=600)


def install():
    """Its Python, installed on first use."""
    folder = TARGET / "imitune"
    wanted = (HERE / "requirements.txt").read_text()
    done = folder / "installed.txt"
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            environment(folder)
            tool([folder / "bin/pip", "install", "--quiet", "-r", HERE / "requirements.txt"], seconds=600)
        except (AssertionError, OSError) as error:
            raise Absent(f"imitune cannot be installed: {error}") from error
        done.write_text(wanted)
    return folder / "bin/python"


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
