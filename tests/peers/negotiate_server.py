"""A mail server behind Negotiate: it takes a ticket in whose name a request comes, once, and says whose it was; and Basic of `dave`.

Run by the system's Python, whose Debian package has GSSAPI. Its first line says the port, each further one what came: command, user.
"""

import base64
import http.server
import urllib.parse

import gssapi

OFFERS = ("Negotiate", 'Basic realm="mail"')
DAVE = "Basic " + base64.b64encode(b"dave@example.org:right horse").decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def user(self):
        """Whose ticket came; a ticket that came before, or is another service's, is none."""
        kind, _, word = self.headers.get("Authorization", "").partition(" ")
        if self.headers.get("Authorization") == DAVE:
            return "dave by password"
        if kind != "Negotiate":
            return None
        context = gssapi.SecurityContext(creds=gssapi.Credentials(usage="accept"), usage="accept")
        try:
            context.step(base64.b64decode(word))
        except gssapi.exceptions.GSSError as error:
            print("refused", str(error).replace("\n", " "), flush=True)
            return None
        return str(context.initiator_name) if context.complete else None

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        user = self.user()
        path, _, query = self.path.partition("?")
        command = dict(urllib.parse.parse_qsl(query)).get("Cmd") or (self.command if "ActiveSync" in path else path)
        if user is None:
            self.send_response(401)
            for offer in OFFERS:
                self.send_header("WWW-Authenticate", offer)
            body = b""
        else:
            print(command, user, flush=True)
            self.send_response(200)
            self.send_header("MS-ASProtocolVersions", "12.1,14.1,16.1")
            self.send_header("MS-ASProtocolCommands", "Sync,FolderSync,Ping,Settings")
            body = b"" if self.command == "OPTIONS" else user.encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_OPTIONS = do_POST = do_GET = answer


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
