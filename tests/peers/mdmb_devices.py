"""mdmb's simulated Apple devices: the program is built from its Go module, unmodified, and run from here.

They sit behind a proxy, so to speak: never a TLS client certificate, always a signature over the body.
"""

import os
import pathlib
import plistlib
import shutil

from apple_device import unwrap
from harness import ROOT, request, tool

TARGET = pathlib.Path(os.environ.get("LANYARD_PEERS_TARGET", ROOT / "target/peers"))
PROGRAM = "github.com/jessepeterson/mdmb/cmd/mdmb"


def build():
    """The program, built on first use in a copy of our module: Go may complete `go.mod`, and that stays out of the sources."""
    module = TARGET / "mdmb"
    program = module / "mdmb"
    source = pathlib.Path(__file__).resolve().parent / "mdmb"
    sources = [source / "go.mod", source / "go.sum"]
    if program.exists() and all(program.stat().st_mtime >= file.stat().st_mtime for file in sources):
        return program
    module.mkdir(parents=True, exist_ok=True)
    for file in sources:
        shutil.copy(file, module)
    go = shutil.which("go") or "/usr/local/go/bin/go"
    tool([go, "build", "-o", program, PROGRAM], environment={"GOFLAGS": "-mod=mod"}, folder=module, seconds=600)
    return program


class Mdmb:
    """Some devices in one database of mdmb's; each is known by its UDID."""

    def __init__(self, server, folder, count):
        self.server, self.folder, self.program = server, folder, build()
        self.run("devices-create", "-n", count)
        self.udids = [line.split()[0] for line in self.run("devices-list").splitlines() if line.strip()]
        assert len(self.udids) == count, self.udids

    def run(self, *words, udids=None):
        chosen = ["-uuids", ",".join(udids)] if udids else []
        return tool([self.program, "-db", self.folder / "mdmb.db", *chosen, *words],
                    environment={"SSL_CERT_FILE": str(self.server.ca)}, folder=self.folder).decode()

    def enrol(self, udid, invitation):
        """Installs the invitation's profile, taken out of its signature first: mdmb reads unsigned ones only."""
        reply = request(invitation["url"] + "/profile", ca=self.server.ca)
        assert reply.status == 200, reply
        file = self.folder / f"{udid}.mobileconfig"
        file.write_bytes(plistlib.dumps(unwrap(reply.body)))
        return self.run("devices-profiles-install", "-f", file, udids=[udid])

    def connect(self, *udids):
        """Polls until nothing is due; the output names the commands that mdmb does not know."""
        return self.run("devices-connect", udids=udids or self.udids)
