"""The stand-in for Exchange by itself: a login is checked, lists are edited and not replaced, a blocked phone fetches no wipe."""

import base64
import hashlib
import http.client
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import uuid

from connect_proxy import ConnectProxy
from entra import KIND, SCOPE
from exchange_child import WorldServer
from exchange_online import ANCHOR, ExchangeOnline
from exchange_world import Organisation, Phone, Refusal
from harness import context, eventually, openssl, self_made


def packed(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Online(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-exchange-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.online = ExchangeOnline(cls.folder)
        cls.addClassCleanup(cls.online.stop)

    def setUp(self):
        self.org = self.online.organisation = Organisation()
        self.online.dead_pages, self.online.forbidden = False, set()

    def assertion(self, algorithm="RS256", app=None, header=None, **claims):
        app, entra = app or self.online.app, self.online.entra
        der = openssl("x509", "-in", app.certificate, "-outform", "DER")
        thumbprint = {"x5t": packed(hashlib.sha1(der).digest())} if algorithm == "RS256" else {"x5t#S256": packed(hashlib.sha256(der).digest())}
        said = {"aud": self.online.url + entra.path(), "iss": entra.client, "sub": entra.client, "jti": str(uuid.uuid4()),
                "exp": int(time.time()) + 500, **claims}
        text = packed(json.dumps({"alg": algorithm, "typ": "JWT", **thumbprint, **(header or {})}).encode()) + "." + packed(json.dumps(said).encode())
        padding = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"] if algorithm == "PS256" else []
        return text + "." + packed(openssl("dgst", "-sha256", *padding, "-sign", app.key, stdin=text.encode()))

    def post(self, path, body, headers, proxy=None):
        made = context(self.online.authority.root)
        connection = http.client.HTTPSConnection("localhost", self.online.port, timeout=20, context=made)
        if proxy:
            host, port = proxy.url.removeprefix("http://").split(":")
            connection = http.client.HTTPSConnection(host, int(port), timeout=20, context=made)
            word = base64.b64encode(b"proxy:word").decode()
            connection.set_tunnel("localhost", self.online.port, {"Proxy-Authorization": f"Basic {word}"})
        self.addCleanup(connection.close)
        connection.request("POST", path, body, headers)
        reply = connection.getresponse()
        return reply, reply.read()

    def login(self, assertion, **more):
        form = {"grant_type": "client_credentials", "client_id": self.online.entra.client, "scope": SCOPE, "client_assertion_type": KIND,
                "client_assertion": assertion, **more}
        reply, body = self.post(self.online.entra.path(), urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
        return reply.status, json.loads(body)

    def token(self):
        return self.login(self.assertion())[1]["access_token"]

    def invoke(self, token, name, path=None, select=None, size=1000, proxy=None, **parameters):
        headers = {"Authorization": f"Bearer {token}", "X-AnchorMailbox": ANCHOR + self.online.tenant, "X-CmdletName": name, "X-ResponseFormat": "json",
                   "Prefer": f"odata.maxpagesize={size}", "client-request-id": str(uuid.uuid4()), "Content-Type": "application/json"}
        path = path or f"/adminapi/beta/{self.online.tenant}/InvokeCommand" + (f"?$select={select}" if select else "")
        reply, body = self.post(path, json.dumps({"CmdletInput": {"CmdletName": name, "Parameters": parameters}}), headers, proxy)
        return reply.status, (json.loads(body) if body.strip(b"\0") else None)

    def test_a_login_is_believed_by_its_signature_and_claims_alone(self):
        for algorithm in ("RS256", "PS256"):
            status, answer = self.login(self.assertion(algorithm))
            self.assertEqual((status, answer["token_type"]), (200, "Bearer"), answer)
        once = self.assertion()
        self.assertEqual(self.login(once)[0], 200)
        thief = self_made(self.folder, "thief")
        rows = [
            ("the same twice", once), ("another key", self.assertion(app=thief)),
            ("another key under our thumbprint", self.assertion(app=thief, header={"x5t": self.online.entra.thumbprints["x5t"]})),
            ("too long", self.assertion(exp=int(time.time()) + 900)), ("over", self.assertion(exp=int(time.time()) - 900)),
            ("for another", self.assertion(aud="https://elsewhere/")), ("another subject", self.assertion(sub=str(uuid.uuid4()))), ("none", ""),
        ]
        for row, assertion in rows:
            with self.subTest(row):
                self.assertEqual(self.login(assertion)[0], 401)
        self.assertEqual(self.login(self.assertion(), client_id=str(uuid.uuid4()))[0], 400)

    def test_pages_follow_each_other_or_are_dead(self):
        self.org.fill(30, 45)
        token, names, path = self.token(), [], None
        while True:
            status, page = self.invoke(token, "Get-MobileDevice", path, "DeviceId,Guid", 20, ResultSize="Unlimited")
            self.assertEqual(status, 200, page)
            names += [row["DeviceId"] for row in page["value"]]
            if "@odata.nextLink" not in page:
                break
            path = page["@odata.nextLink"].removeprefix(self.online.url)
        self.assertEqual(len(set(names)), 45)
        self.assertEqual({key for key in page["value"][0] if "@" not in key}, {"DeviceId", "Guid"})
        self.online.dead_pages = True
        _, page = self.invoke(token, "Get-MobileDevice", None, None, 20, ResultSize="Unlimited")
        path = page["@odata.nextLink"].removeprefix(self.online.url)
        self.assertEqual(self.invoke(token, "Get-MobileDevice", path, None, 20, ResultSize="Unlimited")[0], 400)

    def test_its_moods(self):
        token = self.token()
        self.online.fails(429, after=1)
        self.assertEqual(self.invoke(token, "Get-OrganizationConfig")[0], 429)
        self.online.fails("cut after", "Set-ActiveSyncOrganizationSettings")
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.invoke(token, "Set-ActiveSyncOrganizationSettings", DefaultAccessLevel="Block")
        self.assertEqual(self.org.default, "Block", "the deed was done")
        self.online.forbidden = {"Clear-MobileDevice"}
        self.assertEqual(self.invoke(token, "Clear-MobileDevice", Identity="x"), (403, None))
        self.online.entra.expire()
        self.assertEqual(self.invoke(token, "Get-OrganizationConfig")[0], 401)
        status, answer = self.invoke(self.token(), "Get-MobileDevice", Identity=str(uuid.uuid4()))
        self.assertEqual((status, answer["error"]["details"][0]["message"].count("|")), (404, 2))

    def test_a_proxy_asks_for_its_password_and_carries(self):
        proxy = ConnectProxy("proxy", "word")
        self.addCleanup(proxy.stop)
        self.assertEqual(self.invoke(self.token(), "Get-OrganizationConfig", proxy=proxy)[0], 200)
        self.assertEqual((proxy.asked, proxy.refused), ([f"localhost:{self.online.port}"], 0))
        proxy.password = "another"
        with self.assertRaises(OSError):
            self.invoke(self.token(), "Get-OrganizationConfig", proxy=proxy)
        self.assertEqual(proxy.refused, 1)


class World(unittest.TestCase):
    def setUp(self):
        self.org = Organisation()
        self.ann = self.org.mailbox("ann")
        self.phone = Phone(self.org, self.ann)

    def edit(self, key, **change):
        return self.org.invoke("Set-CASMailbox", {"Identity": self.ann.guid, key: {"@odata.type": "#Exchange.GenericHashTable", **change}})

    def sins(self):
        return [what for what, _ in self.org.sins]

    def test_lists_come_before_rules_and_rules_before_the_default(self):
        self.assertEqual(self.phone.sync(), "quarantined")
        self.org.invoke("New-ActiveSyncDeviceAccessRule", {"Characteristic": "DeviceType", "QueryString": "iPhone", "AccessLevel": "Allow"})
        self.assertEqual(self.phone.sync(), "mail")
        self.edit("ActiveSyncBlockedDeviceIDs", add=self.phone.device_id)
        self.edit("ActiveSyncAllowedDeviceIDs", add=[self.phone.device_id])
        self.assertEqual(self.phone.sync(), "blocked", "the blocked list is asked first")
        self.edit("ActiveSyncBlockedDeviceIDs", remove=self.phone.device_id.lower())
        self.assertEqual(self.org.access(self.phone.device)[:2], ("Allowed", "Individual"))
        self.assertEqual(self.sins(), [])
        self.org.invoke("Set-CASMailbox", {"Identity": "ann", "ActiveSyncBlockedDeviceIDs": "ABC"})
        self.assertEqual(self.sins(), ["a list replaced instead of edited"])

    def test_a_blocked_phone_fetches_no_wipe(self):
        self.edit("ActiveSyncBlockedDeviceIDs", add=self.phone.device_id)
        self.org.invoke("Clear-MobileDevice", {"Identity": self.phone.device.guid})
        self.assertEqual(self.phone.sync(), "blocked")
        self.edit("ActiveSyncBlockedDeviceIDs", remove=self.phone.device_id)
        self.assertEqual(self.phone.sync(), "wiped")
        [row] = self.org.invoke("Get-MobileDeviceStatistics", {"Identity": self.phone.device.guid})
        self.assertEqual((row["Status"], row["AccountOnlyDeviceWipeAckTime"]), ("DeviceWipeSucceeded", None))
        self.assertTrue(row["DeviceWipeRequestTime"] < row["DeviceWipeAckTime"])
        self.assertEqual(self.sins(), ["a wipe of one that is blocked, which will never fetch it"])

    def test_the_account_alone_and_outlook(self):
        self.org.invoke("Clear-MobileDevice", {"Identity": self.phone.device.guid, "AccountOnly": True})
        self.assertEqual((self.phone.sync(), self.phone.erased), ("account gone", False))
        outlook = Phone(self.org, self.ann, type="Outlook", client="Outlook", version="161")
        with self.assertRaises(Refusal):
            self.org.invoke("Clear-MobileDevice", {"Identity": outlook.device.guid, "AccountOnly": True})
        self.org.invoke("Clear-MobileDevice", {"Identity": outlook.device.guid})
        self.assertEqual((outlook.sync(), outlook.erased), ("account gone", False))

    def test_a_cancel_comes_too_late_once_the_phone_has_it(self):
        for fetched, wanted in ((False, "quarantined"), (True, "wiped")):
            phone = Phone(self.org, self.ann)
            self.org.invoke("Clear-MobileDevice", {"Identity": phone.device.guid})
            if fetched:
                phone.fetches()
            self.org.invoke("Clear-MobileDevice", {"Identity": phone.device.guid, "Cancel": True})
            self.assertEqual(phone.sync(), wanted)

    def test_what_nobody_should_do_is_noted(self):
        self.assertEqual(len(self.org.invoke("Get-MobileDevice", {"Identity": ""})), 1, "all of them")
        self.org.invoke("Clear-MobileDevice", {"Identity": self.phone.device.guid})
        self.org.invoke("Clear-MobileDevice", {"Identity": self.phone.device.guid})
        self.org.invoke("Remove-MobileDevice", {"Identity": self.phone.device.guid})
        self.assertEqual(self.sins(), ["an empty identity", "a second Clear", "a removal under a wipe, which is lost with it"])
        before = self.phone.device.guid
        self.phone.sync()
        self.assertNotEqual(self.phone.device.guid, before, "a live client makes another")

    def test_filters_and_replication(self):
        lagging = Organisation(lag=0.3)
        ann = lagging.mailbox("ann")
        time.sleep(0.35)
        filtered = {"Filter": "HasActiveSyncDevicePartnership -eq $true -and (WhenChangedUTC -gt '2020-01-01T00:00:00Z')"}
        self.assertEqual(lagging.invoke("Get-CASMailbox", filtered), [])
        Phone(lagging, ann)
        lagging.edit(ann, blocked=("X",))
        self.assertEqual(lagging.invoke("Get-CASMailbox", filtered)[0]["ActiveSyncBlockedDeviceIDs"], [])
        time.sleep(0.35)
        self.assertEqual(lagging.invoke("Get-CASMailbox", filtered)[0]["ActiveSyncBlockedDeviceIDs"], ["X"])
        for text, found in (("DeviceAccessState -eq 'Quarantined'", 1), ("DeviceAccessState -eq 'Blocked' -or DeviceType -ne 'iPhone'", 0),
                            ("FirstSyncTime -gt '01/01/2020 00:00:00'", 1), ("FirstSyncTime -gt '2090-01-01T00:00:00Z'", 0)):
            self.assertEqual(len(self.org.invoke("Get-MobileDevice", {"Filter": text})), found, text)
        for text in ("LastSuccessSync -gt '2020-01-01'", "DeviceType iPhone", "(DeviceType -eq 'a'"):
            with self.assertRaises(Refusal, msg=text):
                self.org.invoke("Get-MobileDevice", {"Filter": text})


class Child(unittest.TestCase):
    def setUp(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-child-"))
        self.addCleanup(shutil.rmtree, folder, True)
        self.org = Organisation()
        self.phone = Phone(self.org, self.org.mailbox("ann"))
        self.world = WorldServer(folder, self.org, "EX\\connector", "word of a child")
        self.addCleanup(self.world.stop)

    def child(self, *words, password="word of a child"):
        """What it answers to two cmdlets."""
        lines = [json.dumps({"user": "EX\\connector", "password": password})]
        lines += [json.dumps({"id": number, "cmdlet": name, "params": params}) for number, (name, params) in enumerate(
            [("Get-MobileDevice", {"ResultSize": "Unlimited"}), ("Get-MobileDevice", {"Identity": str(uuid.uuid4())})])]
        said = subprocess.run([self.world.program(), *words], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=20, check=False)
        return [json.loads(line) if line.startswith("{") else line for line in said.stdout.splitlines()]

    def test_it_answers_line_by_line_and_ends_with_its_input(self):
        rows, absent = self.child("-NoProfile")
        self.assertEqual((rows["id"], rows["ok"], rows["rows"][0]["Guid"]), (0, True, self.phone.device.guid))
        self.assertEqual((absent["id"], absent["ok"], absent["error"]["category"]), (1, False, "ObjectNotFound"))
        [child] = self.world.children
        eventually(lambda: child["ended"], "its end")
        self.assertEqual((child["ended"], child["leaks"], child["knows"], child["arguments"]), ("clean", [], True, ["-NoProfile"]))

    def test_a_password_in_its_arguments_is_seen(self):
        self.child("-Password", "word of a child")
        self.assertEqual(self.world.children[0]["leaks"], ["cmdline of the child"])

    def test_a_wrong_password_and_its_moods(self):
        self.assertEqual([answer["ok"] for answer in self.child(password="guessed")], [False, False])
        self.world.fails("noise")
        self.assertEqual(len(self.child()), 3)
        self.world.fails("die after", "Get-MobileDevice")
        self.assertEqual(self.child(), [])
        eventually(lambda: self.world.children[-1]["ended"] == "cut", "a session that was left open")


if __name__ == "__main__":
    unittest.main()
