#!/usr/bin/env python3
"""Makes `fixtures/stores/VERSION.tar.gz`, the data folder of a released version, once at its release: later versions must open it.

Its keys and tokens are of this folder alone and open nothing else. `LANYARD_BIN=… tests/peers/make_store_fixture.py 0.1.0`
"""

import json
import pathlib
import sys
import tarfile
import tempfile

from apple_device import AppleDevice
from harness import ROOT, Server
from mail_client import MailClient
from mail_server import MailServer
from windows_device import WindowsDevice


def main(version):
    mail = MailServer({"carol@example.org": "right horse"})
    server = Server(["--eas-upstream", mail.url]).start()
    new = lambda: pathlib.Path(tempfile.mkdtemp(dir=server.folder))
    invite = lambda channel, user: server.verb("invite", "--channel", channel, "--user", user)
    phones = [AppleDevice(server, new(), name).enrol(invite("apple", "ann@example.org")) for name in ("Kept", "Erased")]
    computer = WindowsDevice(server, new(), "COMPUTER").enrol(invite("windows", "bob@example.org"))
    client = MailClient(server, new(), "carol@example.org", "right horse").certificate(invite("activesync", "carol@example.org"))
    client.options()
    client.folder_sync()
    server.verb("group", "create", "staff")
    for device in phones:
        device.poll()
    computer.connect()
    server.verb("group", "add", "staff", phones[0].udid)
    server.policy("name: strict\nassign: [staff]\npasscode: {required: true, min_length: 8}\n")
    phones[0].poll()
    server.verb("wipe", phones[1].udid, "--scope", "full", "--reason", "lost", "--yes")
    phones[1].poll()
    server.verb("wipe", computer.ident, "--scope", "selective", "--reason", "left", "--yes")
    server.verb("admins", "add", "Alice")
    server.verb("settings", "set", "windows.poll", "30m")
    listed = {"devices": server.verb("devices", "list"), "commands": server.verb("commands", "list")}
    server.process.terminate()
    server.process.wait()
    (server.data / "expected.json").write_text(json.dumps(listed, indent=1))
    target = ROOT / "fixtures/stores" / f"{version}.tar.gz"
    target.parent.mkdir(exist_ok=True)
    with tarfile.open(target, "w:gz") as archive:
        archive.add(server.data, "data")
    mail.stop()
    print(target, target.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
