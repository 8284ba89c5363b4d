"""How fast requests are taken in, alone and while they are staged; writes docs/reference/speed/submissions.md.

Run it with ``python -m benchmarks.submissions``; it needs wrk. With ``--mariadb URL``, an empty database, the service
alone is measured with its records there, too.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.large_requests import served
from benchmarks.stack import USERS, stack
from stager.records.migrate import migrate

CONNECTIONS, SECONDS, WARM_UP = 16, 10, 2
CHECKOUT = Path(__file__).parents[1]
PAGE = CHECKOUT / "docs" / "reference" / "speed" / "submissions.md"
ADDITIONS = 20_000_000
NO_LIMIT = "1000000000"  # open requests a user
# One file a request, each to a place of its own; users take turns.
SCRIPTS = {
    "/requests": """
        local items = '[{"source": "small.bin", "destination": "TO"}]'
        local body = '{"method": "local_copy", "username": "USER", "items": ' .. items .. '}'
        local function path(user) return "/requests" end
    """,
    "/stage_data": """
        local body = '{"data": {"local_path_on_storage": "small.bin", "relative_path": "TO"}}'
        local function path(user) return "/stage_data?method=local_copy&username=" .. user end
    """,
}
ASK = """
local n = 0
local headers = {["Content-Type"] = "application/json", ["Prefer"] = "wait=0"}
request = function()
    n = n + 1
    local user = "user" .. n % USERS
    local sent = body:gsub("USER", user):gsub("TO", "RUN/" .. n)
    return wrk.format("POST", path(user), headers, sent)
end
"""


@dataclass(frozen=True)
class Taken:
    """What became of a burst; times in ms."""

    per_second: float
    p50: float
    p99: float
    refused: int


def burst(url: str, door: str, *, run: str, seconds: int) -> Taken:
    """Ask for stagings over some connections, each as soon as its last was answered."""
    script = SCRIPTS[door] + ASK.replace("% USERS", f"% {USERS}").replace("RUN", run)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        options = ("-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "30s", "-s", file.name)
        said = subprocess.run(["wrk", *options, url], check=True, capture_output=True, text=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Taken(
        per_second=float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0]),
        p50=_milliseconds(said, "50%"),
        p99=_milliseconds(said, "99%"),
        refused=int(refused[1]) if refused else 0,
    )


def _milliseconds(said: str, share: str) -> float:
    found = re.findall(rf"{share}\s+([\d.]+)(us|ms|s)", said)[0]
    return float(found[0]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[1]]


def _row(what: str, url: str, door: str) -> str:
    burst(url, door, run="warm-up", seconds=WARM_UP)
    taken = burst(url, door, run="measured", seconds=SECONDS)
    return f"| {what} | `POST {door}` | {taken.per_second:,.0f} | {taken.p50:.0f} | {taken.p99:.0f} | {taken.refused} |"


def figures(mariadb: str | None) -> Iterator[str]:
    """Yield the rows of the table; each is of a service that has nothing to do yet."""
    for door in SCRIPTS:
        yield _alone(door)
    for door in SCRIPTS if mariadb else ():
        yield _alone(door, mariadb)
    for door in SCRIPTS:
        with stack("warm") as made:
            yield _row("all of `make up`: it stages meanwhile", made.http, door)


def _pace() -> float:
    """Return how long some additions take, in seconds: what else the machine's host does, the load does not tell."""
    began, total = time.perf_counter(), 0
    for number in range(ADDITIONS):
        total += number
    return time.perf_counter() - began


def _alone(door: str, mariadb: str | None = None) -> str:
    with tempfile.TemporaryDirectory() as name:
        url = mariadb or f"sqlite:///{name}/records.db"
        migrate(url)
        with served(Path(name), url) as (address, _):
            return _row(f"the service alone: Prefect is away{', records in MariaDB' if mariadb else ''}", address, door)


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mariadb", metavar="URL", help="of an empty database")
    options = parser.parse_args()
    os.environ["STAGER_MAX_OPEN_REQUESTS"] = NO_LIMIT
    load, pace = os.getloadavg()[0], _pace()
    rows = []
    for row in figures(options.mariadb):
        print(row, flush=True)
        rows.append(row)
    about = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f} before; "
        f"{ADDITIONS / 1e6:.0f} million additions in a loop took {pace:.1f} s."
    )
    PAGE.write_text(
        HEAD.format(about=about, connections=CONNECTIONS, seconds=SECONDS, users=USERS) + "\n".join(rows) + "\n"
    )


HEAD = """# Speed of submissions

`python -m benchmarks.submissions` has written this page. {about}
One file a request, {users} users in turns, {connections} connections for {seconds} s, each of which asks again as
soon as it was answered. The asking client, the service and its records (SQLite on a disk, unless MariaDB is named)
share the machine. A request is answered when its record is committed.

| what runs | asked by | accepted/s | p50 ms | p99 ms | refused |
|---|---|---|---|---|---|
"""

if __name__ == "__main__":
    main()
