"""A user's secret in a whole run: the run has it while it stages, and nobody else, then or later."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from pydantic import SecretStr
from sqlmodel import SQLModel

from stager.models import StagingItem, StagingRequest, Status
from stager.records.database import Database
from stager.records.request_secrets import forget_missed_secrets
from stager.records.requests import create_request, get_request
from stager.records.tables import RequestSecret
from stager.user_secrets import SecretKeys

if TYPE_CHECKING:
    from tests.flows.conftest import Running, Site

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.stack,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read the memory of another process"),
]
SECRET = "open-sesame-6f1c"
KEY = base64.urlsafe_b64encode(b"\7" * 32).decode()
ASKED = StagingRequest(method="local_copy", username="alice", items=(StagingItem(source="a.fits", destination="b"),))
# As a method does that acts with the user's own secret; it waits with it until somebody has looked around.
WITH_SECRET = """
import time
from pathlib import Path
from stager.records.request_secrets import hand_out_secret
from stager.runs.batch import Batch
from stager.settings import get_settings
from stager.user_secrets import SecretKeys
begin, home = Batch._begin, Path(get_settings().users_file).parent
def begin_with_secret(batch, stack):
    begin(batch, stack)
    (request_id,) = {entry.file.request_id for entry in batch.entries}
    process, keys = batch.writer.holder, SecretKeys(get_settings().secret_key)
    run = process.partition("/")[0]
    batch.secret = hand_out_secret(batch.writer.database, request_id, holder=process, flow_run_id=run, keys=keys)
    (home / "handed_out").write_text(str(len(batch.secret)))
    while not (home / "go_on").exists():
        time.sleep(0.05)
Batch._begin = begin_with_secret
"""


@pytest.fixture
def keeping(site: Site) -> Site:
    site.settings["STAGER_SECRET_KEY"] = KEY
    return site


def with_secret(site: Site) -> str:
    secret = SecretKeys(SecretStr(KEY)).take(SecretStr(SECRET))
    return create_request(site.database, ASKED, secret=secret).id


def has_in_memory(process: psutil.Process, *texts: str) -> set[str]:
    """Return which texts stand in the memory of a process."""
    found: set[str] = set()
    maps = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    with Path(f"/proc/{process.pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if "r" not in rights or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(one, 16) for one in span.split("-"))
            memory.seek(start)
            held = memory.read(end - start)
            found |= {text for text in texts if text.encode() in held}
    return found


def told_to_prefect(site: Site, flow_run_id: str) -> str:
    """Return what Prefect has of a run: itself with its parameters, its tasks, its log, and what its page shows."""
    of_run = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
    asked = {
        "flow_runs": of_run,
        "task_runs": of_run,
        "logs": {"logs": {"flow_run_id": {"any_": [flow_run_id]}}},
        "artifacts": {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}}},
    }
    return json.dumps({what: site.ask(f"{what}/filter", body) for what, body in asked.items()})


def dump(database: Database) -> str:
    tables = SQLModel.metadata.sorted_tables
    return database.read(lambda session: str([session.execute(table.select()).all() for table in tables]))


def look_around(site: Site, run: Running) -> None:
    """Look where the secret is while the run has it."""
    others = psutil.Process(run.pid).children(recursive=True)
    assert others
    assert has_in_memory(psutil.Process(run.pid), SECRET, KEY) == {SECRET, KEY}
    assert [(one.name(), has_in_memory(one, SECRET, KEY)) for one in others] == [(one.name(), set()) for one in others]
    assert SECRET not in dump(site.database)


def test_a_run_has_the_secret_and_neither_its_mover_nor_prefect_nor_log_nor_records_have(keeping: Site) -> None:
    request_id = with_secret(keeping)
    with keeping.running("local_copy", request_id, before=WITH_SECRET) as run:
        keeping.eventually((keeping.folder / "handed_out").exists)
        look_around(keeping, run)
        (keeping.folder / "go_on").touch()
        state, log = keeping.ended(run)

    row = get_request(keeping.database, request_id)
    assert (row.status, (keeping.folder / "handed_out").read_text()) == (Status.COMPLETED, str(len(SECRET)))
    assert keeping.database.read(lambda session: session.get(RequestSecret, request_id)) is None
    assert forget_missed_secrets(keeping.database) == 0
    for told in (state, log, dump(keeping.database), told_to_prefect(keeping, str(row.flow_run_id))):
        assert SECRET not in told
        assert KEY not in told
    assert request_id in told_to_prefect(keeping, str(row.flow_run_id))


def test_a_run_without_the_key_fails_and_says_who_can_mend_it(keeping: Site) -> None:
    request_id = with_secret(keeping)
    del keeping.settings["STAGER_SECRET_KEY"]
    state, log = keeping.run("local_copy", request_id, before=WITH_SECRET)
    row = get_request(keeping.database, request_id)
    assert (row.status, keeping.files(request_id)[0].error_type) == (Status.FAILED, "SecretKeyMissing")
    assert "STAGER_SECRET_KEY" in str(row.error_reason)
    assert SECRET not in state + log + dump(keeping.database)
