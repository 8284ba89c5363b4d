"""No path leads out of an area, by whichever door it comes: it is refused, or its item fails in the run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.attacks.paths import ATTACKS
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack

TERMS = {"method": "local_copy", "username": "nobody"}
UP = {**ATTACKS, "a neighbour's": "../neighbour/a", "what is beside the area": "../../outside/a"}
# So many folders would be made, inside the area.
INSIDE = {"two thousand folders"}

Call = dict[str, Any]


def _json(body: object) -> Call:
    # Written by hand: lone surrogates travel as their escapes.
    return {"content": json.dumps(body).encode(), "headers": {"Content-Type": "application/json"}}


def _by_request(source: str, destination: str) -> Call:
    return _json({**TERMS, "items": [{"source": source, "destination": destination}]})


def _by_manifest(source: str, destination: str) -> Call:
    line = _json({"source": source, "destination": destination})["content"]
    return {"params": TERMS, "content": line, "headers": {"Content-Type": "application/x-ndjson"}}


def _by_the_demos_call(source: str, destination: str) -> Call:
    call = _json({"data": {"local_path_on_storage": source, "relative_path": destination}})
    return {**call, "params": TERMS, "headers": {**call["headers"], "Prefer": "wait=0"}}


def _by_tape(source: str, destination: str) -> Call:
    about = {"ska-staging": {"username": "nobody", "destination": destination}}
    return _json({"files": [{"path": source, "targetedMetadata": about}]})


DOORS: dict[str, Callable[[str, str], Call]] = {
    "/requests": _by_request,
    "/requests/from-manifest": _by_manifest,
    "/stage_data": _by_the_demos_call,
    "/api/v1/stage": _by_tape,
}


@pytest.fixture
def outside(stack: Stack) -> list[Path]:
    """Folders that anybody may write to, and links that lead there or elsewhere."""
    stack.user_area.parent.joinpath("neighbour").mkdir()
    stack.folder.joinpath("outside").mkdir()
    folders = [stack.user_area.parent / "neighbour", stack.folder / "outside"]
    for folder in folders:
        folder.chmod(0o777)
    stack.storage.joinpath("out").symlink_to("/etc")
    stack.stage("demo/demo.ms/table.dat", "attacks/ours")  # the user's folder is there now
    stack.user_area.joinpath("out").symlink_to(folders[1])
    return folders


def test_no_path_of_a_request_leads_out_by_any_door(stack: Stack, outside: list[Path]) -> None:
    source = "demo/demo.ms/table.dat"
    pairs = [(path, f"attacks/{number}") for number, path in enumerate(UP.values())]
    pairs += [(source, path) for what, path in UP.items() if what not in INSIDE]
    before = Path("/etc/passwd").stat()
    answers = {
        (door, *pair): stack.client.post(stack.http + door, **call(*pair))
        for door, call in DOORS.items()
        for pair in pairs
    }

    refused = {asked: answer for asked, answer in answers.items() if answer.is_client_error}
    taken = {asked: answer for asked, answer in answers.items() if answer.is_success}
    assert len(refused) + len(taken) == len(answers)
    assert {answer.headers["content-type"] for answer in refused.values()} == {"application/problem+json"}
    ids = {asked: answer.json().get("request_id") or answer.json()["requestId"] for asked, answer in taken.items()}
    ended = {asked: ending(stack, request_id) for asked, request_id in ids.items()}
    assert {asked: status for asked, status in ended.items() if status != "failed"} == {}
    assert {door for door, *_ in taken} == set(DOORS)
    assert [list(folder.iterdir()) for folder in outside] == [[], []]
    assert [file.name for file in (stack.user_area / "attacks").iterdir()] == ["ours"]
    after = Path("/etc/passwd").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def ending(stack: Stack, request_id: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (row := stack.client.get(f"{stack.http}/requests/{request_id}").json())["finished_at"]:
        assert time.monotonic() < deadline, row
        time.sleep(0.2)
    return str(row["status"])
