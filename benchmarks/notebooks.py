"""`jupyter_copy` beside what a person would write, at a real JupyterHub; writes docs/reference/speed/notebooks.md.

    python -m benchmarks.notebooks FOLDER [ROUNDS]        (a folder on tmpfs; needs what `make test` installs)

Rivals take turns within each round, so that another load meets all of them; its tables stand between the marks of
the page.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import SecretStr

from benchmarks.figures_page import write_figures
from benchmarks.notebook_rivals import USER
from benchmarks.sources import MIB, make_file, make_tree
from stager.peers.jupyter import Hub, HubConnection, start, stop
from tests.peers.running_hub import RunningHub

ROUNDS = 5
FILE_BYTES = (200 * MIB, 1024 * MIB)
SMALL_FILES, SMALL_BYTES, PER_FOLDER = 2000, 4096, 200
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "speed" / "notebooks.md"
LOOP, AT_ONCE = "a loop of pieces of 4 MiB", "the demo's way: one JSON body"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one delivery took: of time, of memory over the program's start, and of the notebook server's memory."""

    seconds: float
    bytes: int
    server_bytes: int


@dataclass(frozen=True)
class Site:
    """A hub, at which a user gets a fresh notebook server for each delivery."""

    running: RunningHub
    hub: Hub

    def deliver(self, rival: str, source: Path) -> Taken:
        """Have a rival deliver once in a process of its own, and remove what it delivered."""
        state = start(self.hub, USER, within_seconds=600, on_progress=lambda _: None)
        with self.hub.token_for(state) as token:
            environment = {
                **os.environ,
                "BENCHMARK_HUB": self.running.url,
                "BENCHMARK_HUB_TOKEN": self.running.tokens["staging"],
                "BENCHMARK_SERVER": str(state.url),
                "BENCHMARK_SERVER_TOKEN": token.get_secret_value(),
            }
            command = [sys.executable, "-m", "benchmarks.notebook_rivals", rival, str(source), "product"]
            said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        taken = Taken(**json.loads(said), server_bytes=self._server_peak())
        stop(self.hub, USER, within_seconds=600)
        subprocess.run(["rm", "-rf", str(self.running.home(USER) / "product")], check=True)
        return taken

    def _server_peak(self) -> int:
        programs = [psutil.Process(pid) for pid in self.running.pids(USER)]
        return max(_peak(one.pid) for one in programs if "jupyterhub.singleuser" in one.cmdline())


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Start a hub in a folder."""
    folder.mkdir()
    running = RunningHub(folder)
    try:
        running.start()
        with HubConnection(url=running.url, token=SecretStr(running.tokens["staging"])).opened() as hub:
            yield Site(running, hub)
    finally:
        running.stop()


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def compared(title: str, here: Site, source: Path, rivals: Mapping[str, str], rounds: int) -> Iterator[str]:
    """Yield a table of medians, and of our time by each rival's within the same round.

    Parameters
    ----------
    rivals
        By what each is called in the table, ours first.
    """
    taken: dict[str, list[Taken]] = {name: [] for name in rivals}
    for turn in range(rounds):
        for name in [*rivals][turn % len(rivals) :] + [*rivals][: turn % len(rivals)]:
            taken[name].append(here.deliver(rivals[name], source))
    yield (
        f"\n### {title}\n\n| | median s | range s | our time / its time: median | range | its memory MiB "
        "| the server's MiB |\n|---|---|---|---|---|---|---|"
    )
    own = [one.seconds for one in taken["ours"]]
    for name, runs in taken.items():
        seconds = [one.seconds for one in runs]
        ratios = [mine / its for mine, its in zip(own, seconds, strict=True)]
        yield (
            f"| {name} | {_figures(seconds)} | {_figures(ratios)} "
            f"| {max(one.bytes for one in runs) / MIB:.0f} | {max(one.server_bytes for one in runs) / MIB:.0f} |"
        )


def _figures(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} | {min(values):.2f} to {max(values):.2f}"


def figures(folder: Path, rounds: int) -> Iterator[str]:
    """Yield all tables, and what they were measured on."""
    yield (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} before.\n"
        f"Medians of {rounds} rounds in turns. Memory is the highest of all rounds: each program's over its start,\n"
        "and the notebook server's whole."
    )
    with site(folder / "hub") as here:
        small, large = (make_file(folder / f"file-{size}", size) for size in FILE_BYTES)
        here.deliver("ours", small)  # to warm up
        rivals = {"ours": "ours", LOOP: "loop"}
        yield from compared("One file of 200 MiB", here, small, rivals | {AT_ONCE: "at once"}, rounds)
        yield from compared("One file of 1 GiB", here, large, rivals, rounds)
        tree = make_tree(folder / "tree", files=SMALL_FILES, size_bytes=SMALL_BYTES, per_folder=PER_FOLDER)
        title = f"{SMALL_FILES:,} files of {SMALL_BYTES} bytes"
        yield from compared(title, here, tree, {"ours": "ours", "a loop of files": "loop"}, rounds)


def main() -> None:
    """Measure, print, and write between the marks of the page."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_figures(PAGE, figures(folder, int(sys.argv[2]) if sys.argv[2:] else ROUNDS))


if __name__ == "__main__":
    main()
