"""A Windows 11 PC as the server sees it: MS-MDE2 enrolment, then OMA-DM sessions in XML over mutual TLS.

Messages have the shape that a real one (25H2, build 26200) was seen to send. Policies land in a tree of nodes, from
which they are read back.
"""

import base64
import itertools
import re
import urllib.parse
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from harness import Identity, openssl, request

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
USERNAME_TOKEN = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"
TRUST = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
CONTEXT = "http://schemas.xmlsoap.org/ws/2006/12/authorization"
ENROLMENT = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment"
POLICY = "http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy"
DISCOVERY = "http://schemas.microsoft.com/windows/management/2012/01/enrollment"
DEVICE_TOKEN = "http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/DeviceEnrollmentToken"

SYNCML = "SYNCML:SYNCML1.2"
DM = "application/vnd.syncml.dm+xml; charset=utf-8"
UNENROLLED = "com.microsoft:mdm.unenrollment.userrequest"


class SoapFault(Exception):
    """A fault, with the local name of its subcode (`Authentication`)."""

    def __init__(self, subcode, reply):
        super().__init__(f"{subcode}: {reply}")
        self.subcode, self.reply = subcode, reply


def local(element):
    return element.tag.rpartition("}")[2]


def find(element, name):
    """The first element of that local name, at any depth."""
    return next((each for each in element.iter() if local(each) == name), None)


def text(element, name):
    found = find(element, name)
    return None if found is None else (found.text or "").strip()


def child(element, name):
    return next((each for each in element if local(each) == name), None)


@dataclass
class Provisioning:
    """What the wap-provisioningdoc says, as {path of characteristics: {parm: value}}."""

    nodes: dict = field(default_factory=dict)

    @classmethod
    def parse(cls, document):
        root = ET.fromstring(document)
        assert (root.tag, root.get("version")) == ("wap-provisioningdoc", "1.1"), document
        made = cls()
        made.walk(root, ())
        return made

    def walk(self, element, path):
        for each in element:
            if each.tag == "characteristic":
                below = (*path, each.get("type"))
                self.nodes.setdefault(below, {})
                self.walk(each, below)
            elif each.tag == "parm":
                self.nodes.setdefault(path, {})[each.get("name")] = each.get("value", "")

    def below(self, *path):
        return {node: parms for node, parms in self.nodes.items() if node[: len(path)] == path}

    def certificate(self, *path):
        """DER of the one certificate below a store, whose folder is named by its SHA-1."""
        found = [(node, parms["EncodedCertificate"]) for node, parms in self.below(*path).items() if "EncodedCertificate" in parms]
        assert len(found) == 1, (path, list(self.nodes))
        return base64.b64decode(found[0][1]), found[0][0][-1]


class WindowsDevice:
    """One PC; `commands` are those it was sent, newest last, as (verb, LocURI, data)."""

    def __init__(self, server, folder, name="DESKTOP-PEER"):
        self.server, self.folder, self.name = server, Path(folder), name
        self.ident = uuid.uuid4().hex.upper()
        self.serial = uuid.uuid4().hex[:10].upper()
        self.identity = Identity(self.folder / "windows.pem", self.folder / "windows.key")
        self.provisioning = None
        self.session = 0
        self.commands = []
        self.wiped = self.unenrolled = False
        # What it refuses: (verb, part of a LocURI) and the status; and whose nodes its sessions are for (user, device), where it says so.
        self.refused = {}
        self.sync_type = None
        # Servers that answer in turn, message by message, as behind a balancer; none: the one that the account names.
        self.nodes = []
        self.tree = {
            "DevInfo/DevId": self.ident, "DevInfo/Man": "Peer", "DevInfo/Mod": "Conformance", "DevInfo/DmV": "1.3",
            "DevInfo/Lang": "en-US", "DevDetail/DevTyp": "Desktop", "DevDetail/OEM": "Peer", "DevDetail/FwV": "1.0",
            "DevDetail/SwV": "10.0.26200.9278", "DevDetail/HwV": "1.0", "DevDetail/LrgObj": "false",
            "DevDetail/Ext/Microsoft/DeviceName": name, "DevDetail/Ext/Microsoft/OSPlatform": "Windows 11 Enterprise",
            "DevDetail/Ext/Microsoft/SMBIOSSerialNumber": self.serial,
            "Vendor/MSFT/DeviceStatus/OS/Edition": "4", "Vendor/MSFT/DeviceStatus/Compliance/EncryptionCompliance": "1",
        }

    # Enrolment

    def envelope(self, url, action, body, security="", message=None):
        """The bytes of one SOAP request."""
        return (
            f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:wsse="{WSSE}" xmlns:u="{WSU}" xmlns:wst="{TRUST}"'
            f' xmlns:ac="{CONTEXT}"><s:Header><a:Action s:mustUnderstand="1">{action}</a:Action>'
            f"<a:MessageID>urn:uuid:{message or uuid.uuid4()}</a:MessageID>"
            "<a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo>"
            f'<a:To s:mustUnderstand="1">{escape(url)}</a:To>{security}</s:Header><s:Body>{body}</s:Body></s:Envelope>'
        ).encode()

    def soap(self, url, action, body, security=""):
        """One SOAP call; answers its envelope, or raises the fault."""
        message = uuid.uuid4()
        envelope = self.envelope(url, action, body, security, message)
        reply = request(url, "POST", envelope, {"Content-Type": "application/soap+xml; charset=utf-8"}, ca=self.server.ca)
        assert_whole(reply)
        root = ET.fromstring(reply.body)
        fault = find(root, "Fault")
        if fault is not None:
            assert reply.status == 500, reply
            raise SoapFault(text(find(fault, "Subcode"), "Value").rpartition(":")[2], reply)
        assert reply.status == 200, reply
        assert reply.headers["content-type"].startswith("application/soap+xml"), reply
        assert text(root, "RelatesTo") == f"urn:uuid:{message}", reply
        return root

    def discover(self, user):
        url = self.server.enrol_url + "/EnrollmentServer/Discovery.svc"
        first = request(url, ca=self.server.ca)
        assert (first.status, first.body) == (200, b""), first
        assert_whole(first)
        policies = "".join(f"<AuthPolicy>{each}</AuthPolicy>" for each in ("OnPremise", "Federated"))
        body = (
            f'<Discover xmlns="{DISCOVERY}"><request><EmailAddress>{escape(user)}</EmailAddress>'
            "<RequestVersion>9.0</RequestVersion><DeviceType>CIMClient_Windows</DeviceType>"
            "<ApplicationVersion>10.0.26200.9278</ApplicationVersion><OSEdition>4</OSEdition>"
            f"<AuthPolicies>{policies}</AuthPolicies></request></Discover>"
        )
        root = self.soap(url, f"{DISCOVERY}/IDiscoveryService/Discover", body)
        assert text(root, "AuthPolicy") == "OnPremise"
        assert float(text(root, "EnrollmentVersion")) <= 9.0
        return text(root, "EnrollmentPolicyServiceUrl"), text(root, "EnrollmentServiceUrl")

    def security(self, user, code):
        return (
            '<wsse:Security s:mustUnderstand="1"><wsse:UsernameToken u:Id="uuid-1">'
            f"<wsse:Username>{escape(user)}</wsse:Username>"
            f'<wsse:Password Type="{USERNAME_TOKEN}">{escape(code)}</wsse:Password></wsse:UsernameToken></wsse:Security>'
        )

    def get_policies(self, url, user, code):
        body = (
            f'<GetPolicies xmlns="{POLICY}"><client><lastUpdate xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
            'i:nil="true"/><preferredLanguage i:nil="true" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"/></client>'
            '<requestFilter i:nil="true" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"/></GetPolicies>'
        )
        root = self.soap(url, f"{POLICY}/IPolicy/GetPolicies", body, self.security(user, code))
        assert text(root, "policySchema") == "3"
        assert int(text(root, "minimalKeyLength")) >= 2048
        return root

    def request_token(self, url, user, code, csr=None):
        csr = csr if csr is not None else self.csr()
        lines = base64.encodebytes(csr).decode()
        items = {
            "UXInitiated": "true", "HWDevID": uuid.uuid5(uuid.NAMESPACE_OID, self.ident).hex.upper() * 2, "Locale": "en-US",
            "TargetedUserLoggedIn": "true", "OSEdition": "4", "DeviceName": self.name, "DeviceID": self.ident,
            "EnrollmentType": "Full", "DeviceType": "CIMClient_Windows", "OSVersion": "10.0.26200.9278",
            "ApplicationVersion": "10.0.26200.9278", "NotInOobe": "true", "RequestVersion": "3.0",
        }
        pairs = [*items.items(), ("MAC", "00-00-5E-00-53-01"), ("MAC", "00-00-5E-00-53-02")]
        context = "".join(
            f'<ac:ContextItem Name="{key}"><ac:Value>{escape(value)}</ac:Value></ac:ContextItem>' for key, value in pairs
        )
        body = (
            f"<wst:RequestSecurityToken><wst:TokenType>{DEVICE_TOKEN}</wst:TokenType>"
            f"<wst:RequestType>{TRUST}/Issue</wst:RequestType>"
            f'<wsse:BinarySecurityToken ValueType="{ENROLMENT}#PKCS10" EncodingType="{WSSE}#base64binary">{lines}'
            f'</wsse:BinarySecurityToken><ac:AdditionalContext>{context}</ac:AdditionalContext></wst:RequestSecurityToken>'
        )
        return self.soap(url, f"{ENROLMENT}/RST/wstep", body, self.security(user, code))

    def csr(self):
        """As Windows 11 asks: a name of 30 characters, `!` and the DeviceID, of which nothing may end up in the certificate."""
        return openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={str(uuid.uuid4())[:30]}!{self.ident}",
                       "-keyout", self.identity.key, "-outform", "DER")

    def enrol(self, invitation):
        """All of it: discovery, policies, certificate, provisioning document."""
        user, code = invitation["user"], invitation["code"]
        policy_url, service_url = self.discover(user)
        self.get_policies(policy_url, user, code)
        root = self.request_token(service_url, user, code)
        token = next(each for each in root.iter() if local(each) == "BinarySecurityToken")
        assert token.get("ValueType").endswith("DeviceEnrollmentProvisionDoc"), token.attrib
        self.provisioning = Provisioning.parse(base64.b64decode(token.text))
        der, _ = self.provisioning.certificate("CertificateStore", "My", "User")
        self.identity.certificate.write_bytes(openssl("x509", "-inform", "DER", stdin=der))
        return self

    def application(self):
        return self.provisioning.nodes[("APPLICATION",)]

    # Sessions

    def connect(self, unenrolling=False, identity=None, source=None):
        """A whole session: package 1, then answers until the server has nothing more. Returns the commands that came."""
        self.session += 1
        number, came = 1, []
        body = self.package_one(unenrolling)
        while True:
            reply = self.post(self.message(number, body, source), identity)
            assert reply.status == 200, reply
            orders = self.orders(reply)
            if not orders:
                return came
            came += [(verb, path, data) for _, verb, path, data, _ in orders]
            self.commands += came[-len(orders):]
            assert number < 30, f"no end of commands: {came}"
            answers = self.answer(orders)
            if answers is None:
                return came  # unenrolled: the session is broken off
            number, body = number + 1, answers

    def post(self, message, identity=None):
        url = self.application()["ADDR"]
        if self.nodes:
            self.nodes.append(self.nodes.pop(0))
            url = url.replace(url.split("/")[2], f"localhost:{self.nodes[-1].device.rsplit(':', 1)[1]}", 1)
        separator = "&" if urllib.parse.urlsplit(url).query else "?"
        headers = {"Content-Type": DM, "User-Agent": "MSFT OMA DM Client/1.2.0.1", "Accept": "application/vnd.syncml.dm+xml"}
        identity = None if identity == "none" else identity or self.identity
        reply = request(f"{url}{separator}mode=Maintenance&Platform=WoA", "POST", message, headers, identity, self.server.ca)
        assert_whole(reply)
        return reply

    def message(self, number, body, source=None):
        return (
            f'<SyncML xmlns="{SYNCML}"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>'
            f"<SessionID>{self.session}</SessionID><MsgID>{number}</MsgID>"
            f"<Target><LocURI>{escape(self.application()['ADDR'])}</LocURI></Target>"
            f"<Source><LocURI>{source or self.ident}</LocURI></Source></SyncHdr>"
            f"<SyncBody>{body}<Final/></SyncBody></SyncML>"
        ).encode()

    def package_one(self, unenrolling):
        alert = (
            '<Alert><CmdID>4</CmdID><Data>1226</Data><Item><Meta><Type xmlns="syncml:metinf">' + UNENROLLED + "</Type>"
            '<Format xmlns="syncml:metinf">int</Format><Mark xmlns="syncml:metinf">critical</Mark></Meta><Data>1</Data></Item></Alert>'
        )
        info = "".join(
            f"<Item><Source><LocURI>./{path}</LocURI></Source><Data>{escape(value)}</Data></Item>"
            for path, value in self.tree.items() if path.startswith("DevInfo/")
        )
        return (
            "<Alert><CmdID>2</CmdID><Data>1201</Data></Alert>"
            '<Alert><CmdID>3</CmdID><Data>1224</Data><Item><Meta><Type xmlns="syncml:metinf">com.microsoft/MDM/LoginStatus</Type>'
            f"</Meta><Data>user</Data></Item></Alert>{self.scope()}{alert if unenrolling else ''}<Replace><CmdID>5</CmdID>{info}</Replace>"
        )

    def scope(self):
        if not self.sync_type:
            return ""
        return (
            "<Alert><CmdID>6</CmdID><Data>1224</Data><Item><Type>com.microsoft.mdm.SyncType</Type>"
            f"<Data>{self.sync_type}</Data></Item></Alert>"
        )

    def orders(self, reply):
        """The commands in the server's message, in order, those inside Atomic and Sequence too."""
        root = ET.fromstring(reply.body)
        assert local(root) == "SyncML", reply
        header, body = child(root, "SyncHdr"), child(root, "SyncBody")
        assert text(header, "SessionID") == str(self.session), reply
        assert same_name(text(child(header, "Target"), "LocURI"), self.ident), reply
        self.server_message = text(header, "MsgID")
        statuses = [each for each in body if local(each) == "Status"]
        assert statuses and text(statuses[0], "CmdRef") == "0", "the header's status comes first"
        self.header_status = text(statuses[0], "Data")
        assert child(body, "Final") is not None, reply
        found, self.atomics = [], {}
        for each in body:
            if local(each) in ("Add", "Replace", "Get", "Exec", "Delete", "Atomic", "Sequence"):
                found += self.flatten(each, None)
        return found

    def flatten(self, command, parent):
        ident, verb = text(child(command, "CmdID"), "CmdID"), local(command)
        if verb in ("Atomic", "Sequence"):
            inner = [each for each in command if local(each) in ("Add", "Replace", "Get", "Exec", "Delete")]
            assert not (verb == "Atomic" and any(local(each) == "Get" for each in inner)), "Windows refuses a Get in an Atomic"
            rows = [row for each in inner for row in self.flatten(each, ident)]
            if verb == "Atomic":
                self.atomics[ident] = rows
            return [(ident, verb, None, None, 1)] + rows
        items = [each for each in command if local(each) == "Item"]
        assert len(items) == 1, "clients that know Intune alone break on several Items in one command"
        rows = []
        for item in items:
            path = text(child(item, "Target"), "LocURI")
            assert not path.startswith("/"), path
            data = child(item, "Data")
            rows.append((ident, verb, path, None if data is None else (data.text or ""), len(items)))
        return rows

    # Parts of paths: asked for one of them it breaks the session off (1223).
    breaks_over = ()

    def answer(self, orders):
        """A status for the header and each item, then what a Get has read, command by command; `None` where the session
        ends here."""
        parts = [("0", "SyncHdr", None, 200)]
        if any(verb == "Get" and part in path for _, verb, path, _, _ in orders for part in self.breaks_over):
            return self.status(1, *parts[0]) + "<Alert><CmdID>2</CmdID><Data>1223</Data></Alert>"
        failed = self.failed_atomics()
        for (ref, verb), rows in itertools.groupby(orders, key=lambda row: row[:2]):
            read = []
            for _, _, path, data, items in rows:
                code, value = (200, None) if path is None else self.carry_out(verb, path, data) if ref not in failed else (None, None)
                code = failed.get(ref, code)
                if code is None:
                    return None
                parts.append((ref, verb, path if items > 1 else None, code))
                read += [(path, value)] if value is not None else []
            parts += [(ref, read)] if read else []
        numbered = enumerate(parts, 1)
        return "".join(self.status(n, *part) if len(part) == 4 else self.results(n, *part) for n, part in numbered)

    def failed_atomics(self):
        """What is answered to each Atomic of which something is refused, and to what is in it: nothing of it is done."""
        codes = {}
        for ident, rows in self.atomics.items():
            refused = [self.is_refused(verb, path) for _, verb, path, _, _ in rows]
            if any(refused):
                first = next(number for number, code in enumerate(refused) if code)
                codes[ident] = 507
                codes.update({row[0]: refused[first] if n == first else 216 if n < first else 215 for n, row in enumerate(rows)})
        return codes

    def is_refused(self, verb, path):
        return next((code for (refused, part), code in self.refused.items() if refused == verb and part in path), None)

    def results(self, ident, ref, read):
        items = "".join(
            f"<Item><Source><LocURI>{escape(path)}</LocURI></Source>{self.format_of(value)}<Data>{escape(value)}</Data></Item>"
            for path, value in read
        )
        return f"<Results><CmdID>{ident}</CmdID><MsgRef>{self.server_message}</MsgRef><CmdRef>{ref}</CmdRef>{items}</Results>"

    def status(self, ident, ref, verb, target, code):
        target = f"<TargetRef>{escape(target)}</TargetRef>" if target else ""
        return (
            f"<Status><CmdID>{ident}</CmdID><MsgRef>{self.server_message}</MsgRef><CmdRef>{ref}</CmdRef><Cmd>{verb}</Cmd>"
            f"{target}<Data>{code}</Data></Status>"
        )

    def format_of(self, value):
        if not re.fullmatch(r"-?\d+", value):
            return ""  # chr is the default, and is left out
        return '<Meta><Format xmlns="syncml:metinf">int</Format></Meta>'

    def carry_out(self, verb, path, data):
        """(status, value read); (None, None) where the device breaks off instead of answering."""
        if self.sync_type and path.startswith("./User/") != (self.sync_type == "user"):
            return 405, None
        node = re.sub(r"^\./((Device|User)/)?", "", path)
        if self.is_refused(verb, path):
            return self.is_refused(verb, path), None
        if verb == "Exec" and node.startswith("Vendor/MSFT/RemoteWipe/"):
            self.wiped = True
            return 200, None
        if verb == "Exec" and re.fullmatch(r"Vendor/MSFT/DMClient/(Provider/[^/]+/)?Unenroll", node):
            self.unenrolled = True
            return None, None
        if verb in ("Add", "Replace"):
            if verb == "Add" and node in self.tree:
                return 418, None
            if verb == "Replace" and "/WiFi/Profile/" in node and node not in self.tree:
                return 404, None
            self.tree[node] = data or ""
            return 200, None
        if verb == "Delete":
            if "/RootCATrustedCertificates/" in node and node.endswith("/EncodedCertificate"):
                return 405, None
            gone = [known for known in self.tree if known == node or known.startswith(node + "/")]
            for known in gone:
                del self.tree[known]
            return (200 if gone else 404), None
        if verb == "Get":
            # What the device enforces is what was set, since nothing else sets anything here.
            value = self.tree.get(node, self.tree.get(node.replace("Policy/Result/", "Policy/Config/")))
            return (200, value) if value is not None else (404, None)
        return 405, None


def same_name(one, other):
    return (one or "").lower() == (other or "").lower()


def assert_whole(reply):
    """Windows takes no chunked answers."""
    assert "transfer-encoding" not in reply.headers, reply
    assert reply.headers.get("content-length") == str(len(reply.body)), reply
