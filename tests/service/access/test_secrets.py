"""A JupyterHub token that comes along goes nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import PrefectServer, ServedDoor

SECRET = "open-sesame-6f1c"


def holders(*folders: Path) -> list[Path]:
    """Return the files in which the secret stands."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if SECRET.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    "call", [{"params": {"jupyter_token": SECRET}}, {"headers": {"X-Jupyter-Token": SECRET}}], ids=["query", "header"]
)
def test_a_jupyter_token_reaches_no_log_no_record_and_not_prefect(
    brief_door: ServedDoor, prefect: PrefectServer, call: dict[str, dict[str, str]]
) -> None:
    answer = brief_door.stage(**call)
    refused = brief_door.client.post("/stage_data", content=b"{", **call)
    run = brief_door.eventually(answer.json()["request_id"], lambda row: row["flow_run_id"] is not None)["flow_run_id"]

    assert (answer.status_code, refused.status_code) == (202, 422)
    assert SECRET not in answer.text + refused.text
    assert SECRET not in prefect.client.get(f"/flow_runs/{run}").text
    # The logs, the console, and the SQLite records; of Prefect, its database and its log.
    assert holders(brief_door.folder, prefect.home) == []
