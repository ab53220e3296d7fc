"""An Exchange organisation in memory: mailboxes, the partnerships of their mobile clients, and the cmdlets that a connector may call.

It follows Microsoft's cmdlet reference and shares no code with the connector. Every cmdlet is noted with its time, and so is what nobody
should do (`sins`). The phones are here too (`Phone`): they fetch a wipe and acknowledge it, unless they are blocked.
"""

import dataclasses
import datetime
import threading
import uuid
from dataclasses import dataclass, field

from opath import Wrong

UTC = datetime.timezone.utc
PLAIN_RESULTS = 1000


def now():
    return datetime.datetime.now(UTC)


class Refusal(Exception):
    """A cmdlet that fails. `type` is the .NET exception's name, as error documents have it."""

    def __init__(self, kind, category, text):
        super().__init__(text)
        self.type, self.category, self.text = kind, category, text


def absent(what):
    return Refusal("Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException", "ObjectNotFound",
                   f"The operation couldn't be performed because object '{what}' couldn't be found on 'dc1.example.org'.")


def wrong(text):
    return Refusal("System.Management.Automation.ParameterBindingException", "InvalidArgument", text)


def refused(text):
    return Refusal("Microsoft.Exchange.Management.AirSync.MobileDeviceTaskException", "InvalidOperation", text)


@dataclass
class Call:
    """One cmdlet that came. `failed`: the exception's type."""

    time: datetime.datetime
    name: str
    parameters: dict
    failed: str = None


@dataclass
class Access:
    """What a mailbox says of ActiveSync, as it was from `since` on."""

    since: datetime.datetime
    allowed: tuple = ()
    blocked: tuple = ()
    enabled: bool = True
    policy: str = "Default"


@dataclass(eq=False)
class Mailbox:
    """A user's mailbox. Its past is kept as long as replication may lag."""

    alias: str
    domain: str
    object_guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    past: list = field(default_factory=list)
    devices: list = field(default_factory=list)

    @property
    def address(self):
        return f"{self.alias}@{self.domain}"

    @property
    def dn(self):
        return f"CN={self.alias},OU=example,DC=example,DC=org"

    def names(self):
        return {name.lower() for name in (self.alias, self.address, self.guid, self.object_guid, self.dn, f"example.org/example/{self.alias}")}


@dataclass(eq=False)
class Device:
    """A device object below its mailbox."""

    mailbox: Mailbox
    device_id: str
    type: str = "iPhone"
    client: str = "EAS"
    version: str = "16.1"
    model: str = "iPhone14C5"
    os: str = "iOS 18.6 22G86"
    agent: str = "Apple-iPhone14C5/2207.86"
    name: str = None
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    first_sync: datetime.datetime = field(default_factory=now)
    last_sync: datetime.datetime = field(default_factory=now)
    discovering: bool = False
    # Whether it keeps to a mailbox policy that it is told.
    provisions: bool = True
    # requested, sent, acked: of the phone, of the account alone.
    wipe: dict = field(default_factory=dict)
    account_wipe: dict = field(default_factory=dict)

    @property
    def identity(self):
        return f"{self.mailbox.alias}\\ExchangeActiveSyncDevices\\{self.type}§{self.device_id}"

    @property
    def dn(self):
        return f"CN={self.type}§{self.device_id},CN=ExchangeActiveSyncDevices,{self.mailbox.dn}"

    def status(self):
        for times, before in ((self.wipe, ""), (self.account_wipe, "AccountOnly")):
            if "acked" in times:
                return f"{before}DeviceWipeSucceeded"
            if "requested" in times:
                return f"{before}DeviceWipePending"
        return "DeviceOk"


@dataclass
class Rule:
    """A device access rule: compared by the whole text, without wildcards."""

    characteristic: str
    query: str
    level: str
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def name(self):
        return f"{self.query} ({self.characteristic})"

    def fits(self, device):
        have = {"DeviceModel": device.model, "DeviceType": device.type, "DeviceOS": device.os, "UserAgent": device.agent}
        return have.get(self.characteristic) == self.query


STATES = {"Allow": "Allowed", "Block": "Blocked", "Quarantine": "Quarantined"}
DEVICE_FILTERS = ("ClientType", "DeviceAccessState", "DeviceAccessStateReason", "DeviceAccessControlRule", "DeviceActiveSyncVersion", "DeviceId",
                  "DeviceImei", "DeviceModel", "DeviceOS", "DeviceType", "DeviceUserAgent", "FirstSyncTime", "FriendlyName", "UserDisplayName")
MAILBOX_FILTERS = ("HasActiveSyncDevicePartnership", "WhenChangedUTC", "WhenChanged", "Name", "PrimarySmtpAddress", "Guid", "ExchangeGuid",
                   "ActiveSyncEnabled", "DisplayName", "Alias")


class Organisation:
    """`lag`: seconds until a change of a mailbox is seen by who reads (replication); who writes edits the newest."""

    def __init__(self, default="Quarantine", lag=0.0):
        self.guid, self.default, self.lag = str(uuid.uuid4()), default, lag
        self.mailboxes, self.devices, self.rules, self.policies = [], {}, [], {"Default": {"IsDefault": True}}
        self.by_name, self.calls, self.sins, self.lock = {}, [], [], threading.RLock()
        self.settings = {"AdminMailRecipients": [], "UserMailInsert": "", "OtaNotificationMailInsert": ""}
        self.requestor = "app@example.org"
        # As Learn's caution has it: who asks for what is not there gets everything.
        self.all_for_absent = False
        self.warnings = []
        from exchange_cmdlets import Cmdlets  # which needs the names above
        self.cmdlets = Cmdlets(self)

    # What a test does to it

    def mailbox(self, alias, domain="example.org"):
        made = Mailbox(alias, domain)
        made.past.append(Access(now()))
        self.mailboxes.append(made)
        for name in made.names():
            self.by_name[name] = made
        return made

    def device(self, mailbox, device_id, **more):
        with self.lock:
            made = Device(mailbox, device_id, **more)
            self.devices[made.guid] = made
            mailbox.devices.append(made)
            return made

    def fill(self, mailboxes, devices):
        """So many mailboxes, and over them so many partnerships; the same names each time."""
        for number in range(mailboxes):
            self.mailbox(f"user{number:05}")
        for number in range(devices):
            self.device(self.mailboxes[number % mailboxes], f"F{number:031X}", first_sync=now() - datetime.timedelta(days=30))

    def forget(self, device):
        with self.lock:
            self.devices.pop(device.guid, None)
            if device in device.mailbox.devices:
                device.mailbox.devices.remove(device)

    def edit(self, mailbox, **changes):
        """A change of a mailbox, by whom ever; noted as now."""
        with self.lock:
            latest = mailbox.past[-1]
            mailbox.past = [*mailbox.past[-8:], dataclasses.replace(latest, since=now(), **changes)]

    # What can be read

    def seen(self, mailbox):
        """The mailbox as who reads sees it now."""
        if not self.lag:
            return mailbox.past[-1]
        limit = now() - datetime.timedelta(seconds=self.lag)
        return next((access for access in reversed(mailbox.past) if access.since <= limit), mailbox.past[0])

    def access(self, device, lists=None):
        """State, reason and rule in Exchange's own order: ActiveSyncEnabled, policy, blocked, allowed, rules (block, quarantine, allow), default."""
        lists = lists or self.seen(device.mailbox)
        if not lists.enabled:
            return "Blocked", "Global", None
        if not device.provisions and not self.policies[lists.policy].get("AllowNonProvisionableDevices", True):
            return "Blocked", "Policy", None
        if self._on(device, lists.blocked):
            return "Blocked", "Individual", None
        if self._on(device, lists.allowed):
            return "Allowed", "Individual", None
        if device.discovering:
            return "DeviceDiscovery", "DeviceRule", None
        for level in ("Block", "Quarantine", "Allow"):
            for rule in self.rules:
                if rule.level == level and rule.fits(device):
                    return STATES[level], "DeviceRule", rule.name
        return STATES[self.default], "Global", None

    @staticmethod
    def _on(device, ids):
        return device.device_id.lower() in (ident.lower() for ident in ids)

    # What a connector does

    def invoke(self, name, parameters):
        """Runs a cmdlet: its rows, each a dictionary of properties; `Refusal` where it fails."""
        with self.lock:
            call = Call(now(), name, parameters)
            self.calls.append(call)
            try:
                return self.cmdlets.run(name, parameters)
            except Wrong as error:
                call.failed = "Wrong"
                raise wrong(str(error)) from error
            except Refusal as refusal:
                call.failed = refusal.type
                raise

    def called(self, name, **parameters):
        """Calls of that name that did not fail, with at least these parameters."""
        with self.lock:
            return [call for call in self.calls if call.name.lower() == name.lower() and not call.failed
                    and all(call.parameters.get(key) == value for key, value in parameters.items())]

    def writes(self):
        """Calls that changed something, or were meant to."""
        with self.lock:
            return [call for call in self.calls if not call.name.lower().startswith("get-") and call.name != "Set-ADServerSettings"]

    def sin(self, what, call):
        self.sins.append((what, call))


class Phone:
    """A mail client: what it is, and whether it was erased. It has to do with Exchange when `sync` is called, and only then."""

    def __init__(self, organisation, mailbox, device_id=None, **more):
        self.organisation, self.mailbox, self.more = organisation, mailbox, more
        self.device_id = device_id or uuid.uuid4().hex.upper()
        self.erased = self.account_gone = False
        self.device = organisation.device(mailbox, self.device_id, **more)

    def sync(self):
        """One contact: `mail`, `blocked`, `quarantined`, `wiped`, `account gone`, or `silent` for one that is no more."""
        if self.erased or self.account_gone:
            return "silent"
        with self.organisation.lock:
            if self.device.guid not in self.organisation.devices:
                # The partnership was removed: a live client makes another, with another Guid.
                self.device = self.organisation.device(self.mailbox, self.device_id, **self.more)
            device = self.device
            state, _, _ = self.organisation.access(device, self.mailbox.past[-1])
            if state == "Blocked":
                return "blocked"  # and hears of no wipe
            return self._wiped(device) or self._served(device, state)

    def _wiped(self, device):
        for times, account in ((device.wipe, False), (device.account_wipe, True)):
            if "requested" in times and "acked" not in times:
                times["sent"] = times["acked"] = now()
                # Outlook loses its own account, whatever it was told.
                self.account_gone = account or device.type == "Outlook"
                self.erased = not self.account_gone
                return "account gone" if self.account_gone else "wiped"
        return None

    @staticmethod
    def _served(device, state):
        if state != "Allowed":
            return "quarantined"
        device.last_sync = now()
        return "mail"

    def made_anew(self):
        """Behind everybody's back: the object is removed, and the phone comes again."""
        self.organisation.forget(self.device)
        self.sync()
        return self.device

    def fetches(self):
        """It has the wipe's directive, and no more: from now on a cancel comes too late."""
        for times in (self.device.wipe, self.device.account_wipe):
            if "requested" in times:
                times["sent"] = now()
