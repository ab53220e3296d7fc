"""The cmdlets of the organisation in `exchange_world`: which parameters each takes, what it answers, and what is noted as a sin."""

import datetime

from exchange_world import DEVICE_FILTERS, MAILBOX_FILTERS, PLAIN_RESULTS, STATES, Rule, absent, now, refused, wrong
from opath import Filter

COMMON = {"Confirm", "ErrorAction", "WarningAction", "Verbose"}
LEVELS = set(STATES)
CHARACTERISTICS = {"DeviceModel", "DeviceType", "DeviceOS", "UserAgent", "XMSWLHeader"}
POLICY = {
    "AllowBluetooth", "AllowCamera", "AllowNonProvisionableDevices", "AllowSimplePassword", "AlphanumericPasswordRequired", "DeviceEncryptionEnabled",
    "IsDefault", "MaxInactivityTimeLock", "MaxPasswordFailedAttempts", "MinPasswordComplexCharacters", "MinPasswordLength", "Name",
    "PasswordEnabled", "PasswordExpiration", "PasswordHistory", "RequireDeviceEncryption", "RequireStorageCardEncryption",
}
TAKES = {
    "Get-MobileDevice": {"Identity", "Mailbox", "Filter", "ResultSize", "ActiveSync", "OWAforDevices", "RestApi", "UniversalOutlook", "SortBy"},
    "Get-MobileDeviceStatistics": {"Identity", "Mailbox", "ActiveSync", "OWAforDevices", "RestApi", "UniversalOutlook", "ShowRecoveryPassword"},
    "Get-CASMailbox": {"Identity", "Filter", "ResultSize", "SortBy"},
    "Get-Mailbox": {"Identity", "Filter", "ResultSize", "SortBy"},
    "Get-Recipient": {"Identity", "Filter", "ResultSize", "SortBy"},
    "Set-CASMailbox": {"Identity", "ActiveSyncAllowedDeviceIDs", "ActiveSyncBlockedDeviceIDs", "ActiveSyncMailboxPolicy", "ActiveSyncEnabled"},
    "Clear-MobileDevice": {"Identity", "AccountOnly", "Cancel", "NotificationEmailAddresses"},
    "Remove-MobileDevice": {"Identity"},
    "Get-ActiveSyncOrganizationSettings": {"Identity"},
    "Set-ActiveSyncOrganizationSettings": {"Identity", "DefaultAccessLevel", "AdminMailRecipients", "UserMailInsert", "OtaNotificationMailInsert"},
    "Get-ActiveSyncDeviceAccessRule": {"Identity"},
    "New-ActiveSyncDeviceAccessRule": {"Characteristic", "QueryString", "AccessLevel"},
    "Set-ActiveSyncDeviceAccessRule": {"Identity", "AccessLevel"},
    "Remove-ActiveSyncDeviceAccessRule": {"Identity"},
    "Get-MobileDeviceMailboxPolicy": {"Identity"},
    "New-MobileDeviceMailboxPolicy": POLICY,
    "Set-MobileDeviceMailboxPolicy": POLICY | {"Identity"},
    "Remove-MobileDeviceMailboxPolicy": {"Identity", "Force"},
    "Get-OrganizationConfig": set(),
    "Get-ExchangeServer": {"Identity"},
    "Set-ADServerSettings": {"ViewEntireForest"},
}
# MinPasswordLength and the like: what Exchange takes.
RANGES = {"MinPasswordLength": (1, 16), "MaxPasswordFailedAttempts": (4, 16), "PasswordHistory": (0, 50)}
# Spans, `days.hours:minutes:seconds`.
SPANS = {"MaxInactivityTimeLock": ("minutes", 1, 60), "PasswordExpiration": ("days", 1, 730)}
SWITCHES = {"AllowCamera", "AllowNonProvisionableDevices", "AlphanumericPasswordRequired", "PasswordEnabled", "RequireDeviceEncryption"}


def span(text):
    days, clock = text.split(".") if "." in text else ("0", text)
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return datetime.timedelta(days=int(days), hours=hours, minutes=minutes, seconds=seconds)


def stamp(moment):
    """Times come with fractions of a second, or without, as it happens to be."""
    if moment is None:
        return None
    text = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat()
    return f"{text}0Z" if "." in text else f"{text}Z"


def edited(have, change):
    """A list after `@{Add=…; Remove=…}`; anything else replaces it, which nobody means."""
    if not isinstance(change, dict):
        return None
    parts = {key.lower(): value for key, value in change.items() if "type" not in key}
    if set(parts) - {"add", "remove"}:
        raise wrong(f"Cannot bind parameter: {sorted(parts)}")
    add, remove = ([value] if isinstance(value, str) else list(value or ()) for value in (parts.get("add"), parts.get("remove")))
    if any(not ident for ident in (*add, *remove)):
        raise wrong("Cannot bind argument: an empty string in a list edit")
    gone = {ident.lower() for ident in remove}
    kept = [ident for ident in have if ident.lower() not in gone]
    return tuple(kept + [ident for ident in add if ident.lower() not in {other.lower() for other in kept}])


class Cmdlets:
    def __init__(self, organisation):
        self.org = organisation

    def run(self, name, parameters):
        known = next((each for each in TAKES if each.lower() == name.lower()), None)
        if known is None:
            raise refused(f"The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program.")
        spelt = {each.lower(): each for each in TAKES[known] | COMMON}
        given = {}
        for key, value in parameters.items():
            if key.lower() not in spelt:
                raise wrong(f"A parameter cannot be found that matches parameter name '{key}'.")
            given[spelt[key.lower()]] = value
        return getattr(self, known.lower().replace("-", "_"))(given)

    # Whom it is about

    def sinned(self, what):
        self.org.sin(what, self.org.calls[-1])

    def some_mailboxes(self, given, key="Identity"):
        """The mailbox that is named; all of them where the name is empty."""
        if key in given and not given[key]:
            self.sinned("an empty identity")
            return self.org.mailboxes
        if key not in given:
            return self.org.mailboxes
        found = self.org.by_name.get(str(given[key]).lower())
        if found is None:
            if self.org.all_for_absent:
                return self.org.mailboxes
            raise absent(given[key])
        return [found]

    def some_devices(self, given):
        if ("Identity" in given and not given["Identity"]) or ("Mailbox" in given and not given["Mailbox"]):
            self.sinned("an empty identity")
            return list(self.org.devices.values())
        if "Identity" in given:
            found = self.device_named(str(given["Identity"]))
            if found is None and self.org.all_for_absent:
                return list(self.org.devices.values())
            if found is None:
                raise absent(given["Identity"])
            return [found]
        if "Mailbox" in given:
            return [device for mailbox in self.some_mailboxes(given, "Mailbox") for device in mailbox.devices]
        return list(self.org.devices.values())

    def device_named(self, name):
        found = self.org.devices.get(name.lower())
        if found is None and "§" in name:
            found = next((device for device in self.org.devices.values() if name.lower() in (device.identity.lower(), device.dn.lower())), None)
        return found

    def one_device(self, given):
        """For what writes: exactly one, and never by an empty name."""
        if not given.get("Identity"):
            self.sinned("a write without an identity")
            raise wrong("Cannot process command because of one or more missing mandatory parameters: Identity.")
        found = self.device_named(str(given["Identity"]))
        if found is None:
            raise absent(given["Identity"])
        return found

    def cut(self, rows, given):
        """As many as were asked for; 1,000 where nobody said how many, with a warning."""
        size = given.get("ResultSize", PLAIN_RESULTS)
        if str(size).lower() == "unlimited":
            return rows
        if len(rows) > int(size):
            self.org.warnings.append("By default, only the first 1000 items are returned. Use the ResultSize parameter to specify more.")
        return rows[:int(size)]

    # Devices

    def get_mobiledevice(self, given):
        if "Identity" in given and ("Mailbox" in given or "Filter" in given):
            raise wrong("Parameter set cannot be resolved using the specified named parameters.")
        rows = [self.device_row(device) for device in self.some_devices(given)]
        if "Filter" in given:
            fits = Filter(given["Filter"], DEVICE_FILTERS).fits
            rows = [row for row in rows if fits(row)]
        rows = self.cut(rows, given)
        return [{**row, "FirstSyncTime": stamp(row["FirstSyncTime"])} for row in rows]

    def device_row(self, device):
        state, reason, rule = self.org.access(device)
        return {
            "Identity": device.identity, "Id": device.identity, "Name": f"{device.type}§{device.device_id}", "Guid": device.guid,
            "DistinguishedName": device.dn, "DeviceId": device.device_id, "DeviceType": device.type, "DeviceModel": device.model,
            "DeviceOS": device.os, "DeviceUserAgent": device.agent, "DeviceImei": None, "FriendlyName": device.name,
            "ClientType": device.client, "ClientVersion": device.version, "DeviceActiveSyncVersion": device.version,
            "UserDisplayName": f"example.org/example/{device.mailbox.alias}", "FirstSyncTime": device.first_sync,
            "DeviceAccessState": state, "DeviceAccessStateReason": reason, "DeviceAccessControlRule": rule,
            "IsManaged": False, "IsCompliant": False, "IsDisabled": False, "ObjectState": "Unchanged", "IsValid": True,
        }

    def get_mobiledevicestatistics(self, given):
        if "Identity" not in given and "Mailbox" not in given:
            raise wrong("Cannot process command because of one or more missing mandatory parameters: Identity.")
        if given.get("ShowRecoveryPassword"):
            self.sinned("ShowRecoveryPassword")
        return [self.statistics(device) for device in self.some_devices(given)]

    def statistics(self, device):
        state, reason, rule = self.org.access(device)
        row = {
            "Identity": device.identity, "Guid": device.guid, "DeviceID": device.device_id, "DeviceType": device.type,
            "DeviceModel": device.model, "DeviceOS": device.os, "DeviceUserAgent": device.agent, "DeviceFriendlyName": device.name,
            "FirstSyncTime": stamp(device.first_sync), "LastSuccessSync": stamp(device.last_sync), "LastSyncAttemptTime": stamp(device.last_sync),
            "ClientType": device.client, "ClientVersion": device.version, "Status": device.status(), "StatusNote": "",
            "DeviceAccessState": state, "DeviceAccessStateReason": reason, "DeviceAccessControlRule": rule,
            "IsRemoteWipeSupported": device.type != "Outlook", "RecoveryPassword": "********", "NumberOfFoldersSynced": 7,
        }
        for before, times in (("DeviceWipe", device.wipe), ("AccountOnlyDeviceWipe", device.account_wipe)):
            for key, name in (("requested", "Request"), ("sent", "Sent"), ("acked", "Ack")):
                row[f"{before}{name}Time"] = stamp(times.get(key))
            row[f"Last{before}Requestor"] = self.org.requestor if times else None
        return row

    def clear_mobiledevice(self, given):
        device = self.one_device(given)
        account = bool(given.get("AccountOnly"))
        if given.get("Cancel"):
            for times in (device.wipe, device.account_wipe):
                # Once the client has it, it may do it.
                if "sent" not in times:
                    times.clear()
            return []
        if account and device.type == "Outlook":
            raise refused("The AccountOnly parameter isn't supported for Outlook for iOS and Android.")
        if account and device.version != "16.1":
            raise refused("The account only remote wipe isn't supported by this device: EAS 16.1 is needed.")
        if self.org.access(device, device.mailbox.past[-1])[0] == "Blocked":
            self.sinned("a wipe of one that is blocked, which will never fetch it")
        times = device.account_wipe if account else device.wipe
        if "requested" in times:
            self.sinned("a second Clear")
        times.clear()
        times["requested"] = now()
        return []

    def remove_mobiledevice(self, given):
        device = self.one_device(given)
        for times in (device.wipe, device.account_wipe):
            if "requested" in times and "acked" not in times:
                self.sinned("a removal under a wipe, which is lost with it")
        self.org.forget(device)
        return []

    # Mailboxes

    def get_casmailbox(self, given):
        return self.mailboxes(given, self.cas_row)

    def get_mailbox(self, given):
        return self.mailboxes(given, self.mailbox_row)

    get_recipient = get_mailbox

    def mailboxes(self, given, make):
        rows = [make(mailbox) for mailbox in self.some_mailboxes(given)]
        if "Filter" in given:
            fits = Filter(given["Filter"], MAILBOX_FILTERS).fits
            rows = [row for row in rows if fits(row)]
        rows = self.cut(rows, given)
        return [{**row, "WhenChangedUTC": stamp(row["WhenChangedUTC"])} for row in rows]

    def names(self, mailbox):
        return {
            "Identity": mailbox.alias, "Name": mailbox.alias, "Alias": mailbox.alias, "DisplayName": mailbox.alias.title(), "Guid": mailbox.object_guid,
            "DistinguishedName": mailbox.dn, "PrimarySmtpAddress": mailbox.address, "WhenChangedUTC": self.org.seen(mailbox).since,
        }

    def cas_row(self, mailbox):
        access = self.org.seen(mailbox)
        return {
            **self.names(mailbox), "ActiveSyncEnabled": access.enabled, "ActiveSyncAllowedDeviceIDs": list(access.allowed),
            "ActiveSyncBlockedDeviceIDs": list(access.blocked), "ActiveSyncMailboxPolicy": access.policy,
            "ActiveSyncMailboxPolicyIsDefaulted": access.policy == "Default", "HasActiveSyncDevicePartnership": bool(mailbox.devices),
        }

    def mailbox_row(self, mailbox):
        return {
            **self.names(mailbox), "ExchangeGuid": mailbox.guid, "UserPrincipalName": mailbox.address, "WindowsEmailAddress": mailbox.address,
            "RecipientTypeDetails": "UserMailbox", "EmailAddresses": [f"SMTP:{mailbox.address}"],
        }

    def set_casmailbox(self, given):
        if not given.get("Identity"):
            self.sinned("a write without an identity")
            raise wrong("Cannot process command because of one or more missing mandatory parameters: Identity.")
        [mailbox] = self.some_mailboxes(given) if not self.org.all_for_absent else [self.org.by_name[given["Identity"].lower()]]
        changes = {}
        for key, at in (("ActiveSyncAllowedDeviceIDs", "allowed"), ("ActiveSyncBlockedDeviceIDs", "blocked")):
            if key in given:
                after = edited(getattr(mailbox.past[-1], at), given[key])
                if after is None:
                    self.sinned("a list replaced instead of edited")
                    after = tuple([given[key]] if isinstance(given[key], str) else given[key] or ())
                changes[at] = after
        if "ActiveSyncEnabled" in given:
            changes["enabled"] = bool(given["ActiveSyncEnabled"])
        if "ActiveSyncMailboxPolicy" in given:
            changes["policy"] = given["ActiveSyncMailboxPolicy"] or "Default"
            if changes["policy"] not in self.org.policies:
                raise absent(changes["policy"])
        self.org.edit(mailbox, **changes)
        return []

    # The organisation

    def get_organizationconfig(self, given):
        return [{"Guid": self.org.guid, "Name": "example.org", "Identity": "example.org", "DisplayName": "Example"}]

    def get_exchangeserver(self, given):
        return [{"Name": "EX1", "Fqdn": "ex1.example.org", "AdminDisplayVersion": "Version 15.2 (Build 1118.7)", "ServerRole": "Mailbox"}]

    def set_adserversettings(self, given):
        return []

    def get_activesyncorganizationsettings(self, given):
        return [{"Identity": "Mobile Mailbox Settings", "DefaultAccessLevel": self.org.default, **self.org.settings}]

    def set_activesyncorganizationsettings(self, given):
        level = given.get("DefaultAccessLevel", self.org.default)
        if level not in LEVELS:
            raise wrong(f"Cannot convert value \"{level}\" to type \"DeviceAccessLevel\".")
        if len(given.get("UserMailInsert") or "") > 256:
            raise wrong("UserMailInsert: more than 256 characters")
        self.org.default = level
        self.org.settings.update({key: value or ([] if key == "AdminMailRecipients" else "") for key, value in given.items() if key in self.org.settings})
        return []

    # Rules

    def rule(self, given):
        found = [rule for rule in self.org.rules if given.get("Identity") in (rule.name, rule.guid)]
        if not found:
            raise absent(given.get("Identity"))
        return found[0]

    def get_activesyncdeviceaccessrule(self, given):
        rules = [self.rule(given)] if given.get("Identity") else self.org.rules
        return [{"Identity": rule.name, "Name": rule.name, "Guid": rule.guid, "QueryString": rule.query, "Characteristic": rule.characteristic,
                 "AccessLevel": rule.level} for rule in rules]

    def new_activesyncdeviceaccessrule(self, given):
        if given.get("Characteristic") not in CHARACTERISTICS or given.get("AccessLevel") not in LEVELS or not given.get("QueryString"):
            raise wrong("Cannot bind parameter: Characteristic, QueryString and AccessLevel are needed.")
        if any((rule.characteristic, rule.query.lower()) == (given["Characteristic"], given["QueryString"].lower()) for rule in self.org.rules):
            raise refused("An access rule for that exists already.")
        self.org.rules.append(Rule(given["Characteristic"], given["QueryString"], given["AccessLevel"]))
        return self.get_activesyncdeviceaccessrule({"Identity": self.org.rules[-1].name})

    def set_activesyncdeviceaccessrule(self, given):
        self.rule(given).level = given["AccessLevel"]
        return []

    def remove_activesyncdeviceaccessrule(self, given):
        self.org.rules.remove(self.rule(given))
        return []

    # Mailbox policies

    def policy(self, given):
        if given.get("Identity") not in self.org.policies:
            raise absent(given.get("Identity"))
        return self.org.policies[given["Identity"]]

    def get_mobiledevicemailboxpolicy(self, given):
        if "Identity" in given:
            if not given["Identity"]:
                self.sinned("an empty identity")
            else:
                self.policy(given)
        names = [given["Identity"]] if given.get("Identity") else list(self.org.policies)
        return [{"Identity": name, "Name": name, **self.org.policies[name]} for name in names]

    @staticmethod
    def in_range(given):
        for key, (least, most) in RANGES.items():
            value = given.get(key)
            if value not in (None, "Unlimited") and not least <= int(value) <= most:
                raise wrong(f"{key}: {value} is not between {least} and {most}")
        for key, (unit, least, most) in SPANS.items():
            value = given.get(key)
            if value not in (None, "Unlimited") and not least <= span(value) / datetime.timedelta(**{unit: 1}) <= most:
                raise wrong(f"{key}: {value} is not between {least} and {most} {unit}")
        for key in SWITCHES & set(given):
            if not isinstance(given[key], bool):
                raise wrong(f"Cannot process argument transformation on parameter '{key}'.")

    def new_mobiledevicemailboxpolicy(self, given):
        if not given.get("Name") or given["Name"] in self.org.policies:
            raise refused(f"The policy '{given.get('Name')}' exists already, or has no name.")
        self.in_range(given)
        self.org.policies[given["Name"]] = {key: value for key, value in given.items() if key not in COMMON | {"Name"}}
        return self.get_mobiledevicemailboxpolicy({"Identity": given["Name"]})

    def set_mobiledevicemailboxpolicy(self, given):
        self.in_range(given)
        self.policy(given).update({key: value for key, value in given.items() if key not in COMMON | {"Identity", "Name"}})
        return []

    def remove_mobiledevicemailboxpolicy(self, given):
        self.policy(given)
        del self.org.policies[given["Identity"]]
        return []
