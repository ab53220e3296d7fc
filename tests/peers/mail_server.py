"""A mail server as a gateway sees it: of ActiveSync Basic sign-in, versions, one folder; of all else Basic sign-in. It notes all that reaches it."""

import base64
import http.server
import urllib.parse

from harness import in_background
import wbxml
from wbxml import document, find, parse, text

PATH = "/Microsoft-Server-ActiveSync"
FOLDERS = 7
VERSIONS = "2.5,12.0,12.1,14.0,14.1,16.0,16.1"
INBOX = "Peer inbox"
MAIL = "The peer's own mail"


class Quiet(http.server.ThreadingHTTPServer):
    """A gateway that is killed breaks its connections off: nothing to write home about."""

    def handle_error(self, request, client_address):
        pass


class MailServer:
    """Listens on a free port of loopback until `stop`; `seen` holds (method, command, device, headers) of each request of ActiveSync,
    `beside` (method, path and query, headers, body) of the others."""

    def __init__(self, users):
        self.users, self.seen, self.beside, self.strange_keys = users, [], [], []
        self.http = Quiet(("127.0.0.1", 0), self.handler())
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}{PATH}"
        in_background(self.http.serve_forever)

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def own(self, query, body, key):
        """Status and body where the server answers by a policy of its own; this one has none."""
        return None

    def sync(self, root):
        """The inbox: its key, then its one message, then nothing; any other key begins anew, and is noted."""
        key, more = text(root, 0, 0x0B), []
        following = {"0": "peer-1", "peer-1": "peer-2", "peer-2": "peer-2"}.get(key)
        if not following:
            self.strange_keys.append(key)
        if key == "peer-1":
            data = (0, 0x1D, [(2, 0x14, MAIL)])
            more = [(0, 0x16, [(0, 0x07, [(0, 0x0D, "1:1"), data])])]
        said = [(0, 0x0B, following or "0"), (0, 0x12, text(root, 0, 0x12)), (0, 0x0E, "1" if following else "3")]
        return document((0, 0x05, [(0, 0x1C, [(0, 0x0F, said + more)])]))

    def commands(self, device):
        """The commands that came through for an ActiveSync DeviceId; Provision apart, which is always the gateway's own."""
        return [command for _, command, ident, _ in self.seen if ident == device and command not in (None, "", "Provision")]

    def handler(self):
        mail = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                pass

            def reply(self, status, body=b"", **headers):
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def take(self):
                """Reads the body and judges the sign-in; `None` where it was refused."""
                body = self.body()
                query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
                if not self.path.startswith(PATH):
                    mail.beside.append((self.command, self.path, dict(self.headers.items()), body))
                mail.seen.append((self.command, query.get("Cmd"), query.get("DeviceId"), dict(self.headers.items())))
                kind, _, word = self.headers.get("Authorization", "").partition(" ")
                user, _, password = base64.b64decode(word).decode().partition(":") if kind == "Basic" else ("", "", "")
                if mail.users.get(user) != password or not user:
                    self.reply(401, WWW_Authenticate='Basic realm="peer mail"')
                    return None
                return query, body

            def body(self):
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                whole = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    whole += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return whole

            def do_OPTIONS(self):
                if self.take():
                    self.reply(200, MS_ASProtocolVersions=VERSIONS, MS_ASProtocolCommands="Sync,FolderSync,Ping,Settings")

            def do_GET(self):
                if self.path == "/owa/sent-on":
                    self.reply(302, Location=f"http://{self.headers['Host']}/owa/auth?x=1")
                elif self.take():
                    self.reply(200, f"{self.command} {self.path}".encode(), Set_Cookie="a=1; path=/")

            def do_POST(self):
                taken = self.take()
                if not taken:
                    return
                query, body = taken
                if not self.path.startswith(PATH):
                    self.reply(200, f"{self.command} {self.path}".encode())
                    return
                own = mail.own(query, body, self.headers.get("X-MS-PolicyKey"))
                if own:
                    status, body = own
                    self.reply(status, body, **({"Content_Type": "application/vnd.ms-sync.wbxml"} if body else {}))
                elif query.get("Cmd") == "FolderSync":
                    self.reply(200, folders(), Content_Type="application/vnd.ms-sync.wbxml")
                elif query.get("Cmd") == "Sync" and body:
                    self.reply(200, mail.sync(parse(body)), Content_Type="application/vnd.ms-sync.wbxml")
                else:
                    self.reply(200, Content_Type="application/vnd.ms-sync.wbxml")

        return Handler


class PolicyServer(MailServer):
    """As Z-Push: 449 for all but Provision until the key fits; under a wipe for ever, and each Provision carries the directive."""

    PROVISION, SETTINGS = 14, 18

    def __init__(self, users, rules):
        super().__init__(users)
        self.rules, self.keys, self.wiping, self.wiped, self.models, self.acks = rules, {}, set(), {}, {}, {}

    def own(self, query, body, key):
        device = query.get("DeviceId")
        if query.get("Cmd") == "Provision":
            return 200, self.provision(device, wbxml.parse(body))
        if device in self.wiping or not key or key != self.keys.get(device):
            return 449, b""
        return None

    def provision(self, device, root):
        page, temporary = self.PROVISION, "1111"
        self.models[device] = wbxml.text(root, self.SETTINGS, 0x17) or self.models.get(device)
        [wiped] = wbxml.find(root, page, 0x0C) or [None]
        acknowledged = wbxml.text(root, page, 0x09)
        policy = [(page, 0x08, "MS-EAS-Provisioning-WBXML"), (page, 0x0B, "1")]
        if wiped:
            self.wiped[device] = wbxml.text(wiped, page, 0x0B)
        if acknowledged:
            assert acknowledged == temporary, root
            self.keys[device] = str(int(self.keys.get(device, "2000")) + 1)
            self.acks.setdefault(device, []).append(wbxml.find(root, page, 0x0B)[0][2])
            policy.append((page, 0x09, self.keys[device]))
        else:
            rules = [(page, token, value) for token, value in self.rules]
            policy += [(page, 0x09, temporary), (page, 0x0A, [(page, 0x0D, rules)])]
        directive = [(page, 0x0C, [])] if device in self.wiping else []
        return document((page, 0x05, [(page, 0x0B, "1"), (page, 0x06, [(page, 0x07, policy)]), *directive]))


def folders():
    """FolderSync's first answer: one folder, the inbox."""
    add = (FOLDERS, 0x0F, [(FOLDERS, 0x08, "1"), (FOLDERS, 0x09, "0"), (FOLDERS, 0x07, INBOX), (FOLDERS, 0x0A, "2")])
    changes = (FOLDERS, 0x0E, [(FOLDERS, 0x17, "1"), add])
    return document((FOLDERS, 0x16, [(FOLDERS, 0x0C, "1"), (FOLDERS, 0x12, "1"), changes]))


def folder_names(answer):
    """The folders' names in a FolderSync answer, and its status."""
    return [element[2] for element in find(answer, FOLDERS, 0x07)], [element[2] for element in find(answer, FOLDERS, 0x0C)]
