"""A certificate authority of a test's own, and what it issues to stand-ins on loopback."""

from harness import Identity, openssl


class Authority:
    def __init__(self, folder, name="Test Root"):
        self.folder, self.issued = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.root, self.key = folder / "root.pem", folder / "root.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2000", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.root)

    def issue(self, *names, days=300):
        """A server's certificate and key for these names; loopback's addresses are in it."""
        self.issued += 1
        made = Identity(self.folder / f"leaf{self.issued}.pem", self.folder / f"leaf{self.issued}.key")
        asked, extra = self.folder / "leaf.csr", self.folder / "extra"
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={names[0]}", "-keyout", made.key, "-out", asked)
        extra.write_text("subjectAltName=" + ",".join([*(f"DNS:{name}" for name in names), "IP:127.0.0.1"]) + "\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", asked, "-CA", self.root, "-CAkey", self.key, "-CAcreateserial", "-days", days, "-extfile", extra,
                "-out", made.certificate)
        return made
