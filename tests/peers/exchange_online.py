"""Exchange Online as its PowerShell module's transport has it, over TLS on loopback: tokens, `InvokeCommand`, pages, errors, and its moods.

The organisation behind it is `exchange_world`'s, the login `entra`'s. What is not asked for as it should be is refused and noted (`complaints`).
"""

import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass

from authority import Authority
from entra import Entra, Rejected
from exchange_world import Organisation, Refusal
from harness import in_background, self_made

ANCHOR = "APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@"
EXPIRED_PAGE = "Expired or Invalid pagination request. Default Expiry time is 30 minutes"


@dataclass
class Fault:
    """Something that happens to the next `times` requests, of a cmdlet or of any (`token` stands for a login).

    `kind`: 429, 503, 504 (with Retry-After where `after` says), 401, `busy` (too many requests, in words), `cut before` and `cut after` the
    deed, `empty 403`, `nul 403`, `slow` (held for `after` seconds).
    """

    kind: object
    cmdlet: str = None
    times: int = 1
    after: float = None
    met: int = 0


class Cut(Exception):
    """The connection breaks."""


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass


class ExchangeOnline:
    """Listens on a free port of loopback until `stop`. `folder` is for its certificates; `app` is the application's own identity."""

    def __init__(self, folder, organisation=None, life=3600, names=("localhost",)):
        self.organisation = organisation or Organisation()
        self.authority = Authority(folder / "authority", "Exchange Root")
        self.app = self_made(folder, "app")
        self.entra = Entra(self.app.certificate, life=life)
        self.faults, self.complaints, self.requests, self.pages, self.lock = [], [], [], {}, threading.Lock()
        # As seen live in 2026: the link to the next page is dead when it is asked for.
        self.dead_pages, self.largest_page, self.forbidden, self.seconds = False, 1000, set(), {}
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        identity = self.authority.issue(*names)
        tls.load_cert_chain(identity.certificate, identity.key)
        self.http = Quiet(("127.0.0.1", 0), self.handler(tls))
        self.port = self.http.server_port
        self.url = f"https://localhost:{self.port}"
        in_background(self.http.serve_forever)

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    @property
    def tenant(self):
        return self.entra.tenant

    def flags(self):
        """What `lanyard connector enrol` is told of it."""
        return ["--tenant", self.tenant, "--app-id", self.entra.client, "--cert", self.app.certificate, "--key", self.app.key,
                "--exchange-url", self.url, "--login-url", self.url]

    def secrets(self):
        """All that must never be seen elsewhere: the key, tokens, assertions."""
        return [self.app.key.read_text(), *self.entra.issued, *self.entra.assertions]

    def fails(self, kind, cmdlet=None, times=1, after=None):
        made = Fault(kind, cmdlet, times, after)
        with self.lock:
            self.faults.append(made)
        return made

    def fault(self, name):
        with self.lock:
            for fault in self.faults:
                if fault.times and (fault.cmdlet is None and name != "token" or fault.cmdlet is not None and fault.cmdlet.lower() == name.lower()):
                    fault.times -= 1
                    fault.met += 1
                    return fault
        return None

    # InvokeCommand

    def asked(self, headers, path, body):
        """Status, headers and body of the answer to one call."""
        parts = urllib.parse.urlsplit(path)
        said = json.loads(body)
        name = said["CmdletInput"]["CmdletName"]
        wrong = self.judged(headers, name)
        if wrong:
            self.complaints.append((name, wrong))
            return 400, {}, problem("BadRequest", wrong)
        if not self.entra.opens(headers.get("Authorization")):
            return 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}, b""
        fault = self.fault(name)
        early = self.trouble(fault)
        if early:
            return early
        if name in self.forbidden:
            return 403, {}, b"\0" * 16
        time.sleep(self.seconds.get(name, 0))
        answer = self.page(parts, headers, name, said, body)
        if fault and fault.kind == "cut after":
            raise Cut
        return answer

    def judged(self, headers, name):
        """What is wrong with the headers, or `None`."""
        if headers.get("X-AnchorMailbox", "").lower() != (ANCHOR + self.tenant).lower():
            return f"X-AnchorMailbox: {headers.get('X-AnchorMailbox')}"
        if headers.get("X-CmdletName") != name:
            return f"X-CmdletName: {headers.get('X-CmdletName')}"
        if headers.get("X-ResponseFormat", "").lower() != "json":
            return f"X-ResponseFormat: {headers.get('X-ResponseFormat')}"
        if not headers.get("Content-Type", "").lower().startswith("application/json"):
            return f"Content-Type: {headers.get('Content-Type')}"
        try:
            uuid.UUID(headers.get("client-request-id", ""))
        except ValueError:
            return f"client-request-id: {headers.get('client-request-id')}"
        return None

    def trouble(self, fault):
        """The answer of one that is in no mood; `None` where the deed is done."""
        if fault is None or fault.kind == "cut after":
            return None
        if fault.kind == "cut before":
            raise Cut
        if fault.kind == "slow":
            time.sleep(fault.after)
            return None
        if fault.kind == "busy":
            return 500, {}, problem("InternalServerError", "The maximum number of concurrent requests was exceeded. Please try again later.")
        if fault.kind in ("empty 403", "nul 403"):
            return 403, {}, b"" if fault.kind == "empty 403" else b"\0" * 32
        after = {"Retry-After": str(int(fault.after))} if fault.after is not None else {}
        return int(fault.kind), after, b"" if fault.kind == 401 else problem("TooManyRequests", "Too many requests.")

    def page(self, parts, headers, name, said, body):
        query = dict(urllib.parse.parse_qsl(parts.query))
        token = query.get("$skiptoken")
        if token is not None:
            kept = self.pages.get(token)
            if kept is None or self.dead_pages or kept[0] != said:
                return 400, {"X-ExceptionType": "ExpiredPagination"}, problem("BadRequest", EXPIRED_PAGE)
            _, rows, at = kept
        else:
            try:
                rows, at = self.organisation.invoke(name, dict(said["CmdletInput"].get("Parameters") or {})), 0
            except Refusal as refusal:
                return self.refusal(refusal)
        return 200, {}, self.rows(parts, headers, said, rows, at, query.get("$select"))

    def rows(self, parts, headers, said, rows, at, select):
        wanted = re.search(r"odata\.maxpagesize=(\d+)", headers.get("Prefer", ""))
        size = min(int(wanted.group(1)) if wanted else 100, self.largest_page)
        document = {"@odata.context": f"{self.url}/adminapi/beta/{self.tenant}/$metadata#Collection(Exchange.GenericObject)"}
        with self.organisation.lock:
            warnings, self.organisation.warnings = self.organisation.warnings, []
        document["@adminapi.warnings"] = warnings
        document["value"] = [annotated(row, select) for row in rows[at:at + size]]
        if at + size < len(rows):
            token = uuid.uuid4().hex
            self.pages[token] = (said, rows, at + size)
            query = f"$skiptoken={token}" + (f"&$select={select}" if select else "")
            document["@odata.nextLink"] = f"{self.url}{parts.path}?{query}"
        return json.dumps(document).encode()

    @staticmethod
    def refusal(refusal):
        """Errors come in two forms: with details, or with what is inside alone."""
        full = f"Ex6F9304|{refusal.type}|{refusal.text}"
        headers = {"X-ExceptionType": refusal.type}
        if refusal.category == "ObjectNotFound":
            return 404, headers, problem("NotFound", full, [{"code": "Context", "target": "", "message": full}])
        if refusal.category == "InvalidArgument":
            return 400, headers, problem("BadRequest", "Invalid Operation", [{"code": "Context", "target": "", "message": full}])
        return 400, headers, problem("BadRequest", "Error executing cmdlet", None, refusal.text)

    # HTTP

    def handler(self, tls):
        online = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 120

            def setup(self):
                # In the connection's own thread: one that never shakes hands holds up nobody.
                self.request = tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def log_message(self, *words):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                online.requests.append((self.path, dict(self.headers.items()), body))
                try:
                    status, headers, answer = online.answer(self.headers, self.path, body)
                except Cut:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self):
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

        return Handler

    def answer(self, headers, path, body):
        bare = path.partition("?")[0]
        if "/oauth2/" in bare:
            return self.login(bare, body)
        if bare.lower() == f"/adminapi/beta/{self.tenant}/InvokeCommand".lower():
            return self.asked(headers, path, body)
        self.complaints.append((bare, "no such path"))
        return 404, {}, problem("NotFound", bare)

    def login(self, path, body):
        early = self.trouble(self.fault("token"))
        if early:
            return early
        try:
            return 200, {}, json.dumps(self.entra.token(path, body, self.url)).encode()
        except Rejected as refused:
            return refused.status, {}, json.dumps(refused.body).encode()


def annotated(row, select):
    """A row with some of OData's notes on types, and of a selection that alone."""
    names = None if select is None else {name.strip().lower() for name in select.split(",")}
    made = {}
    for key, value in row.items():
        if names is not None and key.lower() not in names:
            continue
        if key.endswith("Guid"):
            made[f"{key}@data.type"] = "System.Guid"
        if isinstance(value, list):
            made[f"{key}@odata.type"] = "#Collection(String)"
        made[key] = value
    return made


def problem(code, message, details=None, inner=None):
    error = {"code": code, "message": message}
    if details:
        error["details"] = details
    error["innererror"] = {"message": message, "type": "Microsoft.Exchange.Admin.OData.Core.ODataServiceException", "stacktrace": "",
                           "internalException": {"message": inner or message}}
    return json.dumps({"error": error}).encode()

