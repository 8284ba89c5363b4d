"""How much memory a staging takes over what the interpreter had before it: one run for each figure.

Processes that help count whole.

``python -m benchmarks.memory SOURCE DESTINATION`` prints it in bytes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.rivals import ours

EACH = 10_000  # files


def peak_of(source: Path, destination: Path) -> int:
    """Return a staging's peak over the interpreter, in bytes."""
    command = [sys.executable, "-m", "benchmarks.memory", str(source), str(destination)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Peaks:
    """Peaks of this program and of those that help it; getrusage(2) would count what started them, too."""

    def __init__(self) -> None:
        self._files = 0
        self._helping: dict[str, int] = {}

    def look(self, _: object) -> None:
        """Look from time to time at those who help: they are gone at the end."""
        self._files += 1
        if self._files % EACH == 0:
            for task in Path("/proc/self/task").iterdir():
                self._helping |= {pid: _peak(pid) for pid in (task / "children").read_text().split()}

    def sum(self) -> int:
        """Return all together, in bytes."""
        return _peak("self") + sum(self._helping.values())


def _peak(pid: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    peaks = Peaks()
    before = peaks.sum()
    ours(Path(sys.argv[1]), Path(sys.argv[2]), on_file=peaks.look)
    print(peaks.sum() - before)
