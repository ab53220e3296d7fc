"""An iPhone as the Apple MDM server sees it: profile, SCEP, check-ins, the command channel.

It does what it is told and remembers what that was. Certificates come by Debian's scepclient.
"""

import concurrent.futures
import plistlib
import shutil
import tempfile
import uuid
from pathlib import Path

from harness import Api, Identity, Reply, openssl, request, tool

CHECK_IN = "application/x-apple-aspen-mdm-checkin"
RESULT = "application/x-apple-aspen-mdm"
MDM = "com.apple.mdm"
SCEP = "com.apple.security.scep"
PASSCODE = "com.apple.mobiledevice.passwordpolicy"


def unwrap(signed):
    """The property list inside a CMS signature; who signed is not judged here."""
    return plistlib.loads(openssl("cms", "-verify", "-noverify", "-inform", "DER", stdin=signed))


def profile_of(payload):
    """A profile as InstallProfile brings it: signed or not."""
    return plistlib.loads(payload) if payload.lstrip().startswith((b"<", b"bplist")) else unwrap(payload)


def payloads(profile, kind):
    return [payload for payload in profile["PayloadContent"] if payload["PayloadType"] == kind]


class BrokenOff(Exception):
    """The device was switched off in the midst of a command."""


class Refused(Exception):
    """The device answers Error."""

    def __init__(self, code, why):
        super().__init__(why)
        self.code = code


class AppleDevice:
    """One device; `commands` are those it was sent, newest last, as (RequestType, Command)."""

    def __init__(self, server, folder, name="iPhone"):
        self.server, self.folder, self.name = server, Path(folder), name
        self.udid = f"00008110-{uuid.uuid4().hex[:16].upper()}"
        self.serial = f"F{uuid.uuid4().hex[:11].upper()}"
        self.proxy = self.node = None
        self.token = uuid.uuid4().bytes * 2
        self.eas_identifier = uuid.uuid4().hex.upper()
        self.identity = Identity(self.folder / f"{self.serial}.pem", self.folder / f"{self.serial}.key")
        self.profile = None
        self.installed = {}
        self.commands = []
        self.enrolled = self.erased = self.supervised = False
        # Requests that it answers with an Error.
        self.refused = set()
        self.not_now = set()
        # A renewal of its identity: the profiles that came for one, where it breaks off ("SCEP": before, "check-in": after the
        # certificate is there), and whether it acknowledges by the former identity before it checks in by the new one.
        self.offered, self.breaks_off, self.acknowledges_first = [], None, False
        self.former = None
        self.magic = str(uuid.uuid4()).upper()

    # Enrolment

    def again(self):
        """An install that failed is begun again: iOS makes a new key, and forgets the former."""
        number = len(list(self.folder.glob("*.key"))) + 1
        self.identity = Identity(self.folder / f"{self.serial}-{number}.pem", self.folder / f"{self.serial}-{number}.key")
        return self

    def fetch(self, invitation):
        """Gets the enrolment profile that a person would open."""
        reply = request(invitation["url"] + "/profile", ca=self.server.ca)
        assert reply.status == 200, reply
        assert reply.headers["content-type"].startswith("application/x-apple-aspen-config"), reply
        self.profile = unwrap(reply.body)
        return self.profile

    def certificate(self):
        """Asks for the certificate as the profile says; an `AssertionError` holds scepclient's complaint."""
        payload = payloads(self.profile, SCEP)[0]["PayloadContent"]
        return scep(self.server.ca, payload["URL"], payload["Challenge"], self.identity, self.proxy)

    def enrol(self, invitation):
        self.fetch(invitation)
        self.certificate()
        for message in (self.authenticate(), self.token_update()):
            assert message.status == 200, message
        self.enrolled = True
        return self

    def mdm(self):
        return payloads(self.profile, MDM)[0]

    # Messages

    def check_in(self, kind, identity=None, **more):
        message = {"MessageType": kind, "UDID": self.udid, "Topic": self.mdm()["Topic"], **more}
        url = self.mdm().get("CheckInURL", self.mdm()["ServerURL"])
        return self.put(url, CHECK_IN, plistlib.dumps(message), identity or self.identity)

    def authenticate(self):
        return self.check_in(
            "Authenticate", DeviceName=self.name, Model="MLPF3", ModelName="iPhone", ProductName="iPhone14,5",
            OSVersion="18.6", BuildVersion="22G86", SerialNumber=self.serial,
        )

    def token_update(self):
        return self.check_in(
            "TokenUpdate", Token=self.token, PushMagic=self.magic, UnlockToken=b"unlock" * 8
        )

    def check_out(self):
        return self.check_in("CheckOut")

    def report(self, status, identity=None, **more):
        """Sends a status to the command channel; the reply may hold the next command."""
        message = {"Status": status, "UDID": self.udid, **more}
        return self.put(self.mdm()["ServerURL"], RESULT, plistlib.dumps(message), identity or self.identity)

    def put(self, url, kind, body, identity, **headers):
        headers["Content-Type"] = kind
        if identity == "none":
            identity = None
        if self.node:
            # As behind a balancer: the name is the same, another node answers.
            host = url.split("/")[2]
            url = url.replace(host, f"localhost:{self.node.device.rsplit(':', 1)[1]}", 1)
        return request(url, "PUT", body, headers, identity, self.server.ca)

    # Commands

    def poll(self):
        """Idle, then each command and its answer, until nothing is due. Returns the kinds of command that came."""
        came = []
        reply = self.report("Idle")
        while True:
            assert reply.status == 200, reply
            if not reply.body:
                return came
            order = plistlib.loads(reply.body)
            kind = order["Command"]["RequestType"]
            assert len(came) < 50, f"no end of commands: {came}"
            came.append(kind)
            self.commands.append((kind, order["Command"]))
            reply = self.answer(order["CommandUUID"], kind, order["Command"])
            if self.erased or not self.enrolled:
                return came

    def answer(self, ident, kind, command):
        """Does what the command says and reports on it."""
        act = getattr(self, f"do_{kind.lower()}", None)
        if act is None:
            chain = [{"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": f"Unknown: {kind}"}]
            return self.report("Error", CommandUUID=ident, ErrorChain=chain)
        if kind in self.refused:
            chain = [{"ErrorCode": 12024, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "Not now, not ever"}]
            return self.report("Error", CommandUUID=ident, ErrorChain=chain)
        if kind in self.not_now:
            return self.report("NotNow", CommandUUID=ident)
        try:
            result = act(command)
        except BrokenOff:
            # It is switched off in the midst of it, and knows nothing of the command when it is back.
            return Reply(200, {}, b"")
        except Refused as refused:
            chain = [{"ErrorCode": refused.code, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": str(refused)}]
            return self.report("Error", CommandUUID=ident, ErrorChain=chain)
        reply = self.report("Acknowledged", CommandUUID=ident, **result)
        if self.entering:
            self.enters()
        if kind == "RemoveProfile" and not self.enrolled:
            # With the enrolment profile gone the device says so, on the same identity, and forgets us.
            assert reply.status == 200, reply
            assert not reply.body, "nothing follows the end of an enrolment"
            return self.check_out()
        return reply

    def do_deviceinformation(self, command):
        known = {
            "UDID": self.udid, "SerialNumber": self.serial, "DeviceName": self.name, "OSVersion": "18.6",
            "BuildVersion": "22G86", "Model": "MLPF3", "ModelName": "iPhone", "ProductName": "iPhone14,5",
            "EASDeviceIdentifier": self.eas_identifier, "IsSupervised": self.supervised, "BatteryLevel": 0.5,
        }
        return {"QueryResponses": {query: known[query] for query in command.get("Queries", known) if query in known}}

    # What its user has for a passcode: one that "complies", "too short", "none".
    passcode = "complies"

    def do_securityinfo(self, command):
        complies = self.passcode == "complies"
        compliant = {"PasscodePresent": self.passcode != "none", "PasscodeCompliant": complies, "PasscodeCompliantWithProfiles": complies}
        return {"SecurityInfo": {**compliant, "HardwareEncryptionCaps": 3, "PasscodeLockGracePeriod": 0}}

    # False: it takes profiles, and lists none of them.
    lists = True

    def do_profilelist(self, command):
        if not self.lists:
            return {"ProfileList": []}
        listed = [{key: value for key, value in profile.items() if key != "PayloadContent"}
                  | {"IsManaged": True, "IsEncrypted": False, "PayloadContent": profile["PayloadContent"]}
                  for profile in self.installed.values()]
        return {"ProfileList": listed}

    def do_installprofile(self, command):
        profile = profile_of(command["Payload"])
        if profile["PayloadIdentifier"] == self.profile["PayloadIdentifier"]:
            return self.renew(profile)
        self.installed[profile["PayloadIdentifier"]] = profile
        return {}

    def renew(self, profile):
        """The enrolment profile anew: a device takes it where all that must not change is as it was, gets a certificate by it, and checks
        in under that."""
        self.offered.append(profile)
        new, old = payloads(profile, MDM)[0], self.mdm()
        kept = ("Topic", "ServerURL", "CheckInURL", "ServerCapabilities", "PayloadIdentifier", "PayloadUUID", "IdentityCertificateUUID")
        changed = [key for key in kept if new.get(key) != old.get(key)]
        if profile["PayloadUUID"] != self.profile["PayloadUUID"] or new["AccessRights"] & ~old["AccessRights"] or changed:
            raise Refused(4001, f"changed: {changed}, rights {old['AccessRights']} to {new['AccessRights']}")
        if self.breaks_off == "SCEP":
            raise BrokenOff
        payload = payloads(profile, SCEP)[0]["PayloadContent"]
        number = len(self.offered)
        identity = Identity(self.folder / f"{self.serial}-{number}.pem", self.folder / f"{self.serial}-{number}.key")
        try:
            scep(self.server.ca, payload["URL"], payload["Challenge"], identity, self.proxy)
        except AssertionError as refused:
            raise Refused(15002, "no certificate") from refused
        if self.breaks_off == "check-in":
            raise BrokenOff
        self.entering = (identity, profile)
        if not self.acknowledges_first:
            self.enters()
        return {}

    entering = None

    def enters(self):
        """Checks in by the identity that it has got."""
        (identity, profile), self.entering = self.entering, None
        self.former, self.identity, self.profile = self.identity, identity, profile
        for message in (self.authenticate(), self.token_update()):
            assert message.status == 200, message

    def do_removeprofile(self, command):
        if command["Identifier"] == self.profile["PayloadIdentifier"]:
            self.installed.clear()
            self.enrolled = False
        elif not self.keeps:
            self.installed.pop(command["Identifier"], None)
        return {}

    # Whether it says that a profile is gone and has it still.
    keeps = False

    def do_erasedevice(self, command):
        self.erased = True
        return {}

    def do_devicelock(self, command):
        return {"MessageResult": "Success"}

    def do_clearpasscode(self, command):
        assert command["UnlockToken"] == b"unlock" * 8
        return {}

    def do_restartdevice(self, command):
        return {}

    def do_settings(self, command):
        said = []
        for item in command["Settings"]:
            if item["Item"] == "DeviceName" and self.supervised:
                self.name = item["DeviceName"]
                said.append({"Status": "Acknowledged"})
            else:
                said.append({"Status": "Error", "ErrorChain": [
                    {"ErrorCode": 12026, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "Nicht betreut",
                     "USEnglishDescription": "Not supervised"}]})
        return {"Settings": said}

    def do_restrictions(self, command):
        return {"GlobalRestrictions": {}}

    def do_installedapplicationlist(self, command):
        return {"InstalledApplicationList": []}

    def do_managedapplicationlist(self, command):
        return {"ManagedApplicationList": {}}

    def do_certificatelist(self, command):
        return {"CertificateList": []}


def scep(ca, url, challenge, identity, proxy=None):
    """Debian's scepclient, unmodified. It leaves request and self-signed certificate beside the key and takes them for
    its own the next time, whatever key they are of: so each run gets a folder of its own. A key that is there is kept.
    """
    with tempfile.TemporaryDirectory(dir=identity.key.parent) as folder:
        key, certificate = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        if identity.key.exists():
            shutil.copy(identity.key, key)
        tool(
            ["scepclient", "-server-url", url, "-challenge", challenge, "-cn", identity.certificate.stem,
             "-organization", "Peers", "-keySize", "2048", "-private-key", key, "-certificate", certificate],
            environment={"SSL_CERT_FILE": str(ca), **({"HTTPS_PROXY": proxy} if proxy else {})}, folder=folder,
        )
        shutil.move(key, identity.key)
        shutil.move(certificate, identity.certificate)


def fleet(nodes, count):
    """Enrolled iPhones, in turn on each node; all of one key to save the time that keys take, each with a certificate of its own."""
    first = nodes.servers[0]
    key = nodes.folder / "fleet.key"
    # The form of key that scepclient reads.
    openssl("genrsa", "-traditional", "-out", key, "2048")
    api = Api(first, nodes.local(first))
    invitations = [
        api.done("POST", "invitations", {"channel": "apple", "user": f"u{number}@example.org"}) for number in range(count)
    ]

    def enrol(number):
        phone = AppleDevice(nodes.servers[number % len(nodes.servers)], nodes.folder, f"Phone {number}")
        phone.identity = Identity(phone.folder / f"{number}.pem", phone.folder / f"{number}.key")
        phone.identity.key.write_bytes(key.read_bytes())
        phone.enrol(invitations[number])
        phone.poll()
        return phone

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(enrol, range(count)))
