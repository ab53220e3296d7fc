"""The Exchange connector: enrolment by a code, a check that names what fails, the first sync, and an administrator's decisions."""

import json
import os
import stat
import time
import unittest

from connect_proxy import ConnectProxy
from connector_side import ORG, QUIET, SOON, STEPS, Connected, Connector
from exchange_world import Phone
from harness import VerbFailed, eventually, free_port, self_made


class Enrolment(Connected):
    starts = False

    def refused(self, connector, code):
        with self.assertRaises(VerbFailed) as refused:
            connector.enrol(code)
        self.assertEqual(refused.exception.code, 1, refused.exception)
        return refused.exception.stderr

    def test_a_code_is_for_one_installation(self):
        code = self.invite(org="another")
        first = self.installed().enrol(code)
        self.refused(self.installed(), code)
        self.assertEqual([each["id"] for each in self.listed("another")["instances"]], [first.instance()])
        self.refused(self.installed(), "AAAA-AAAA-AAAA-AAAA")
        self.refused(self.installed(), self.invite("onprem", "head office"))

    def test_letter_case_and_dashes_of_a_code_do_not_matter(self):
        self.installed().enrol(self.invite().replace("-", "").lower())

    def test_what_was_given_is_copied_and_what_is_kept_is_for_its_owner_alone(self):
        connector = self.another()
        files = {path.name: path for path in connector.dir.rglob("*") if path.is_file()}
        self.assertLessEqual({"connector.json", "secrets.sealed", "identity.pem"}, set(files))
        for name, path in files.items():
            if name != "connector.json":
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, name)
        key = self.exchange.app.key.read_text()
        away = [(path, path.read_bytes()) for path in (self.exchange.app.key, self.exchange.app.certificate)]
        for path, _ in away:
            path.rename(f"{path}.away")
        try:
            self.assertTrue(all(step["ok"] for step in connector.check()))
        finally:
            for path, _ in away:
                os.rename(f"{path}.away", path)
        for name, path in files.items():
            self.assertNotIn(key.splitlines()[3].encode(), path.read_bytes(), name)

    # check

    def fails_at(self, connector, *steps):
        """The first step that fails; those before it went well."""
        said = connector.check()
        self.assertEqual([step["step"] for step in said], STEPS[:len(said)], said)
        bad = next((step for step in said if not step["ok"]), None)
        self.assertIsNotNone(bad, said)
        self.assertIn(bad["step"], steps, said)
        self.assertTrue(bad["detail"], said)
        return said

    def enrolled(self, *flags):
        return self.installed(*flags).enrol(self.invite())

    def flags(self, **changes):
        flags = [str(flag) for flag in self.exchange.flags()]
        for flag, value in changes.items():
            flags[flags.index(f"--{flag.replace('_', '-')}") + 1] = str(value)
        return flags

    def proxied(self, proxy, word):
        file = self.folder() / "word"
        file.write_text(f"{word}\n")
        return self.enrolled(*self.flags(), "--proxy", proxy.url, "--proxy-user", "gate", "--proxy-password-file", file)

    def test_a_check_goes_well(self):
        said = self.enrolled().check()
        self.assertEqual([(step["step"], step["ok"]) for step in said], [(step, True) for step in STEPS])
        self.assertEqual(self.org.writes(), [], "it writes nothing")

    def test_a_name_that_nobody_has_is_named(self):
        self.fails_at(self.enrolled(*self.flags(exchange_url="https://no-such-name.invalid")), "name")

    def test_a_proxy_that_refuses_is_named(self):
        proxy = ConnectProxy("gate", "right horse")
        self.addCleanup(proxy.stop)
        self.assertTrue(all(step["ok"] for step in self.proxied(proxy, "right horse").check()))
        self.assertIn(f"localhost:{self.exchange.port}", proxy.asked)
        self.assertNotIn(self.server.device.rsplit(":", 1)[1], [asked.rsplit(":", 1)[1] for asked in proxy.asked], "the server has settings of its own")
        said = self.fails_at(self.proxied(proxy, "wrong horse"), "proxy")
        self.assertNotIn("wrong horse", json.dumps(said))

    def test_a_proxy_that_is_away_is_named(self):
        proxy = ConnectProxy("gate", "right horse")
        proxy.stop()
        self.fails_at(self.proxied(proxy, "right horse"), "proxy")

    def test_a_certificate_of_an_unknown_authority_is_named(self):
        connector = Connector(self.server, self.server.folder / "untrusting", self.flags(), [])
        self.fails_at(connector.enrol(self.invite()), "tls")

    def test_roots_that_cannot_be_read_are_named(self):
        connector = self.enrolled()
        connector.more = {"SSL_CERT_FILE": "/no/such/roots.pem", "SSL_CERT_DIR": str(self.folder())}
        details = {step["step"]: step["detail"] for step in connector.check()}
        for step in ("tls", "server"):
            self.assertIn("/no/such/roots.pem", details[step])
        self.assertTrue(all(step["ok"] for step in connector.check()), "those that were given are enough")
        described = json.loads((connector.dir / "connector.json").read_text())
        (connector.dir / "connector.json").write_text(json.dumps({**described, "ca": ""}))
        said = {step["step"]: step for step in connector.check()}
        self.assertFalse(said["tls"]["ok"])
        self.assertIn("no root certificates", said["tls"]["detail"])

    def test_a_wrong_certificate_is_named(self):
        thief = self_made(self.folder(), "thief")
        self.fails_at(self.enrolled(*self.flags(cert=thief.certificate, key=thief.key)), "credential")
        self.assertTrue(self.exchange.entra.rejected)

    def test_a_missing_role_is_named(self):
        connector = self.enrolled()
        for cmdlets in ({"Get-MobileDevice"}, {"Get-OrganizationConfig", "Get-CASMailbox", "Get-MobileDevice", "Get-Mailbox"}):
            self.exchange.forbidden = cmdlets
            try:
                self.fails_at(connector, "role", "cmdlet")
            finally:
                self.exchange.forbidden = set()

    def test_a_server_that_is_away_is_named(self):
        connector = self.enrolled()
        described = json.loads((connector.dir / "connector.json").read_text())
        text = json.dumps(described).replace(self.server.public_url, f"https://localhost:{free_port()}")
        (connector.dir / "connector.json").write_text(text)
        said = self.fails_at(connector, "server")
        self.assertEqual(len(said), len(STEPS))


class Day(Connected):
    """An administrator's day. The 20 clients were there before the connector."""

    mailboxes, partnerships = 12, 20

    def test_the_first_sync_writes_nothing_and_shows_each_partnership(self):
        listed = self.listed()
        self.assertEqual((listed["kind"], listed["leader"]), ("online", self.connector.instance()))
        self.assertGreaterEqual(listed["partnerships"], self.partnerships)
        before = {f"F{number:031X}" for number in range(self.partnerships)}
        shown = {each["identity"]: (device, each) for device in self.server.verb("devices", "list") for each in device["enrolments"]}
        self.assertLessEqual(before, set(shown))
        for ident in before:
            device, enrolment = shown[ident]
            self.assertEqual((enrolment["channel"], device["channel"], enrolment["type"]), ("exchange", "exchange", "iPhone"))
            self.assertRegex(device["user"], r"^user\d{5}@example\.org$")
            self.assertEqual(device["ownership"], "corporate", "as eas.unknown_ownership says")
        written = [call for call in self.org.writes() if any(ident in json.dumps(call.parameters) for ident in before)]
        self.assertEqual(written, [])

    def test_a_decision_is_with_exchange_within_seconds(self):
        phone = self.phone()
        self.assertEqual(phone.sync(), "quarantined")
        for verb, wanted in (("allow", "mail"), ("block", "blocked"), ("allow", "mail"), ("quarantine", "quarantined"), ("block", "blocked"),
                             ("quarantine", "quarantined")):
            self.decide(verb, phone)
            self.soon(phone, wanted)
        access = phone.mailbox.past[-1]
        self.assertNotIn(phone.device_id, (*access.allowed, *access.blocked), "on neither list: the default decides")

    def test_others_on_a_mailboxs_lists_stay_there(self):
        mailbox = self.org.mailboxes[1]
        self.org.edit(mailbox, allowed=("OTHER1",), blocked=("OTHER2",))
        phone = self.phone(mailbox)
        for verb, wanted in (("allow", "mail"), ("block", "blocked"), ("quarantine", "quarantined")):
            self.decide(verb, phone)
            self.soon(phone, wanted)
        access = mailbox.past[-1]
        self.assertEqual((access.allowed, access.blocked), (("OTHER1",), ("OTHER2",)))

    def test_a_quarantine_in_exchange_is_shown_and_ended_here(self):
        phone = self.phone(self.org.mailboxes[2])
        self.assertEqual(self.device(phone)["state"], "quarantined")
        self.assertIn(self.device(phone)["id"], [device["id"] for device in self.server.verb("devices", "list", "--state", "quarantined")])
        self.decide("allow", phone)
        self.soon(phone, "mail")
        eventually(lambda: self.device(phone)["state"] == "enrolled", "what Exchange then says is shown", SOON)

    def test_two_clients_of_one_mailbox_are_decided_on_apart(self):
        mailbox = self.org.mailboxes[3]
        one, other = self.phone(mailbox), self.phone(mailbox)
        self.decide("allow", one)
        self.decide("block", other)
        self.soon(one, "mail")
        self.soon(other, "blocked")

    def test_a_block_comes_through_while_a_full_run_is_under_way(self):
        phone = self.let_in(mailbox=self.org.mailboxes[4])
        before = self.listed()["last_full"]
        self.addCleanup(self.server.verb, "settings", "set", "exchange.full_every", "24h")
        self.server.verb("settings", "set", "exchange.full_every", "1s")
        self.connector.stop()
        fault = self.exchange.fails("slow", "Get-CASMailbox", after=SOON)
        self.connector.start()
        eventually(lambda: fault.met, "the run's first question", 30)
        self.decide("block", phone)
        self.soon(phone, "blocked")
        self.assertEqual(self.listed()["last_full"], before, "the run is under way still")

    # What happens behind our back

    def drifts(self, device):
        entries = self.server.verb("audit", "list", "--action", "exchange.drift")
        names = {device["id"]} | {each["id"] for each in device["enrolments"]}
        return [entry for entry in entries if entry["subject"] in names or any(name in json.dumps(entry["detail"]) for name in names)]

    def test_drift_is_shown_and_repaired(self):
        phone = self.phone(self.org.mailboxes[5])
        self.decide("block", phone)
        self.soon(phone, "blocked")
        time.sleep(QUIET)
        self.assertEqual(self.drifts(self.device(phone)), [], "what we did ourselves is none")
        self.org.edit(phone.mailbox, blocked=(), allowed=(phone.device_id,))
        eventually(lambda: self.drifts(self.device(phone)), "an entry of the audit log", 30)
        self.soon(phone, "blocked")
        access = phone.mailbox.past[-1]
        self.assertEqual((access.allowed, access.blocked), ((), (phone.device_id,)))
        codes = [line["code"] for line in self.server.verb("status")]
        self.assertTrue(any("drift" in code for code in codes), codes)

    def test_one_made_anew_under_another_guid_is_the_same_client(self):
        phone = self.let_in(mailbox=self.org.mailboxes[6])
        ident = self.device(phone)["id"]
        self.org.all_for_absent = True
        self.addCleanup(setattr, self.org, "all_for_absent", False)
        self.decide("block", phone)
        self.soon(phone, "blocked")
        fresh = phone.made_anew()
        self.assertEqual(phone.sync(), "blocked", "the list names the DeviceId")
        self.decide("allow", phone)
        self.soon(phone, "mail")
        self.assertEqual((self.device(phone)["id"], phone.device.guid), (ident, fresh.guid))
        strangers = [device for device in self.org.devices.values() if device.mailbox is phone.mailbox and device is not fresh]
        self.assertEqual([device for device in strangers if self.org.access(device)[1] == "Individual"], [])

    def test_replication_that_lags_makes_no_drift(self):
        phone = self.phone(self.org.mailboxes[7])
        self.org.lag = QUIET
        self.addCleanup(setattr, self.org, "lag", 0)
        before = len(self.org.writes())
        self.decide("block", phone)
        eventually(lambda: self.blocked(phone), "blocked", SOON)
        time.sleep(2 * QUIET)
        self.assertEqual(self.drifts(self.device(phone)), [])
        self.assertLessEqual(len([call for call in self.org.writes()[before:] if phone.device_id in json.dumps(call.parameters)]), 1, "said once")

    def test_a_client_that_left_exchange_is_no_reason_to_write(self):
        phone = self.phone(self.org.mailboxes[8])
        self.org.forget(phone.device)
        before = len(self.org.writes())
        time.sleep(QUIET)
        self.assertEqual([call for call in self.org.writes()[before:] if phone.device_id in json.dumps(call.parameters)], [])


class DryRun(Connected):
    starts = False
    partnerships = 3

    def test_it_prints_what_it_would_write_and_writes_nothing(self):
        connector = self.another().start("--dry-run")
        self.synced()
        phone = Phone(self.org, self.org.mailboxes[0])
        eventually(lambda: self.server.device_of(phone.device_id), "it is in the registry", 30)
        self.decide("block", phone)

        def printed():
            lines = [json.loads(line) for line in connector.out.read_text().splitlines() if line.startswith("{")]
            return [line for line in lines if line["cmdlet"] == "Set-CASMailbox" and phone.device_id in json.dumps(line["parameters"])]

        eventually(printed, "what it would write", SOON)
        self.assertEqual(self.org.writes(), [])
        self.assertEqual(phone.sync(), "quarantined")


class Removed(Connected):
    def test_a_connector_that_is_removed_is_ended_at_once(self):
        phone = self.let_in()
        self.assertIsNotNone(self.listed())
        self.server.verb("connector", "remove", ORG)
        self.assertNotIn(ORG, [each["org"] for each in self.server.verb("connector", "list") if each["state"] not in ("removed", "ended")])
        said = self.connector.check()
        [server] = [step for step in said if step["step"] == "server"]
        self.assertFalse(server["ok"], said)
        before = len(self.org.writes())
        Phone(self.org, self.org.mailboxes[1], "AFTERTHEEND")
        time.sleep(QUIET)
        self.assertIsNone(self.server.device_of("AFTERTHEEND"), "it reports nothing any more")
        self.assertEqual(len(self.org.writes()), before)
        self.assertEqual(phone.sync(), "mail", "what Exchange has stays as it is")


class AnotherAfterIt(Connected):
    def test_what_was_under_way_with_one_that_was_removed_is_done_by_the_next(self):
        phone = self.let_in()
        fault = self.exchange.fails("slow", "Get-MobileDevice", after=60)
        self.decide("block", phone)
        eventually(lambda: fault.met, "the order is under way", SOON)
        self.server.verb("connector", "remove", ORG)
        self.connector.kill()
        type(self).connector = self.another().start()
        self.soon(phone, "blocked", 60)


if __name__ == "__main__":
    unittest.main()
