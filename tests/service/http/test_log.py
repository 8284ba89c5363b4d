"""What the log keeps of each call."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stager.log_records import MARGIN
from stager.logging import hide_secrets, in_words
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database

SECRET = "open-sesame-9d2e"
TAKEN, REFUSED = "call-taken", "call-refused"


def events_of(log: Path) -> Counter[tuple[str, str]]:
    """Return what the log has of our calls; each line of theirs is a JSON object."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if TAKEN in line or REFUSED in line]
    return Counter((line["http_request_id"], line["event"]) for line in lines)


def wait_for_line(log: Path, *words: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not any(all(word in line for word in words) for line in log.read_text().splitlines()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("mysql+pymysql://stager:open@sesame@db/records is away", "mysql+pymysql://stager:***@db/records is away"),
        ("GET /files?token=open-sesame&part=1", "GET /files?token=***&part=1"),
        ("{'password': 'open-sesame', 'user': 'alice'}", "{'password': '***', 'user': 'alice'}"),
        ("Authorization: Bearer open-sesame-9d2e", "Authorization: ***"),
        ("it came with BEARER open-sesame-9d2e", "it came with BEARER ***"),
        ("X-API-Key: open-sesame", "X-API-Key: ***"),
        ("a.fits is a basic file of 12 bytes", "a.fits is a basic file of 12 bytes"),
        ({"deep": [{"access_token": "open-sesame"}, "sesame"]}, {"deep": [{"access_token": "***"}, "sesame"]}),
    ],
)
def test_secrets_are_hidden_wherever_they_stand_and_nothing_else(said: object, kept: object) -> None:
    assert hide_secrets(None, "", {"event": said}) == {"event": kept}


def test_what_others_wrote_is_one_line_for_a_person_at_a_terminal_too() -> None:
    forged = "a\n12:00:00 [error] forged\x1b[2J\x9b2J\u2028"
    formatter = in_words(colors=False)
    record = logging.LogRecord("theirs", logging.ERROR, "", 0, f"Source {forged}", (), None)
    record.__dict__["more"] = forged
    error = RuntimeError(forged)
    failed = logging.LogRecord("theirs", logging.ERROR, "", 0, "It failed", (), (RuntimeError, error, None))
    structured = logging.LogRecord("ours", logging.ERROR, "", 0, {"event": "Refused", "path": forged}, (), None)
    structured.__dict__.update(_logger=None, _name="error", _from_structlog=True)
    assert formatter.format(record).isprintable()
    assert formatter.format(structured).isprintable()
    lines = formatter.format(failed).splitlines()
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines[1:] if not line.startswith(MARGIN)] == []


def test_at_debug_only_our_own_lines_are_more(tmp_path: Path) -> None:
    program = """
import logging, sys
from pathlib import Path
from stager.logging import set_up_logging
from stager.settings import Settings
set_up_logging(Settings(logging_level="DEBUG", log_file=Path(sys.argv[1])))
for name in ("stager.dispatch.cluster", "blocks.areas", "kubernetes_asyncio.client.rest", "aiosqlite"):
    logging.getLogger(name).debug("a detail")
    logging.getLogger(name).info("a fact")
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "log")], check=True, capture_output=True)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    detailed = {line["logger"] for line in lines if line["event"] == "a detail"}
    assert detailed == {"stager.dispatch.cluster", "blocks.areas"}
    assert len([line for line in lines if line["event"] == "a fact"]) == 4


def test_each_line_of_a_call_is_json_with_its_id_and_without_its_token_in_file_and_console(
    lone_door: ServedDoor,
) -> None:
    def stage(number: int) -> int:
        header = {"X-Request-ID": f"{TAKEN}-{number}"}
        more: dict[str, Any] = {"destination": f"{number}.fits", "params": {"token": SECRET}, "headers": header}
        return lone_door.stage(**more).status_code

    with ThreadPoolExecutor(10) as pool:
        answers = set(pool.map(stage, range(10)))
    refused = lone_door.stage("teleport", params={"token": SECRET}, headers={"X-Request-ID": REFUSED})

    assert (answers, refused.status_code) == ({202}, 400)
    expected = {(f"{TAKEN}-{n}", event) for n in range(10) for event in ("Request recorded", "Request served")}
    expected |= {(REFUSED, "Refused"), (REFUSED, "Request served")}
    for log in (lone_door.log_file, lone_door.folder / "console.log"):
        wait_for_line(log, REFUSED, "Request served")  # which is written when the answer has gone
        assert events_of(log) == dict.fromkeys(expected, 1)
        assert SECRET not in log.read_text()
