"""A real Ceph with its object gateway over TLS, all in memory, in a folder of its own."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx

from tests.patience import PATIENCE
from tests.peers.own_certificate import own_certificate
from tests.ports import free_port

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
STORE_BYTES = 3 << 30
CONFIGURATION = """
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{mon_port}
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_bind_msgr2 = false
public_addr = 127.0.0.1
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
log_to_file = true
mon_cluster_log_file = {folder}/cluster.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_warn_on_pool_no_redundancy = false
auth_allow_insecure_global_id_reclaim = true
debug_ms = 0
keyring = {folder}/keyring

[mon.a]
mon_data = {folder}/mon
public_addr = v1:127.0.0.1:{mon_port}

[osd.0]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = {store_bytes}
osd_max_object_size = 134217728

[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{plain_port} ssl_endpoint=127.0.0.1:{port} ssl_certificate={folder}/rgw.pem
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_cache_enabled = true
rgw_run_sync_thread = false
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 5
rgw_enable_lc_threads = false
rgw_thread_pool_size = 128
"""


def is_installed() -> bool:
    """Tell whether Ceph's programs are here."""
    return all(map(shutil.which, PROGRAMS))


class RunningRgw:
    """Ceph's object gateway; it ends with the tests, and so do the monitor and the store behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.plain_port = free_port()  # for what looks into calls on their way
        self.access_key, self.secret_key = secrets.token_hex(10), secrets.token_hex(20)
        self.certificate = own_certificate(folder)
        (folder / "rgw.pem").write_text((folder / "key.pem").read_text() + self.certificate)
        self._mon_port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._configuration = folder / "ceph.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                fsid=uuid.uuid4(),
                folder=folder,
                mon_port=self._mon_port,
                port=self.port,
                plain_port=self.plain_port,
                store_bytes=STORE_BYTES,
            )
        )

    def start(self) -> None:
        fsid = self._configuration.read_text().partition("fsid = ")[2].split()[0]
        mon = f"v1:127.0.0.1:{self._mon_port}"
        self._do("monmaptool", "--create", "--addv", "a", f"[{mon}]", "--fsid", fsid, str(self.folder / "monmap"))
        self._do("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.folder / "monmap"))
        self._begin("ceph-mon", "-f", "-i", "a")
        (self.folder / "osd").mkdir()
        self._do("ceph-osd", "--mkfs", "-i", "0")
        self._do("ceph", "--connect-timeout", "30", "osd", "new", (self.folder / "osd" / "fsid").read_text().strip())
        self._begin_store()
        # Before the gateway begins: the first of them makes its pools.
        self.make_user("staging", access_key=self.access_key, secret_key=self.secret_key)
        self._begin("radosgw", "-f", "-n", "client.rgw")
        self._wait(self._answers)

    def _begin_store(self) -> None:
        """Begin what stores, again where it ends: now and then it does at once ("wrong fsid")."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            store = self._begin("ceph-osd", "-f", "-i", "0")
            while store.poll() is None and time.monotonic() < deadline:
                if json.loads(self._do("ceph", "osd", "stat", "--format", "json"))["num_up_osds"] == 1:
                    return
            self._processes.remove(store)
        raise AssertionError(self.log())

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.plain_port}", timeout=5).status_code > 0
        return False

    def _wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and all(one.poll() is None for one in self._processes):
            if is_so():
                return
            time.sleep(0.1)
        raise AssertionError(self.log())

    def log(self) -> str:
        """Return what its programs said last."""
        return "".join(file.read_text(errors="replace")[-2000:] for file in sorted(self.folder.glob("*.log")))

    def make_user(self, name: str, *, access_key: str, secret_key: str) -> None:
        """Make a user of the gateway's."""
        keys = ("--access-key", access_key, "--secret-key", secret_key)
        self.administer("user", "create", "--uid", name, "--display-name", name, *keys)

    def administer(self, *command: str) -> dict[str, object]:
        """Return what the gateway's administrator is told."""
        said = self._do("radosgw-admin", "-n", "client.rgw", *command)
        found: dict[str, object] = json.loads(said) if said.lstrip().startswith("{") else {}
        return found

    def stop(self) -> None:
        """End all its programs, the gateway first."""
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)  # all that they have is in memory
            process.wait()
        self._processes.clear()

    def _begin(self, *command: str) -> subprocess.Popen[bytes]:
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--", *self._command(*command)]
        with (self.folder / "output.log").open("ab") as log:
            begun = subprocess.Popen(dies_with_us, cwd=self.folder, stdout=log, stderr=log)
        self._processes.append(begun)
        return begun

    def _do(self, *command: str) -> str:
        done = subprocess.run(
            self._command(*command), cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
        return done.stdout

    def _command(self, program: str, *arguments: str) -> list[str]:
        given = [] if program == "monmaptool" else ["-c", str(self._configuration)]
        return [program, *given, *arguments]
