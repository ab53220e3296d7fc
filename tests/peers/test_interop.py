"""Microsoft's interop scenarios of MS-ASPROV, and those of MS-ASHTTP that a gateway answers itself, played against it.

Which requirement each shows stands in docs/conformance-activesync.md. The scenarios' order of requests is theirs, the words are ours.
"""

import base64
import unittest

import wbxml
from harness import request
from mail_client import (
    ACCOUNT_WIPE, DATA, FOLDERS, MIN_LENGTH, PASSWORD_ENABLED, POLICIES, POLICY_KEY, PROVISION, REMOTE_WIPE, SETTINGS, STATUS, TYPE, policies,
    statuses,
)
from mail_server import VERSIONS
from test_mail import CAROL, Gateway

POLICY = "name: interop\nassign: all\npasscode: {required: true, min_length: 6, max_failed: 8}\n"
# The same policy when its passcode is no more asked for.
UNSET = "name: interop\nassign: all\ncamera: allowed\n"
POLICY_TYPE, POLICY_ELEMENT, DOCUMENT = 0x08, 0x07, 0x0D
FOLDER_SYNC = wbxml.document((FOLDERS, 0x16, [(FOLDERS, 0x12, "0")]))


def children(element):
    return [token for _, token, _ in element[2]]


def information():
    return (SETTINGS, 0x16, [(SETTINGS, 0x08, [(SETTINGS, 0x17, "Interop peer")])])


class Provisioning(Gateway):
    def setUp(self):
        self.server.policy(POLICY)

    def policy_of(self, root):
        [policy] = wbxml.find(root, PROVISION, POLICY_ELEMENT)
        return policy

    # S01: a policy is asked for and acknowledged

    def test_a_policy_is_given_with_a_key_for_its_acknowledgement_alone(self):
        client = self.invited()
        first = client.first_phase()
        self.assertEqual(children(first), [0x16, STATUS, 0x06], "DeviceInformation's status, the root's, the policies: the schema's order")
        self.assertEqual(wbxml.text(first, SETTINGS, 0x06), "1")
        policy = self.policy_of(first)
        self.assertEqual(children(policy), [POLICY_TYPE, STATUS, POLICY_KEY, DATA])
        self.assertEqual((wbxml.text(policy, PROVISION, POLICY_TYPE), statuses(first)), (POLICIES, ["1", "1"]))
        [data] = wbxml.find(policy, PROVISION, DATA)
        self.assertEqual(children(data), [DOCUMENT])
        temporary = wbxml.text(policy, PROVISION, POLICY_KEY)
        self.assertTrue(temporary.isdecimal() and 0 < int(temporary) < 2**32, temporary)
        self.assertEqual([wbxml.find(first, PROVISION, token) for token in (REMOTE_WIPE, ACCOUNT_WIPE)], [[], []], "nobody asked for a wipe")
        self.assert_status(client.folder_sync(key=temporary), "142", "144")
        self.assert_nothing_came_through(client)

        second = client.second_phase(temporary)
        self.assertEqual(children(second), [STATUS, 0x06])
        acknowledged = self.policy_of(second)
        self.assertEqual((children(acknowledged), statuses(second)), ([POLICY_TYPE, STATUS, POLICY_KEY], ["1", "1"]))
        final = wbxml.text(acknowledged, PROVISION, POLICY_KEY)
        self.assertTrue(final.isdecimal() and 0 < int(final) < 2**32 and final != temporary, final)
        self.assert_mail(client.folder_sync(key=final))
        self.assert_status(client.folder_sync(key=temporary), "144")

    def test_every_element_of_the_document_has_its_type(self):
        document = self.invited().provisioned()
        for _, token, value in document[2]:
            with self.subTest(hex(token)):
                self.assertTrue(0x0E <= token <= 0x3A, "a policy element of code page 14")
                if token in (0x37, 0x39):
                    self.assertIsInstance(value, list, "a list of applications")
                    continue
                self.assertTrue(value == [] or isinstance(value, str), "no child elements")
                allowed = self.values(token)
                self.assertIn(value or "", allowed, "of its type")
        tokens = children(document)
        self.assertEqual(len(tokens), len(set(tokens)), "each once")

    @staticmethod
    def values(token):
        """What an element may say: [MS-ASPROV] 2.2.2."""
        numbers = lambda low, high, *more: {*map(str, range(low, high + 1)), *more}
        special = {
            0x14: numbers(1, 16, ""), 0x15: numbers(0, 9999, ""), 0x16: numbers(4, 16, ""), 0x17: numbers(0, 9999, ""),
            0x19: numbers(0, 9999, ""), 0x1A: numbers(0, 9999), 0x20: numbers(1, 4), 0x24: numbers(0, 2), 0x28: {"0", "4", "5", "6", "7"},
            0x2A: numbers(0, 5), 0x2B: numbers(-1, 9999), 0x2C: numbers(-1, 9999), 0x2F: numbers(0, 1), 0x30: numbers(0, 4),
            0x31: numbers(0, 2),
        }
        return special.get(token, {"0", "1"})

    def test_nobody_synchronises_before_the_acknowledgement(self):
        client = self.invited()
        for key in ("", "0"):
            self.assert_status(client.folder_sync(key=key), "142")
        client.first_phase()
        self.assert_status(client.folder_sync(key="0"), "142")
        self.assert_nothing_came_through(client)

    def test_what_is_no_more_asked_for_is_sent_empty_or_as_its_default(self):
        client = self.invited()
        before = client.provisioned()
        self.assertEqual(wbxml.text(before, PROVISION, MIN_LENGTH), "6")
        self.server.policy(UNSET)
        self.assert_status(client.folder_sync(), "143", "144")
        after = client.provisioned()
        self.assertEqual(children(after), children(before), "the same elements, none left out")
        self.assertEqual((wbxml.text(after, PROVISION, MIN_LENGTH), wbxml.text(after, PROVISION, 0x16)), ("", ""), "an empty tag: no rule")
        self.assertEqual(wbxml.text(after, PROVISION, PASSWORD_ENABLED), "0", "its default")
        self.assert_mail(client.folder_sync())

    # S02: wipes

    def test_a_wipe_is_told_again_after_a_failure_and_no_more_after_a_success(self):
        for version, scope, token in (("14.1", "full", REMOTE_WIPE), ("16.1", "full", REMOTE_WIPE), ("16.1", "selective", ACCOUNT_WIPE)):
            with self.subTest(version=version, scope=scope):
                client = self.invited(version)
                client.provisioned()
                self.assertEqual(client.directives(), [], "none before it is asked for")
                command = self.wipe(client, scope)
                self.assert_status(client.folder_sync(), "140")
                told = client.provision([])
                self.assertEqual([told, *told[2]], [(PROVISION, 0x05, told[2]), (PROVISION, STATUS, "1"), (PROVISION, token, [])])
                failed = client.acknowledge(token, status="2")
                self.assertEqual(failed[2], [(PROVISION, STATUS, "2"), (PROVISION, token, [])], "the failure, and the directive again")
                done = client.acknowledge(token)
                self.assertEqual(done[2], [(PROVISION, STATUS, "1")], "and no directive, which some would take for another")
                self.assert_evidence(self.wait_for_end(command, "confirmed"))
                device = self.device(client)["id"]
                self.server.verb("devices", "allow", device)
                self.assertEqual(client.directives(), [], "freed: nothing is left of it")
                client.provisioned()
                self.assert_mail(client.folder_sync())

    # S03: what is wrong

    def test_an_unknown_type_of_policy_is_status_3(self):
        client = self.invited()
        root = client.provision([information(), policies((PROVISION, POLICY_TYPE, "InvalidType"))], key="0")
        self.assertEqual(statuses(root), ["1", "3"])
        self.assertEqual(wbxml.find(root, PROVISION, POLICY_KEY), [])

    def test_an_acknowledgement_of_an_older_or_invented_policy_is_status_5(self):
        client = self.invited()
        old = wbxml.text(client.first_phase(), PROVISION, POLICY_KEY)
        client.second_phase(old)
        new = wbxml.text(client.first_phase(), PROVISION, POLICY_KEY)
        for key in (old, "1234567890"):
            root = client.second_phase(key)
            self.assertEqual((statuses(root), wbxml.find(root, PROVISION, POLICY_KEY)), (["1", "5"], []), key)
        self.assertEqual(statuses(client.second_phase(new)), ["1", "1"])

    def test_what_breaks_the_schema_is_status_2(self):
        client = self.invited()
        policy = (PROVISION, POLICY_ELEMENT, [(PROVISION, POLICY_TYPE, POLICIES)])
        for row, content in (
            ("a policy outside policies", [information(), policy]),
            ("no type", [information(), policies((PROVISION, STATUS, "1"))]),
        ):
            with self.subTest(row):
                root = client.provision(content, key="0")
                self.assertEqual((wbxml.text(root, PROVISION, STATUS), wbxml.find(root, PROVISION, POLICY_KEY)), ("2", []), root)

    def test_a_key_that_is_not_the_last_one_given_is_refused(self):
        client = self.invited()
        client.provisioned()
        self.assert_status(client.folder_sync(key=client.key[:1]), "144")
        self.assert_mail(client.folder_sync())

    def test_who_applies_nothing_or_is_managed_by_another_gets_no_key(self):
        for said, wanted in (("3", "139"), ("4", "145")):
            with self.subTest(said):
                client = self.invited()
                temporary = wbxml.text(client.first_phase(), PROVISION, POLICY_KEY)
                root = client.second_phase(temporary, status=said)
                self.assertEqual((wbxml.text(root, PROVISION, STATUS), wbxml.find(root, PROVISION, POLICY_KEY)), (wanted, []), root)
                self.assert_status(client.folder_sync(), "142")

    def test_device_information_is_asked_for_from_14_1_on(self):
        for version, wanted in (("14.0", "1"), ("14.1", "165"), ("16.1", "165")):
            with self.subTest(version):
                root = self.invited(version).provision([policies((PROVISION, POLICY_TYPE, POLICIES))], key="0")
                self.assertEqual(wbxml.text(root, PROVISION, STATUS), wanted)


class Transport(Gateway):
    """Without a policy: what HTTP says."""

    def ready(self, version="14.1"):
        client = self.invited(version)
        client.provisioned()
        return client

    def send(self, client, query, method="POST", body=FOLDER_SYNC, **more):
        headers = client.headers(**{"MS-ASProtocolVersion": client.version, "Content-Type": TYPE, "X-MS-PolicyKey": client.key, **more})
        url = client.url().partition("?")[0] + query
        return request(url, method, body, {name: value for name, value in headers.items() if value is not None}, client.identity, self.server.ca)

    @staticmethod
    def plain(client, command):
        return "?" + client.url(command).partition("?")[2]

    @staticmethod
    def packed(client, command=9, version=141, parameters=b""):
        device = client.ident.encode()
        head = bytes([version, command, 9, 4, len(device)]) + device + b"\4" + int(client.key).to_bytes(4, "little") + b"\6iPhone"
        return "?" + base64.b64encode(head + parameters).decode()

    def test_both_forms_of_the_query_are_taken(self):
        client = self.ready()
        reply = self.send(client, self.plain(client, "FolderSync"))
        self.assert_mail(reply)
        self.assertEqual(reply.headers["content-type"], TYPE)
        self.assertEqual(int(reply.headers["content-length"]), len(reply.body))
        self.assertNotIn("content-encoding", reply.headers, "nothing is compressed here")
        # The mail server here knows the plain form alone.
        before = len(self.mail.seen)
        self.assertEqual(self.send(client, self.packed(client)).status, 200)
        self.assertEqual(len(self.mail.seen), before + 1)

    def test_every_command_goes_on_by_name_and_by_code(self):
        client = self.ready()
        for code, name in enumerate(("Sync", "SendMail", "SmartForward", "SmartReply", "GetAttachment")):
            self.goes_on(client, code, name)
        for code, name in enumerate(("FolderSync", "FolderCreate", "FolderDelete", "FolderUpdate", "MoveItems", "GetItemEstimate", "MeetingResponse",
                                     "Search", "Settings", "Ping", "ItemOperations"), 9):
            if name != "Settings":
                self.goes_on(client, code, name)
        for code, name in ((21, "ResolveRecipients"), (22, "ValidateCert")):
            self.goes_on(client, code, name)

    def goes_on(self, client, code, name):
        with self.subTest(name):
            for query in (self.plain(client, name), self.packed(client, code)):
                before = len(self.mail.seen)
                self.assertEqual(self.send(client, query, body=b"").status, 200)
                self.assertEqual(len(self.mail.seen), before + 1)

    def test_what_a_query_says_besides_goes_on_as_it_came(self):
        client = self.ready()
        more = "&CollectionId=5&ItemId=5%3A1&LongId=a&Occurrence=b&AttachmentName=c&SaveInSent=T"
        self.assertEqual(self.send(client, self.plain(client, "SmartReply") + more, body=b"").status, 200)
        self.assertEqual(self.send(client, self.plain(client, "ItemOperations"), body=b"", **{"MS-ASAcceptMultiPart": "T"}).status, 200)
        headers = {name.lower(): value for name, value in self.mail.seen[-1][3].items()}
        self.assertEqual(headers["ms-asacceptmultipart"], "T")
        self.assertEqual(self.send(client, self.packed(client, 3, parameters=b"\7\1\3"), body=b"").status, 200)

    def test_a_query_that_makes_no_sense_is_400_each_time(self):
        client = self.ready()
        for row, query in (("version 19.1", self.packed(client, version=191)), ("cut", self.packed(client)[:9]), ("no base64", "?%%%"),
                           ("no device", "?Cmd=FolderSync&User=carol&DeviceType=x")):
            with self.subTest(row):
                self.assertEqual([self.send(client, query).status for _ in range(2)], [400, 400])

    def test_a_command_that_does_not_exist_is_501(self):
        client = self.ready()
        for query in (self.plain(client, "NotExist"), self.packed(client, 99)):
            self.assertEqual(self.send(client, query).status, 501)

    def test_another_address_is_404_and_another_verb_405(self):
        client = self.ready()
        url = self.server.public_url + "/NotSupport/Microsoft-Server-ActiveSync" + self.plain(client, "FolderSync")
        self.assertEqual(request(url, "POST", FOLDER_SYNC, client.headers(), client.identity, self.server.ca).status, 404)
        self.assertEqual(self.send(client, self.plain(client, "FolderSync"), "PUT").status, 405)

    def test_who_shows_no_login_or_a_wrong_one_is_401(self):
        client = self.ready()
        self.assertEqual(self.send(client, self.plain(client, "FolderSync"), Authorization=None).status, 401)
        client.password = "wrong"
        self.assertEqual(self.send(client, self.plain(client, "FolderSync")).status, 401)

    def test_options_say_versions_and_commands(self):
        client = self.ready()
        reply = client.options()
        self.assertEqual((reply.status, reply.body), (200, b""))
        self.assertEqual(reply.headers["ms-asprotocolversions"], VERSIONS, "what both speak")
        commands = reply.headers["ms-asprotocolcommands"].split(",")
        self.assertEqual(set(commands), {"Sync", "FolderSync", "Ping", "Settings", "Provision"}, "the mail server's, and Provision")

    def test_the_user_agent_is_taken_and_another_one_is_no_other_device(self):
        client = self.ready()
        device = self.device(client)["id"]
        for agent in ("Interop/1.0", "Interop/2.0"):
            self.assert_mail(self.send(client, self.plain(client, "FolderSync"), **{"User-Agent": agent}))
        self.assertEqual(self.device(client)["id"], device)
        self.assertEqual(self.device(client)["user"], CAROL)


if __name__ == "__main__":
    unittest.main()
