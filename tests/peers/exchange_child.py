#!/usr/bin/env python3
"""A stand-in for the PowerShell child of a connector on premises: its first line is the credential, then JSON lines.

`{"id","cmdlet","params"}` → `{"id","ok":true,"rows"}` or `{"id","ok":false,"error":{type,message,category}}`. The organisation lives in the test's
own process; this one asks it over a socket of the local machine. Run as `exchange_child.py SOCKET …`, what follows counts for nothing, as
`WorldServer.program` writes it down. It sees to it that the password stands in no argument and in no variable.
"""

import contextlib
import json
import os
import pathlib
import shlex
import socket
import sys
import time

DENIED = {"type": "System.Management.Automation.Remoting.PSRemotingTransportException", "category": "OpenError",
          "message": "Connecting to remote server ex1.example.org failed with the following error message : Access is denied."}


class WorldServer:
    """The organisation's side of it, in the test's process. `children` are those that came: what they were started with, and how they ended."""

    def __init__(self, folder, organisation, user, password):
        from harness import in_background  # the child itself needs none of the tests' modules
        self.folder, self.organisation, self.user, self.password = folder, organisation, user, password
        self.children, self.faults = [], []
        self.path = folder / "exchange.socket"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        self.background = in_background
        in_background(self._serve)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def program(self):
        """What `--powershell` is given: a program that is this file on this organisation."""
        made = self.folder / "powershell"
        words = [sys.executable, str(pathlib.Path(__file__).resolve()), str(self.path)]
        made.write_text(f"#!/bin/sh\nexec {shlex.join(words)} \"$@\"\n")
        made.chmod(0o700)
        return made

    def fails(self, kind, cmdlet=None, times=1):
        """`hang`, `die before`, `die after` the deed, or `noise`: a line that is no answer."""
        self.faults += [(kind, cmdlet)] * times

    def open_sessions(self):
        return [child for child in self.children if child["ended"] is None]

    def _serve(self):
        while True:
            try:
                child, _ = self.listener.accept()
            except OSError:
                return
            self.background(lambda child=child: self._child(child))

    def _child(self, link):
        with link, link.makefile("rw", encoding="utf-8") as lines, contextlib.suppress(OSError, ValueError):
            child = {**json.loads(lines.readline()), "ended": None, "asked": 0}
            child["knows"] = self.password in child.pop("credential")
            # Of who started it too: whoever may list processes sees those.
            child["leaks"] = [where for where, text in child.pop("seen").items() if self.password in text]
            self.children.append(child)
            for line in lines:
                said = json.loads(line)
                if said == "end":
                    child["ended"] = "clean"
                    return
                child["asked"] += 1
                lines.write(json.dumps(self._answer(child, said)) + "\n")
                lines.flush()
        child["ended"] = child["ended"] or "cut"

    def _answer(self, child, said):
        from exchange_world import Refusal
        fault = next((fault for fault in self.faults if fault[1] in (None, said["cmdlet"])), None)
        if fault:
            self.faults.remove(fault)
        kind = fault and fault[0]
        if kind in ("hang", "die before"):
            return {"fault": kind}
        if not child["knows"]:
            return {"ok": False, "error": DENIED}
        try:
            return {"ok": True, "rows": self.organisation.invoke(said["cmdlet"], said["params"]), "fault": kind}
        except Refusal as refusal:
            return {"ok": False, "error": {"type": refusal.type, "message": refusal.text, "category": refusal.category}, "fault": kind}


def seen():
    """What anybody on this machine, or this user, can read of this process and of the one that started it."""
    found = {}
    for who in ("self", str(os.getppid())):
        for what in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                found[f"{what} of {'the child' if who == 'self' else 'its parent'}"] = pathlib.Path(f"/proc/{who}/{what}").read_bytes().decode(errors="replace")
    return found


def obey(fault):
    if fault == "hang":
        time.sleep(3600)
    if fault and fault.startswith("die"):
        os._exit(3)
    if fault == "noise":
        print("WARNING: The session is about to be throttled.", flush=True)


def main():
    link = socket.socket(socket.AF_UNIX)
    link.connect(sys.argv[1])
    world = link.makefile("rw", encoding="utf-8")

    def tell(what):
        world.write(json.dumps(what) + "\n")
        world.flush()

    tell({"credential": sys.stdin.readline(), "arguments": sys.argv[2:], "seen": seen(), "pid": os.getpid()})
    for line in sys.stdin:
        if not line.strip():
            continue
        said = json.loads(line)
        tell({"cmdlet": said["cmdlet"], "params": said.get("params") or {}})
        answer = json.loads(world.readline())
        obey(answer.pop("fault", None))
        print(json.dumps({"id": said["id"], **answer}), flush=True)
    # Its input has ended: the session is removed, as it must be.
    tell("end")


if __name__ == "__main__":
    main()
