"""A realm of Kerberos on loopback, in a folder of its own: Debian's KDC on Debian's LDAP server, where alone it knows of constrained delegation."""

import gzip
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from harness import eventually, tool

REALM, SERVICE, OWN, SUFFIX = "EXAMPLE.ORG", "HTTP/mail.example.org", "lanyard/gateway", "dc=test"
ADMIN, WORD = f"cn=admin,{SUFFIX}", "ldap-word"
SCHEMA = "/usr/share/doc/krb5-kdc-ldap/kerberos.schema.gz"
PROGRAMS = ("slapd", "ldapadd", "krb5kdc", "kdb5_ldap_util", "kadmin.local")
# A system's administration programs are not on everybody's path.
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin") + ":/usr/sbin:/sbin"


def why_not():
    """What is missing for such a realm; `None` where nothing is."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    missing += [path for path in (SCHEMA, "/usr/lib/python3/dist-packages/gssapi") if not os.path.exists(path)]
    return f"not installed: {', '.join(missing)}" if missing else None


class Realm:
    """Runs until `stop`. The gateway may act for whoever lets himself be acted for, towards SERVICE alone."""

    def __init__(self, users, kept=()):
        """`kept`: users whose tickets are not to be forwarded."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-kdc-"))
        self.running = []
        try:
            self.ldap()
            self.realm(users, kept)
            self.kdc()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for process in reversed(self.running):
            process.terminate()
            process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, keytab):
        """For a program with these keys: to ask with, and to be asked with."""
        return {
            "KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5_CLIENT_KTNAME": f"FILE:{self.folder / keytab}",
            "KRB5_KTNAME": f"FILE:{self.folder / keytab}", "KRB5CCNAME": "MEMORY:lanyard",
            "KRB5RCACHENAME": f"file2:{self.folder / keytab}.replays",
        }

    # How it is made

    @property
    def ldap_url(self):
        return "ldapi://" + str(self.folder / "socket").replace("/", "%2F")

    def begin(self, *words, environment=None):
        log = open(self.folder / f"{words[0]}.log", "wb")
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, **(environment or {})})
        self.running.append(process)
        return process

    def ldap(self):
        (self.folder / "db").mkdir()
        (self.folder / "kerberos.schema").write_bytes(gzip.open(SCHEMA).read())
        (self.folder / "slapd.conf").write_text(f"""
include /etc/ldap/schema/core.schema
include {self.folder}/kerberos.schema
pidfile {self.folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "{SUFFIX}"
rootdn "{ADMIN}"
rootpw {WORD}
directory {self.folder}/db
""")
        self.begin("slapd", "-d", "0", "-f", self.folder / "slapd.conf", "-h", self.ldap_url)
        base = f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: test\no: test\n"
        eventually(lambda: self.change("ldapadd", base, must=False), "the LDAP server")

    def change(self, program, text, must=True):
        try:
            tool([program, "-x", "-H", self.ldap_url, "-D", ADMIN, "-w", WORD], text.encode())
        except AssertionError:
            if must:
                raise
            return False
        return True

    def realm(self, users, kept):
        self.port = free_port()
        (self.folder / "krb5.conf").write_text(f"""
[libdefaults]
 default_realm = {REALM}
 dns_lookup_kdc = false
 forwardable = true
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 {REALM} = {{
  kdc = 127.0.0.1:{self.port}
 }}
""")
        (self.folder / "kdc.conf").write_text(f"""
[kdcdefaults]
 kdc_listen = ""
 kdc_tcp_listen = 127.0.0.1:{self.port}
[realms]
 {REALM} = {{
  database_module = ldap
  key_stash_file = {self.folder}/master
 }}
[dbmodules]
 ldap = {{
  db_library = kldap
  ldap_kerberos_container_dn = cn=krb,{SUFFIX}
  ldap_kdc_dn = "{ADMIN}"
  ldap_kadmind_dn = "{ADMIN}"
  ldap_service_password_file = {self.folder}/stash
  ldap_servers = {self.ldap_url}
 }}
""")
        util = ["kdb5_ldap_util", "-D", ADMIN, "-w", WORD, "-H", self.ldap_url]
        self.tool([*util, "create", "-subtrees", SUFFIX, "-r", REALM, "-s", "-P", "master-word"])
        self.tool([*util, "stashsrvpw", "-f", self.folder / "stash", ADMIN], f"{WORD}\n{WORD}\n".encode())
        for name in (OWN, SERVICE):
            self.admin(f"addprinc -randkey {name}")
        self.admin(f"modprinc +ok_to_auth_as_delegate {OWN}")
        for user in users:
            self.admin(f"addprinc -randkey {user}")
        for user in kept:
            self.admin(f"addprinc -randkey -allow_forwardable {user}")
        self.admin(f"ktadd -k {self.folder}/own.keytab {OWN}")
        self.admin(f"ktadd -k {self.folder}/service.keytab {SERVICE}")
        self.delegate("add")

    def delegate(self, how):
        """Lets the gateway act for others towards SERVICE, or (`delete`) not any more."""
        entry = f"krbPrincipalName={OWN}@{REALM},cn={REALM},cn=krb,{SUFFIX}"
        change = f"dn: {entry}\nchangetype: modify\n{how}: krbAllowedToDelegateTo\nkrbAllowedToDelegateTo: {SERVICE}@{REALM}\n"
        self.change("ldapmodify", change)

    def admin(self, query):
        self.tool(["kadmin.local", "-r", REALM, "-q", query])

    def tool(self, words, stdin=None):
        return tool(words, stdin, self.server_environment())

    def server_environment(self):
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}

    def kdc(self):
        self.daemon = self.begin("krb5kdc", "-n", "-r", REALM, "-P", self.folder / "kdc.pid", environment=self.server_environment())
        eventually(lambda: answers(self.port), "the KDC")

    def end_kdc(self):
        self.daemon.terminate()
        self.daemon.wait(10)
        self.running.remove(self.daemon)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        time.sleep(0.05)
        return False
    return True
