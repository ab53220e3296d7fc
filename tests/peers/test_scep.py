"""SCEP by a client that Apple did not think of: strongSwan's `pki`, of Debian."""

import unittest

from apple_device import SCEP, AppleDevice, payloads
from harness import PlainRelay, ServedTest, openssl, request, tool


class StrongSwan(ServedTest):
    def enrol(self, *options):
        phone = AppleDevice(self.server, self.folder(), "strongSwan")
        phone.fetch(self.server.verb("invite", "--channel", "apple", "--user", "ann@example.org"))
        asked = payloads(phone.profile, SCEP)[0]["PayloadContent"]
        folder, root = phone.folder, self.server.ca
        reply = request(asked["URL"] + "?operation=GetCACert", ca=root)
        (folder / "issuing.der").write_bytes(reply.body)
        openssl("x509", "-inform", "DER", "-in", folder / "issuing.der", "-out", folder / "issuing.pem")
        openssl("genrsa", "-out", phone.identity.key, "2048")
        url = PlainRelay(self.server).url + "/scep"
        issued = tool(
            ["pki", "--scep", "--url", url, "--in", phone.identity.key, "--dn", "CN=peer", "--password", asked["Challenge"],
             "--cacert-enc", folder / "issuing.pem", "--cacert-sig", folder / "issuing.pem", "--cacert", root, "--outform", "pem",
             *options])
        phone.identity.certificate.write_bytes(issued)
        return phone

    def test_it_enrols_with_each_of_its_ciphers_and_digests_and_the_certificate_is_good(self):
        for options in ((), ("--cipher", "des3"), ("--digest", "sha384"), ("--digest", "sha512"), ("--digest", "sha1", "--cipher", "des3")):
            with self.subTest(options=options):
                phone = self.enrol(*options)
                self.assertEqual([phone.authenticate().status, phone.token_update().status], [200, 200])
                phone.enrolled = True
                phone.poll()
                self.assertEqual(self.server.device_of(phone.udid)["state"], "enrolled")


if __name__ == "__main__":
    unittest.main()
