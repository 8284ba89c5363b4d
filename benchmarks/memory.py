"""How much memory a staging takes over what the interpreter had before it: one process for each figure.

``python -m benchmarks.memory SOURCE DESTINATION`` prints it in bytes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.rivals import ours


def peak_of(source: Path, destination: Path) -> int:
    """Return a staging's peak over the interpreter, in bytes."""
    command = [sys.executable, "-m", "benchmarks.memory", str(source), str(destination)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak() -> int:
    """Return this program's own peak; getrusage(2) would count what started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    before = _peak()
    ours(Path(sys.argv[1]), Path(sys.argv[2]))
    print(_peak() - before)
