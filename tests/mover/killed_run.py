"""A worker with one starter, and a run of it that has a mover and is killed while the mover is stopped."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from stager.mover import starter
from stager.mover.start import start_mover
from tests.mover.conftest import ALICE


def main() -> None:
    """Print the mover's process id once its run is dead; stay until the input ends."""
    starter.DISCARD_SECONDS = 1
    starter.keep_starter()
    heard, told = os.pipe()
    if (run := os.fork()) == 0:
        mover = start_mover("alice", ALICE, roots={}, linked_from=(), silence=600)
        known = Path(f"/proc/self/fdinfo/{mover.life.fd}").read_text()
        os.write(told, known.partition("Pid:")[2].split()[0].encode())
        signal.pause()
    mover_pid = int(os.read(heard, 20))
    os.kill(mover_pid, signal.SIGSTOP)
    os.kill(run, signal.SIGKILL)
    os.waitpid(run, 0)
    sys.stdout.write(f"{mover_pid}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
