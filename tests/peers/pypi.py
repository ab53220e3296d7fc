"""Programs from PyPI: installed unmodified, each under a Python of its own in the target folder, at the version that their folder here names."""

import glob
import os
import pathlib
import shutil
import sys

from harness import ROOT, tool

TARGET = pathlib.Path(os.environ.get("LANYARD_PEERS_TARGET", ROOT / "target/peers"))
HERE = pathlib.Path(__file__).resolve().parent
NEWEST = 14


class Absent(Exception):
    """There is no Python new enough, or no way to PyPI: what was tried, in words."""


def install(name, least):
    """The Python of a program, installed on first use; `least`: the oldest Python that will do."""
    folder = TARGET / name
    wanted = (HERE / name / "requirements.txt").read_text()
    done = folder / "installed.txt"
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            environment(folder, least)
            tool([folder / "bin/pip", "install", "--quiet", "-r", HERE / name / "requirements.txt"], seconds=600)
        except (AssertionError, OSError) as error:
            raise Absent(f"{name} cannot be installed: {error}") from error
        done.write_text(wanted)
    return folder / "bin/python"


def environment(folder, least):
    """A virtual environment of a Python that is new enough; where the machine has none, uv brings one."""
    python = next((python for python in pythons(least) if is_new_enough(python, least)), None)
    if python:
        tool([python, "-m", "venv", folder], seconds=120)
        return
    uv = shutil.which("uv")
    if uv is None:
        helper = folder.with_name(f"{folder.name}-uv")
        tool([sys.executable, "-m", "venv", helper], seconds=120)
        tool([helper / "bin/pip", "install", "--quiet", "uv"], seconds=300)
        uv = helper / "bin/uv"
    tool([uv, "venv", "--seed", "--python", ".".join(map(str, least)), folder], seconds=600)


def pythons(least):
    """Programs that may be such a Python: this one, those on the path, pyenv's."""
    minors = range(least[1], NEWEST + 1)
    return [sys.executable, *filter(None, (shutil.which(f"python3.{minor}") for minor in minors)),
            *(python for minor in minors for python in sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/3.{minor}*/bin/python3"))))]


def is_new_enough(python, least):
    try:
        return tool([python, "-c", f"import sys; print(sys.version_info >= {least})"]).strip() == b"True"
    except (AssertionError, OSError):
        return False  # such as a shim of pyenv's for a version that is not chosen
