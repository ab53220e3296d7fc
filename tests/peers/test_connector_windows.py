"""The connector as it is built for Windows, under Wine: enrolment, a check, a dry run, and what lies open afterwards. `cargo xtask windows`."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

import wine
from connector_side import SOON, STEPS, Connected, Connector
from exchange_world import Phone
from harness import STOP_LIMIT, VerbFailed, eventually
from test_connector_faults import forms, key_parts

PROTECTED = "dpapi:"


class WindowsConnector(Connector):
    """One in the folder that it finds by itself."""

    def __init__(self, windows, program, server, folder, flags, roots):
        super().__init__(server, folder, flags, roots)
        self.windows, self.program = windows, windows.command(program)
        self.dir = windows.drive / "ProgramData/Lanyard/connector"

    def environment(self):
        theirs = {key: value for key, value in super().environment().items() if key != "LANYARD_CONNECTOR"}
        return theirs | self.windows.environment

    def stop(self):
        """Ctrl-C; its exit code."""
        if not self.running():
            return None
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


class OnWindows(Connected):
    starts = False
    partnerships = 3

    @classmethod
    def setUpClass(cls):
        named = os.environ.get("LANYARD_WINDOWS_BIN")
        if not named:
            raise unittest.SkipTest("LANYARD_WINDOWS_BIN names no connector that was built for Windows")
        missing = wine.why_not()
        assert not missing or not os.environ.get("LANYARD_REQUIRE_PEERS"), missing
        if missing:
            raise unittest.SkipTest(missing)
        super().setUpClass()
        cls.program = pathlib.Path(named).resolve()
        cls.windows = wine.Windows(cls.server.folder / "wine")
        cls.addClassCleanup(cls.windows.stop)

    def setUp(self):
        super().setUp()
        type(self).count += 1
        folder = self.server.folder / f"windows{self.count}"
        self.connector = WindowsConnector(self.windows, self.program, self.server, folder, self.exchange.flags(), [self.exchange.authority.root])
        self.addCleanup(shutil.rmtree, self.connector.dir, True)
        self.addCleanup(self.connector.stop)

    def good(self):
        self.assertEqual([(step["step"], step["ok"]) for step in self.connector.check()], [(step, True) for step in STEPS])

    def key(self):
        return (self.connector.dir / "sealing.key").read_text()

    def assert_closed(self):
        """No part of the application's key lies in the folder, sealed file and key file among them."""
        files = {path.name: path.read_bytes() for path in self.connector.dir.rglob("*") if path.is_file()}
        self.assertLessEqual({"connector.json", "secrets.sealed", "sealing.key", "identity.pem"}, set(files))
        for secret in key_parts(self.exchange.app):
            for form in forms(secret):
                self.assertEqual([name for name, text in files.items() if form in text], [])

    def test_it_enrols_into_its_own_folder_and_nothing_lies_open_there(self):
        self.connector.enrol(self.invite())
        self.assertTrue(self.key().startswith(PROTECTED), "by DPAPI")
        self.assert_closed()
        self.good()
        self.assert_closed()
        with self.assertRaises(VerbFailed) as refused:
            self.connector.enrol(self.invite())
        self.assertIn("enrolled here already", refused.exception.stderr)

    def test_a_folder_of_somebody_elses_is_left_as_it_is(self):
        self.connector.dir.mkdir(parents=True)
        (self.connector.dir / "theirs.txt").write_text("read by many")
        with self.assertRaises(VerbFailed) as refused:
            self.connector.enrol(self.invite())
        self.assertIn("not empty", refused.exception.stderr)
        self.assertEqual([path.name for path in self.connector.dir.iterdir()], ["theirs.txt"])

    def test_what_another_account_or_machine_protected_does_not_open(self):
        self.connector.enrol(self.invite())
        blob = bytearray(self.key().encode())
        blob[-20] = ord("A") if blob[-20] != ord("A") else ord("B")
        (self.connector.dir / "sealing.key").write_bytes(blob)
        status, _, error = self.connector.said("check")
        self.assertEqual(status, 1)
        self.assertIn("sealing.key", error)
        self.assertIn("account that enrolled", error)

    def test_a_key_that_lay_open_is_taken_over(self):
        before = self.another()
        open_key = (before.dir / "sealing.key").read_text().strip()
        shutil.copytree(before.dir, self.connector.dir)
        self.good()
        self.assertTrue(self.key().startswith(PROTECTED))
        self.assertNotIn(open_key, self.key())
        self.assert_closed()
        self.good()

    def test_a_dry_run_leads_reports_prints_and_ends_at_ctrl_c(self):
        connector = self.connector.enrol(self.invite()).start("--dry-run")
        self.synced()
        self.assertEqual(self.listed()["leader"], connector.instance())
        phone = Phone(self.org, self.org.mailboxes[0])
        eventually(lambda: self.server.device_of(phone.device_id), "it is in the registry", 30)
        self.decide("block", phone)

        def printed():
            lines = [json.loads(line) for line in connector.out.read_text().splitlines() if line.startswith("{")]
            return [line for line in lines if line["cmdlet"] == "Set-CASMailbox" and phone.device_id in json.dumps(line["parameters"])]

        eventually(printed, "what it would write", SOON)
        self.assertEqual(self.org.writes(), [])
        status, _, error = connector.said("run")
        self.assertEqual(status, 1)
        self.assertIn("another connector runs on this folder", error)
        self.assertEqual(connector.stop(), 0, connector.output()[-2000:])
        self.assert_closed()


if __name__ == "__main__":
    unittest.main()
