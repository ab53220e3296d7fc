"""What devices that are ours send and cannot be read, on all three channels: it spoils nothing else, makes no stranger of them, and is
among their problems."""

import plistlib
import unittest

from apple_device import RESULT, AppleDevice
from harness import ServedTest
from mail_client import MailClient
from mail_server import MailServer
from windows_device import WindowsDevice

CAROL, WORD = "carol@example.org", "right horse"
INSTALLED = "Reversed-Domain-Name:com.microsoft.mdm.win32csp_install"


class Wire(ServedTest):
    @classmethod
    def setUpClass(cls):
        cls.mail = MailServer({CAROL: WORD})
        cls.addClassCleanup(cls.mail.stop)
        cls.arguments = ["--eas-upstream", cls.mail.url]
        super().setUpClass()

    def device(self, name):
        found = self.server.device_of(name)
        self.assertIsNotNone(found, name)
        return self.server.verb("devices", "show", found["id"])

    def problems(self, name):
        return [problem["text"] for problem in self.device(name)["problems"] if problem["code"] == "unreadable"]

    def phone(self):
        invitation = self.server.verb("invite", "--channel", "apple", "--user", "anna@example.org")
        return AppleDevice(self.server, self.folder()).enrol(invitation)

    def computer(self):
        invitation = self.server.verb("invite", "--channel", "windows", "--user", "anna@example.org")
        return WindowsDevice(self.server, self.folder()).enrol(invitation)

    def client(self):
        invitation = self.server.verb("invite", "--channel", "activesync", "--user", CAROL)
        client = MailClient(self.server, self.folder(), CAROL, WORD).certificate(invitation)
        client.first_phase()
        return client

    def raw(self, phone, body):
        return phone.put(phone.mdm()["ServerURL"], RESULT, body, phone.identity)

    def test_an_apple_device_whose_answers_are_spoilt(self):
        phone = self.phone()
        command = plistlib.loads(phone.report("Idle").body)
        self.assertEqual(command["Command"]["RequestType"], "DeviceInformation")
        report = plistlib.dumps({
            "Status": "Acknowledged", "UDID": phone.udid, "CommandUUID": command["CommandUUID"],
            "QueryResponses": {"OSVersion": "19.1", "DeviceName": "NAME", "SerialNumber": phone.serial},
        })
        spoilt = report.replace(b"NAME", b"Anna&#0;\xff").replace(b"<key>OSVersion", b"<key>OSVersion</key><date>2026-01-01T00:00:00.5Z</date><key>OSVersion")
        reply = self.raw(phone, spoilt)
        self.assertEqual(reply.status, 200, reply)
        # The answer is taken: what comes next is another command.
        self.assertNotEqual(plistlib.loads(reply.body)["CommandUUID"], command["CommandUUID"])
        [text] = self.problems(phone.udid)
        self.assertTrue(text.startswith("the answer to sync: "), text)
        # The same on another day of the week is the same problem; read well, it is none.
        phone.poll()
        self.server.verb("devices", "sync", self.device(phone.udid)["id"])
        phone.poll()
        self.assertEqual(self.problems(phone.udid), [])

    def test_whole_messages_that_cannot_be_read(self):
        phone, computer, client = self.phone(), self.computer(), self.client()
        phone.poll()
        computer.connect()
        for body in (b"", b"no list", b"bplist00", b"<plist><dict><key>Status</key>"):
            self.assertEqual(self.raw(phone, body).status, 400, body)
        for body in (b"", b"<SyncML/>", computer.message(1, "")[:-9], computer.message(1, "").replace(b"<MsgID>1", b"<MsgID>one")):
            self.assertEqual(computer.post(body).status, 400, body)
        for body in (b"\x03", b"\x03\x01\x6a\x00\x45", b"<Provision/>"):
            reply = client.post("Provision", body)
            self.assertIn(reply.status, (200, 400), reply)
        for name in (phone.udid, computer.ident, client.ident):
            texts = self.problems(name)
            self.assertTrue(texts and all(text.startswith("a whole message: ") for text in texts), (name, texts))
            self.assertEqual(self.device(name)["state"], "enrolled")
        # A binary list is one like any other.
        idle = plistlib.dumps({"Status": "Idle", "UDID": phone.udid}, fmt=plistlib.FMT_BINARY)
        self.assertEqual(self.raw(phone, idle).status, 200)
        computer.connect()
        self.assertEqual(client.folder_sync().status, 200)
        # The minute's count is written at the server's end.
        self.server.restart()
        self.assertEqual([e for e in self.server.verb("audit", "list") if e["action"] == "stranger.refused"], [])

    def test_a_computer_whose_answers_are_spoilt_settles_by_its_statuses(self):
        computer = self.computer()
        results = computer.results

        def spoilt(ident, ref, read):
            text = results(ident, ref, read)
            return text.replace("<Data>DESKTOP-PEER", "<Data>DESK<TOP/>") if "DeviceName" in text else text

        computer.results = spoilt
        computer.connect()
        device = self.device(computer.ident)
        self.assertEqual((device["serial"], device["os_version"]), (computer.serial, "10.0.26200.9278"))
        self.assertEqual([c["state"] for c in self.server.commands_of(device, "sync")], ["acknowledged"])
        [text] = self.problems(computer.ident)
        self.assertIn("DeviceName: Data: unexpected TOP", text)

    def test_alerts_of_a_computer_are_its_events(self):
        computer = self.computer()
        computer.connect()
        alert = (
            '<Alert><CmdID>60</CmdID><Data>1224</Data><Item><Source><LocURI>./Device/Vendor/MSFT/App</LocURI></Source><Meta>'
            f'<Type xmlns="syncml:metinf">{INSTALLED}</Type></Meta><Data>0</Data></Item></Alert>'
        )
        first = computer.package_one
        computer.package_one = lambda unenrolling: first(unenrolling) + alert
        for _ in range(3):
            computer.connect()
        [event] = self.device(computer.ident)["events"]
        self.assertEqual((event["type"], event["text"]), (INSTALLED, "./Device/Vendor/MSFT/App: 0"))
        self.assertTrue(event["time"])

    def test_of_a_flood_of_alerts_the_last_are_kept(self):
        computer = self.computer()
        computer.connect()
        items = "".join(f"<Item><Data>{n}</Data></Item>" for n in range(20_000))
        first = computer.package_one
        computer.package_one = lambda unenrolling: first(unenrolling) + f"<Alert><CmdID>60</CmdID><Data>1226</Data>{items}</Alert>"
        computer.connect()
        self.assertEqual([event["text"] for event in self.device(computer.ident)["events"]], [str(n) for n in range(19_950, 20_000)])


if __name__ == "__main__":
    unittest.main()
