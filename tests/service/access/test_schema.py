"""Every call that the description knows, tried with what fits it and with what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service.http.test_examples import resolved

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

HERE = Path(__file__).parent
# Streams end when the client hangs up, which Schemathesis does not.
ENDLESS = r"/stream$"


@pytest.mark.parametrize("who", ["operator", "alice"])
def test_no_call_fails_and_every_answer_is_as_described(
    guarded_door: ServedDoor, request: pytest.FixtureRequest, who: str, tmp_path: Path
) -> None:
    token = request.getfixturevalue(who)["Authorization"]
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]
    what = ["run", f"{guarded_door.url}/openapi.json", "--exclude-path-regex", ENDLESS]
    how = ["--max-examples", "20", "--request-timeout", "20", "--continue-on-failure", "--report", "junit"]
    where = ["--report-dir", str(tmp_path), "-H", f"Authorization: {token}"]
    hooks = {**os.environ, "SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(HERE)}

    run = subprocess.run(
        [*program, *what, *how, *where],
        cwd=tmp_path,
        env=hooks,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-20_000:]


@pytest.mark.parametrize(
    ("path", "who", "more", "status"),
    [
        ("/requests/stream", None, {}, 401),
        ("/requests/{request_id}/stream", None, {}, 401),
        ("/logs/stream", None, {}, 401),
        ("/logs/stream", "alice", {}, 403),
        ("/requests/{request_id}/stream", "operator", {}, 404),
        ("/requests/stream", "operator", {"headers": {"Last-Event-ID": "the last"}}, 422),
        ("/requests/{request_id}/stream", "operator", {"headers": {"Last-Event-ID": "-1"}}, 422),
        ("/logs/stream", "operator", {"params": {"lines": "0"}}, 422),
        ("/logs/stream", "operator", {"params": {"level": "loud"}}, 422),
    ],
)
def test_a_stream_that_does_not_begin_is_answered_as_described(
    guarded_door: ServedDoor,
    request: pytest.FixtureRequest,
    *,
    path: str,
    who: str | None,
    more: dict[str, dict[str, str]],
    status: int,
) -> None:
    headers = (request.getfixturevalue(who) if who else {}) | more.get("headers", {})
    known = guarded_door.stage(headers=request.getfixturevalue("alice")).json()["request_id"]
    address = path.format(request_id="nobodys" if status == 404 else known)
    answer = guarded_door.client.get(address, headers=headers, params=more.get("params"), timeout=20)
    document = guarded_door.client.get("/openapi.json").json()
    described = resolved(document, document["paths"][path]["get"]["responses"][str(status)])

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.headers["content-type"] in described["content"]
    assert answer.json().keys() == {"type", "title", "status", "detail", "instance", "http_request_id"}
