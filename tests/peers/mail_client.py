"""A mail app on a phone: certificate from an invitation, Provision in two phases, FolderSync, wipes.

Its bytes are written by hand from the code pages of [MS-ASWBXML]: 7 FolderHierarchy, 14 Provision, 18 Settings.
"""

import base64
import urllib.parse
import uuid
from pathlib import Path

import wbxml
from harness import Identity, openssl, request

TYPE = "application/vnd.ms-sync.wbxml"
POLICIES = "MS-EAS-Provisioning-WBXML"
FOLDERS, PROVISION, SETTINGS = 7, 14, 18
STATUS, POLICY_KEY, DATA, REMOTE_WIPE, ACCOUNT_WIPE = 0x0B, 0x09, 0x0A, 0x0C, 0x3B
# Elements of EASProvisionDoc that the tests look at.
PASSWORD_ENABLED, ALPHANUMERIC, MIN_LENGTH, IDLE_SECONDS, FAILED_ATTEMPTS = 0x0E, 0x0F, 0x14, 0x15, 0x16


class MailClient:
    """One mail app of one user; its policy key is sent once it has one."""

    def __init__(self, server, folder, user, password, version="14.1"):
        self.server, self.folder, self.user, self.password, self.version = server, Path(folder), user, password, version
        self.ident = f"PEER{uuid.uuid4().hex[:24].upper()}"
        self.identity = None
        self.key = "0"

    def certificate(self, invitation):
        """Gets key and certificate for the invitation's code, and opens the file with the code as printed."""
        form = urllib.parse.urlencode({"code": invitation["code"].lower()})
        reply = request(invitation["url"] + "/identity.p12", "POST", form,
                        {"Content-Type": "application/x-www-form-urlencoded"}, ca=self.server.ca)
        assert reply.status == 200, reply
        assert reply.headers["content-type"].startswith("application/x-pkcs12"), reply
        (self.folder / "identity.p12").write_bytes(reply.body)
        pem = self.folder / "identity.pem"
        pem.write_bytes(self.opened(invitation["code"], "-nodes"))
        self.identity = Identity(pem, pem)
        return self

    def opened(self, code, *words):
        return openssl("pkcs12", "-legacy", "-in", self.folder / "identity.p12", "-passin", f"pass:{code}", *words)

    # Requests

    def url(self, command=None):
        query = {"Cmd": command, "User": self.user, "DeviceId": self.ident, "DeviceType": "iPhone"}
        return self.server.public_url + "/Microsoft-Server-ActiveSync" + (f"?{urllib.parse.urlencode(query)}" if command else "")

    def headers(self, **more):
        word = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {word}", "User-Agent": "Apple-iPhone14C5/2207.86", **more}

    def options(self):
        return request(self.url(), "OPTIONS", None, self.headers(), self.identity, self.server.ca)

    def post(self, command, body, key=None):
        """One command; the policy key goes along unless it is `""`."""
        headers = self.headers(**{"MS-ASProtocolVersion": self.version, "Content-Type": TYPE})
        key = self.key if key is None else key
        if key:
            headers["X-MS-PolicyKey"] = key
        reply = request(self.url(command), "POST", body, headers, self.identity, self.server.ca)
        assert "content-length" in reply.headers or reply.headers.get("transfer-encoding") == "chunked", reply
        return reply

    def folder_sync(self, key=None):
        return self.post("FolderSync", wbxml.document((FOLDERS, 0x16, [(FOLDERS, 0x12, "0")])), key)

    def provision(self, content, key=None):
        """A Provision with that content; its answer's root."""
        reply = self.post("Provision", wbxml.document((PROVISION, 0x05, content)), key)
        assert reply.status == 200, reply
        assert reply.headers["content-type"].startswith(TYPE), reply
        root = wbxml.parse(reply.body)
        assert root[:2] == (PROVISION, 0x05), root
        return root

    # Provision

    def first_phase(self):
        """Asks for the policy, telling what device this is where the version wants it so."""
        model = (SETTINGS, 0x16, [(SETTINGS, 0x08, [(SETTINGS, 0x17, "iPhone14C5"), (SETTINGS, 0x19, "Mail peer"),
                                                    (SETTINGS, 0x1A, "iOS 18.6"), (SETTINGS, 0x20, "Apple-iPhone14C5/2207.86")])])
        about = [model] if float(self.version) >= 14.1 else []
        return self.provision([*about, policies((PROVISION, 0x08, POLICIES))], key="0")

    def second_phase(self, temporary, status="1", header=None):
        ack = policies((PROVISION, 0x08, POLICIES), (PROVISION, POLICY_KEY, temporary), (PROVISION, STATUS, status))
        return self.provision([ack], key=header or temporary)

    def provisioned(self):
        """Both phases; returns the policy document that came."""
        first = self.first_phase()
        assert statuses(first) == ["1", "1"], first
        temporary = wbxml.text(first, PROVISION, POLICY_KEY)
        [rules] = wbxml.find(first, PROVISION, 0x0D)
        second = self.second_phase(temporary)
        assert statuses(second) == ["1", "1"], second
        assert not wbxml.find(second, PROVISION, DATA), second
        self.key = wbxml.text(second, PROVISION, POLICY_KEY)
        assert self.key not in (None, "0", temporary), second
        return rules

    # Wipes

    def directives(self):
        """What an empty Provision is answered with: the tokens of the wipes that are due."""
        root = self.provision([])
        return [token for token in (REMOTE_WIPE, ACCOUNT_WIPE) if wbxml.find(root, PROVISION, token)]

    def acknowledge(self, token, status="1"):
        return self.provision([(PROVISION, token, [(PROVISION, STATUS, status)])])


def policies(*content):
    return (PROVISION, 0x06, [(PROVISION, 0x07, list(content))])


def statuses(root):
    """The root's status and the policy's, in this order."""
    return [element[2] for element in wbxml.find(root, PROVISION, STATUS)]
