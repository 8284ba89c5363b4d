"""The commands of Debian's gfal2-util, as docs/how-to/tape-rest.md shows them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from stager.models import Status
from stager.records.items import files_of
from stager.records.requests import list_requests
from tests.gfal import PYTHON
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.gfal import Gfal
    from tests.service.conftest import ServedDoor

pytestmark = [pytest.mark.any_database, pytest.mark.stack]

DONE: dict[str, Any] = {"status": Status.COMPLETED}
METADATA = json.dumps({"ska-staging": {"username": "alice"}})


def started(gfal: Gfal, command: str, *arguments: str) -> subprocess.Popen[str]:
    if shutil.which(command) is None:
        pytest.skip("needs gfal2-util (Debian: apt-get install gfal2-util-scripts)")
    env = {"PATH": os.environ["PATH"], "GFAL_PYTHONBIN": PYTHON, "SSL_CERT_FILE": str(gfal.trusted)}
    told = subprocess.PIPE
    return subprocess.Popen([command, *arguments], env=env, stdout=told, stderr=subprocess.STDOUT, text=True)


def said(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


def asked_for(door: ServedDoor, source: str) -> str:
    """Return the request for a source, once there is one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for row in list_requests(door.database, limit=10).requests:
            if [file.local_path_on_storage for file in files_of(door.database, row.id)] == [source]:
                return row.id
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_gfals_commands_bring_a_file_online_find_it_archived_and_evict_it(gfal: Gfal, tls_door: ServedDoor) -> None:
    url = f"davs://{tls_door.url.removeprefix('https://')}/command.fits"
    (tls_door.source / "command.fits").write_bytes(b"data")
    waiting = started(gfal, "gfal-bringonline", "--staging-metadata", METADATA, "--polling-timeout", "60", url)
    request_id = asked_for(tls_door, "command.fits")
    tls_door.end(request_id, DONE)

    assert said(waiting).splitlines()[-1] == f"{url} READY"
    assert said(started(gfal, "gfal-archivepoll", url)) == f"{url} READY\n"
    said(started(gfal, "gfal-evict", url, request_id))
    assert [file.released_at is not None for file in files_of(tls_door.database, request_id)] == [True]
