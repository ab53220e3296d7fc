"""A file system whose power can be cut: ext4 on a loop device on the disk of `recorder.py`; and what a cut left, mounted."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from harness import tool

SIZE = 192 << 20
RECORDER = pathlib.Path(__file__).with_name("recorder.py")
PROGRAMS = ("mkfs.ext4", "e2fsck", "losetup", "mount", "umount")
# A system's administration programs are not on everybody's path.
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin") + ":/usr/sbin:/sbin"


def why_not():
    """Why this machine, or this user, cannot have such a disk; `None` where it can."""
    if os.geteuid() != 0:
        return "only root may mount, and this is not root"
    for device in ("/dev/loop-control", "/dev/fuse"):
        try:
            os.close(os.open(device, os.O_RDWR))
        except OSError as error:
            return f"there is no use of {device}: {error.strerror}"
    status = pathlib.Path("/proc/self/status").read_text()
    [capable] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")]
    if not capable >> 21 & 1:
        return "root of a container without CAP_SYS_ADMIN may not mount"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    assert not missing or not os.environ.get("LANYARD_REQUIRE_PEERS"), f"not installed: {missing}"
    return f"not installed: {', '.join(missing)}" if missing else None


class Disk:
    """Mounted at `mount` until `close`: a new file system, or what an image holds, which is used up.

    `ordered=False`: a file's size may reach the disk before its data, as on most file systems; ext4 as it comes writes data first.
    """

    def __init__(self, ordered=True, image=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-disk-", dir="/var/tmp"))
        self.undo = [lambda: shutil.rmtree(self.folder, ignore_errors=True)]
        try:
            self._make("data=ordered" if ordered else "data=writeback", image)
        except BaseException:
            self.close()
            raise

    def _make(self, options, image):
        durable, file = self.folder / "durable", self.folder / "disk"
        if image:
            shutil.move(image, durable)
        else:
            with open(durable, "wb") as made:
                made.truncate(SIZE)
            tool(["mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", durable])
        file.touch()
        self.recorder = subprocess.Popen(
            [sys.executable, RECORDER, file, durable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.undo.append(self._end_recorder)
        assert self._answer().get("ready"), "the recorder's first line"
        self.undo.append(lambda: released(["umount", file]))
        loop = tool(["losetup", "--find", "--show", "--direct-io=on", file]).decode().strip()
        self.undo.append(lambda: released(["losetup", "--detach", loop]))
        self.mount = self.folder / "mount"
        self.mount.mkdir()
        tool(["mount", "-t", "ext4", "-o", options, loop, self.mount])
        self.undo.append(lambda: released(["umount", self.mount]))

    def _answer(self):
        line = self.recorder.stdout.readline()
        assert line, "the recorder has ended"
        return json.loads(line)

    def _ask(self, *words):
        self.recorder.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.recorder.stdin.flush()
        return self._answer()

    def _end_recorder(self):
        self.recorder.stdin.close()
        self.recorder.wait(30)
        self.recorder.stdout.close()

    def cut(self, seed):
        """What this moment's power cut leaves, as a file in the disk's folder, and what the recorder says of it."""
        path = self.folder / f"cut-{time.monotonic_ns()}"
        return path, self._ask("cut", path, seed)

    def figures(self):
        return self._ask("figures")

    def close(self):
        while self.undo:
            self.undo.pop()()


class Mounted:
    """The file system in an image, its journal replayed as at a boot. A cut leaves it whole, and it must be so afterwards."""

    def __init__(self, image):
        self.image, self.path = image, image.with_suffix(".mount")

    def __enter__(self):
        self.path.mkdir()
        tool(["mount", "-t", "ext4", "-o", "loop", self.image, self.path])
        return self.path

    def __exit__(self, *_):
        released(["umount", self.path])
        self.path.rmdir()
        tool(["e2fsck", "-f", "-n", self.image])


def released(words):
    """Unmounts or detaches, after whoever still holds it for a moment."""
    for _ in range(50):
        if subprocess.run([str(word) for word in words], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    tool(words)
