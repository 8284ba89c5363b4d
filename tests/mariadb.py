"""A MariaDB server of our own, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from contextlib import closing
from pathlib import Path

import pymysql

from tests.patience import PATIENCE
from tests.ports import free_port

INSTALL = shutil.which("mariadb-install-db")
SERVER = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")


def is_installed() -> bool:
    """Whether this machine has what it needs."""
    return bool(INSTALL and SERVER and shutil.which("setpriv"))


class MariaDB:
    """A MariaDB server of our own; it dies with the thread that has started it, however that ends."""

    def __init__(self, folder: Path) -> None:
        self.datadir = folder / "data"
        self.log = folder / "mariadb.log"
        self.port = free_port()
        self._as_root = ["--user=root"] if os.geteuid() == 0 else []
        self._process: subprocess.Popen[bytes] | None = None
        options = ["--no-defaults", f"--datadir={self.datadir}", *self._as_root]
        normal = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run([str(INSTALL), *options, *normal], check=False, capture_output=True, text=True)
        if done.returncode:
            message = f"MariaDB was not installed: {done.stdout[-2000:]}{done.stderr[-2000:]}"
            raise RuntimeError(message)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [f"--datadir={self.datadir}", f"--port={self.port}", "--bind-address=127.0.0.1", *self._as_root]
        # The socket's address may have 107 bytes at most (unix(7)): name it from the server's own folder.
        command = [str(SERVER), "--no-defaults", *options, "--socket=m.sock", "--innodb-flush-log-at-trx-commit=2"]
        dies_with_us = ["setpriv", "--pdeathsig", "TERM", "--"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*dies_with_us, *command], stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                self.execute("SELECT 1")
            except pymysql.OperationalError:
                time.sleep(0.05)
            else:
                return
        message = f"MariaDB did not start: {self.log.read_text()[-2000:]}"
        raise RuntimeError(message)

    def stop(self) -> None:
        """Stop the server; its data stay."""
        self._end_by(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server as a power cut would; its data stay."""
        self._end_by(signal.SIGKILL)

    def _end_by(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def execute(self, statement: str) -> None:
        """Run one statement as the server's root."""
        with closing(pymysql.connect(host="127.0.0.1", port=self.port, user="root")) as connection:
            connection.cursor().execute(statement)
            connection.commit()

    def create_database(self) -> str:
        """Return the URL of a fresh, empty database, with the server's own default collation."""
        name = f"stager_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{name}"
