"""SOGo with all that it stands on (dovecot, memcached, a database, somebody who delivers mail), each from a folder of the test's own.

Debian's packages, none of which runs as a service for it: SOGo is told on its command line what /etc/sogo/sogo.conf says otherwise.
"""

import contextlib
import email
import imaplib
import mailbox
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import time

from harness import eventually, free_port, in_background, tool

PACKAGES = ("sogo", "sogo-activesync", "dovecot-imapd", "memcached")
SOGOD, DOVECOT, MEMCACHED = "/usr/sbin/sogod", "/usr/sbin/dovecot", "/usr/bin/memcached"
MODULE = "/usr/lib/GNUstep/SOGo/ActiveSync.SOGo"
CONFIGURATION = "/etc/sogo/sogo.conf"
PATH = "/SOGo/Microsoft-Server-ActiveSync"
# Each held Ping occupies one.
WORKERS = 6
# Seconds: how long SOGo holds a Ping or a Sync, whatever the client asks for. As it is shipped: 10 and 30.
PING = 5

DOVECOT_CONF = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
listen = 127.0.0.1
protocols = imap
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%n
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%n
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
}}
"""


class Absent(Exception):
    """What SOGo needs is not installed: which packages would bring it."""


class Sogo:
    """One SOGo for `users` (addresses and passwords) on a database of its own of the server that `database` names."""

    def __init__(self, users, database):
        if not all(map(os.path.exists, (SOGOD, DOVECOT, MEMCACHED, MODULE))):
            raise Absent(f"SOGo is not installed: apt-get install --no-install-recommends {' '.join(PACKAGES)}")
        # Root is no user for either of them.
        self.user = pwd.getpwnam("sogo") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.users, self.database, self.running, self.delivery = users, database, [], None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanyard-sogo-", dir="/var/tmp"))
        self.name = f"sogo_{os.getpid()}_{time.monotonic_ns()}"

    def start(self):
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self):
        (self.folder / "users").write_text("".join(f"{address.split('@')[0]}:{{PLAIN}}{word}\n" for address, word in self.users.items()))
        for name in ("mail", "run", "state", "home"):
            (self.folder / name).mkdir()
        self._make_database()
        self.delivery = Delivery(self)
        self.imap, self.memcached, self.port = free_port(), free_port(), free_port()
        (self.folder / "dovecot.conf").write_text(DOVECOT_CONF.format(
            folder=self.folder, port=self.imap, user=self.user.pw_name, group=self._group()))
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        self._run("memcached", [MEMCACHED, "-l", "127.0.0.1", "-p", self.memcached, "-U", "0"])
        self._run("dovecot", [DOVECOT, "-F", "-c", self.folder / "dovecot.conf"])
        self._run("sogod", [*self._in_view(), SOGOD, *self._settings()])
        for port in (self.memcached, self.imap, self.port):
            eventually(lambda port=port: self._serves(port), f"something that listens on port {port}", 60)
        for address, word in self.users.items():
            self._count_changes(address, word)

    def _serves(self, port):
        ended = [process.args[0] for process in self.running if process.poll() is not None]
        assert not ended, f"ended at once: {ended}\n{self.output()}"
        return listens(port)

    def _count_changes(self, address, word):
        """Dovecot numbers a folder's changes from when somebody first asks for that. SOGo needs the numbers, and never asks for them first."""
        box = imaplib.IMAP4("127.0.0.1", self.imap)
        box.login(address, word)
        box.enable("QRESYNC")
        box.select("INBOX")
        box.logout()

    def _in_view(self):
        """What goes before SOGo: it gives up where it cannot read its file, which Debian leaves to root and to its own user. For anybody else
        an empty one stands there, in a view of the files that this process has alone; and there it must not be root either."""
        if os.geteuid() == 0 or os.access(CONFIGURATION, os.R_OK):
            return []
        (self.folder / "sogo.conf").write_text("{}\n")
        mine = f"unshare --user --map-user={self.user.pw_uid} --map-group={self.user.pw_gid}"
        script = f'mount --bind {self.folder}/sogo.conf {CONFIGURATION} && exec {mine} "$@"'
        return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sogod"]

    def _group(self):
        return tool(["id", "-gn", self.user.pw_name]).decode().strip()

    def _settings(self):
        """What sogo.conf would say: GNUstep's programs take it on the command line too, and there it comes first."""
        source = (f"({{type = sql; id = users; viewURL = \"{self._table('sogo_users')}\"; canAuthenticate = YES; "
                  "isAddressBook = NO; userPasswordAlgorithm = plain;})")
        settings = {
            "WOUseWatchDog": "YES", "WOPort": f"127.0.0.1:{self.port}", "WOWorkersCount": WORKERS, "WONoDetach": "YES", "WOLogFile": "-",
            "WOPidFile": self.folder / "sogo.pid", "SOGoProfileURL": self._table("sogo_user_profile"),
            "OCSFolderInfoURL": self._table("sogo_folder_info"), "OCSSessionsFolderURL": self._table("sogo_sessions_folder"),
            "OCSEMailAlarmsFolderURL": self._table("sogo_alarms_folder"), "SOGoUserSources": source,
            "SOGoIMAPServer": f"imap://127.0.0.1:{self.imap}", "SOGoMailingMechanism": "smtp",
            "SOGoSMTPServer": f"smtp://127.0.0.1:{self.delivery.port}", "SOGoMailDomain": "example.org", "SOGoTimeZone": "UTC",
            "SOGoMemcachedHost": f"127.0.0.1:{self.memcached}", "SOGoMaximumPingInterval": PING, "SOGoMaximumSyncInterval": PING,
            "SOGoInternalSyncInterval": 2,
        }
        return [word for name, value in settings.items() for word in (f"-{name}", str(value))]

    def _run(self, name, command):
        """Starts a program as the user that owns the folder."""
        with open(self.folder / f"{name}.out", "wb") as log:
            self.running.append(subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder / "home")},
                **({"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {})))

    # The database

    def _make_database(self):
        tool(["psql", self.database, "-qc", f"create database {self.name}"])
        rows = ", ".join(f"('{address}', '{address}', '{word}', '{address.split('@')[0]}', '{address}')" for address, word in self.users.items())
        tool(["psql", self._own(), "-qc", "create table sogo_users (c_uid text primary key, c_name text, c_password text, c_cn text, mail text); "
              f"insert into sogo_users values {rows}"])

    def _own(self):
        return self.database.rsplit("/", 1)[0] + "/" + self.name

    def _table(self, table):
        return self._own().replace("postgres://", "postgresql://", 1) + "/" + table

    # What happens to it

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{PATH}"

    def output(self):
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted([*self.folder.glob("*.out"), *self.folder.glob("*.log")]))

    def commands(self, device):
        """The ActiveSync commands of a DeviceId that it has answered."""
        return re.findall(rf'POST [^"]*\?Cmd=(\w+)&[^"]*DeviceId={device}&', (self.folder / "sogod.out").read_text(errors="replace"))

    def inbox(self, address):
        """The messages in somebody's inbox, as they lie in its folder."""
        folder = self.folder / "mail" / address.split("@")[0]
        return [email.message_from_bytes(path.read_bytes()) for part in ("new", "cur") for path in (folder / part).glob("*")]

    def deliver(self, address, message):
        folder = self.folder / "mail" / address.split("@")[0]
        folder.parent.mkdir(exist_ok=True)
        box = mailbox.Maildir(folder, create=True)
        box.add(message)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def stop(self):
        for process in reversed(self.running):
            end(process)
        if self.delivery:
            self.delivery.stop()
        tool(["psql", self.database, "-qc", f"drop database if exists {self.name} with (force)"])
        if os.environ.get("LANYARD_PEERS_KEEP"):
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def end(process):
    """Kills a program and its children, them first while it can make no others: SOGo's watchdog, asked to end, waits half a minute for a child
    that holds a Ping, and children that lose their watchdog crash."""
    if process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.kill()
    process.wait()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Delivery(socketserver.ThreadingTCPServer):
    """A mail transfer agent that delivers to the users' own folders, and knows nobody else. RFC 5321's least."""

    allow_reuse_address, daemon_threads = True, True

    def __init__(self, sogo):
        self.sogo = sogo
        super().__init__(("127.0.0.1", 0), Session)
        in_background(self.serve_forever)

    @property
    def port(self):
        return self.server_address[1]

    def stop(self):
        self.shutdown()
        self.server_close()


class Session(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 peers")
        to = []
        while line := self.rfile.readline():
            word, rest = line[:4].upper().strip().decode("latin-1"), line[4:].decode("latin-1").strip()
            if word == "RCPT":
                address = rest.partition("<")[2].partition(">")[0].lower()
                to.append(address)
                self.say("250 known" if address in self.server.sogo.users else "550 unknown")
            elif word == "DATA":
                self.say("354 go on")
                self.take(to)
                to = []
                self.say("250 delivered")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 peers")

    def take(self, to):
        text = b""
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            text += line[1:] if line.startswith(b".") else line
        for address in to:
            if address in self.server.sogo.users:
                self.server.sogo.deliver(address, text)
