"""mdmb's simulated Apple devices: the program is built from its Go module, unmodified, and run from here.

They sit behind a proxy, so to speak: never a TLS client certificate, always a signature over the body.
"""

import http.server
import os
import pathlib
import plistlib
import shutil
import threading

from apple_device import MDM, payloads, profile_of, unwrap
from harness import ROOT, request, tool

TARGET = pathlib.Path(os.environ.get("LANYARD_PEERS_TARGET", ROOT / "target/peers"))
PROGRAM = "github.com/jessepeterson/mdmb/cmd/mdmb"


def build():
    """The program, built on first use in a copy of our module: Go may complete `go.mod`, and that stays out of the sources."""
    module = TARGET / "mdmb"
    program = module / "mdmb"
    source = pathlib.Path(__file__).resolve().parent / "mdmb"
    sources = [source / "go.mod", source / "go.sum"]
    if program.exists() and all(program.stat().st_mtime >= file.stat().st_mtime for file in sources):
        return program
    module.mkdir(parents=True, exist_ok=True)
    for file in sources:
        shutil.copy(file, module)
    go = shutil.which("go") or "/usr/local/go/bin/go"
    tool([go, "build", "-o", program, PROGRAM], environment={"GOFLAGS": "-mod=mod"}, folder=module, seconds=600)
    return program


class Unsigning:
    """Stands between mdmb and the server, and takes profiles out of their signatures: mdmb reads unsigned ones only. What it is asked and what
    it answers goes on as it is; `commands` are the kinds that came by, `said` the statuses that mdmb gave."""

    def __init__(self, server):
        self.server, self.commands, self.said = server, [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.said.append(plistlib.loads(body).get("Status") or plistlib.loads(body)["MessageType"])
                headers = {"Mdm-Signature": self.headers["Mdm-Signature"]}
                reply = request(outer.server.public_url + self.path, "PUT", body, headers, ca=outer.server.ca)
                answer = outer.opened(reply.body)
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_port}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def opened(self, answer):
        if not answer:
            return answer
        order = plistlib.loads(answer)
        self.commands.append(order["Command"]["RequestType"])
        if order["Command"]["RequestType"] == "InstallProfile":
            order["Command"]["Payload"] = plistlib.dumps(self.route(profile_of(order["Command"]["Payload"])))
        return plistlib.dumps(order)

    def route(self, profile):
        """The same profile with its device talking by way of this."""
        for mdm in payloads(profile, MDM):
            for key in ("ServerURL", "CheckInURL"):
                mdm[key] = self.url + mdm[key].removeprefix(self.server.public_url)
        return profile

    def stop(self):
        self.listener.shutdown()
        self.listener.server_close()


class Mdmb:
    """Some devices in one database of mdmb's; each is known by its UDID."""

    def __init__(self, server, folder, count):
        self.server, self.folder, self.program = server, folder, build()
        self.run("devices-create", "-n", count)
        self.udids = [line.split()[0] for line in self.run("devices-list").splitlines() if line.strip()]
        assert len(self.udids) == count, self.udids

    def run(self, *words, udids=None):
        chosen = ["-uuids", ",".join(udids)] if udids else []
        return tool([self.program, "-db", self.folder / "mdmb.db", *chosen, *words],
                    environment={"SSL_CERT_FILE": str(self.server.ca)}, folder=self.folder).decode()

    def enrol(self, udid, invitation, by_way_of=None):
        """Installs the invitation's profile, taken out of its signature first: mdmb reads unsigned ones only."""
        reply = request(invitation["url"] + "/profile", ca=self.server.ca)
        assert reply.status == 200, reply
        file = self.folder / f"{udid}.mobileconfig"
        profile = unwrap(reply.body)
        file.write_bytes(plistlib.dumps(by_way_of.route(profile) if by_way_of else profile))
        return self.run("devices-profiles-install", "-f", file, udids=[udid])

    def connect(self, *udids):
        """Polls until nothing is due; the output names the commands that mdmb does not know."""
        return self.run("devices-connect", udids=udids or self.udids)
