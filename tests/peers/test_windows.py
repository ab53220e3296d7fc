"""A Windows PC's life: discovery to provisioning document, DM sessions, policy, both wipes; and who is refused."""

import base64
import re
import time
import unittest
import uuid
import xml.etree.ElementTree as ET

from harness import (
    Identity, ServedTest, VerbFailed, eventually, handshake_refusal, openssl, revoked_serials, self_made, serial_of,
)
from windows_device import SoapFault, WindowsDevice, child, text

POLICY = """
name: {name}
assign: [{group}]
passcode:
  required: true
  min_length: 8
  max_failed: 8
  max_idle_minutes: 10
"""
LOCK = "Vendor/MSFT/Policy/Config/DeviceLock/"
CAMERA = "Vendor/MSFT/Policy/Config/Camera/AllowCamera"


class Windows(ServedTest):
    def invite(self, user="bob@example.org"):
        return self.server.verb("invite", "--channel", "windows", "--user", user)

    def enrolled(self, name="DESKTOP-PEER"):
        return WindowsDevice(self.server, self.folder(), name).enrol(self.invite())

    def device(self, computer):
        found = self.server.device_of(computer.ident)
        self.assertIsNotNone(found, f"{computer.ident} is in the registry")
        return found

    def wipe(self, computer, scope):
        return self.server.verb("wipe", self.device(computer)["id"], "--scope", scope, "--reason", "lost", "--yes")

    # What holds

    def test_a_device_enrols_and_is_listed(self):
        computer = self.enrolled("DESKTOP-BOB")
        computer.connect()
        self.assertIn(computer.header_status, ("200", "212"))
        device = self.device(computer)
        self.assertEqual(
            [device[key] for key in ("channel", "platform", "state", "user")],
            ["omadm", "windows", "enrolled", "bob@example.org"],
        )
        self.assertEqual((device["name"], device["serial"]), ("DESKTOP-BOB", computer.serial))
        self.assertEqual(device["os_version"], "10.0.26200.9278")
        [enrolment] = device["enrolments"]
        self.assertEqual(int(enrolment["certificate"]["serial"].replace(":", ""), 16), serial_of(computer.identity.certificate))

    def test_the_provisioning_document_is_what_windows_takes(self):
        computer = self.enrolled()
        document = computer.provisioning
        self.assertEqual({path[0] for path in document.nodes}, {"CertificateStore", "APPLICATION", "DMClient"})
        for store in (("Root", "System"), ("My", "User")):
            der, folder = document.certificate("CertificateStore", *store)
            digest = openssl("dgst", "-sha1", "-r", stdin=der).split()[0].decode().upper()
            self.assertEqual(folder, digest)
        self.assertTrue(any(path[-1] == "PrivateKeyContainer" for path in document.below("CertificateStore", "My", "User")))
        application = computer.application()
        self.assertEqual(application["APPID"], "w7")
        self.assertTrue(application["ADDR"].startswith(self.server.public_url), application)
        logins = [parms for path, parms in document.nodes.items() if path[-1] == "APPAUTH"]
        # Two characteristics of one name fold into one here, so this holds for the last of them.
        self.assertTrue(logins and all(base64.b64decode(parms["AAUTHDATA"]) for parms in logins), logins)
        [dm_client] = [parms for path, parms in document.below("DMClient").items() if path[-1] == application["PROVIDER-ID"]]
        self.assertTrue(dm_client["EntDMID"], dm_client)
        [poll] = [parms for path, parms in document.below("DMClient").items() if path[-1] == "Poll"]
        self.assertEqual(poll["NumberOfRemainingScheduledRetries"], "0")
        self.assertGreater(int(poll["NumberOfFirstRetries"]), 0)

    def test_issued_certificates_verify(self):
        computer, folder = self.enrolled(), self.folder()
        root, _ = computer.provisioning.certificate("CertificateStore", "Root", "System")
        (folder / "root.pem").write_bytes(openssl("x509", "-inform", "DER", stdin=root))
        between = [base64.b64decode(parms["EncodedCertificate"]) for path, parms in computer.provisioning.nodes.items()
                   if path[:3] == ("CertificateStore", "CA", "System") and "EncodedCertificate" in parms]
        (folder / "between.pem").write_bytes(b"".join(openssl("x509", "-inform", "DER", stdin=der) for der in between))
        openssl("verify", "-CAfile", folder / "root.pem", "-untrusted", folder / "between.pem", computer.identity.certificate)
        subject = openssl("x509", "-in", computer.identity.certificate, "-noout", "-subject").decode()
        self.assertNotIn(computer.ident + "!", subject)
        self.assertNotIn("!" + computer.ident, subject)

    def test_a_policy_lands_in_the_tree_and_is_read_back(self):
        computer = self.enrolled()
        computer.connect()
        device = self.device(computer)
        self.server.verb("group", "create", "strict-computers")
        self.server.verb("group", "add", "strict-computers", device["id"])
        self.server.policy(POLICY.format(name="strict-windows", group="strict-computers"))

        def arrived():
            computer.connect()
            return LOCK + "DevicePasswordEnabled" in computer.tree

        eventually(arrived, "the policy's nodes")
        self.assertEqual(
            {name: computer.tree.get(LOCK + name) for name in
             ("DevicePasswordEnabled", "MinDevicePasswordLength", "MaxDevicePasswordFailedAttempts", "MaxInactivityTimeDeviceLock")},
            {"DevicePasswordEnabled": "0", "MinDevicePasswordLength": "8", "MaxDevicePasswordFailedAttempts": "8",
             "MaxInactivityTimeDeviceLock": "10"},
        )

        def answered():
            computer.connect()
            rows = self.server.verb("policy", "coverage", "strict-windows")
            return [row for row in rows if row["device"] == device["id"] and row["state"] != "pending"]

        [row] = eventually(answered, "coverage that is no longer pending")
        self.assertTrue(all(setting["channel"] == "omadm" for setting in row["settings"]), row)
        # Read back as it was set; what a PC makes of too many wrong tries is less than the setting says, and is told.
        states = {setting["setting"]: setting["state"] for setting in row["settings"]}
        self.assertEqual(states.pop("passcode.max_failed"), "partly")
        self.assertEqual(set(states.values()), {"enforced"}, row)
        self.assertIn("BitLocker", next(s["why"] for s in row["settings"] if s["state"] == "partly"))
        self.assertEqual(self.device(computer)["compliance"], "compliant")
        again = [verb for verb, path, _ in computer.connect() if verb in ("Add", "Replace") and "DeviceLock" in (path or "")]
        self.assertEqual(again, [], "what is confirmed is not sent again")

    # Settings are kept

    def ruled(self, group, *texts, refused=()):
        """A PC in a group of its own with these policies in force."""
        computer = self.enrolled()
        computer.refused.update(refused)
        computer.connect()
        self.server.verb("group", "create", group)
        self.server.verb("group", "add", group, self.device(computer)["id"])
        for policy in texts:
            self.server.policy(policy.replace("GROUP", group))
            computer.connect()
        return computer

    def rows(self, computer, policy):
        """The settings of a policy on the PC, by name."""
        device = self.device(computer)["id"]
        rows = [row for row in self.server.verb("policy", "coverage", policy) if row["device"] == device]
        return {row["setting"]: row for row in (rows[0]["settings"] if rows else [])}

    def sync(self, computer):
        self.server.verb("devices", "sync", self.device(computer)["id"])
        return computer.connect()

    def test_what_a_pc_lost_is_found_and_set_again(self):
        computer = self.ruled("losers", "name: lost\nassign: [GROUP]\ncamera: blocked\nbluetooth: blocked\n")
        before = self.rows(computer, "lost")["camera"]
        self.assertEqual(before["state"], "enforced")
        self.assertIsNotNone(before["verified"])
        del computer.tree[CAMERA]
        self.assertEqual(computer.connect(), [], "it is not asked again before it is time")
        came = [(verb, path.rsplit("/")[-1]) for verb, path, _ in self.sync(computer) if path and "/Policy/" in path]
        self.assertEqual(computer.tree.get(CAMERA), "0")
        self.assertEqual([row for row in came if row[0] != "Get"], [("Replace", "AllowCamera")], "what it has is not sent again")
        self.assertEqual(self.rows(computer, "lost")["camera"]["state"], "enforced")

    def test_what_a_pc_lost_may_read_406(self):
        computer = self.ruled("losers406", "name: lost406\nassign: [GROUP]\ncamera: blocked\n")
        del computer.tree[CAMERA]
        computer.refused[("Get", "AllowCamera")] = 406
        self.sync(computer)
        self.assertEqual(computer.tree.get(CAMERA), "0")

    def test_a_node_that_cannot_be_read_back_is_not_sent_again(self):
        silent = {("Get", "AllowCamera"): 404}
        computer = self.ruled("silent", "name: silent\nassign: [GROUP]\ncamera: blocked\n", refused=silent)
        row = self.rows(computer, "silent")["camera"]
        self.assertEqual((row["state"], row["verified"]), ("partly", None))
        self.assertIn("could not be read back", row["why"])
        for _ in range(3):
            came = self.sync(computer)
            self.assertIn("Get", [verb for verb, path, _ in came if "AllowCamera" in (path or "")])
            self.assertNotIn("Replace", [verb for verb, path, _ in came if "AllowCamera" in (path or "")])

    def test_a_setting_moved_between_typed_and_raw_is_never_deleted(self):
        typed = "name: moved\nassign: [GROUP]\npasscode: {required: true, min_length: 8}\n"
        nodes = "".join(f"    - {{path: ./Device/{LOCK}{name}, data: {data}}}\n"
                        for name, data in (("DevicePasswordEnabled", 0), ("MinDevicePasswordLength", 8)))
        raw = f"name: moved\nassign: [GROUP]\nwindows:\n  csp:\n{nodes}"
        computer = self.ruled("movers", typed)
        computer.commands.clear()
        for policy in (raw, typed, raw):
            self.server.policy(policy.replace("GROUP", "movers"))
            computer.connect()
            computer.connect()
            values = [computer.tree.get(LOCK + name) for name in ("DevicePasswordEnabled", "MinDevicePasswordLength")]
            self.assertEqual(values, ["0", "8"])
            self.assertEqual({row["state"] for row in self.rows(computer, "moved").values()}, {"enforced"})
        # A second policy wants the same, typed; then the first goes.
        self.server.policy(typed.replace("moved", "also").replace("GROUP", "movers"))
        computer.connect()
        self.server.verb("policy", "delete", "moved", "--yes")
        computer.connect()
        self.assertEqual(computer.tree.get(LOCK + "DevicePasswordEnabled"), "0")
        self.assertNotIn("Delete", [verb for verb, _, _ in computer.commands])
        self.server.verb("policy", "delete", "also", "--yes")
        computer.connect()
        self.assertNotIn(LOCK + "DevicePasswordEnabled", computer.tree, "what nobody wants goes")

    def test_one_refused_rule_of_passwords_keeps_none_of_the_others_back(self):
        stubborn = {("Replace", "DevicePasswordHistory"): 405}
        rules = "passcode: {required: true, min_length: 8, history: 3, max_idle_minutes: 5}"
        computer = self.ruled("rules", f"name: rules\nassign: [GROUP]\n{rules}\n", refused=stubborn)
        atomics = [number for number, (verb, _, _) in enumerate(computer.commands) if verb == "Atomic"]
        self.assertEqual(len(atomics), 2, "all together, then without the one that was refused")
        after = [path for _, path, _ in computer.commands[atomics[0] + 1:atomics[0] + 5]]
        self.assertTrue(after[0].endswith("DevicePasswordEnabled"), after)
        self.assertTrue(all("DeviceLock/" in path for path in after), after)
        rows = {setting: row["state"] for setting, row in self.rows(computer, "rules").items()}
        self.assertEqual(rows.pop("passcode.history"), "failed")
        self.assertEqual(set(rows.values()), {"enforced"}, rows)
        values = [computer.tree.get(LOCK + name) for name in ("DevicePasswordEnabled", "MinDevicePasswordLength", "DevicePasswordHistory")]
        self.assertEqual(values, ["0", "8", None])

    def test_the_others_of_an_atomic_may_say_507_or_nothing(self):
        other = re.compile(r"<Status>(?:(?!</Status>).)*<Data>21[56]</Data></Status>")
        for group, said in (("say507", lambda status: re.sub("21[56]</Data>", "507</Data>", status[0])), ("silence", "")):
            computer = self.enrolled()
            answer = computer.answer
            computer.answer = lambda orders: other.sub(said, answer(orders))
            computer.refused[("Replace", "DevicePasswordHistory")] = 405
            computer.connect()
            self.server.verb("group", "create", group)
            self.server.verb("group", "add", group, self.device(computer)["id"])
            rules = "passcode: {required: true, min_length: 8, history: 3, max_idle_minutes: 5}"
            self.server.policy(f"name: {group}\nassign: [{group}]\n{rules}\n")
            computer.connect()
            rows = {setting: row["state"] for setting, row in self.rows(computer, group).items()}
            self.assertEqual(rows.pop("passcode.history"), "failed")
            self.assertEqual(set(rows.values()), {"enforced"}, rows)
            self.assertEqual(len([verb for verb, _, _ in computer.commands if verb == "Atomic"]), 2, "then without the refused")

    def test_where_no_rule_of_passwords_is_named_each_goes_alone(self):
        said = re.compile("<Data>(?:21[56]|405|507)</Data>")
        for group, code in (("atomic-alone", "507"), ("each-alike", "500")):
            computer = self.enrolled()
            answer = computer.answer
            computer.answer = lambda orders: said.sub(f"<Data>{code}</Data>", answer(orders))
            computer.refused[("Replace", "DevicePasswordHistory")] = 405
            computer.connect()
            self.server.verb("group", "create", group)
            self.server.verb("group", "add", group, self.device(computer)["id"])
            rules = "passcode: {required: true, min_length: 8, history: 3, max_idle_minutes: 5}"
            self.server.policy(f"name: {group}\nassign: [{group}]\n{rules}\n")
            computer.connect()
            rows = {setting: row["state"] for setting, row in self.rows(computer, group).items()}
            self.assertEqual(rows.pop("passcode.history"), "failed")
            self.assertEqual(set(rows.values()), {"enforced"}, rows)
            set_alone = [path for verb, path, _ in computer.commands if verb == "Replace" and "DeviceLock" in (path or "")]
            self.assertEqual(len(set_alone), 8, "all together, then one by one")
            self.assertTrue(set_alone[4].endswith("DevicePasswordEnabled"), "first of all that one is needed")

    def test_a_value_that_breaks_sessions_off_is_singled_out(self):
        computer = self.ruled("breakers", "name: breaks\nassign: [GROUP]\ncamera: blocked\nbluetooth: blocked\n")
        before = self.rows(computer, "breaks")
        self.assertEqual({row["state"] for row in before.values()}, {"enforced"})
        computer.breaks_over = ("AllowCamera",)
        time.sleep(1.1)
        came = [self.sync(computer)] + [computer.connect() for _ in range(4)]
        rows = self.rows(computer, "breaks")
        self.assertEqual({row["state"] for row in rows.values()}, {"enforced"})
        self.assertGreater(rows["bluetooth"]["verified"], before["bluetooth"]["verified"], "it is read all the same")
        self.assertEqual(rows["camera"]["verified"], before["camera"]["verified"])
        self.assertIn("the device gave no value", rows["camera"]["why"])
        asked = [path for session in came for verb, path, _ in session if verb == "Get" and "AllowCamera" in path]
        self.assertLessEqual(len(asked), 2, "with the other, then alone")
        self.assertNotIn("Replace", [verb for session in came for verb, _, _ in session])
        first = self.sync(computer)
        self.assertEqual([path.rsplit("/", 1)[1] for verb, path, _ in first if verb == "Get" and "Policy" in path],
                         ["AllowBluetooth", "AllowCamera"], "from then on it goes last, and alone")

    def test_what_a_pc_does_not_tell_is_not_said_to_be_seen(self):
        computer = self.ruled("mute", "name: mute\nassign: [GROUP]\ncamera: blocked\n")
        before = self.rows(computer, "mute")["camera"]
        for code in (405, 500):
            computer.refused[("Get", "AllowCamera")] = code
            time.sleep(1.1)
            self.sync(computer)
            row = self.rows(computer, "mute")["camera"]
            self.assertEqual((row["state"], row["verified"]), ("enforced", before["verified"]))
            self.assertIn(f"Status {code}", row["why"])
        computer.refused.clear()
        self.sync(computer)
        row = self.rows(computer, "mute")["camera"]
        self.assertGreater(row["verified"], before["verified"])
        self.assertEqual(row["why"], before["why"])

    def test_encrypted_is_what_a_pc_says_of_its_drive(self):
        drive = "Vendor/MSFT/DeviceStatus/Compliance/EncryptionCompliance"
        computer = self.enrolled()
        computer.tree[drive] = "x"
        computer.connect()
        self.server.verb("group", "create", "drives")
        self.server.verb("group", "add", "drives", self.device(computer)["id"])
        self.server.policy("name: drives\nassign: [drives]\nencryption: required\n")
        computer.connect()

        def stands():
            self.server.verb("devices", "sync", self.device(computer)["id"])
            computer.connect()
            rows = [row for row in self.server.verb("policy", "coverage", "drives") if row["device"] == self.device(computer)["id"]]
            [row] = rows[0]["settings"]
            return row["state"], row["why"] or "", self.device(computer)["compliance"], self.device(computer)["facts"].get("encrypted")

        for value, want, words in [
            ("x", ("pending", "pending", None), "has not told yet"),
            ("0", ("pending", "noncompliant", "false"), "reports that its storage is not encrypted"),
            ("2", ("pending", "noncompliant", "false"), "not encrypted"),
            ("1", ("enforced", "compliant", "true"), "reports that its storage is encrypted"),
            ("", ("enforced", "compliant", "true"), "encrypted"),
        ]:
            computer.tree[drive] = value
            state, why, compliance, fact = stands()
            self.assertEqual((state, compliance, fact), want, f"{value!r}: {why}")
            self.assertIn(words, why, value)

    def test_of_two_policies_that_disagree_the_loser_says_so(self):
        computer = self.ruled("rivals", "name: a-lax\nassign: [GROUP]\ncamera: allowed\n")
        file = self.server.folder / "strict.yaml"
        file.write_text("name: b-strict\nassign: [rivals]\ncamera: blocked\n")
        shown = self.server.verb("policy", "apply", file)["diff"]
        self.assertIn("! camera of a-lax: overridden by b-strict on 1 device", shown)
        self.server.verb("policy", "apply", file, "--yes")
        computer.connect()
        row = self.rows(computer, "a-lax")["camera"]
        self.assertEqual((row["state"], row["why"]), ("overridden", "overridden by b-strict"))
        self.assertEqual(self.rows(computer, "b-strict")["camera"]["state"], "enforced")
        self.assertEqual(computer.tree[CAMERA], "0")

    def test_what_is_refused_is_tried_again_and_told_until_it_is_over(self):
        stubborn = {("Replace", "AllowCamera"): 500}
        computer = self.ruled("refusers", "name: refused\nassign: [GROUP]\ncamera: blocked\n", refused=stubborn)
        self.assertEqual(self.rows(computer, "refused")["camera"]["state"], "failed")
        self.assertEqual([problem["code"] for problem in self.device(computer)["problems"]], ["setting_refused"])
        computer.refused.clear()
        self.sync(computer)
        self.assertEqual(self.rows(computer, "refused")["camera"]["state"], "enforced")
        self.assertEqual(self.device(computer)["problems"], [])

        computer.refused[("Delete", "AllowCamera")] = 500
        self.server.verb("policy", "delete", "refused", "--yes")
        self.assertEqual(self.rows(computer, "refused")["camera"]["state"], "pending", "it is still there")
        computer.connect()
        row = self.rows(computer, "refused")["camera"]
        self.assertEqual(row["state"], "left_behind")
        self.assertIn("500", row["why"])
        [problem] = self.device(computer)["problems"]
        self.assertEqual(problem["code"], "removal_refused")
        self.assertIn("camera", problem["text"])
        computer.refused.clear()
        self.sync(computer)
        self.assertNotIn(CAMERA, computer.tree)
        self.assertEqual(self.device(computer)["problems"], [])
        with self.assertRaises(VerbFailed):
            self.server.verb("policy", "coverage", "refused")

    def test_a_node_that_was_said_to_be_gone_is_looked_for_and_goes_again(self):
        computer = self.ruled("hoarders", "name: hoard\nassign: [GROUP]\ncamera: blocked\n")
        computer.refused[("Delete", "AllowCamera")] = 200
        self.server.verb("policy", "delete", "hoard", "--yes")
        computer.connect()
        with self.assertRaises(VerbFailed):
            self.server.verb("policy", "coverage", "hoard")
        self.sync(computer)
        self.assertEqual(self.rows(computer, "hoard")["camera"]["state"], "left_behind")
        self.assertEqual([problem["code"] for problem in self.device(computer)["problems"]], ["removal_refused"])
        computer.refused.clear()
        self.sync(computer)
        self.assertNotIn(CAMERA, computer.tree)
        self.assertEqual(self.device(computer)["problems"], [])
        with self.assertRaises(VerbFailed):
            self.server.verb("policy", "coverage", "hoard")

    def test_names_within_paths_are_escaped_and_a_root_goes_with_its_folder(self):
        wifi, root = "Vendor/MSFT/WiFi/Profile/", "Vendor/MSFT/RootCATrustedCertificates/Root/" + "AB" * 20
        raw = (f"name: named\nassign: [GROUP]\nwindows:\n  csp:\n    - {{path: './Device/{wifi}Büro net/WlanXml', data: '<WLANProfile/>'}}\n"
               f"    - {{path: ./Device/{root}/EncodedCertificate, data: QUJD}}\n")
        computer = self.ruled("named", raw)
        computer.connect()
        self.assertEqual(computer.tree.get(wifi + "B%C3%BCro%20net/WlanXml"), "<WLANProfile/>", computer.tree)
        self.assertEqual(computer.tree.get(root + "/EncodedCertificate"), "QUJD")
        self.assertEqual({row["state"] for row in self.rows(computer, "named").values()}, {"enforced"})
        computer.commands.clear()
        self.server.verb("policy", "delete", "named", "--yes")
        computer.connect()
        self.assertEqual([node for node in computer.tree if "WiFi" in node or "RootCA" in node], [], computer.commands)

    def test_a_session_for_a_user_gets_nothing_of_the_devices(self):
        computer = self.ruled("scoped")
        computer.sync_type = "user"
        self.server.policy("name: scoped\nassign: [scoped]\ncamera: blocked\n")
        self.assertEqual(computer.connect(), [])
        self.assertEqual(self.sync(computer), [])
        self.assertEqual(self.rows(computer, "scoped")["camera"]["state"], "pending", "it has not failed")
        computer.sync_type = "device"
        computer.connect()
        self.assertEqual(self.rows(computer, "scoped")["camera"]["state"], "enforced")

    def test_wipes_reach_the_devices_named_and_no_other(self):
        retired, wiped, bystander = (self.enrolled(name) for name in ("RETIRED", "WIPED", "BYSTANDER"))
        for computer in (retired, wiped, bystander):
            computer.connect()
        selective, full = self.wipe(retired, "selective"), self.wipe(wiped, "full")

        wiped.connect()
        self.assertTrue(wiped.wiped)
        verb, path, _ = [row for row in wiped.commands if row[0] == "Exec"][-1]
        self.assertTrue(path.endswith("RemoteWipe/doWipe"), path)
        ended = self.wait_for_end(full, "presumed")
        self.assert_evidence(ended)
        eventually(lambda: self.device(wiped)["state"] == "wiped", "wiped")

        retired.connect()
        self.assertTrue(retired.unenrolled and not retired.wiped)
        self.assertNotIn(self.server.command(selective["id"])["state"], ("confirmed", "presumed"), "silence confirms nothing")
        self.assertEqual(retired.connect(unenrolling=True), [])
        self.assert_evidence(self.wait_for_end(selective, "confirmed"))
        eventually(lambda: self.device(retired)["state"] == "retired", "retired")
        serials = revoked_serials(self.server.request(self.server.enrol_url + "/crl").body)
        self.assertIn(serial_of(retired.identity.certificate), serials)

        bystander.connect()
        self.assertNotIn("Exec", [verb for verb, _, _ in bystander.commands])
        self.assertEqual(self.server.commands_of(self.device(bystander), "wipe"), [])
        self.assertNotIn(serial_of(bystander.identity.certificate), serials)

    def test_no_pc_talks_itself_out_of_a_wipe_by_what_it_takes(self):
        for size in ("0", "500", "2048"):
            computer = self.enrolled(f"SMALL{size}")
            computer.connect()
            command, message = self.wipe(computer, "full"), computer.message
            said = f'<Meta><MaxMsgSize xmlns="syncml:metinf">{size}</MaxMsgSize></Meta></SyncHdr>'
            alerts = "".join(f"<Alert><CmdID>{n}</CmdID><Data>1224</Data></Alert>" for n in range(60, 90))
            first = computer.package_one
            computer.package_one = lambda unenrolling: first(unenrolling) + alerts
            computer.message = lambda *a, **k: message(*a, **k).replace(b"</SyncHdr>", said.encode(), 1)
            computer.connect()
            self.assertTrue(computer.wiped, size)
            self.wait_for_end(command, "presumed")

    def test_a_device_that_leaves_by_itself_is_retired(self):
        computer = self.enrolled()
        computer.connect()
        computer.connect(unenrolling=True)
        eventually(lambda: self.device(computer)["state"] == "retired", "retired")

    # Who is refused

    def test_a_wrong_code_is_an_authentication_fault(self):
        computer, invitation = WindowsDevice(self.server, self.folder()), self.invite("eve@example.org")
        policy_url, service_url = computer.discover(invitation["user"])
        wrong = "0000-0000-0000-0000"
        for row, call in (
            ("policies", lambda: computer.get_policies(policy_url, invitation["user"], wrong)),
            ("token", lambda: computer.request_token(service_url, invitation["user"], wrong)),
            ("another user", lambda: computer.request_token(service_url, "mallory@example.org", invitation["code"])),
        ):
            with self.subTest(row), self.assertRaises(SoapFault) as refused:
                call()
            self.assertEqual(refused.exception.subcode, "Authentication", row)
        self.assertIsNone(self.server.device_of(computer.ident))

    def test_a_spent_code_is_an_authentication_fault(self):
        invitation = self.invite()
        WindowsDevice(self.server, self.folder()).enrol(invitation).connect()
        second = WindowsDevice(self.server, self.folder())
        _, service_url = second.discover(invitation["user"])
        with self.assertRaises(SoapFault) as refused:
            second.request_token(service_url, invitation["user"], invitation["code"])
        self.assertEqual(refused.exception.subcode, "Authentication")

    def test_an_enrolment_that_broke_off_is_repeated_with_the_same_code(self):
        invitation = self.invite()
        computer = WindowsDevice(self.server, self.folder())
        # It has its certificate, and loses it before its first session; four times, the last under another name after a reset.
        for _ in range(3):
            computer.enrol(invitation)
        former = Identity(computer.folder / "former.pem", computer.folder / "former.key")
        former.certificate.write_bytes(computer.identity.certificate.read_bytes())
        former.key.write_bytes(computer.identity.key.read_bytes())
        computer.ident = uuid.uuid4().hex.upper()
        computer.tree["DevInfo/DevId"] = computer.ident
        computer.enrol(invitation).connect()
        self.assertEqual(self.server.device_of(computer.ident)["state"], "enrolled")
        [listed] = [one for one in self.server.verb("invitations", "list") if one["id"] == invitation["id"]]
        self.assertEqual((listed["uses"], listed["used"]), (1, 1))
        self.assert_refused(computer.post(computer.message(1, computer.package_one(False)), former), 403)
        with self.assertRaises(SoapFault) as refused:
            WindowsDevice(self.server, self.folder()).enrol(invitation)
        self.assertEqual(refused.exception.subcode, "Authentication")

    def test_one_code_enrols_pcs_of_nobody_in_particular_whatever_name_is_typed(self):
        self.server.verb("group", "create", "lab")
        invitation = self.server.verb("invite", "--channel", "windows", "--uses", "3", "--group", "lab")
        for user in ("lab@example.org", "Somebody@example.org", "lab@example.org"):
            computer = WindowsDevice(self.server, self.folder())
            computer.enrol(dict(invitation, user=user)).connect()
            device = self.server.device_of(computer.ident)
            self.assertEqual((device["user"], device["state"]), (None, "enrolled"))
        self.assertEqual(self.server.verb("group", "show", "lab")["size"], 3)
        with self.assertRaises(SoapFault) as refused:
            WindowsDevice(self.server, self.folder()).enrol(dict(invitation, user="lab@example.org"))
        self.assertEqual(refused.exception.subcode, "Authentication")
        self.assertEqual(self.server.verb("devices", "list", "--user", "lab@example.org"), [])

    def test_the_code_is_read_as_people_type_it(self):
        invitation = self.invite()
        typed = dict(invitation, code=invitation["code"].replace("-", "").lower())
        WindowsDevice(self.server, self.folder()).enrol(typed).connect()

    def test_malformed_enrolment_gets_its_own_fault(self):
        computer, invitation = WindowsDevice(self.server, self.folder()), self.invite()
        _, service_url = computer.discover(invitation["user"])
        with self.assertRaises(SoapFault) as refused:
            computer.request_token(service_url, invitation["user"], invitation["code"], csr=b"no request")
        self.assertIn(refused.exception.subcode, ("CertificateRequest", "MessageFormat"))
        computer.enrol(invitation)  # and has not spent the invitation
        for body in (b"", b"hello", b"<a/>", b"<s:Envelope>"):
            with self.subTest(body):
                reply = self.server.request(service_url, "POST", body, {"Content-Type": "application/soap+xml; charset=utf-8"})
                self.assert_refused(reply, 400, 500)

    def test_anothers_certificate_is_refused(self):
        owner, thief = self.enrolled("OWNER"), self.enrolled("THIEF")
        owner.connect()
        wipe = self.wipe(owner, "full")
        owner.session += 1
        reply = owner.post(owner.message(1, owner.package_one(unenrolling=True)), thief.identity)
        self.assert_no_session(reply)
        self.assertNotIn(self.server.command(wipe["id"])["state"], ("sent", "presumed", "confirmed"))
        self.assertEqual(self.device(owner)["state"], "wiping")
        self.assert_audited("enrolment.refused", thief.ident)

    def test_no_certificate_is_refused(self):
        computer = self.enrolled()
        computer.session += 1
        self.assert_no_session(computer.post(computer.message(1, computer.package_one(False)), "none"))

    def assert_no_session(self, reply):
        """Refused by HTTP, or by the header's status with nothing for the device to do."""
        self.assertLess(reply.status, 500, reply)
        if reply.status != 200:
            return
        body = child(ET.fromstring(reply.body), "SyncBody")
        kinds = {each.tag.rpartition("}")[2] for each in body}
        self.assertFalse(kinds - {"Status", "Final"}, reply)
        self.assertIn(text(child(body, "Status"), "Data"), ("401", "403", "407"), reply)

    def test_a_self_made_certificate_ends_in_the_handshake(self):
        alert = handshake_refusal(self.server.device, "localhost", self.server.ca, self_made(self.folder()))
        self.assertEqual(alert, "TLSV1_ALERT_UNKNOWN_CA")

    def test_a_revoked_certificate_is_refused(self):
        computer = self.enrolled()
        computer.connect()
        self.server.verb("devices", "revoke", self.device(computer)["id"], "--reason", "key seen elsewhere")
        computer.session += 1
        self.assert_no_session(computer.post(computer.message(1, computer.package_one(False))))

    def test_malformed_messages_get_a_400(self):
        computer = self.enrolled()
        whole = computer.message(1, computer.package_one(False))
        for row, body in (("empty", b""), ("text", b"hello"), ("cut", whole[:-30]), ("no header", b"<SyncML/>")):
            with self.subTest(row):
                self.assert_refused(computer.post(body), 400)
        computer.connect()


if __name__ == "__main__":
    unittest.main()
