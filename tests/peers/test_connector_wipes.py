"""Wipes through Exchange: one Clear, of one that is not blocked; ended by the client's own acknowledgement, then blocked and removed."""

import time
import unittest

from apple_device import AppleDevice
from connector_side import MINUTE, ORG, QUIET, SOON, Connected
from harness import Api, VerbFailed, eventually

OUTLOOK = {"type": "Outlook", "client": "Outlook", "version": "161", "model": "Outlook for iOS and Android", "os": "iOS 18.6",
           "agent": "Outlook-iOS-Android/1.0"}
OLD = {"version": "14.1", "type": "Android", "model": "SM-G960F", "os": "Android 8", "agent": "Android-SAMSUNG-SM-G960F/101.80000"}


class Wipes(Connected):
    def test_a_full_wipe_is_asked_once_and_ends_by_the_clients_word(self):
        phone = self.let_in()
        command = self.wipe(phone, "full")
        self.assertEqual((command["channel"], command["state"]), ("exchange", "queued"))
        eventually(lambda: self.clears(phone), "the request for a wipe", SOON)
        time.sleep(QUIET)
        self.assertIn(self.server.command(command["id"])["state"], ("queued", "sent"), "silence confirms nothing")
        self.assertFalse(self.blocked(phone), "a blocked client would never fetch it")
        self.assertEqual(phone.sync(), "wiped")
        ended = self.ends(command, "confirmed")
        self.assert_evidence(ended)
        self.assertIn("exchange", {entry["channel"] for entry in ended["evidence"]})
        self.gone_and_blocked(phone)
        self.assertEqual(self.device(phone)["state"], "wiped")
        self.assertEqual(len(self.clears(phone)), 1)

    def test_one_that_is_blocked_is_taken_off_the_list_first(self):
        phone = self.let_in()
        self.decide("block", phone)
        self.soon(phone, "blocked")
        command = self.wipe(phone, "full")
        eventually(lambda: self.clears(phone), "the request for a wipe", SOON)
        edits = [call for call in self.org.called("Set-CASMailbox") if call.time < self.clears(phone)[0].time]
        self.assertIn(phone.device_id, str(edits[-1].parameters.get("ActiveSyncBlockedDeviceIDs")))
        self.soon(phone, "wiped")
        self.ends(command, "confirmed")
        self.gone_and_blocked(phone)

    def test_an_acknowledgement_older_than_the_request_counts_for_nothing(self):
        phone = self.let_in()
        # An administrator wiped it in Exchange last year; it came back, as its next owner's.
        year = {key: phone.device.first_sync.replace(year=phone.device.first_sync.year - 1) for key in ("requested", "sent", "acked")}
        with self.org.lock:
            phone.device.wipe.update(year)
        command = self.wipe(phone, "full")
        eventually(lambda: "acked" not in phone.device.wipe, "asked for anew", SOON)
        # Which the stand-in takes for a second one, as far as it can see.
        self.org.sins = [sin for sin in self.org.sins if sin[0] != "a second Clear"]
        time.sleep(QUIET)
        self.assertNotEqual(self.server.command(command["id"])["state"], "confirmed")
        self.soon(phone, "wiped")
        self.ends(command, "confirmed")

    def test_the_account_alone(self):
        phone = self.let_in()
        command = self.wipe(phone, "selective")
        eventually(lambda: self.clears(phone, AccountOnly=True), "the request", SOON)
        self.soon(phone, "account gone")
        self.assertFalse(phone.erased)
        self.assert_evidence(self.ends(command, "confirmed"))
        self.gone_and_blocked(phone)
        self.assertEqual((self.device(phone)["state"], len(self.clears(phone))), ("retired", 1))

    def test_an_old_client_loses_its_access_where_only_the_account_may_go(self):
        phone = self.let_in(**OLD)
        command = self.wipe(phone, "selective")
        self.soon(phone, "blocked")
        ended = self.ends(command, "presumed", "confirmed")
        self.assertEqual(ended["state"], "presumed", "what is on it stays")
        self.assertEqual(self.clears(phone), [])

    def test_outlook_is_never_wiped_in_full(self):
        phone = self.let_in(**OUTLOOK)
        try:
            command = self.wipe(phone, "full")
        except VerbFailed as refused:
            self.assertEqual(refused.code, 1)
            self.assertEqual(self.clears(phone), [])
            return
        time.sleep(QUIET)
        phone.sync()
        time.sleep(QUIET)
        self.assertFalse(phone.erased)
        ended = self.server.command(command["id"])
        self.assertFalse(ended["scope"] == "full" and ended["state"] == "confirmed", ended)

    def test_outlooks_account_can_be_taken(self):
        phone = self.let_in(**OUTLOOK)
        command = self.wipe(phone, "selective")
        eventually(lambda: self.clears(phone), "a plain Clear, since -AccountOnly is not supported", SOON)
        self.assertNotIn("AccountOnly", self.clears(phone)[0].parameters)
        self.soon(phone, "account gone")
        self.assertIn(self.ends(command, "confirmed", "presumed")["scope"], ("selective",))
        self.assertEqual(self.device(phone)["state"], "retired")

    def test_a_wipe_that_is_taken_back_in_its_undo_window_is_never_asked_for(self):
        phone = self.let_in()
        command = self.server.verb("wipe", self.device(phone)["id"], "--scope", "full", "--reason", "a mistake", "--delay", "12h", "--yes")
        self.soon(phone, "blocked")
        self.server.verb("commands", "cancel", command["id"], "--mail", "allow")
        self.soon(phone, "mail")
        self.assertEqual(self.clears(phone), [])

    def test_a_cancel_that_comes_too_late_hides_nothing(self):
        phone = self.let_in()
        command = self.wipe(phone, "full")
        eventually(lambda: self.clears(phone), "the request for a wipe", SOON)
        with self.assertRaises(VerbFailed) as late:
            self.server.verb("commands", "cancel", command["id"])
        self.assertIn("too late", str(late.exception))
        self.soon(phone, "wiped")
        self.ends(command, "confirmed")

    def test_a_personal_client_loses_its_account_at_most(self):
        phone = self.let_in()
        self.server.verb("devices", "set", self.device(phone)["id"], "--ownership", "personal")
        with self.assertRaises(VerbFailed):
            self.wipe(phone, "full")
        self.assertEqual(self.clears(phone), [])

    def test_a_client_that_comes_again_after_its_wipe_stays_out(self):
        phone = self.let_in()
        command = self.wipe(phone, "full")
        eventually(lambda: self.clears(phone), "the request for a wipe", SOON)
        self.soon(phone, "wiped")
        self.ends(command, "confirmed")
        self.gone_and_blocked(phone)
        phone.erased = False
        self.assertEqual(phone.sync(), "blocked")
        time.sleep(QUIET)
        self.assertEqual((phone.sync(), len(self.clears(phone))), ("blocked", 0), "nor is its new object wiped")

    def test_what_another_mailbox_reports_proves_nothing(self):
        """The same DeviceId in two mailboxes: two enrolments, and only the one that was asked counts."""
        phone = self.let_in(mailbox=self.org.mailboxes[0])
        with self.org.lock:
            clone = self.org.device(self.org.mailboxes[1], phone.device_id)
        command = self.wipe(phone, "full")
        eventually(lambda: self.clears(phone), "the request for a wipe", SOON)
        with self.org.lock:
            moment = phone.device.wipe["requested"]
            clone.wipe.update(requested=moment, sent=moment, acked=moment)
        time.sleep(QUIET)
        self.assertNotEqual(self.server.command(command["id"])["state"], "confirmed")
        self.assertEqual(len(self.clears()), len({call.parameters["Identity"] for call in self.clears()}))
        self.org.forget(clone)
        self.soon(phone, "wiped")
        self.ends(command, "confirmed")


class Stopped(Connected):
    """The emergency stop is on, and stays on."""

    def test_under_the_stop_no_wipe_leaves_for_exchange(self):
        phone = self.let_in()
        self.connector.stop()
        command = self.wipe(phone, "full")
        self.server.verb("stop", "on")
        self.connector.start()
        self.soon(phone, "blocked")
        time.sleep(QUIET)
        self.assertEqual((self.clears(phone), self.server.command(command["id"])["sent"]), ([], None))
        # Nobody else is there to lift it.
        self.server.verb("commands", "cancel", command["id"])


class Managed(Connected):
    """An iPhone that is enrolled by Apple MDM and mails through Exchange."""

    def managed(self):
        mailbox = self.org.mailbox(f"carol{len(self.org.mailboxes)}")
        phone = AppleDevice(self.server, self.folder(), "Carol's iPhone").enrol(
            self.server.verb("invite", "--channel", "apple", "--user", mailbox.address))
        phone.poll()
        client = self.phone(mailbox)
        return phone, client

    def joined(self):
        mailbox = self.org.mailbox(f"dave{len(self.org.mailboxes)}")
        phone = AppleDevice(self.server, self.folder(), "Dave's iPhone").enrol(
            self.server.verb("invite", "--channel", "apple", "--user", mailbox.address))
        phone.poll()
        client = self.phone(mailbox, device_id=phone.eas_identifier)
        eventually(lambda: len(self.device(client)["enrolments"]) == 2, "one device, two enrolments", SOON)
        device = self.device(client)
        self.assertEqual(sorted(each["channel"] for each in device["enrolments"]), ["apple", "exchange"])
        self.assertEqual(device["channel"], "apple")
        if client.sync() != "mail":
            self.server.verb("devices", "allow", device["id"])
            self.soon(client, "mail")
        return phone, client

    def test_its_wipe_closes_mail_within_a_second_and_one_record_names_both(self):
        for scope in ("selective", "full"):
            with self.subTest(scope=scope):
                phone, client = self.joined()
                api = Api(self.server, (self.server.data / "local.token").read_text().strip())
                ident = self.device(client)["id"]
                asked = time.monotonic()
                command = api.done("POST", f"devices/{ident}/wipe", {"scope": scope, "reason": "lost"})
                while not self.blocked(client) and time.monotonic() < asked + SOON:
                    time.sleep(0.01)
                self.assertLess(time.monotonic() - asked, 1, "the block is with Exchange")
                self.assertEqual(command["channel"], "apple")
                self.assertEqual(client.sync(), "blocked")
                self.assertEqual(self.clears(client), [], "it is wiped through Apple, and not by mail as well")
                phone.poll()
                ended = self.ends(command, "confirmed")
                eventually(lambda: {entry["channel"] for entry in self.server.command(command["id"])["evidence"]} == {"apple", "exchange"},
                           f"one record names both; it is {ended}", SOON)
                wipes = [each for each in self.server.commands_of(self.device(client)) if each["action"] == "wipe"]
                self.assertEqual([each["id"] for each in wipes], [command["id"]], "one wipe for the whole device")
                self.assertTrue(self.blocked(client), "and it stays so")

    def test_what_exchange_says_is_no_proof_for_the_phone_itself(self):
        phone, client = self.joined()
        command = self.server.verb("wipe", self.device(client)["id"], "--scope", "full", "--reason", "lost", "--yes")
        with self.org.lock:
            moment = client.device.first_sync.replace(year=client.device.first_sync.year + 1)
            client.device.wipe.update(requested=moment, sent=moment, acked=moment)
        time.sleep(QUIET)
        self.assertNotIn(self.server.command(command["id"])["state"], ("confirmed", "presumed"), "Exchange speaks for the mail alone")
        phone.poll()
        self.ends(command, "confirmed")

    def test_another_persons_client_of_that_name_is_another_device(self):
        phone, _ = self.managed()
        stranger = self.org.mailbox(f"mallory{len(self.org.mailboxes)}")
        client = self.phone(stranger, device_id=phone.eas_identifier)
        time.sleep(QUIET)
        own = self.server.device_of(phone.udid)
        self.assertEqual([each["channel"] for each in own["enrolments"]], ["apple"], own)
        self.assertTrue(client.device.guid in self.org.devices)


class Breaker(Connected):
    mailboxes, partnerships = 12, 12

    def test_the_eleventh_full_wipe_is_held(self):
        devices = [self.server.device_of(f"F{number:031X}") for number in range(12)]
        answers = [self.server.verb("wipe", device["id"], "--scope", "full", "--reason", "hr told me to", "--yes") for device in devices]
        self.assertEqual([answer["state"] for answer in answers], ["queued"] * 10 + ["held"] * 2)
        eventually(lambda: len(self.clears()) == 10, "ten requests", 30)
        time.sleep(QUIET)
        self.assertEqual(len({call.parameters["Identity"].lower() for call in self.clears()}), 10)
        self.assertEqual(len(self.clears()), 10)
        self.server.verb("stop", "on", "--cancel-all")


class Two(Connected):
    """Two instances of one organisation."""

    def test_one_that_is_killed_is_followed_by_the_other(self):
        second = self.another().start()
        eventually(lambda: len(self.listed()["instances"]) == 2, "both are known", SOON)
        self.assertEqual(self.listed()["leader"], self.connector.instance())
        phone = self.let_in()
        command = self.wipe(phone, "full")
        eventually(lambda: self.clears(phone), "the request for a wipe", SOON)
        self.connector.kill()
        asked = time.monotonic()
        eventually(lambda: self.listed()["leader"] == second.instance(), "the other leads", 90)
        waiting = self.phone()
        self.decide("block", waiting)
        self.soon(waiting, "blocked", 30)
        self.assertLess(time.monotonic() - asked, 90)
        self.soon(phone, "wiped")
        self.ends(command, "confirmed")
        self.assertEqual(len(self.clears(phone)), 1, "no second Clear")
        # Who comes back stands by, and is the next one.
        self.connector.start()
        time.sleep(QUIET)
        self.assertEqual(self.listed()["leader"], second.instance())
        second.stop()
        eventually(lambda: self.listed()["leader"] == self.connector.instance(), "and back again", 90)
        self.assertEqual(self.listed(ORG)["kind"], "online")


if __name__ == "__main__":
    unittest.main()
