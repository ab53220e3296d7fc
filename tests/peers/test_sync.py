"""What kill -9 cannot show: that the embedded store asks the disk before anything is answered. Seen under strace."""

import json
import os
import re
import shutil
import signal
import unittest

from harness import Server


class Traced(Server):
    """The server under strace: its syncs and its sends, in order."""

    def wrap(self, command):
        self.trace = self.folder / "trace"
        return [shutil.which("strace"), "-f", "-y", "-o", self.trace, "-e", "trace=fdatasync,fsync,sendto,sendmsg,writev,write",
                *command]

    def stop(self):
        """The signal is for the server, not for strace above it."""
        os.kill(json.loads((self.data / "server.json").read_text())["pid"], signal.SIGTERM)
        code, text = self.end()
        assert code == 0, text


class Synced(unittest.TestCase):
    def test_no_answer_leaves_before_the_file_is_synced(self):
        server = Traced([]).start()
        self.addCleanup(server.stop)
        for number in range(5):
            before = server.trace.stat().st_size
            server.verb("invite", "--channel", "apple", "--user", f"u{number}@example.org")
            said = server.trace.read_bytes()[before:].decode(errors="replace").splitlines()
            syncs = [at for at, line in enumerate(said) if re.search(r"fdatasync\(\d+<[^>]*/store/db>", line)]
            # TLS: the answer is the last thing the server sends on its socket before the client closes.
            sends = [at for at, line in enumerate(said) if re.search(r"(sendto|sendmsg|writev|write)\(\d+<(socket|TCP)", line)]
            self.assertTrue(syncs, "the file of the store is synced for each act")
            self.assertGreater(sends[-1], syncs[0], "and the answer leaves after that")


if __name__ == "__main__":
    unittest.main()
