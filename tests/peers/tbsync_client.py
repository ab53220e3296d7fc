"""EAS-4-TbSync's conversation with a server (Thunderbird's ActiveSync add-on 5.3.4), replayed as facts: which requests it makes, in which order, with
which headers and elements. Written anew from what it sends; no code of it is here.

A connect: OPTIONS; what it says of the device (Settings before 14.1, in Provision from then on, never at 2.5); FolderSync; its user's address
(Settings); then each collection with SyncKey 0, an estimate, and the Sync that brings items. It sends no policy key at all until it was told to
provision (449, or 141 to 144), then `0`, then whatever it was given last. Told so, it provisions once and repeats the request; told again it gives
up. A Provision that says "no policy", or gives no key, ends the connect.
"""

import wbxml
from harness import request
from mail_client import DATA, FOLDERS, POLICY_KEY, PROVISION, SETTINGS, STATUS, MailClient, policies

SYNC, ESTIMATE, BASE = 0, 6, 17
AGENT = "Thunderbird ActiveSync"
# In this order; it knows no 12.1 and no 16.0.
VERSIONS = ("16.1", "14.1", "14.0", "2.5")
EMBEDS_INFORMATION = ("14.1", "16.1")
CHALLENGES = ("141", "142", "143", "144")
CONTACTS, CALENDAR, TASKS = "9", "8", "7"
CLASSES = {CONTACTS: "Contacts", CALENDAR: "Calendar", TASKS: "Tasks"}


class GivesUp(Exception):
    """The connect ends with an error at the user's screen."""


class Challenged(Exception):
    """It is told to provision."""


class TbSync(MailClient):
    """One account of the add-on. `version` is set by what it is offered, as long as none is forced upon it."""

    def __init__(self, server, folder, user, password, version=None):
        super().__init__(server, folder, user, password, version)
        self.ident = f"MZTB{self.ident[4:].lower()}"
        self.key, self.commands, self.said, self.synced = None, [], [], {}

    def url(self, command=None):
        return super().url(command).replace("DeviceType=iPhone", "DeviceType=TbSync")

    def headers(self, **more):
        return {**super().headers(**more), "User-Agent": AGENT}

    def ask(self, command, body):
        """One request; the root of its answer, `None` where that is empty."""
        self.said.append((command, self.key))
        reply = self.post(command, body, self.key or "")
        if reply.status == 449:
            raise Challenged
        if reply.status != 200:
            raise GivesUp(f"{command}: {reply}")
        return wbxml.parse(reply.body) if reply.body else None

    # A connect

    def connect(self):
        """All that it does until it has what the user wants; the folders that it was shown, as (ServerId, type)."""
        self.probe()
        self.or_provision(self.introduce)
        folders = self.or_provision(self.folder_list)
        self.learn_address()
        for ident, kind in folders:
            if kind in CLASSES:
                self.fill(ident, kind)
        return folders

    def probe(self):
        reply = request(self.url(), "OPTIONS", None, self.headers(), self.identity, self.server.ca)
        if reply.status != 200:
            raise GivesUp(f"OPTIONS: {reply}")
        offered = reply.headers["ms-asprotocolversions"].split(",")
        self.version = self.version or next(version for version in VERSIONS if version in offered)
        self.commands = reply.headers["ms-asprotocolcommands"].split(",")

    def or_provision(self, step):
        try:
            return step()
        except Challenged:
            self.provision_anew()
            return step()

    # Who it is

    def information(self):
        return (SETTINGS, 0x16, [(SETTINGS, 0x08, [
            (SETTINGS, 0x17, "Computer"), (SETTINGS, 0x19, f"TbSync on Device {self.ident[4:]}"), (SETTINGS, 0x1A, "Linux"),
            (SETTINGS, 0x20, AGENT)])])

    def introduce(self):
        if self.version == "2.5" or self.version in EMBEDS_INFORMATION or "Settings" not in self.commands:
            return
        root = self.ask("Settings", wbxml.document((SETTINGS, 0x05, [self.information()])))
        status = wbxml.text(root, SETTINGS, 0x06)
        if status in CHALLENGES:
            raise Challenged
        if status != "1":
            raise GivesUp(root)

    def learn_address(self):
        """What goes wrong here is asked again another day."""
        if self.version == "2.5" or "Settings" not in self.commands:
            return
        try:
            self.ask("Settings", wbxml.document((SETTINGS, 0x05, [(SETTINGS, 0x1D, [(SETTINGS, 0x07, [])])])))
        except (Challenged, GivesUp):
            pass

    # Provision

    def provision_anew(self):
        kind = "MS-WAP-Provisioning-XML" if self.version == "2.5" else "MS-EAS-Provisioning-WBXML"
        self.key = "0"
        about = [self.information()] if self.version in EMBEDS_INFORMATION else []
        first = self.step([*about, policies((PROVISION, 0x08, kind))])
        if wbxml.text(wbxml.find(first, PROVISION, 0x07)[0], PROVISION, STATUS) != "1":
            raise GivesUp(f"no policy: {first}")
        # The key that is to be acknowledged goes into the header too.
        self.key = wbxml.text(first, PROVISION, POLICY_KEY)
        self.policy = wbxml.find(first, PROVISION, DATA)
        second = self.step([policies((PROVISION, 0x08, kind), (PROVISION, POLICY_KEY, self.key), (PROVISION, STATUS, "1"))])
        self.key = wbxml.text(second, PROVISION, POLICY_KEY)
        self.introduce()

    def step(self, content):
        root = self.ask("Provision", wbxml.document((PROVISION, 0x05, content)))
        if root is None or wbxml.text(root, PROVISION, STATUS) != "1" or not wbxml.text(root, PROVISION, POLICY_KEY):
            raise GivesUp(f"Provision: {root}")
        return root

    # Folders and items

    def folder_list(self):
        root = self.ask("FolderSync", wbxml.document((FOLDERS, 0x16, [(FOLDERS, 0x12, "0")])))
        status = wbxml.text(root, FOLDERS, 0x0C)
        if status in CHALLENGES:
            raise Challenged
        if status != "1" or not wbxml.text(root, FOLDERS, 0x12):
            raise GivesUp(f"FolderSync: {root}")
        added = wbxml.find(root, FOLDERS, 0x0F)
        return [(wbxml.text(add, FOLDERS, 0x08), wbxml.text(add, FOLDERS, 0x0A)) for add in added]

    def fill(self, ident, kind):
        """A folder that was never synchronised: a first key, an estimate, the items."""
        kindly = [(SYNC, 0x10, CLASSES[kind])] if self.version == "2.5" else []
        first = self.ask("Sync", collection([*kindly, (SYNC, 0x0B, "0"), (SYNC, 0x12, ident)]))
        key = self.key_of(first)
        self.estimate(ident, kind, key)
        second = self.ask("Sync", collection([
            *kindly, (SYNC, 0x0B, key), (SYNC, 0x12, ident), (SYNC, 0x1E, []), (SYNC, 0x13, []), (SYNC, 0x15, "25"), *self.options(kind)]))
        self.synced[kind] = self.key_of(second) if second else key

    def options(self, kind):
        window = [(SYNC, 0x18, "0")] if kind == CALENDAR else []
        if self.version == "2.5":
            return [(SYNC, 0x17, window)] if window else []
        plain = (BASE, 0x05, [(BASE, 0x06, "1")])
        return [(SYNC, 0x17, [*window, (SYNC, 0x10, CLASSES[kind]), (SYNC, 0x1B, "1"), plain])]

    def estimate(self, ident, kind, key):
        if "GetItemEstimate" not in self.commands:
            return
        if self.version == "2.5":
            content = [(ESTIMATE, 0x09, CLASSES[kind]), (ESTIMATE, 0x0A, ident), (SYNC, 0x18, "0"), (SYNC, 0x0B, key)]
        else:
            options = (SYNC, 0x17, [(SYNC, 0x10, CLASSES[kind])])
            content = [(SYNC, 0x0B, key), (ESTIMATE, 0x0A, ident), options]
        root = self.ask("GetItemEstimate", wbxml.document((ESTIMATE, 0x05, [(ESTIMATE, 0x07, [(ESTIMATE, 0x08, content)])])))
        if root is None:
            raise GivesUp("GetItemEstimate is not answered")

    @staticmethod
    def key_of(root):
        if root is None or wbxml.text(root, SYNC, 0x0E) != "1":
            raise GivesUp(f"Sync: {root}")
        return wbxml.text(root, SYNC, 0x0B)


def collection(content):
    return wbxml.document((SYNC, 0x05, [(SYNC, 0x1C, [(SYNC, 0x0F, content)])]))
