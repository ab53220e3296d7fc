"""The worst day: a thief has an administrator's token, and two servers share one PostgreSQL. Limits as shipped."""

import base64
import concurrent.futures
import unittest

from apple_device import fleet
from harness import Api, Nodes

FLEET = 200
RAW_PARTS = {
    "an Exec in disguise": "windows: {csp: [{path: ./Vendor/MSFT/RemoteWipe/doWipe, format: chr, data: '1'}]}",
    "a reboot": "windows: {csp: [{path: ./Vendor/MSFT/Reboot/RebootNow, format: chr, data: '1'}]}",
    "an unenrolment": "windows: {csp: [{path: ./Vendor/MSFT/DMClient/Provider/Lanyard/Unenroll, format: chr, data: x}]}",
    "three wrong tries": "passcode: {max_failed: 3}",
    "three wrong tries, raw": "activesync: {MaxDevicePasswordFailedAttempts: '3'}",
    "another management": "apple: {profiles: [{base64: %s}]}",
    "a server of updates": "windows: {csp: [{path: ./Vendor/MSFT/Policy/Config/Update/UpdateServiceUrl, format: chr, data: x}]}",
}
MDM_PAYLOAD = b"""<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.evil</string><key>PayloadUUID</key><string>5E9A1B8C-2F53-4A6B-9C58-0A7E3A0B1C2D</string>
<key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.mdm</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.evil.mdm</string><key>PayloadUUID</key><string>5E9A1B8C-2F53-4A6B-9C58-0A7E3A0B1C2E</string>
</dict></array></dict></plist>"""


class Thief(unittest.TestCase):
    def test_of_two_hundred_devices_ten_get_a_wipe(self):
        nodes = Nodes(self)
        first, second = nodes.servers
        local = Api(first, nodes.local(first))
        # Made in the first hour of the store, so this administrator counts: then the token is stolen.
        local.done("POST", "admins", {"name": "Alice"})
        stolen = local.done("POST", "tokens", {"admin": "Alice"})["token"]
        phones = fleet(nodes, FLEET)
        thief = [Api(server, stolen) for server in nodes.servers]

        # Accomplices and looser limits: each answered, none of it counts.
        for name in ("Mallory", "Trudy"):
            thief[0].done("POST", "admins", {"name": name})
        accomplices = [Api(server, thief[1].done("POST", "tokens", {"admin": name})["token"])
                       for server, name in zip(nodes.servers, ("Mallory", "Trudy"))]
        fresh = Api(second, thief[0].done("POST", "tokens", {})["token"])
        for key, value in (("wipe.full.per_admin", "100000"), ("wipe.full.per_tenant", "100000"), ("wipe.newcomer", "0s")):
            answer = thief[1].done("PUT", f"settings/{key}", {"value": value})
            self.assertEqual((answer["value"] != value, answer["pending"]), (True, value), answer)
        # Nobody takes local's place.
        status, answer = thief[0].call("POST", "tokens", {"admin": "local"})
        self.assertEqual(status, 409, answer)

        # Raw parts of a policy.
        packed = base64.b64encode(MDM_PAYLOAD).decode()
        for name, part in RAW_PARTS.items():
            text = f"name: evil\nassign: all\n{part % packed if '%s' in part else part}\n"
            status, answer = thief[0].call("PUT", "policies/evil?apply=true", {"text": text})
            self.assertEqual(status, 422, (name, answer))

        # All devices at once, by all tokens, over both servers.
        devices = [device["id"] for device in thief[0].all("devices")]
        self.assertEqual(len(devices), FLEET)
        callers = [*thief, *accomplices, fresh]

        def wipe(number):
            caller = callers[number % len(callers)]
            body = {"scope": "full", "reason": "hr told me to"}
            return caller.call("POST", f"devices/{devices[number]}/wipe", body)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(wipe, range(FLEET)))
        self.assertEqual({status for status, _ in answers}, {201})
        states = [answer["state"] for _, answer in answers]
        self.assertEqual({state: states.count(state) for state in set(states)}, {"queued": 10, "held": FLEET - 10})

        # Asked again, nothing more passes.
        for number in range(0, FLEET, 20):
            wipe(number)
        # The held requests: accomplices cannot approve them, nor can the thief.
        approvals = local.all("approvals")
        self.assertTrue(approvals)
        for approval in approvals:
            for caller in callers:
                status, answer = caller.call("POST", f"approvals/{approval['id']}/approve")
                self.assertEqual(status, 403, answer)

        # The devices do whatever they are told, and ask either server.
        def poll(phone):
            if not phone.erased:
                phone.poll()
            return phone.erased

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            erased = sum(pool.map(poll, phones))
        self.assertEqual(erased, 10)

        # local cancels the rest in one act.
        stop = local.done("PUT", "stop", {"on": True, "cancel_all": True})
        self.assertEqual((stop["on"], stop["cancelled"]), (True, FLEET - 10), stop)
        self.assertEqual({a["state"] for a in local.all("approvals")}, {"rejected"}, "nothing waits any more")
        commands = [command for command in local.all("commands") if command["action"] == "wipe"]
        ends = [command["state"] for command in commands]
        self.assertEqual({end: ends.count(end) for end in set(ends)}, {"confirmed": 10, "cancelled": FLEET - 10})
        # The thief cannot lift it alone.
        status, answer = thief[0].call("PUT", "stop", {"on": False})
        self.assertEqual((status, answer["subject"]), (200, "stop.off"))
        for caller in callers:
            status, _ = caller.call("POST", f"approvals/{answer['id']}/approve")
            self.assertEqual(status, 403)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.assertEqual(sum(pool.map(poll, phones)), 10, "no further one")
        verdict = local.done("GET", "audit/verify")
        self.assertTrue(verdict["ok"], verdict)
        self.assertEqual(len(verdict["heads"]), 2, "a chain per node")


if __name__ == "__main__":
    unittest.main()
