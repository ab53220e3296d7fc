#!/usr/bin/env python3
"""A disk with a write cache that can lose its power: one file, served over FUSE, for a loop device to stand on.

It is a process of its own (the kernel's writes must not wait for a test's threads) and speaks FUSE's protocol on
/dev/fuse itself, so that nothing needs installing. Each write of the loop device arrives here as the block layer
issued it; each flush (the loop driver's fsync of this file; a forced write is followed by one) makes durable what came before.
What is still in the kernel's page cache, and was never issued, is not here: just as with a real cut.

`python3 recorder.py FILE IMAGE`: `FILE` is mounted over, `IMAGE` is the disk as it begins and, from then on, what is
durable. Commands come as lines on stdin, each is answered by a line of JSON:

- `cut PATH SEED`: the disk as it would be found if power failed goes to PATH: what is durable, and of the writes since
  the last flush a random part. A drive keeps no order among these and may break between two of its sectors. A cut is
  taken now, or after some more writes, or just before one of the next flushes counts: where nobody writes a second long, now.
- `figures`: what came so far.
"""

import ctypes
import errno
import json
import os
import random
import struct
import sys
import threading

# linux/fuse.h, protocol 7.31.
(LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, FALLOCATE, BATCH_FORGET) = (
    1, 2, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26, 43, 42)
ASYNC_READ, BIG_WRITES, MAX_PAGES = 1 << 0, 1 << 5, 1 << 22
DIRECT_IO = 1
MAX_WRITE = 1 << 20
BLOCK = 4096
MS_NOSUID, MS_NODEV = 2, 4


class Disk:
    """What is durable lies in the image's file, what is only written in memory beside it."""

    def __init__(self, image):
        self.file = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        # In order, and by block what a read must find.
        self.pending, self.newest = [], {}
        self.lock = threading.RLock()
        self.armed, self.taken = None, threading.Event()
        self.figures = {"writes": 0, "bytes": 0, "flushes": 0, "cuts": 0}

    def write(self, at, data):
        with self.lock:
            self.figures["writes"] += 1
            self.figures["bytes"] += len(data)
            self.pending.append((at, data))
            self._event("write")
            if at % BLOCK or len(data) % BLOCK:
                # mkfs and mount write less than a block here and there.
                start, end = at - at % BLOCK, -(-(at + len(data)) // BLOCK) * BLOCK
                whole = bytearray(self._read(start, end - start))
                whole[at - start:at - start + len(data)] = data
                at, data = start, bytes(whole)
            for offset in range(0, len(data), BLOCK):
                self.newest[at + offset] = data[offset:offset + BLOCK]

    def read(self, at, size):
        with self.lock:
            return self._read(at, size)

    def _read(self, at, size):
        if not self.newest:
            return os.pread(self.file, size, at)
        start = at - at % BLOCK
        end = min(-(-(at + size) // BLOCK) * BLOCK, self.size)
        whole = bytearray(os.pread(self.file, end - start, start))
        for block in range(start, end, BLOCK):
            if (data := self.newest.get(block)) is not None:
                whole[block - start:block - start + len(data)] = data
        return bytes(whole[at - start:at - start + size])

    def flush(self):
        with self.lock:
            self.figures["flushes"] += 1
            self._event("flush")
            for at, data in self.pending:
                os.pwrite(self.file, data, at)
            self.pending, self.newest = [], {}

    def cut(self, path, seed):
        """Waits for the cut's moment, and takes it."""
        chance = random.Random(seed)
        event = chance.choice(("now", "write", "write", "flush"))
        with self.lock:
            self.taken.clear()
            # Most often soon; a start that copies its store is long.
            self.armed = [event, round(2 ** chance.uniform(0, 7 if event == "write" else 4)), path, chance]
            if event == "now":
                self._take()
        if not self.taken.wait(1):
            with self.lock:
                if self.armed:
                    self._take()
        return {"at": event, **self.said}

    def _event(self, kind):
        if self.armed and self.armed[0] == kind:
            self.armed[1] -= 1
            if self.armed[1] == 0:
                self._take()

    def _take(self):
        """Nothing is written or flushed meanwhile, so the image is of one moment."""
        _, _, path, chance = self.armed
        self.armed = None
        self.figures["cuts"] += 1
        copy_with_holes(self.file, path, self.size)
        kept, whole = self._cut_pending(path, chance)
        self.said = {"writes": len(self.pending), "sectors": whole, "kept": kept}
        self.taken.set()

    def _cut_pending(self, path, chance):
        """Writes a random part of what is not durable. Returns how many sectors that were, and of how many."""
        share, sector = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0)), chance.choice((512, BLOCK))
        kept = whole = 0
        target = os.open(path, os.O_WRONLY)
        try:
            for at, data in self.pending:
                for offset in range(0, len(data), sector):
                    whole += 1
                    if chance.random() < share:
                        kept += 1
                        os.pwrite(target, data[offset:offset + sector], at + offset)
        finally:
            os.close(target)
        return kept, whole


def copy_with_holes(source, path, size):
    """A copy of what the file holds; most of it is holes."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.ftruncate(target, size)
        at = 0
        while True:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            end = os.lseek(source, at, os.SEEK_HOLE)
            while at < end:
                at += os.pwrite(target, os.pread(source, min(end - at, 1 << 22), at), at)
    finally:
        os.close(target)


class Fuse:
    """One regular file, mounted over another."""

    def __init__(self, disk, path):
        self.disk = disk
        self.kernel = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.kernel},rootmode=100000,user_id=0,group_id=0,allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"recorder", os.fsencode(path), b"fuse.recorder", MS_NOSUID | MS_NODEV, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"mount of FUSE: {os.strerror(ctypes.get_errno())}", path)

    def serve(self):
        """Answers one request after another until the file is unmounted."""
        while True:
            try:
                request = os.read(self.kernel, MAX_WRITE + BLOCK)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                raise
            _, opcode, unique = struct.unpack_from("<IIQ", request)
            if opcode in (FORGET, BATCH_FORGET):
                continue
            try:
                answer, code = self.answer(opcode, request), 0
            except OSError as error:
                answer, code = b"", -error.errno
            try:
                os.write(self.kernel, struct.pack("<IiQ", 16 + len(answer), code, unique) + answer)
            except OSError as error:
                # Who asked is gone.
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise

    def answer(self, opcode, request):
        body = memoryview(request)[40:]
        if opcode == WRITE:
            _, at, size = struct.unpack_from("<QQI", body)
            self.disk.write(at, bytes(body[40:40 + size]))
            return struct.pack("<II", size, 0)
        if opcode == READ:
            _, at, size = struct.unpack_from("<QQI", body)
            return self.disk.read(at, min(size, max(0, self.disk.size - at)))
        if opcode == FSYNC:
            self.disk.flush()
            return b""
        if opcode == FALLOCATE:
            # Holes and zeroed ranges would be writes of a kind of their own; without them the block layer writes zeroes.
            raise OSError(errno.EOPNOTSUPP, "no holes")
        if opcode in (GETATTR, SETATTR):
            return struct.pack("<QII", 3600, 0, 0) + self.attributes()
        if opcode == OPEN:
            return struct.pack("<QII", 1, DIRECT_IO, 0)
        if opcode in (RELEASE, FLUSH):
            return b""
        if opcode == STATFS:
            return struct.pack("<5Q4I24x", 1 << 20, 1 << 20, 1 << 20, 1, 1, BLOCK, 255, BLOCK, 0)
        if opcode == INIT:
            _, _, ahead, offered = struct.unpack_from("<IIII", body)
            flags = offered & (ASYNC_READ | BIG_WRITES | MAX_PAGES)
            return struct.pack("<IIIIHHIIHHII24x", 7, 31, ahead, flags, 64, 48, MAX_WRITE, 1, MAX_WRITE // BLOCK, 0, 0, 0)
        raise OSError(errno.ENOSYS, "not needed")

    def attributes(self):
        size = self.disk.size
        return struct.pack("<6Q10I", 1, size, size // 512, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, BLOCK, 0)


def main(path, image):
    disk = Disk(image)
    fuse = Fuse(disk, path)
    thread = threading.Thread(target=fuse.serve, daemon=True)
    thread.start()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        verb, *words = line.split()
        said = disk.cut(words[0], int(words[1])) if verb == "cut" else dict(disk.figures)
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
