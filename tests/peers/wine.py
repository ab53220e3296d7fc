#!/usr/bin/env python3
"""A Windows of the test's own: Wine in a folder that is gone afterwards. `wine.py PROGRAM ARGUMENT…` runs one program in it.

Debian 12's Wine lacks the library that Rust's programs draw randomness from: one of a few lines is built beside it.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PRNG = pathlib.Path(__file__).with_name("wine") / "process_prng.c"
COMPILER = "x86_64-w64-mingw32-gcc"
LIBRARY = "bcryptprimitives.dll"
# Seconds. The first start makes a registry.
START = 120


def why_not():
    """What is missing here, or nothing."""
    missing = [name for name in ("wine", "wineserver", COMPILER) if not found(name)]
    return f"not installed: {', '.join(missing)}" if missing else None


def found(name):
    """Debian keeps the server where nobody's PATH looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/lib/wine")


class Windows:
    """Its drive C: lies in `folder`; Z: is this machine's root."""

    def __init__(self, folder):
        self.folder = folder
        self.drive = folder / "drive_c"
        self.environment = {"WINEPREFIX": str(folder), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml=", "WINEARCH": "win64"}
        self.tool("wine", "wineboot", "--init")
        system = self.drive / "windows/system32"
        if not (system / LIBRARY).exists():
            self.tool(COMPILER, "-shared", "-O", "-o", system / LIBRARY, PRNG, "-ladvapi32")

    def tool(self, name, *words):
        command = [found(name), *(str(word) for word in words)]
        done = subprocess.run(command, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, capture_output=True, timeout=START, check=False)
        assert done.returncode == 0, (command, done.returncode, done.stdout[-2000:], done.stderr[-2000:])

    def command(self, program, *words):
        """What starts a Windows program here."""
        return [found("wine"), str(program), *words]

    def stop(self):
        subprocess.run([found("wineserver"), "-k"], env={**os.environ, **self.environment}, timeout=START, check=False)


def main(words):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-wine-"))
    windows = Windows(folder)
    try:
        return subprocess.run(windows.command(*words), env={**os.environ, **windows.environment}, check=False).returncode
    finally:
        windows.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
