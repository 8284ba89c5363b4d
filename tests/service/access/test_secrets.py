"""A token that comes along goes nowhere, by whichever door."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlmodel import SQLModel

if TYPE_CHECKING:
    from tests.service.conftest import PrefectServer, ServedDoor

SECRET = "open-sesame-6f1c"
TERMS = {"method": "local_copy", "username": "alice"}
ITEM = {"source": "a.fits", "destination": "b.fits"}
TAPE_FILE = {"path": "/a.fits", "targetedMetadata": {"ska-staging": {"username": "alice"}}}
# Each door that takes a request or a path, and what it is asked for.
DOORS: dict[str, dict[str, Any]] = {
    "/stage_data": {"params": TERMS, "json": {"data": {"local_path_on_storage": "a.fits", "relative_path": "b.fits"}}},
    "/requests": {"json": {**TERMS, "items": [ITEM]}},
    "/requests/from-manifest": {
        "params": TERMS,
        "content": b"source,destination\na.fits,b.fits\n",
        "headers": {"Content-Type": "text/csv"},
    },
    "/api/v1/stage": {"json": {"files": [TAPE_FILE]}},
    "/files/source/a.fits": {},
}
# Each way in which a token comes along.
TOKENS: dict[str, dict[str, dict[str, str]]] = {
    "query": {"params": {"jupyter_token": SECRET}},
    "header": {"headers": {"X-Jupyter-Token": SECRET, "Authorization": f"Bearer {SECRET}"}},
}


def holders(*folders: Path) -> list[Path]:
    """Return the files in which the secret stands."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if SECRET.encode() in file.read_bytes()]


def records(door: ServedDoor) -> str:
    """Return all that the database has."""
    tables = SQLModel.metadata.sorted_tables
    return door.database.read(lambda session: str([session.execute(table.select()).all() for table in tables]))


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_reaches_no_log_no_record_and_not_prefect(
    brief_door: ServedDoor, prefect: PrefectServer, token: str
) -> None:
    (brief_door.source / "a.fits").write_bytes(b"SIMPLE")
    answers = {}
    for path, call in DOORS.items():
        both = {name: {**call.get(name, {}), **TOKENS[token].get(name, {})} for name in ("params", "headers")}
        verb = "POST" if call else "GET"
        answers[path] = brief_door.client.request(verb, path, **{**call, **both})
        refused = brief_door.client.request(verb, path, **{**call, **both, "json": None, "content": b"{"})
        assert SECRET not in answers[path].text + refused.text
    # In a query no word is passed over, but by the demo's call, which takes what its callers have always sent.
    taken = {path for path, answer in answers.items() if answer.is_success}
    assert taken == ({"/stage_data"} if token == "query" else set(DOORS))
    made = [answers[path].json() for path in taken if path != "/files/source/a.fits"]
    for request_id in (answer.get("request_id") or answer["requestId"] for answer in made):
        run = brief_door.eventually(request_id, lambda row: row["flow_run_id"] is not None)["flow_run_id"]
        assert SECRET not in prefect.client.get(f"/flow_runs/{run}").text

    assert SECRET not in records(brief_door)
    # The logs, the console, and the SQLite records; of Prefect, its database and its log.
    assert holders(brief_door.folder, prefect.home) == []
