"""Starts of a server that may be refused, and all that a server says it holds."""

import http.client
import pathlib
import re
import tempfile
import time
from urllib.parse import quote

from harness import Api, Server

# Seconds; a start that says nothing for so long hangs.
START_LIMIT = 20
# One of these names what is wrong with a store.
WORDS = ("missing", "behind", "damaged", "cut short", "gone", "other", "another")
NAMED = re.compile(r"\b(" + "|".join(WORDS) + r")\b")
PANIC = ("panicked at", "RUST_BACKTRACE", "stack backtrace")


class Start:
    """A start on a data folder: either `server` runs, or `refused` says what it printed. `wait=False`: it has only begun."""

    def __init__(self, data, folder, arguments=(), wait=True):
        self.server, self.refused = Server(list(arguments)), None
        self.server.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.server.data = data
        # Left by a server that was killed; only a new one counts.
        (data / "server.json").unlink(missing_ok=True)
        self.server.launch()
        self.code, self.hung = None, False
        if wait:
            self._wait()

    def _wait(self):
        limit = time.monotonic() + START_LIMIT
        while not self._through():
            self.hung = time.monotonic() > limit
            if self.hung:
                self.server.process.kill()
            time.sleep(0.02)

    def _through(self):
        process = self.server.process
        if process.poll() is None:
            if self.server.is_ready():
                self.server.opened()
                return True
            return False
        self.code, self.refused = process.returncode, self.server.output()
        self.server.log.close()
        return True

    def end(self, kill=False):
        """Ends the server where it runs: it is asked to, and killed where it does not, or at once."""
        if self.refused is None:
            process = self.server.process
            (process.kill if kill else process.terminate)()
            process.wait(30)
            self.server.log.close()

    def last_line(self):
        """The last thing that a refused start said."""
        return (self.refused.strip().splitlines() or ["nothing"])[-1]

    def faults_of_the_refusal(self, store):
        """What a refusal lacks: code 1, in time, no panic, and one line that names the store and what is wrong with it."""
        lines = [line for line in self.refused.splitlines() if str(store) in line and NAMED.search(line)]
        faults = []
        if self.hung:
            faults.append(f"no end within {START_LIMIT} s")
        elif self.code != 1:
            faults.append(f"exit code {self.code}")
        if any(word in self.refused for word in PANIC):
            faults.append("a panic's text")
        if len(lines) != 1:
            faults.append(f"{len(lines)} lines that name the store and one of {', '.join(WORDS)}")
        return faults


def everything(server):
    """All lists of the admin API, by name; what an error keeps from being read stands there as its text."""
    api = Api(server, (server.data / "local.token").read_text().strip())
    found = {}
    for name in ("devices", "commands", "policies", "groups", "admins", "tokens", "settings", "invitations", "approvals", "audit"):
        found[name] = _told(lambda name=name: api.all(name))
    for name in [policy["name"] for policy in found["policies"] if isinstance(policy, dict)]:
        found[f"policy {name}"] = _one(api, f"policies/{quote(name)}")
    for name in [group["name"] for group in found["groups"] if isinstance(group, dict)]:
        found[f"group {name}"] = _told(lambda name=name: members(api, name))
    found["audit/verify"], found["stop"] = _one(api, "audit/verify"), _one(api, "stop")
    return found


def members(api, group):
    """The ids of a group's devices, whether the group names them or they have a list of their own."""
    shown = api.done("GET", f"groups/{quote(group)}")
    if "devices" in shown:
        return shown["devices"]
    return sorted(item if isinstance(item, str) else item["id"] for item in api.all(f"groups/{quote(group)}/devices"))


def _told(look):
    try:
        return look()
    except (AssertionError, OSError, http.client.HTTPException) as error:
        return [str(error)]


def _one(api, path):
    try:
        status, answer = api.call("GET", path)
        return {"status": status, **(answer if isinstance(answer, dict) else {"answer": answer})}
    except (OSError, http.client.HTTPException) as error:
        return {"error": str(error)}
