"""An iPhone's life, over real TLS: invitation, profile, SCEP, check-in, policy, both wipes; and who is refused."""

import concurrent.futures
import plistlib
import time
import unittest
import uuid

from apple_device import MDM, PASSCODE, SCEP, AppleDevice, payloads, scep
from harness import (
    Identity, ServedTest, VerbFailed, eventually, handshake_refusal, openssl, request, revoked_serials, self_made,
    serial_of,
)

POLICY = """
name: {name}
assign: [{group}]
passcode:
  required: true
  min_length: 8
  alphanumeric: true
  max_failed: 9
"""

SETTINGS = "org.lanyard.settings"



class Mac(AppleDevice):
    def authenticate(self):
        return self.check_in("Authenticate", DeviceName=self.name, Model="Mac14,2", ModelName="MacBook Air", ProductName="Mac14,2",
                             OSVersion="15.1", BuildVersion="24B83", SerialNumber=self.serial)

class Apple(ServedTest):
    def invite(self, *words, user="ann@example.org"):
        return self.server.verb("invite", "--channel", "apple", "--user", user, *words)

    def enrolled(self, name="iPhone", *words):
        return AppleDevice(self.server, self.folder(), name).enrol(self.invite(*words))

    def device(self, phone):
        found = self.server.device_of(phone.udid)
        self.assertIsNotNone(found, f"{phone.udid} is in the registry")
        return found

    def wipe(self, phone, scope, *words):
        return self.server.verb("wipe", self.device(phone)["id"], "--scope", scope, "--reason", "lost", "--yes", *words)

    # What holds

    def test_a_device_enrols_and_is_listed(self):
        phone = self.enrolled("Ann's iPhone")
        phone.poll()
        device = self.device(phone)
        self.assertEqual(
            [device[key] for key in ("channel", "platform", "state", "user", "ownership", "serial", "name")],
            ["apple", "ios", "enrolled", "ann@example.org", "corporate", phone.serial, "Ann's iPhone"],
        )
        self.assertEqual(device["os_version"], "18.6")
        [enrolment] = device["enrolments"]
        self.assertEqual((enrolment["channel"], enrolment["identity"]), ("apple", phone.udid))
        self.assertEqual(int(enrolment["certificate"]["serial"].replace(":", ""), 16), serial_of(phone.identity.certificate))
        self.assertIn("DeviceInformation", [kind for kind, _ in phone.commands])

    def test_the_profile_holds_what_a_device_needs(self):
        phone = AppleDevice(self.server, self.folder())
        invitation = self.invite()
        profile = phone.fetch(invitation)
        again = phone.fetch(invitation)
        self.assertEqual(profile["PayloadIdentifier"], again["PayloadIdentifier"])
        [mdm] = payloads(profile, MDM)
        [identity] = payloads(profile, SCEP)
        self.assertEqual(mdm["IdentityCertificateUUID"], identity["PayloadUUID"])
        self.assertEqual(mdm["AccessRights"], 8191)
        self.assertTrue(mdm["CheckOutWhenRemoved"])
        self.assertTrue(mdm["Topic"].startswith("com.apple.mgmt."), mdm["Topic"])
        for url in (mdm["ServerURL"], mdm["CheckInURL"]):
            self.assertTrue(url.startswith(self.server.public_url), url)

    def test_a_browser_that_is_no_apple_device_gets_a_page(self):
        invitation = self.invite()
        page = self.server.request(invitation["url"], headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"})
        self.assertEqual(page.status, 200)
        self.assertTrue(page.headers["content-type"].startswith("text/html"), page)
        agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15"
        profile = self.server.request(invitation["url"], headers={"User-Agent": agent})
        self.assertTrue(profile.headers["content-type"].startswith("application/x-apple-aspen-config"), profile)

    def test_issued_certificates_verify(self):
        phone = self.enrolled()
        folder = self.folder()
        issuing = self.issuing(phone, folder)
        openssl("verify", "-CAfile", self.server.ca, "-untrusted", issuing, phone.identity.certificate)
        openssl("verify", "-crl_check", "-CRLfile", self.crl(folder), "-CAfile", self.server.ca, "-untrusted", issuing,
                phone.identity.certificate)

    def issuing(self, phone, folder):
        url = payloads(phone.profile, SCEP)[0]["PayloadContent"]["URL"]
        reply = self.server.request(url + "?operation=GetCACert")
        self.assertEqual(reply.headers["content-type"], "application/x-x509-ca-cert", reply)
        file = folder / "issuing.pem"
        file.write_bytes(openssl("x509", "-inform", "DER", stdin=reply.body))
        return file

    def crl(self, folder):
        reply = self.server.request(self.server.enrol_url + "/crl")
        self.assertEqual(reply.status, 200, reply)
        form = "PEM" if reply.body.lstrip().startswith(b"-----BEGIN") else "DER"
        file = folder / "list.pem"
        file.write_bytes(openssl("crl", "-inform", form, stdin=reply.body))
        return file

    def test_a_policy_reaches_the_device_and_is_covered(self):
        phone = self.enrolled()
        phone.poll()
        device = self.device(phone)
        self.server.verb("group", "create", "strict-phones")
        self.server.verb("group", "add", "strict-phones", device["id"])
        applied = self.server.policy(POLICY.format(name="strict", group="strict-phones"))
        self.assertEqual((applied["name"], applied["applied"], applied["devices"]), ("strict", True, 1))
        settings = self.settings_that_reach(phone)
        self.assertEqual(
            {key: settings.get(key) for key in ("forcePIN", "minLength", "requireAlphanumeric", "maxFailedAttempts")},
            {"forcePIN": True, "minLength": 8, "requireAlphanumeric": True, "maxFailedAttempts": 9},
        )

        def enforced():
            phone.poll()
            [row] = [row for row in self.server.verb("policy", "coverage", "strict") if row["device"] == device["id"]]
            return row["state"] == "enforced" and row

        row = eventually(enforced, "coverage says enforced")
        self.assertTrue(all(setting["state"] == "enforced" for setting in row["settings"]), row)
        self.assertEqual(self.device(phone)["compliance"], "compliant")
        self.assertNotIn("InstallProfile", phone.poll(), "what is confirmed is not sent again")

    def test_wrong_tries_do_not_erase_a_phone_that_is_its_users_own(self):
        phone = self.enrolled("own", "--ownership", "personal")
        phone.poll()
        self.server.verb("group", "create", "own-phones")
        self.server.verb("group", "add", "own-phones", self.device(phone)["id"])
        self.server.policy(POLICY.format(name="own", group="own-phones"))
        settings = self.settings_that_reach(phone)
        self.assertEqual((settings["forcePIN"], settings["minLength"]), (True, 8))
        self.assertNotIn("maxFailedAttempts", settings)
        phone.poll()
        rows = self.rows(phone, "own")
        self.assertEqual({row["state"] for name, row in rows.items() if name != "passcode.max_failed"}, {"enforced"})
        self.assertEqual(rows["passcode.max_failed"]["state"], "cannot")
        self.assertIn("its user's own", rows["passcode.max_failed"]["why"])

    def ruled(self, group, policy):
        """A phone in a group of its own with a policy in force."""
        phone = self.enrolled()
        phone.poll()
        self.server.verb("group", "create", group)
        self.server.verb("group", "add", group, self.device(phone)["id"])
        self.server.policy(policy)
        phone.poll()
        self.assertIn(SETTINGS, phone.installed)
        return phone

    def rows(self, phone, policy):
        device = self.device(phone)["id"]
        rows = [row for row in self.server.verb("policy", "coverage", policy) if row["device"] == device]
        return {row["setting"]: row for row in (rows[0]["settings"] if rows else [])}

    def sync(self, phone):
        self.server.verb("devices", "sync", self.device(phone)["id"])
        return phone.poll()

    def test_a_profile_that_a_phone_lost_is_found_and_installed_again(self):
        phone = self.ruled("losing-phones", "name: kept\nassign: [losing-phones]\ncamera: blocked\n")
        self.assertIsNotNone(self.rows(phone, "kept")["camera"]["verified"])
        del phone.installed[SETTINGS]
        self.assertEqual(phone.poll(), [], "it is not asked again before it is time")
        came = self.sync(phone)
        self.assertIn("ProfileList", came)
        self.assertIn(SETTINGS, phone.installed)
        self.assertEqual(came.count("InstallProfile"), 1)
        self.assertEqual(self.rows(phone, "kept")["camera"]["state"], "enforced")
        self.assertNotIn("InstallProfile", self.sync(phone), "what it has is not sent again")

    def test_a_policy_of_passcodes_holds_when_the_phone_says_that_its_own_complies(self):
        phone = self.enrolled()
        phone.passcode = "too short"
        phone.poll()
        self.server.verb("group", "create", "slow-phones")
        self.server.verb("group", "add", "slow-phones", self.device(phone)["id"])
        self.server.policy("name: slow\nassign: [slow-phones]\npasscode: {min_length: 8}\ncamera: blocked\n")
        came = eventually(lambda: phone.poll(), "the policy")
        self.assertEqual(came[-3:], ["InstallProfile", "ProfileList", "SecurityInfo"], "it is asked at once")

        def says():
            rows = self.rows(phone, "slow")
            self.assertEqual(rows["camera"]["state"], "enforced")
            self.assertEqual(rows["passcode.required"]["state"], rows["passcode.min_length"]["state"])
            row = rows["passcode.min_length"]
            return row["state"], self.device(phone)["compliance"], row["why"], row["verified"]

        state, compliance, why, verified = says()
        self.assertEqual((state, compliance, verified), ("pending", "noncompliant", None))
        self.assertIn("its passcode does not comply yet", why)
        self.assertEqual(phone.poll(), [], "it is not asked on end")
        phone.passcode = "complies"
        self.assertIn("SecurityInfo", self.sync(phone))
        state, compliance, why, since = says()
        self.assertEqual((state, compliance, why), ("enforced", "compliant", None))
        phone.passcode = "none"
        self.sync(phone)
        state, compliance, why, verified = says()
        self.assertEqual((state, compliance, verified), ("pending", "noncompliant", since), "it was last seen to hold then")
        self.assertIn("it has no passcode yet", why)
        phone.passcode, phone.refused = "complies", {"SecurityInfo"}
        self.sync(phone)
        self.assertEqual(says()[:2], ("pending", "noncompliant"), "what it does not say is as it was")
        phone.refused = set()
        self.sync(phone)
        self.assertEqual(says()[:2], ("enforced", "compliant"))

    def test_what_a_phone_takes_and_never_lists_does_not_hold_and_goes_in_no_circle(self):
        phone = self.enrolled()
        phone.lists = False
        phone.poll()
        self.server.verb("group", "create", "blank-phones")
        self.server.verb("group", "add", "blank-phones", self.device(phone)["id"])
        self.server.policy("name: blank\nassign: [blank-phones]\npasscode: {min_length: 8}\ncamera: blocked\n")
        came = eventually(lambda: phone.poll(), "the policy")
        self.assertEqual(came.count("InstallProfile"), 2, "once more, and then after a pause")
        self.assertEqual(phone.poll(), [])
        for _ in range(2):
            for row in self.rows(phone, "blank").values():
                self.assertEqual((row["state"], row["verified"]), ("pending", None), row)
            self.assertNotEqual(self.device(phone)["compliance"], "compliant")
            self.sync(phone)
        phone.lists = True
        self.sync(phone)
        self.assertEqual({row["state"] for row in self.rows(phone, "blank").values()}, {"enforced"})

    def test_what_a_phone_does_not_tell_any_more_is_as_it_was_and_says_so(self):
        phone = self.ruled("mute-phones", "name: mute\nassign: [mute-phones]\npasscode: {min_length: 8}\ncamera: blocked\n")

        def rows():
            rows = self.rows(phone, "mute")
            self.assertEqual({row["state"] for row in rows.values()}, {"enforced"}, rows)
            return rows["camera"], rows["passcode.min_length"]

        before = rows()
        self.assertEqual([row["why"] for row in before], [None, None])
        phone.refused = {"ProfileList"}
        self.sync(phone)
        for row, was in zip(rows(), before):
            self.assertIn("did not tell it when it was last asked: ", row["why"])
            self.assertEqual(row["verified"], was["verified"])
        phone.refused = {"SecurityInfo"}
        self.sync(phone)
        camera, passcode = rows()
        self.assertEqual(camera["why"], None)
        self.assertIn("did not say how its passcode is when it was last asked: ", passcode["why"])
        phone.refused = set()
        self.sync(phone)
        self.assertEqual([row["why"] for row in rows()], [None, None])
        phone.not_now = {"ProfileList"}
        self.sync(phone)
        for row in rows():
            self.assertIn("did not tell it when it was last asked: NotNow", row["why"])
        phone.not_now = set()
        self.sync(phone)
        self.assertEqual([row["why"] for row in rows()], [None, None])

    def test_a_refused_removal_is_told_until_it_is_gone(self):
        phone = self.ruled("stuck-phones", "name: stuck\nassign: [stuck-phones]\ncamera: blocked\n")
        phone.refused.add("RemoveProfile")
        self.server.verb("policy", "delete", "stuck", "--yes")
        phone.poll()
        self.assertEqual(self.rows(phone, "stuck")["camera"]["state"], "left_behind")
        [problem] = self.device(phone)["problems"]
        self.assertEqual(problem["code"], "removal_refused")
        # Its user takes the profile away: the list of profiles says so, whatever it answers to a removal.
        del phone.installed[SETTINGS]
        self.sync(phone)
        self.sync(phone)
        self.assertEqual(self.device(phone)["problems"], [])

    def test_a_profile_that_was_said_to_be_gone_is_looked_for_and_goes_again(self):
        phone = self.ruled("hoarders", "name: hoard\nassign: [hoarders]\ncamera: blocked\n")
        phone.keeps = True
        self.server.verb("policy", "delete", "hoard", "--yes")
        self.assertIn("RemoveProfile", phone.poll())
        with self.assertRaises(VerbFailed):
            self.server.verb("policy", "coverage", "hoard")
        self.assertIn("ProfileList", self.sync(phone))
        row = self.rows(phone, "hoard")["camera"]
        self.assertEqual(row["state"], "left_behind", row)
        self.assertIn("said that it was gone, and has it still", row["why"])
        self.assertEqual([problem["code"] for problem in self.device(phone)["problems"]], ["removal_refused"])
        self.assertEqual(phone.poll(), [], "after a pause")
        came = self.sync(phone)
        self.assertLess(came.index("RemoveProfile"), came.index("ProfileList"), "it is taken away again and looked for at once")
        self.assertEqual(self.rows(phone, "hoard")["camera"]["state"], "left_behind")
        phone.keeps = False
        self.sync(phone)
        self.assertNotIn(SETTINGS, phone.installed)
        self.assertEqual(self.device(phone)["problems"], [])
        with self.assertRaises(VerbFailed):
            self.server.verb("policy", "coverage", "hoard")
        self.assertNotIn("ProfileList", self.sync(phone), "and that is the end of it")

    def settings_that_reach(self, phone):
        """The passcode payload that the device has installed, once it has."""
        def look():
            phone.poll()
            return [payload for profile in phone.installed.values() for payload in payloads(profile, PASSCODE)]

        [settings] = eventually(look, "InstallProfile with a passcode payload")
        return settings

    def test_a_device_enrolled_anew_is_asked_anew_whether_it_is_supervised(self):
        phone = AppleDevice(self.server, self.folder())
        phone.supervised = True
        phone.enrol(self.invite()).poll()
        self.assertEqual(self.device(phone)["facts"]["supervised"], "true")
        phone.supervised = False
        phone.identity.key.unlink()
        phone.enrol(self.invite())
        self.assertNotIn("supervised", self.device(phone)["facts"], "until it has told, nobody knows")
        self.assertIn("DeviceInformation", phone.poll())
        self.assertEqual(self.device(phone)["facts"]["supervised"], "false")

    def test_wipes_reach_the_devices_named_and_no_other(self):
        retired, erased, bystander = (self.enrolled(name) for name in ("retired", "erased", "bystander"))
        for phone in (retired, erased, bystander):
            phone.poll()
        selective, full = self.wipe(retired, "selective"), self.wipe(erased, "full")
        self.assertEqual([self.device(phone)["state"] for phone in (retired, erased)], ["retiring", "wiping"])

        retired.poll()
        [removal] = [command for kind, command in retired.commands if kind == "RemoveProfile"]
        self.assertEqual(removal["Identifier"], retired.profile["PayloadIdentifier"])
        self.assertFalse(retired.enrolled)
        self.assert_evidence(self.wait_for_end(selective, "confirmed"))
        eventually(lambda: self.device(retired)["state"] == "retired", "retired")

        erased.poll()
        self.assertTrue(erased.erased)
        self.assert_evidence(self.wait_for_end(full, "confirmed"))
        eventually(lambda: self.device(erased)["state"] == "wiped", "wiped")

        # One over: nothing for the third, and none of the devices heard the other's order.
        bystander.poll()
        self.assertFalse({"EraseDevice", "RemoveProfile"} & {kind for kind, _ in bystander.commands})
        self.assertNotIn("EraseDevice", [kind for kind, _ in retired.commands])
        self.assertEqual(self.server.commands_of(self.device(bystander), "wipe"), [])

        # Unenrolling answers are for those whose end is final, and for them alone.
        self.assert_refused(erased.report("Idle"), 403)
        self.assertEqual(bystander.report("Idle").status, 200)
        serials = revoked_serials(self.server.request(self.server.enrol_url + "/crl").body)
        self.assertIn(serial_of(retired.identity.certificate), serials)
        self.assertNotIn(serial_of(bystander.identity.certificate), serials)
        crl, issuing = self.crl(self.folder()), self.issuing(bystander, self.folder())
        with self.assertRaisesRegex(AssertionError, "revoked"):
            openssl("verify", "-crl_check", "-CRLfile", crl, "-CAfile", self.server.ca, "-untrusted", issuing,
                    retired.identity.certificate)

    def test_each_report_on_a_command_is_a_sight(self):
        phone = self.enrolled()
        phone.poll()
        before = self.device(phone)["last_seen"]
        self.server.verb("devices", "sync", self.device(phone)["id"])
        phone.poll()
        self.assertGreater(self.device(phone)["last_seen"], before, "it is seen though it never asks for nothing")

    def test_a_lock_and_a_cleared_passcode_are_acknowledged(self):
        phone = self.enrolled()
        phone.poll()
        ident = self.device(phone)["id"]
        for words in (["lock", ident, "--reason", "lent"], ["clear-passcode", ident]):
            command = self.server.verb(*words)
            phone.poll()
            self.wait_for_end(command, "acknowledged")
        self.assertLessEqual({"DeviceLock", "ClearPasscode"}, {kind for kind, _ in phone.commands})

    def test_a_supervised_device_is_renamed_and_another_is_not_asked(self):
        phone = self.enrolled()
        phone.supervised = True
        phone.poll()
        ident = self.device(phone)["id"]
        command = self.server.verb("devices", "rename", ident, "  Ward 3 & 4 ")
        self.assertEqual(command["action"], "rename")
        phone.poll()
        self.wait_for_end(command, "acknowledged")
        self.assertEqual((phone.name, self.device(phone)["name"]), ("Ward 3 & 4", "Ward 3 & 4"))
        later = self.server.verb("devices", "rename", ident, "Ward 4")
        phone.poll()
        self.wait_for_end(later, "acknowledged")
        phone.report("Acknowledged", CommandUUID=command["id"])
        self.assertEqual(self.device(phone)["name"], "Ward 4", "a repeat changes nothing")
        # The command is acknowledged, its item is not: it is no longer supervised, and we do not know yet.
        phone.supervised = False
        command = self.server.verb("devices", "rename", ident, "Ward 5")
        phone.poll()
        failed = self.wait_for_end(command, "failed")
        self.assertEqual(failed["error"], {"code": "12026", "text": "MCMDMErrorDomain 12026: Not supervised"})
        self.assertEqual(self.device(phone)["name"], "Ward 4")
        self.server.verb("devices", "sync", ident)
        phone.poll()
        for name, why in (("Ward 5", "not known to be supervised"), ("", "1 to 63 characters")):
            with self.assertRaisesRegex(VerbFailed, why):
                self.server.verb("devices", "rename", ident, name)

    def test_a_not_now_comes_again_and_a_repeat_changes_nothing(self):
        phone = self.enrolled()
        phone.poll()
        command = self.server.verb("lock", self.device(phone)["id"], "--reason", "lent")
        order = plistlib.loads(phone.report("Idle").body)
        self.assertEqual(order["Command"]["RequestType"], "DeviceLock")
        after = phone.report("NotNow", CommandUUID=order["CommandUUID"])
        self.assertEqual((after.status, after.body), (200, b""), "not again in the same session")
        again = plistlib.loads(phone.report("Idle").body)
        self.assertEqual(again["CommandUUID"], order["CommandUUID"])
        for _ in range(2):
            self.assertEqual(phone.report("Acknowledged", CommandUUID=order["CommandUUID"]).status, 200)
        self.wait_for_end(command, "acknowledged")
        phone.poll()
        self.assertNotIn("DeviceLock", [kind for kind, _ in phone.commands])

    def test_any_message_of_a_mac_whose_erasing_was_presumed_contradicts_it(self):
        self.server.verb("settings", "set", "wipe.grace", "1s")
        mac = Mac(self.server, self.folder(), "Mac").enrol(self.invite())
        wipe = self.wipe(mac, "full")
        order = plistlib.loads(mac.report("Idle").body)
        self.assertEqual(order["Command"]["RequestType"], "EraseDevice")
        chain = [{"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "no"}]
        mac.report("Error", CommandUUID=order["CommandUUID"], ErrorChain=chain)
        self.wait_for_end(wipe, "presumed")
        time.sleep(1.2)
        # No poll yet: the push token alone is another one.
        mac.token = uuid.uuid4().bytes * 2
        self.assertEqual(mac.token_update().status, 200)
        again = self.wait_for_end(wipe, "queued")
        self.assertIn("contact", [entry["kind"] for entry in again["evidence"]])
        order = plistlib.loads(mac.report("Idle").body)
        self.assertEqual(order["Command"]["RequestType"], "EraseDevice")

    def test_a_mac_that_must_not_obliterate_itself_has_failed_by_an_error(self):
        mac = Mac(self.server, self.folder(), "Mac").enrol(self.invite())
        for behaviour, end in (("donotobliterate", "failed"), ("Default", "presumed")):
            wipe = self.wipe(mac, "full", "--obliteration", behaviour)
            order = plistlib.loads(mac.report("Idle").body)
            self.assertEqual(order["Command"]["ObliterationBehavior"].lower(), behaviour.lower())
            self.assertIn(order["Command"]["ObliterationBehavior"], ("DoNotObliterate", "Default"))
            self.assertEqual(len(order["Command"]["PIN"]), 6)
            chain = [{"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "no"}]
            mac.report("Error", CommandUUID=order["CommandUUID"], ErrorChain=chain)
            self.assertEqual(self.wait_for_end(wipe, end)["state"], end)

    def test_an_erased_phone_keeps_its_plan_and_returns_where_that_was_asked_for(self):
        phone = self.enrolled("returns")
        phone.poll()
        for words, part in (
            (("full", "--obliteration", "Always"), "unsupported"),
            (("selective", "--preserve-data-plan"), "unsupported"),
            (("full", "--obliteration", "never"), "DoNotObliterate"),
        ):
            with self.assertRaises(VerbFailed) as refused:
                self.wipe(phone, *words)
            self.assertIn(part, refused.exception.stderr + refused.exception.stdout)
        self.wipe(phone, "full", "--preserve-data-plan", "--return-to-service")
        phone.poll()
        [erase] = [command for kind, command in phone.commands if kind == "EraseDevice"]
        self.assertEqual(erase, {"RequestType": "EraseDevice", "PreserveDataPlan": True, "ReturnToService": {"Enabled": True}})

    def test_a_personal_phone_cannot_be_erased(self):
        phone = self.enrolled("own", "--ownership", "personal")
        self.assertEqual(phone.mdm()["AccessRights"], 8183)
        phone.poll()
        with self.assertRaises(VerbFailed) as refused:
            self.wipe(phone, "full")
        self.assertEqual(refused.exception.code, 1)
        self.assertIn("personal", refused.exception.stderr.lower() + refused.exception.stdout.lower())
        self.wipe(phone, "selective")
        self.assertEqual(phone.poll(), ["RemoveProfile"])

    # Who is refused

    def test_anothers_certificate_is_refused(self):
        owner, thief = self.enrolled(), self.enrolled()
        own, theirs = owner.identity, thief.identity
        self.assert_refused(owner.report("Idle", identity=theirs), 403)
        for kind in ("TokenUpdate", "CheckOut"):
            reply = owner.check_in(kind, identity=theirs, Token=b"stolen" * 6, PushMagic="x")
            self.assert_refused(reply, 403)
        self.assertNotIn(b"com.apple.unrecognized.device", reply.body)
        self.assertEqual(owner.report("Idle", identity=own).status, 200)
        self.assertEqual(self.device(owner)["state"], "enrolled")
        self.assert_audited("enrolment.refused", thief.udid)

    def test_no_certificate_is_refused(self):
        phone = self.enrolled()
        self.assert_refused(phone.report("Idle", identity="none"), 400)
        self.assert_refused(phone.check_in("CheckOut", identity="none"), 400)
        garbage = phone.put(phone.mdm()["ServerURL"], "application/x-apple-aspen-mdm", b"<plist/>", "none",
                            **{"Mdm-Signature": "AAAA"})
        self.assert_refused(garbage, 400)
        self.assertEqual(self.device(phone)["state"], "enrolled")

    def test_a_self_made_certificate_ends_in_the_handshake(self):
        folder = self.folder()
        alert = handshake_refusal(self.server.device, "localhost", self.server.ca, self_made(folder))
        self.assertEqual(alert, "TLSV1_ALERT_UNKNOWN_CA")

    def test_a_revoked_certificate_is_refused_and_does_not_unenrol(self):
        phone = self.enrolled()
        phone.poll()
        self.server.verb("devices", "revoke", self.device(phone)["id"], "--reason", "key seen elsewhere")
        reply = phone.report("Idle")
        self.assert_refused(reply, 403)
        self.assertNotIn(b"com.apple.unrecognized.device", reply.body)
        serials = revoked_serials(self.server.request(self.server.enrol_url + "/crl").body)
        self.assertIn(serial_of(phone.identity.certificate), serials)

    def test_a_spent_challenge_is_refused(self):
        phone = self.enrolled()
        second = Identity(phone.folder / "second.pem", phone.folder / "second.key")
        payload = payloads(phone.profile, SCEP)[0]["PayloadContent"]
        with self.assertRaisesRegex(AssertionError, "(?i)fail"):
            scep(self.server.ca, payload["URL"], payload["Challenge"], second)
        self.assertFalse(second.certificate.exists())

    def test_an_install_that_broke_off_is_repeated_by_the_same_link(self):
        invitation = self.invite()
        phone = AppleDevice(self.server, self.folder())
        phone.fetch(invitation)
        phone.certificate()
        # Before Authenticate; then between Authenticate and TokenUpdate; then whole. Each install makes a key of its own.
        phone.again().fetch(invitation)
        phone.certificate()
        self.assertEqual(phone.authenticate().status, 200)
        self.assertEqual(self.device(phone)["enrolments"][0]["state"], "pending")
        former = phone.identity
        phone.again().enrol(invitation)
        self.assertEqual(phone.report("Idle").status, 200)
        device = self.device(phone)
        self.assertEqual([e["state"] for e in device["enrolments"]], ["revoked", "enrolled"])
        reply = phone.report("Idle", identity=former)
        self.assert_refused(reply, 403)
        self.assertNotIn(b"com.apple.unrecognized.device", reply.body)
        self.assertIn(serial_of(former.certificate), revoked_serials(self.server.request(self.server.enrol_url + "/crl").body))
        with self.assertRaisesRegex(AssertionError, "has been used"):
            AppleDevice(self.server, self.folder()).fetch(invitation)

    def test_one_link_enrols_five_ipads_of_nobody_in_particular(self):
        group = f"school-{uuid.uuid4().hex[:8]}"
        self.server.verb("group", "create", group)
        self.server.policy(POLICY.format(name=group, group=group))
        anns = self.enrolled("Ann's")
        invitation = self.server.verb("invite", "--channel", "apple", "--uses", "5", "--group", group)
        self.assertEqual([invitation[key] for key in ("user", "uses", "used", "group")], [None, 5, 0, group])
        ipads = [AppleDevice(self.server, self.folder(), f"iPad {number}") for number in range(5)]
        # The first has the name of a device that is managed already; another broke off once.
        ipads[0].udid, ipads[0].serial = anns.udid, anns.serial
        ipads[1].fetch(invitation)
        ipads[1].certificate()
        ipads[1].again()
        for ipad in ipads:
            ipad.enrol(invitation).poll()
            self.assertIn(SETTINGS, ipad.installed, "the group's policy reaches it")
        mine = [device for device in self.server.verb("devices", "list") if device["name"] in {ipad.name for ipad in ipads}]
        self.assertEqual([(device["user"], device["state"]) for device in mine], [(None, "enrolled")] * 5)
        self.assertEqual(self.server.verb("group", "show", group)["size"], 5)
        self.assertEqual(anns.report("Idle").status, 200, "who had the name before is managed on")
        [listed] = [one for one in self.server.verb("invitations", "list") if one["id"] == invitation["id"]]
        self.assertEqual((listed["uses"], listed["used"], listed["user"]), (5, 5, None))
        with self.assertRaisesRegex(AssertionError, "has been used"):
            AppleDevice(self.server, self.folder()).fetch(invitation)
        given = next(device for device in mine if device["name"] == "iPad 3")["id"]
        self.assertEqual(self.server.verb("devices", "set", given, "--user", "bob@example.org")["user"], "bob@example.org")

    def test_forty_ipads_behind_one_address_enrol_at_once_by_one_link(self):
        self.server.verb("group", "create", "hall")
        invitation = self.server.verb("invite", "--channel", "apple", "--uses", "40", "--group", "hall")
        ipads = [AppleDevice(self.server, self.folder(), f"hall {number}") for number in range(40)]

        def begins(ipad):
            ipad.enrol(invitation)
            return ipad.report("Idle").status

        with concurrent.futures.ThreadPoolExecutor(8) as hands:
            self.assertEqual(set(hands.map(begins, ipads)), {200})
        self.assertEqual(self.server.verb("group", "show", "hall")["size"], 40)
        [listed] = [one for one in self.server.verb("invitations", "list") if one["id"] == invitation["id"]]
        self.assertEqual(listed["used"], 40)

    def test_a_link_for_many_that_is_revoked_ends_what_is_under_way_and_nothing_else(self):
        group = f"lent-{uuid.uuid4().hex[:8]}"
        self.server.verb("group", "create", group)
        invitation = self.server.verb("invite", "--channel", "apple", "--uses", "9", "--group", group)
        whole, begun = (AppleDevice(self.server, self.folder()) for _ in range(2))
        whole.enrol(invitation)
        begun.fetch(invitation)
        begun.certificate()
        self.assertEqual(begun.authenticate().status, 200)
        self.assertTrue(self.server.verb("invitations", "revoke", invitation["id"])["revoked"])
        self.assert_refused(begun.token_update(), 403)
        self.assertEqual(whole.report("Idle").status, 200)
        for words, why in (
            (("--uses", "5", "--user", "ann@example.org"), "cannot be used with"),
            (("--uses", "0"), "1 to 100000"),
            (("--uses", "5", "--group", "nowhere"), "group"),
            ((), "--user"),
        ):
            with self.assertRaisesRegex(VerbFailed, why):
                self.server.verb("invite", "--channel", "apple", *words)

    def test_who_has_the_link_too_ends_no_install_that_is_under_way(self):
        invitation = self.invite()
        phone = AppleDevice(self.server, self.folder())
        phone.fetch(invitation)
        phone.certificate()
        self.assertEqual(phone.authenticate().status, 200)
        thieves = []
        for _ in range(4):
            thief = AppleDevice(self.server, self.folder(), "thief")
            thief.fetch(invitation)
            thief.certificate()
            thieves.append(thief)
        # Of theirs that nobody showed the older two gave way; the others come as far as Authenticate.
        for thief, status in zip(thieves, (403, 403, 200, 200)):
            self.assertEqual(thief.authenticate().status, status)
        page = request(invitation["url"] + "/profile", ca=self.server.ca)
        self.assertEqual((page.status, b"under way" in page.body), (409, True), page)
        self.assertEqual(phone.token_update().status, 200)
        self.assertEqual(phone.report("Idle").status, 200)
        for thief in thieves:
            self.assert_refused(thief.token_update(), 403)
            self.assertIsNone(self.server.device_of(thief.udid))

    def test_the_same_key_asking_again_gets_the_same_certificate(self):
        phone = self.enrolled()
        first = phone.identity.certificate.read_bytes()
        phone.certificate()
        self.assertEqual(phone.identity.certificate.read_bytes(), first)
        self.assertEqual(phone.report("Idle").status, 200)

    def test_a_made_up_challenge_is_refused(self):
        phone = AppleDevice(self.server, self.folder())
        payload = payloads(phone.fetch(self.invite()), SCEP)[0]["PayloadContent"]
        with self.assertRaisesRegex(AssertionError, "(?i)fail"):
            scep(self.server.ca, payload["URL"], "made-up", phone.identity)
        phone.certificate()  # the wrong try has not spent the right one

    def test_an_unknown_invitation_is_refused(self):
        url = self.invite()["url"]
        self.assert_refused(request(url[:-6] + "AAAAAA/profile", ca=self.server.ca), 403, 404, 410)

    def test_one_spoilt_value_does_not_spoil_a_report(self):
        phone = self.enrolled()
        phone.poll()
        url = phone.mdm()["ServerURL"]
        head, tail = plistlib.dumps({"Status": "Acknowledged", "UDID": phone.udid}).split(b"</dict>")
        for row, value in (
            ("NUL", b"<key>QueryResponses</key><dict><key>DeviceName</key><string>a&#0;b</string></dict>"),
            ("broken UTF-8", b"<key>QueryResponses</key><dict><key>DeviceName</key><string>a\xffb</string></dict>"),
            ("a key twice", b"<key>A</key><string>a</string><key>A</key><string>b</string>"),
            ("a fractional date", b"<key>D</key><date>2026-11-25T04:05:06.789Z</date>"),
        ):
            with self.subTest(row):
                asked = self.server.verb("devices", "sync", self.device(phone)["id"])
                reply = phone.report("Idle")
                while reply.body:
                    self.assertEqual(reply.status, 200, reply)
                    ident = plistlib.loads(reply.body)["CommandUUID"].encode()
                    body = head + b"<key>CommandUUID</key><string>" + ident + b"</string>" + value + b"</dict>" + tail
                    reply = phone.put(url, "application/x-apple-aspen-mdm", body, phone.identity)
                self.assertEqual(self.server.verb("commands", "show", asked["id"])["state"], "acknowledged")

    def test_malformed_bodies_get_a_400(self):
        phone = self.enrolled()
        url = phone.mdm()["ServerURL"]
        for row, body in (("empty", b""), ("text", b"hello"), ("cut", plistlib.dumps({"Status": "Idle"})[:-20]),
                          ("no dictionary", plistlib.dumps(["Idle"])), ("no status", plistlib.dumps({"UDID": phone.udid}))):
            with self.subTest(row):
                self.assert_refused(phone.put(url, "application/x-apple-aspen-mdm", body, phone.identity), 400)
        self.assertEqual(phone.report("Idle").status, 200)


if __name__ == "__main__":
    unittest.main()
