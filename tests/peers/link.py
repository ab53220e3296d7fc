"""A TCP link between a node and its database that can be slow, stand still, or break."""

import select
import socket
import threading
import time


class Link:
    """Forwards connections on a free port of loopback to `target` until `stop`."""

    def __init__(self, target, delay=0.0):
        self.target, self.delay = target, delay
        self.frozen, self.shut = threading.Event(), threading.Event()
        self.pairs, self.lock = set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.ended = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.ended.set()
        self.listener.close()
        self.cut()

    def freeze(self):
        """Keeps all connections and forwards nothing; new ones are taken and hear nothing."""
        self.frozen.set()

    def thaw(self):
        self.frozen.clear()

    def cut(self, refuse=False):
        """Breaks all connections; new ones too where that is asked for, until `mend`."""
        if refuse:
            self.shut.set()
        with self.lock:
            pairs, self.pairs = self.pairs, set()
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def mend(self):
        self.shut.clear()

    def accept(self):
        while not self.ended.is_set():
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.shut.is_set():
                near.close()
                continue
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (near, far)
            with self.lock:
                self.pairs.add(pair)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self.carry, args=[source, sink], daemon=True).start()

    def carry(self, source, sink):
        """One direction. What comes is passed on after the delay, in order, and later bytes do not wait for earlier ones' delay."""
        waiting = []
        try:
            while True:
                now = time.monotonic()
                limit = max(0, waiting[0][0] - now) if waiting else 1
                if select.select([source], [], [], 0.05 if self.frozen.is_set() else limit)[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        break
                    waiting.append((time.monotonic() + self.delay, data))
                while waiting and not self.frozen.is_set() and waiting[0][0] <= time.monotonic():
                    sink.sendall(waiting.pop(0)[1])
        except (OSError, ValueError):
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
