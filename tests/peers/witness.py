"""A crowd that writes down what it was told, and when: what a power cut must leave behind.

A fact is noted once its answer is here. What is written again and again (a policy's text, a group's member) has a history:
after a cut it is as the last answer before the cut said, or as a call made it that was under way at the cut.
"""

import base64
import os
import plistlib
import threading
import time
import uuid

from crowd import Crowd
from starts import members

GROUPS = ("staff", "field")
# Bytes of an icon: the profiles make policies of some 30 and some 160 kB, more than fits one value in a store's leaf.
ICONS = {"base": 15_000, "more": 90_000}
ENDED = ("confirmed", "presumed", "failed", "cancelled", "expired", "acknowledged")


def policy(name, group, number):
    """A policy's text with a profile of over 20 kB, or over 120 kB, another one for each number."""
    payload = {
        "PayloadType": "com.apple.webClip.managed", "PayloadIdentifier": f"org.example.{name}.clip", "PayloadVersion": 1,
        "PayloadUUID": str(uuid.uuid4()).upper(), "Label": f"Clip {number}", "URL": "https://www.example.org/",
        "IsRemovable": True, "Icon": os.urandom(ICONS[name]),
    }
    profile = {
        "PayloadType": "Configuration", "PayloadIdentifier": f"org.example.{name}", "PayloadVersion": 1,
        "PayloadUUID": str(uuid.uuid4()).upper(), "PayloadDisplayName": name, "PayloadContent": [payload],
    }
    packed = base64.b64encode(plistlib.dumps(profile)).decode()
    return (f"name: {name}\nassign: [{group}]\npasscode: {{required: true, min_length: {4 + number % 8}}}\n"
            f"apple: {{profiles: [{{base64: {packed}}}]}}\n")


class Ledger:
    """What was answered, in the order of the answers."""

    def __init__(self):
        self.facts, self.histories, self.lock = [], {}, threading.Lock()

    def note(self, kind, *what, at=None):
        with self.lock:
            self.facts.append((at or time.monotonic(), kind, what))

    def change(self, key, value, call):
        """One more value of something, which one thread alone changes. A refused call changed nothing."""
        entry = [time.monotonic(), None, value]
        with self.lock:
            history = self.histories.setdefault(key, [])
            history.append(entry)
        status, answer = call()
        with self.lock:
            if status < 300:
                entry[1] = time.monotonic()
            else:
                history.remove(entry)
        return status, answer

    def facts_before(self, moment):
        with self.lock:
            return [(kind, what) for at, kind, what in self.facts if at < moment]

    def values_at(self, before, after):
        """By key what a store may hold that was cut between the two moments; `None` is what never was."""
        with self.lock:
            found = {}
            for key, history in self.histories.items():
                begun = [entry for entry in history if entry[0] < after]
                settled = [at for at, entry in enumerate(begun) if entry[1] is not None and entry[1] < before]
                allowed = [entry[2] for entry in begun[settled[-1] if settled else 0:]]
                found[key] = allowed if settled else [None, *allowed]
            return found


class Witness(Crowd):
    """A crowd, its administrators, and their ledger."""

    def __init__(self, *rest):
        super().__init__(*rest)
        self.ledger = Ledger()

    def enrolled(self, device):
        self.ledger.note("enrolled", device.called())

    def left(self, device):
        self.ledger.note("left", device.called())

    def administer(self, chance):
        """Wipes, some of them cancelled at once or out of their undo window, locks and looks."""
        caller = self.caller()
        while not self.stop.is_set():
            known = self.known()
            if not known:
                time.sleep(0.05)
                continue
            self.act(caller, chance.choice(known[-12:]), chance.choice(ACTS))
            time.sleep(chance.random() * 0.1)

    def act(self, caller, device, act):
        verb, body, cancels = act
        status, answer = caller.certain("POST", f"devices/{device.called()}/{verb}", body)
        # A device that has left takes no more; all else is acknowledged.
        assert status in (201, 409), answer
        if status == 201:
            self.ledger.note("asked", answer["id"], device.called(), answer["action"], answer["scope"])
            if cancels:
                status, told = caller.certain("POST", f"commands/{answer['id']}/cancel")
                assert status in (200, 409), told
                if status == 200 and told["state"] == "cancelled":
                    self.ledger.note("cancelled", answer["id"])

    def govern(self, chance):
        """Policies, groups and their members, administrators, tokens and a setting; the one thread that changes them."""
        caller, number = self.caller(), 0
        for group in GROUPS:
            self.ledger.change(("group", group), True, lambda: caller.certain("POST", "groups", {"name": group}))
        turns = (self.write_policy, self.move_device, self.move_device, self.add_admin, self.set_limit, self.pass_by)
        while not self.stop.is_set():
            number += 1
            turns[number % len(turns)](caller, chance, number)
            time.sleep(chance.random() * 0.1)

    def write_policy(self, caller, chance, number):
        name = chance.choice(tuple(ICONS))
        text = policy(name, chance.choice(GROUPS), number)
        status, answer = self.ledger.change(
            ("policy", name), text, lambda: caller.call("PUT", f"policies/{name}?apply=true", {"text": text}))
        assert status == 200, answer

    def move_device(self, caller, chance, number):
        known, group = [device for device in self.known()[-12:] if not device.gone()], chance.choice(GROUPS)
        if not known:
            return
        device = chance.choice(known)
        if not hasattr(device, "id"):
            status, shown = caller.call("GET", f"devices/{device.called()}")
            assert status == 200, shown
            device.id = shown["id"]
        path, inside = f"groups/{group}/devices/{device.id}", chance.random() < 0.7
        self.ledger.change(("member", group, device.id), inside, lambda: caller.call("PUT" if inside else "DELETE", path))

    def add_admin(self, caller, chance, number):
        name = f"Admin {number}"
        status, made = self.ledger.change(("admin", name), True, lambda: caller.certain("POST", "admins", {"name": name}))
        assert status == 201, made
        status, token = caller.certain("POST", "tokens", {"admin": name})
        assert status == 201, token
        self.ledger.note("token", token["id"])

    def set_limit(self, caller, chance, number):
        value = str(2000 + number)
        status, answer = self.ledger.change(
            ("setting", "limit.connections_per_address"), value,
            lambda: caller.call("PUT", "settings/limit.connections_per_address", {"value": value}))
        assert status == 200, answer

    def pass_by(self, caller, chance, number):
        """A group that comes and goes again."""
        name = f"team {number % 5}"
        self.ledger.change(("group", name), True, lambda: caller.certain("POST", "groups", {"name": name}))
        if chance.random() < 0.5:
            self.ledger.change(("group", name), False, lambda: caller.call("DELETE", f"groups/{name.replace(' ', '%20')}"))

    def begin(self, kinds):
        # Before anything is cut: a setting has a value from the start, which nobody in this ledger gave it.
        self.set_limit(self.caller(), None, 0)
        for number, kind in enumerate(kinds):
            self.start(self.live, number, kind)
        for number in range(2):
            self.start(self.administer, 100 + number)
        self.start(self.govern, 200)

    def heard(self, moment):
        """Ids of the commands whose answers the server had taken by then."""
        taken = [entry for device in self.known() for entry in list(getattr(device, "heard", []))]
        return {ident.split(".")[0].lower() for at, ident in taken if at < moment and "." not in ident}


ACTS = (
    ("wipe", {"scope": "full", "reason": "lost"}, False),
    ("wipe", {"scope": "selective", "reason": "left"}, False),
    ("wipe", {"scope": "full", "reason": "a mistake", "delay": "12h"}, True),
    ("wipe", {"scope": "selective", "reason": "a mistake", "delay": "12h"}, True),
    ("wipe", {"scope": "full", "reason": "a mistake, sent at once"}, True),
    ("lock", {"reason": "found"}, False),
    ("sync", {}, False),
    ("sync", {}, False),
)


class Remembered:
    """What a server says that was started on what a cut left, to be held against a ledger."""

    def __init__(self, api):
        self.api = api
        self.devices = {e["identity"].lower(): device for device in api.all("devices") for e in device["enrolments"]}
        self.by_id = {device["id"]: device for device in self.devices.values()}
        self.commands = {command["id"]: command for command in api.all("commands")}
        self.tokens = {token["id"] for token in api.all("tokens")}
        self.admins = {admin["name"] for admin in api.all("admins")}
        self.groups = {group["name"]: None for group in api.all("groups")}

    # One method for each kind of fact; each returns what is wrong, or nothing.

    def enrolled(self, name):
        return None if name.lower() in self.devices else "an enrolment is missing"

    def left(self, name):
        device = self.devices.get(name.lower())
        if device is None:
            return "an enrolment is missing"
        ends = [c for c in self.commands.values() if c["device"] == device["id"] and c["action"] == "wipe" and c["evidence"]]
        if device["state"] not in ("wiped", "retired") or not any(c["state"] in ("confirmed", "presumed") for c in ends):
            return f"the evidence of a wipe is missing (its device is {device['state']})"
        return None

    def asked(self, ident, name, action, scope):
        command = self.commands.get(ident)
        if command is None:
            return f"a command is missing ({action})"
        device = self.devices.get(name.lower())
        same = (command["action"], command["scope"], command["device"]) == (action, scope, device and device["id"])
        return None if same else f"a command is another one ({action})"

    def cancelled(self, ident):
        state = self.commands.get(ident, {}).get("state")
        return None if state == "cancelled" else f"a cancelled wipe is alive or missing ({state})"

    def token(self, ident):
        return None if ident in self.tokens else "a token is missing"

    def answered(self, ident):
        command = self.commands.get(ident)
        if command is None:
            return "a command that a device has done is missing"
        if command["action"] == "wipe" and not (command["state"] == "confirmed" and command["evidence"]):
            return f"a device's proof of its wipe is missing ({command['state']})"
        # A sync or a policy has several messages, and ends with the last.
        if command["action"] == "lock" and command["state"] not in ENDED:
            return f"a device's answer is missing (lock {command['state']})"
        return None

    def shown(self, ident, state):
        """What was ended when it was looked at has ended; evidence beats every end."""
        now = self.commands.get(ident, {}).get("state")
        return None if now in (state, "confirmed") else f"a command that was shown as {state} is {now}"

    # What has a history: `value` is one of what may be there.

    def value(self, key, allowed):
        kind, *name = key
        now = getattr(self, f"now_{kind}")(*name)
        # No membership outlives the device's end, and none is kept against it.
        if kind == "member" and self.by_id.get(name[1], {}).get("state") != "enrolled":
            return None
        return None if any(bool(now) == bool(each) if isinstance(each, bool) or each is None else now == each for each in allowed) \
            else f"a {kind} is as nobody left it"

    def now_policy(self, name):
        status, shown = self.api.call("GET", f"policies/{name}")
        return shown["text"] if status == 200 else None

    def now_group(self, name):
        return name in self.groups

    def now_member(self, group, device):
        if group not in self.groups:
            return False
        self.groups[group] = self.groups[group] or members(self.api, group)
        return device in self.groups[group]

    def now_admin(self, name):
        return name in self.admins

    def now_setting(self, key):
        return self.api.done("GET", f"settings/{key}")["value"]
