"""The supervisor's reports on the stack's parts, over its socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport


@dataclass(frozen=True)
class ProgramStatus:
    """The status of a part, as the supervisor sees it."""

    name: str
    state: str
    pid: int
    exit_status: int

    @property
    def is_running(self) -> bool:
        """Whether its process runs, even if only since a moment."""
        return self.state in {"STARTING", "RUNNING"}

    @property
    def is_done(self) -> bool:
        """Whether it ended as it should."""
        return self.state == "EXITED" and self.exit_status == 0


@contextmanager
def _connection(socket: Path) -> Iterator[Any]:
    transport = SupervisorTransport(None, None, f"unix://{socket}")
    try:
        yield ServerProxy("http://127.0.0.1", transport=transport).supervisor
    finally:
        transport.close()


def reports(socket: Path) -> dict[str, ProgramStatus]:
    """Return the status of each part by its name; nothing while the supervisor does not answer."""
    try:
        with _connection(socket) as supervisor:
            rows = supervisor.getAllProcessInfo()
    except OSError:
        return {}
    return {
        row["name"]: ProgramStatus(row["name"], row["statename"], int(row["pid"]), int(row["exitstatus"]))
        for row in rows
    }
