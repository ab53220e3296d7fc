"""A mail app behind the gateway: certificate, Provision, mail passing, wipes, quarantine; and who is refused."""

import subprocess
import unittest

import wbxml
from harness import ServedTest, VerbFailed, eventually, openssl, serial_of
from mail_client import (
    ACCOUNT_WIPE, ALPHANUMERIC, FAILED_ATTEMPTS, FOLDERS, IDLE_SECONDS, MIN_LENGTH, PASSWORD_ENABLED, PROVISION,
    REMOTE_WIPE, STATUS, MailClient, statuses,
)
from mail_server import INBOX, MailServer, folder_names

POLICY = """
name: mail
assign: all
passcode:
  required: true
  min_length: 6
  alphanumeric: true
  max_failed: 8
  max_idle_minutes: 5
"""
CAROL, DAVE, WORD = "carol@example.org", "dave@example.org", "right horse"


class Gateway(ServedTest):
    """A gateway before a mail server of the test's own."""

    @classmethod
    def setUpClass(cls):
        cls.mail = cls.make_mail()
        cls.addClassCleanup(cls.mail.stop)
        cls.arguments = ["--eas-upstream", cls.mail.url]
        super().setUpClass()

    @classmethod
    def make_mail(cls):
        return MailServer({CAROL: WORD, DAVE: WORD})

    def invite(self, *words):
        return self.server.verb("invite", "--channel", "activesync", "--user", CAROL, *words)

    def stranger(self, version="14.1", password=WORD):
        """A mail app that nobody invited."""
        return MailClient(self.server, self.folder(), CAROL, password, version)

    def invited(self, version="14.1", *words):
        return self.stranger(version).certificate(self.invite(*words))

    def device(self, client):
        found = self.server.device_of(client.ident)
        self.assertIsNotNone(found, f"{client.ident} is in the registry")
        return found

    def wipe(self, client, scope):
        return self.server.verb("wipe", self.device(client)["id"], "--scope", scope, "--reason", "lost", "--yes")

    def assert_mail(self, reply):
        """The mail server's own answer."""
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(folder_names(wbxml.parse(reply.body)), ([INBOX], ["1"]))

    def assert_status(self, reply, *wanted):
        """FolderSync refused by a status in its own document, as from 14.0 on."""
        self.assertEqual(reply.status, 200, reply)
        root = wbxml.parse(reply.body)
        self.assertEqual(root[:2], (FOLDERS, 0x16))
        self.assertIn(wbxml.text(root, FOLDERS, 0x0C), wanted)

    def assert_nothing_came_through(self, client):
        self.assertEqual(self.mail.commands(client.ident), [])


class WithAPolicy(Gateway):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.policy(POLICY)

    # What holds

    def test_the_file_is_one_that_phones_open(self):
        invitation = self.invite()
        client = self.stranger().certificate(invitation)
        openssl("x509", "-in", client.identity.certificate, "-noout", "-checkend", "31536000")
        with self.assertRaises(AssertionError):
            client.opened("0000-0000-0000-0000", "-nodes")
        described = self.described(client, invitation["code"])
        self.assertIn("pbeWithSHA1And3-KeyTripleDES-CBC", described)
        self.assertIn("MAC: sha1", described)

    def described(self, client, code):
        """How openssl names the algorithms of the file, which it does on stderr."""
        words = ["openssl", "pkcs12", "-legacy", "-in", client.folder / "identity.p12", "-passin", f"pass:{code}", "-info", "-noout"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stderr

    def test_options_offer_provision_and_common_versions(self):
        client = self.invited()
        reply = client.options()
        self.assertEqual(reply.status, 200, reply)
        self.assertIn("Provision", reply.headers["ms-asprotocolcommands"].split(","))
        self.assertLessEqual({"12.1", "14.1", "16.1"}, set(reply.headers["ms-asprotocolversions"].split(",")))

    def test_a_client_provisions_and_mail_passes(self):
        client = self.invited()
        self.assert_status(client.folder_sync(), "142")
        self.assert_nothing_came_through(client)
        rules = client.provisioned()
        self.assertEqual(
            [wbxml.text(rules, PROVISION, token) for token in (PASSWORD_ENABLED, ALPHANUMERIC, MIN_LENGTH, FAILED_ATTEMPTS, IDLE_SECONDS)],
            ["1", "1", "6", "8", "300"],
        )
        self.assert_mail(client.folder_sync())
        [headers] = [headers for _, command, ident, headers in self.mail.seen if (command, ident) == ("FolderSync", client.ident)]
        headers = {name.lower(): value for name, value in headers.items()}
        self.assertEqual(headers["x-ms-policykey"], "0", "our key is not the mail server's, and without a key some ask for no policy")
        self.assertLessEqual({"authorization", "ms-asprotocolversion"}, set(headers))

        device = self.device(client)
        self.assertEqual([device[key] for key in ("channel", "state", "user")], ["activesync", "enrolled", CAROL])
        [enrolment] = device["enrolments"]
        self.assertEqual(int(enrolment["certificate"]["serial"].replace(":", ""), 16), serial_of(client.identity.certificate))

        def covered():
            rows = self.server.verb("policy", "coverage", "mail")
            return [row for row in rows if row["device"] == device["id"] and row["state"] != "pending"]

        eventually(covered, "coverage of a client that has acknowledged")

    def test_the_policy_key_is_what_lets_mail_pass(self):
        client = self.invited()
        client.provisioned()
        for row, key in (("none", ""), ("zero", "0"), ("another", str(int(client.key) ^ 1))):
            with self.subTest(row):
                self.assert_status(client.folder_sync(key=key), "142", "144")
        self.assert_nothing_came_through(client)

    def test_a_client_is_asked_to_acknowledge_anew_what_it_holds(self):
        client = self.invited()
        client.provisioned()
        self.assert_mail(client.folder_sync())
        device = self.device(client)["id"]

        def verified():
            [row] = [row for row in self.server.verb("policy", "coverage", "mail") if row["device"] == device]
            return row["verified"]

        self.assertIsNotNone(verified())
        self.server.verb("devices", "sync", device)
        self.assert_status(client.folder_sync(), "143")
        self.assert_status(client.folder_sync(), "143")
        client.provisioned()
        self.assert_mail(client.folder_sync())
        self.assert_mail(client.folder_sync())
        self.assertIsNotNone(verified())

    def test_older_versions_are_refused_by_http(self):
        client = self.invited("12.1")
        self.assert_refused(client.folder_sync(), 449)
        client.provisioned()
        self.assert_mail(client.folder_sync())

    def test_an_acknowledgement_under_another_key_is_refused(self):
        client = self.invited()
        temporary = wbxml.text(client.first_phase(), PROVISION, 0x09)
        answer = client.second_phase(str(int(temporary) ^ 1), header=str(int(temporary) ^ 1))
        self.assertEqual(statuses(answer)[-1], "5", answer)
        self.assertIsNone(wbxml.text(answer, PROVISION, 0x09))
        self.assert_status(client.folder_sync(key=temporary), "142", "144")

    def test_the_body_alone_says_which_policy_is_acknowledged(self):
        client = self.invited()
        temporary = wbxml.text(client.first_phase(), PROVISION, 0x09)
        answer = client.second_phase(temporary, header="0")  # as Android's own mail does
        self.assertEqual(statuses(answer), ["1", "1"], answer)
        client.key = wbxml.text(answer, PROVISION, 0x09)
        self.assert_mail(client.folder_sync())

    def test_a_wipe_goes_out_beside_the_policy_in_force(self):
        client = self.invited()
        client.provisioned()
        command = self.wipe(client, "full")
        first = client.first_phase()
        self.assertEqual([wbxml.text(first, PROVISION, MIN_LENGTH), statuses(first)], ["6", ["1", "1"]])
        self.assertTrue(wbxml.find(first, PROVISION, REMOTE_WIPE), first)
        self.assertEqual(client.directives(), [REMOTE_WIPE])
        client.acknowledge(REMOTE_WIPE)
        ended = self.wait_for_end(command, "confirmed")
        self.assertIn("policy in force there: mail", ended["evidence"][0]["detail"])

    def test_a_lost_answer_to_the_acknowledgement_is_repeated(self):
        client = self.invited()
        temporary = wbxml.text(client.first_phase(), PROVISION, 0x09)
        finals = [wbxml.text(client.second_phase(temporary), PROVISION, 0x09) for _ in range(2)]
        self.assertEqual(finals[0], finals[1])

    def test_an_empty_provision_is_answered(self):
        client = self.invited()
        client.provisioned()
        self.assertEqual(client.provision([]), (PROVISION, 0x05, [(PROVISION, STATUS, "1")]))

    # Wipes

    def test_a_full_wipe_is_acknowledged_and_closes_mail(self):
        client, bystander = self.invited(), self.invited()
        for each in (client, bystander):
            each.provisioned()
            self.assert_mail(each.folder_sync())
        command = self.wipe(client, "full")
        before = len(self.mail.commands(client.ident))
        self.assert_status(client.folder_sync(), "140")
        self.assertEqual(client.directives(), [REMOTE_WIPE])
        self.assertNotEqual(self.server.command(command["id"])["state"], "confirmed", "silence confirms nothing")
        self.assertEqual(statuses(client.acknowledge(REMOTE_WIPE)), ["1"])
        self.assert_evidence(self.wait_for_end(command, "confirmed"))
        self.assertEqual(self.device(client)["state"], "wiped")
        self.assert_status(client.folder_sync(), "129")
        self.assertEqual(statuses(client.acknowledge(REMOTE_WIPE)), ["1"])
        self.assertEqual(len(self.mail.commands(client.ident)), before, "nothing more reaches the mail server")

        self.assertEqual(bystander.directives(), [])
        self.assert_mail(bystander.folder_sync())

    def test_a_selective_wipe_takes_the_account_alone(self):
        client = self.invited("16.1")
        client.provisioned()
        command = self.wipe(client, "selective")
        self.assert_status(client.folder_sync(), "140")
        self.assertEqual(client.directives(), [ACCOUNT_WIPE])
        self.assertEqual(statuses(client.acknowledge(ACCOUNT_WIPE)), ["1"])
        self.assert_evidence(self.wait_for_end(command, "confirmed"))
        self.assertEqual(self.device(client)["state"], "retired")
        self.assert_status(client.folder_sync(), "129")

    def test_an_old_client_hears_of_a_wipe_by_449(self):
        client = self.invited("12.1")
        client.provisioned()
        command = self.wipe(client, "full")
        self.assert_refused(client.folder_sync(), 449, 403)
        first = client.first_phase()
        self.assertTrue(wbxml.find(first, PROVISION, REMOTE_WIPE), first)
        client.acknowledge(REMOTE_WIPE)
        self.assert_evidence(self.wait_for_end(command, "confirmed"))
        self.assert_refused(client.folder_sync(), 403)

    def test_an_old_client_loses_its_access_where_only_the_account_may_go(self):
        client = self.invited("12.1")
        client.provisioned()
        command = self.wipe(client, "selective")
        self.assert_refused(client.folder_sync(), 403, 449)
        # It could not remove the account by itself, so it is told nothing but that it may not come in.
        self.assert_refused(client.post("Provision", b""), 403)
        ended = self.wait_for_end(command, "presumed", "confirmed")
        self.assert_evidence(ended)

    def test_a_failed_wipe_stays_due(self):
        client = self.invited()
        client.provisioned()
        command = self.wipe(client, "full")
        self.assertEqual(client.directives(), [REMOTE_WIPE])
        client.acknowledge(REMOTE_WIPE, status="2")
        self.assertEqual(client.directives(), [REMOTE_WIPE])
        client.acknowledge(REMOTE_WIPE)
        self.wait_for_end(command, "confirmed")

    def test_a_personal_client_loses_its_account_at_most(self):
        client = self.invited("16.1", "--ownership", "personal")
        client.provisioned()
        with self.assertRaises(VerbFailed) as refused:
            self.wipe(client, "full")
        self.assertEqual(refused.exception.code, 1)
        self.wipe(client, "selective")
        self.assertEqual(client.directives(), [ACCOUNT_WIPE])

    # Who is refused

    def test_an_unknown_device_is_quarantined_until_allowed(self):
        client = self.stranger()
        self.assert_mail(client.folder_sync())
        self.assertEqual(wbxml.text(wbxml.parse(client.post("Search", b"").body), 15, 0x0C), "111", "later")
        self.assertEqual([seen for seen in self.mail.commands(client.ident)], ["FolderSync"], "its folders and nothing else")
        device = self.device(client)
        self.assertEqual((device["state"], device["enrolments"][0]["certificate"]), ("quarantined", None))
        self.server.verb("devices", "allow", device["id"])
        self.assertEqual(self.device(client)["state"], "enrolled")
        client.provisioned()
        self.assert_mail(client.folder_sync())
        self.server.verb("devices", "block", device["id"])
        self.assert_status(client.folder_sync(), "129")
        self.assertEqual(len(self.mail.commands(client.ident)), 2)

    def test_many_are_let_in_by_what_they_call_themselves(self):
        clients = [self.stranger(), self.stranger()]
        for client in clients:
            client.folder_sync()
        [enrolment] = self.device(clients[0])["enrolments"]
        self.assertTrue(enrolment["type"], "its DeviceType is shown")
        where = ["--where", f"type={enrolment['type'].upper()}", "state=quarantined"]
        concerned = {device["id"] for device in self.server.verb("devices", "allow", *where)}
        self.assertLessEqual({self.device(client)["id"] for client in clients}, concerned)
        self.assertEqual(self.device(clients[0])["state"], "quarantined", "without --yes it is only shown")
        self.server.verb("devices", "allow", *where, "--yes", "--reason", "known")
        self.assertEqual([self.device(client)["state"] for client in clients], ["enrolled", "enrolled"])
        self.assertEqual(self.server.verb("devices", "allow", *where), [])
        for state, fits in (("enrolled", True), ("blocked", False)):
            listed = {device["id"] for device in self.server.verb("devices", "list", "--state", state)}
            self.assertEqual(self.device(clients[0])["id"] in listed, fits, state)

    def test_a_wrong_password_leaves_no_trace(self):
        client = self.stranger(password="wrong")
        reply = client.folder_sync()
        self.assert_refused(reply, 401)
        self.assertIn("www-authenticate", reply.headers)
        self.assertIsNone(self.server.device_of(client.ident))

    def test_a_certificate_belongs_to_the_first_device_that_shows_it(self):
        owner = self.invited()
        owner.provisioned()
        thief = self.stranger()
        thief.identity = owner.identity
        self.assert_refused_anyhow(thief)
        self.assert_mail(owner.folder_sync())

    def test_a_revoked_certificate_is_refused(self):
        client = self.invited()
        client.provisioned()
        self.server.verb("devices", "revoke", self.device(client)["id"], "--reason", "key seen elsewhere")
        self.assert_refused_anyhow(client)

    def assert_refused_anyhow(self, client):
        """Refused by HTTP or by 129, and not a byte to the mail server."""
        before = len(self.mail.commands(client.ident))
        reply = client.folder_sync()
        if reply.status == 200:
            self.assert_status(reply, "129", "131")
        else:
            self.assert_refused(reply, 403)
        self.assertEqual(len(self.mail.commands(client.ident)), before)

    def test_a_spent_invitation_gives_no_second_identity(self):
        invitation = self.invite()
        client = self.stranger().certificate(invitation)
        client.provisioned()
        with self.assertRaisesRegex(AssertionError, "HTTP 4"):
            self.stranger().certificate(invitation)

    def test_who_has_no_password_ends_no_wipe(self):
        client = self.stranger("16.1")
        client.folder_sync()
        self.server.verb("devices", "allow", self.device(client)["id"])
        client.provisioned()
        command = self.wipe(client, "selective")
        thief = MailClient(self.server, self.folder(), CAROL, "guessed", "14.1")
        thief.ident = client.ident
        empty = wbxml.document((PROVISION, 0x05, []))
        self.assert_refused(thief.post("Provision", empty, key="0"), 401)
        self.assertEqual(self.server.command(command["id"])["state"], "queued", "too old a version, said by nobody known")
        self.assertEqual(client.directives(), [ACCOUNT_WIPE], "the real one hears of it")
        client.acknowledge(ACCOUNT_WIPE)
        self.wait_for_end(command, "confirmed")

    def test_one_login_brings_so_many_unknown_clients_and_no_more(self):
        folder = self.folder()
        clients = [MailClient(self.server, folder, DAVE, WORD) for _ in range(51)]
        for client in clients[:50]:
            self.assert_mail(client.folder_sync())
        refused = clients[50].folder_sync()
        self.assert_refused(refused, 429)
        self.assertEqual(refused.headers["retry-after"], "3600")
        self.assertIsNone(self.server.device_of(clients[50].ident), "nothing is recorded of it")
        self.assertIsNotNone(self.server.device_of(clients[0].ident))
        self.assert_mail(clients[0].folder_sync())

    def test_a_wrong_code_gives_no_identity(self):
        invitation = self.invite()
        with self.assertRaisesRegex(AssertionError, "HTTP 4"):
            self.stranger().certificate(dict(invitation, code="0000-0000-0000-0000"))
        self.stranger().certificate(invitation)

    def test_malformed_bodies_get_their_own_error(self):
        client = self.invited()
        for row, body in (("text", b"hello"), ("cut", bytes.fromhex("03016a00000e4546")), ("attributes", bytes.fromhex("03016a0085"))):
            with self.subTest(row):
                reply = client.post("Provision", body)
                if reply.status == 200:
                    self.assertIn(wbxml.text(wbxml.parse(reply.body), PROVISION, STATUS), ("2", "101", "102", "103"))
                else:
                    self.assert_refused(reply, 400)
        client.provisioned()


class WithoutAPolicy(Gateway):
    def test_commands_pass_without_a_key(self):
        client = self.invited()
        self.assert_mail(client.folder_sync(key=""))
        rules = client.provisioned()
        self.assertEqual(wbxml.text(rules, PROVISION, PASSWORD_ENABLED), "0", "an empty document, never \"no policy\"")
        self.assert_mail(client.folder_sync())
        self.assert_mail(client.folder_sync(key=""))


OUTLOOK = '''<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>
<EMailAddress>carol@example.org</EMailAddress>
<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
</Request></Autodiscover>'''


class NothingElse(Gateway):
    """What is no ActiveSync, under a name that points wholly at the gateway."""

    def ask(self, path, method="GET", body=None, **headers):
        client = self.stranger()
        return self.server.request(self.server.public_url + path, method, body, client.headers(**headers))

    def test_outlook_and_the_web_mail_reach_the_mail_server(self):
        for method, path in [
            ("POST", "/EWS/Exchange.asmx"), ("POST", "/mapi/emsmdb/?MailboxId=1@example.org"), ("GET", "/OAB/1/oab.xml"), ("GET", "/owa/?a=%2F.."),
            ("POST", "/AutoDiscover/Autodiscover.svc"), ("GET", "/autodiscover/autodiscover.json/v1.0/carol%40example.org?Protocol=Ews"),
        ]:
            with self.subTest(path):
                self.mail.beside.clear()
                reply = self.ask(path, method, None if method == "GET" else "<x/>", **{
                    "X-AnchorMailbox": CAROL, "X-RequestType": "Connect", "SOAPAction": "GetFolder", "X-Forwarded-For": "1.2.3.4", "Remote-User": "root",
                })
                self.assertEqual((reply.status, reply.body), (200, f"{method} {path}".encode()))
                [(_, _, headers, _)] = self.mail.beside
                folded = {name.lower(): value for name, value in headers.items()}
                self.assertEqual((folded["x-anchormailbox"], folded["x-requesttype"], folded["soapaction"]), (CAROL, "Connect", "GetFolder"))
                self.assertEqual(folded["x-forwarded-for"], "127.0.0.1")
                self.assertNotIn("remote-user", folded)
        self.mail.beside.clear()
        reply = self.ask("/AUTODISCOVER/AUTODISCOVER.XML", "POST", OUTLOOK, **{"Content-Type": "text/xml"})
        self.assertEqual(reply.status, 200)
        self.assertEqual([body for *_, body in self.mail.beside], [OUTLOOK.encode()])

    def test_nothing_else_does(self):
        self.mail.beside.clear()
        for path in ["/ecp/", "/powershell", "/rpc/rpcproxy.dll", "/", "/autodiscover/x"]:
            self.assertEqual(self.ask(path).status, 404, path)
        for path in ["/owa/../ecp", "/owa/%2e%2e/ecp", "/ews//x", "/ews/a%2fb", "/ews/a%5cb", "/ews/..;/x", "/ews/%252e%252e/x"]:
            self.assertEqual(self.ask(path).status, 400, path)
        self.server.verb("settings", "set", "eas.pass_other", "off")
        try:
            for path in ["/ews/a", "/mapi/a", "/oab/a", "/owa/", "/autodiscover/autodiscover.svc"]:
                self.assertEqual(self.ask(path).status, 404, path)
            self.assertEqual(self.ask("/autodiscover/autodiscover.json?Protocol=Ews").status, 400)
            reply = self.ask("/autodiscover/autodiscover.xml", "POST", OUTLOOK)
            self.assertIn(b"mobile clients only", reply.body)
        finally:
            self.server.verb("settings", "set", "eas.pass_other", "on")
        self.assertEqual(self.mail.beside, [])

    def test_a_browser_is_kept_here(self):
        self.assertEqual(self.ask("/owa/sent-on").headers["location"], self.server.public_url + "/owa/auth?x=1")

    def test_a_wiped_devices_certificate_opens_nothing(self):
        client = self.invited()
        client.provisioned()
        url = self.server.public_url + "/ews/a"
        self.assertEqual(self.server.request(url, "GET", None, client.headers(), client.identity).status, 200)
        self.wipe(client, "full")
        self.assertEqual(self.server.request(url, "GET", None, client.headers(), client.identity).status, 403)


if __name__ == "__main__":
    unittest.main()
