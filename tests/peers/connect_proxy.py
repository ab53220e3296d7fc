"""An HTTP proxy that knows CONNECT alone and asks for Basic; it notes whom it was asked for and keeps all that passes, as it passes."""

import base64
import socket
import threading

from harness import in_background


class ConnectProxy:
    """Listens on a free port of loopback until `stop`. `user` and `password` of `None`: it asks for none."""

    def __init__(self, user=None, password=None):
        self.user, self.password = user, password
        self.asked, self.refused, self.heads, self.passed, self.lock = [], 0, [], bytearray(), threading.Lock()
        # `no name`: the target cannot be found (502); `no`: not allowed (403).
        self.mood, self.sockets = None, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        in_background(self._serve)

    def stop(self):
        # Without a shutdown the waiting accept would take one more.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def cut(self):
        """Breaks what goes through it now."""
        with self.lock:
            sockets, self.sockets = self.sockets, []
        for each in sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            in_background(lambda client=client: self._tunnel(client))

    def _tunnel(self, client):
        with client:
            while True:
                head = self._head(client)
                if head is None:
                    return
                words = head.split(b"\r\n")[0].decode(errors="replace").split()
                self.heads.append(head)
                status = self._judged(words, head)
                if status is None:
                    break
                challenge = 'Proxy-Authenticate: Basic realm="proxy"\r\n' if status.startswith("407") else ""
                client.sendall(f"HTTP/1.1 {status}\r\n{challenge}Content-Length: 0\r\n\r\n".encode())
            self._carry(client, words[1])

    @staticmethod
    def _head(client):
        head = b""
        while b"\r\n\r\n" not in head:
            try:
                piece = client.recv(4096)
            except OSError:
                return None
            if not piece:
                return None
            head += piece
        return head

    def _judged(self, words, head):
        if len(words) != 3 or words[0] != "CONNECT":
            return "405 CONNECT alone"
        if self.user is not None:
            wanted = base64.b64encode(f"{self.user}:{self.password}".encode())
            fields = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
            shown = next((value.strip() for name, _, value in fields if name.lower() == b"proxy-authorization"), b"")
            if shown != b"Basic " + wanted:
                self.refused += 1
                return "407 Proxy Authentication Required"
        self.asked.append(words[1])
        return {"no name": "502 No such name", "no": "403 Not allowed"}.get(self.mood)

    def _carry(self, client, target):
        host, _, port = target.rpartition(":")
        try:
            far = socket.create_connection((host.strip("[]"), int(port)), timeout=30)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self.lock:
            self.sockets += [client, far]
        back = in_background(lambda: self._copy(far, client))
        self._copy(client, far)
        back.join()
        far.close()

    def _copy(self, source, target):
        try:
            while data := source.recv(65536):
                self.passed += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
