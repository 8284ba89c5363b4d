"""The process that listens on a port, from Linux's /proc."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

LISTENING = "0A"


def port_holder(port: int, *, proc: Path = Path("/proc")) -> str:
    """Return which process listens on a TCP port, in words: ``"process 812 (python -m http.server)"``.

    Notes
    -----
    proc_net(5) for the tables, proc(5) for ``fd``. The descriptors of another
    user's processes cannot be read; then it is "another process".
    """
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _inodes(proc / "net" / table, port)}
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):  # it ended, or belongs to somebody else
            if any(str(link.readlink()) in sockets for link in (process / "fd").iterdir()):
                return f"process {process.name} ({_command(process)})"
    return "another process"


def _inodes(table: Path, port: int) -> list[str]:
    if not table.exists():
        return []
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return [row[9] for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def _command(process: Path) -> str:
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return " ".join(words).strip()[:100]
